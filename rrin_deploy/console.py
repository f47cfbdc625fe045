"""What a person is shown, and the sizes and times that they type."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text


class _PlainConsole(Console):
    """Prints text as text: file names and what stands in files may come from strangers.

    Their markup is shown as it stands; characters that would steer the terminal or turn the reading
    direction are escaped.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **how: Any) -> Text:
        """Return what every string, cells of tables too, becomes before it is laid out."""
        return super().render_str(printable(text), **how)


def printable(text: str) -> str:
    """Return a text of unknown origin with what would steer its reader's screen escaped."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character == "\n"
        else character.encode("unicode_escape").decode()
        for character in text
    )


out = _PlainConsole()
errors = _PlainConsole(stderr=True)


def say(text: str, *, subject: object = "") -> None:
    """Print a line of results, unwrapped; `subject`, what was written or judged, stands first."""
    out.print(out.render_str(str(subject), style="bold"), text, sep="", soft_wrap=True)


def table(*columns: str) -> Table:
    """Return an empty table in the house's style; what is too wide is folded, and nothing lost."""
    folded = (Column(name, overflow="fold") for name in columns)
    return Table(*folded, box=SIMPLE_HEAD, pad_edge=False)


def parse_size(text: str) -> tuple[int, int]:
    """Parse '640x360' as (width, height), pixels; a usage error otherwise."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match or not int(match[1]) or not int(match[2]):
        raise typer.BadParameter(f"{text!r} is no size; expected WIDTHxHEIGHT, as in 640x360")
    return int(match[1]), int(match[2])


def parse_bytes(text: str) -> int:
    """Parse '2GB' or '512MiB'; a usage error otherwise."""
    units = {"MB": 10**6, "GB": 10**9, "MIB": 2**20, "GIB": 2**30}
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) ?([MG]I?B)", text.upper())
    if not match or not (found := int(float(match[1]) * units[match[2]])):
        raise typer.BadParameter(f"{shortened(text)} is no memory; expected it as in 2GB or 512MiB")
    return found


def parse_rational(text: str) -> Fraction:
    """Parse '2', '2.5' or '60000/1001', exactly; a usage error otherwise."""
    try:
        # An exponent asks for as many digits as it says, and they may fill all memory.
        if re.fullmatch(r"[-+0-9./]{1,40}", text):
            return Fraction(text)
    except (ValueError, ZeroDivisionError):
        pass
    raise typer.BadParameter(
        f"{shortened(text)} is no number; expected one as in 2, 2.5 or 60000/1001"
    )


def parse_seconds(text: str) -> float:
    """Parse '200ms', '0.2s' or '0.2', seconds; a usage error otherwise."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) ?(ms|s)?", text)
    if not match:
        raise typer.BadParameter(f"{shortened(text)} is no time; expected it as in 200ms or 0.2s")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


def parse_pairs(texts: Sequence[str]) -> dict[str, str]:
    """Parse 'framerate=60' and the like; a usage error otherwise."""
    pairs = [text.partition("=") for text in texts]
    for name, sign, _ in pairs:
        if not name or not sign:
            raise typer.BadParameter(f"{shortened(name)} is no option; expected NAME=VALUE")
    return {name: value for name, _, value in pairs}


def parse_time(text: str) -> Fraction:
    """Parse '75.5', '1:15.5' or '00:01:15.500' as seconds, exactly; a usage error otherwise."""
    match = re.fullmatch(r"(?:(?:(\d{1,4}):)?(\d{1,2}):)?(\d{1,7}(?:\.\d{1,12})?)", text, re.ASCII)
    if match and (":" not in text or (int(match[2]) < 60 and Fraction(match[3]) < 60)):
        return 3600 * int(match[1] or 0) + 60 * int(match[2] or 0) + Fraction(match[3])
    raise typer.BadParameter(
        f"{shortened(text)} is no time; expected seconds, as in 75.5, or HH:MM:SS.mmm, as in "
        "00:01:15.500"
    )


def short_names(files: Sequence[Path]) -> list[str]:
    """Return the files' names, or their paths where two files have one name."""
    names = [file.name for file in files]
    return [str(file) if names.count(file.name) > 1 else file.name for file in files]
