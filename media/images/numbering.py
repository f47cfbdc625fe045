"""Images of a folder, and of numbered patterns such as frame_%05d.png, in their order."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from media.suffixes import IMAGE_SUFFIXES
from runtime.errors import InputNotFoundError, OptionError

NAME = "frame_%05d.png"
_NUMBER = re.compile(r"%(\d{0,2})d")


def is_pattern(path: Path) -> bool:
    """True for a numbered pattern such as frame_%05d.png, as FFmpeg writes it.

    What exists by that very name is a file or a folder, and no pattern.
    """
    return _NUMBER.search(path.name) is not None and not path.exists()


def check_pattern(name: str) -> None:
    """Raise OptionError unless a name has one number in it, as frame_%05d.png has."""
    if len(_NUMBER.findall(name)) != 1 or name.count("%") != 1:
        raise OptionError(f"{name}: expected one number in the pattern, as in {NAME}")


def named(pattern: str, number: int) -> str:
    """Return the name that a pattern gives a number."""
    return _NUMBER.sub(lambda match: str(number).zfill(int(match[1] or 0)), pattern)


def names_of(pattern: str) -> re.Pattern[str]:
    """Return the expression for the names that a pattern gives, the number its only group."""
    before, after = (re.escape(part) for part in _NUMBER.sub("%", pattern).split("%"))
    return re.compile(f"{before}([0-9]+){after}")


def matching(pattern: Path) -> tuple[list[Path], list[Path]]:
    """Return the files of a numbered pattern, by number, and those of another padding."""
    names = names_of(pattern.name)
    ours, others = {}, []
    for path in pattern.parent.iterdir():
        match = names.fullmatch(path.name)
        if match and path.is_file():
            number = int(match[1])
            if path.name == named(pattern.name, number):
                ours[number] = path
            else:
                others.append(path)
    return [ours[number] for number in sorted(ours)], sorted(others)


def numbered(pattern: Path) -> list[Path]:
    """Return the images of a numbered pattern, by number.

    Raises:
        InputNotFoundError: there is no such folder.
        OptionError: it has not one number in its name, or another padding than its files.
    """
    check_pattern(pattern.name)
    if not pattern.parent.is_dir():
        raise InputNotFoundError(f"{pattern.parent}: no such folder")
    ours, others = matching(pattern)
    if others:
        raise OptionError(
            f"{pattern}: is beside {others[0].name}, whose number is padded otherwise; give the "
            f"pattern its digits, as in {NAME}, or move it away"
        )
    return ours


def images_in(folder: Path) -> list[Path]:
    """Return the images of a folder, frame9 before frame10; hidden files are none."""
    if not folder.is_dir():
        raise InputNotFoundError(f"{folder}: no such folder")
    images = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and path.name[0] != "."
    ]
    return sorted(images, key=_natural)


def images_of(source: Path) -> list[Path]:
    """Return the images of a pattern, or of a folder, in their order.

    Raises: as `numbered` and `images_in`.
    """
    return numbered(source) if is_pattern(source) else images_in(source)


def _natural(path: Path) -> tuple[list[int | str], str]:
    return _parts(path), path.name


def _parts(path: Path) -> list[int | str]:
    parts = re.split(r"(\d+)", path.name)  # every second one a number
    return [int(part) if at % 2 else part for at, part in enumerate(parts)]


def missing(images: Sequence[Path]) -> str:
    """Say which numbers are missing, if the names differ by one number alone.

    A sequence that counts by tens, all through, misses none; and where more are missing than there
    are, the numbers are times or the like.
    """
    names = [_parts(path) for path in images]
    if len({len(parts) for parts in names}) > 1:
        return ""
    differing = [column for column in zip(*names, strict=True) if len(set(column)) > 1]
    if len(differing) != 1:
        return ""
    numbers = sorted({part for part in differing[0] if isinstance(part, int)})
    step = math.gcd(*(after - before for before, after in pairwise(numbers)))
    gaps = [pair for pair in pairwise(numbers) if pair[1] - pair[0] > step]
    count = sum((after - before) // step - 1 for before, after in gaps)
    where = ", ".join(f"{before} and {after}" for before, after in gaps[:3])
    more = f" and in {len(gaps) - 3} more places" if len(gaps) > 3 else ""
    are = "number is" if count == 1 else "numbers are"
    return f"{count} {are} missing, between {where}{more}" if 0 < count <= len(images) else ""
