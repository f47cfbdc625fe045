"""The page: findings and pictures as one file of HTML, which asks no other for anything."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from rrin_deploy import __version__
from rrin_deploy.console import printable
from rrin_deploy.failures import CANNOT_RUN_HERE, FAILED
from rrin_deploy.report.album import BRIGHTEST, ParityPicture, WorstCase
from rrin_deploy.report.charts import bars, by_motion_chart
from rrin_deploy.report.estimates import estimate_tables
from rrin_deploy.report.records import Case, Findings, NotRun, Quality
from rrin_deploy.report.verdicts import Card, cards

_FOLDER = Path(__file__).parent
_NOTHING = "–"
_ROWS = 200  # of triplets; of more the worst are listed
_NO_PICTURES = "they are drawn where artifacts are judged, and are no part of JSON"
_MOST_KNOWN = ("sha256", "checkpoint sha256", "base width", "align corners", "io", "opset",
               "runtime", "kept float", "producer", "version", "compute capabilities")  # fmt: skip


@dataclass(frozen=True)
class Content:
    """What a page shows.

    Attributes:
        machines: what each found, by the name that it has on the page.
        parity_pictures, worst_cases: pictures, of the first machine.
        least_db: the mean PSNR that is asked for, if any.
    """

    machines: Mapping[str, Findings]
    parity_pictures: Sequence[ParityPicture] = ()
    worst_cases: Sequence[WorstCase] = ()
    least_db: float | None = None
    cards: Sequence[Card] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cards", cards(self.machines, self.least_db))

    @property
    def exit_code(self) -> int:
        """Of a gate: what did not run does not pass, and what there is nothing of does not."""
        if any(card.failed for card in self.cards):
            return FAILED
        return CANNOT_RUN_HERE if not self.cards or any(c.missing for c in self.cards) else 0


def page(content: Content) -> str:
    """Return the HTML; whatever text comes from findings is shown as text."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "db": _decibels, "signed": _signed, "percent": _percent, "ms": _milliseconds,
        "bytes": _bytes, "error": "{:.1e}".format, "figures": "{:.3g}".format, "rate": _rate,
    }  # fmt: skip
    style, script = _text("page.css"), _text("page.js")
    return environment.get_template("page.html.j2").render(
        content=content,
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        style_hash=_hash(style),
        script_hash=_hash(script),
        version=__version__,
        made=datetime.now(timezone.utc),
        brightest=BRIGHTEST,
        several=len(content.machines) > 1,
        not_run=_not_run(content),
        rows=_ROWS,
        known=_MOST_KNOWN,
        worst_first=_worst_first,
        bars=bars,
        estimate_tables=estimate_tables,
        by_motion_chart=by_motion_chart,
    )


def _not_run(content: Content) -> list[tuple[str, NotRun]]:
    """Return what was not run, by machine: what findings say of it, and what they do not hold."""
    listed = []
    for machine, found in content.machines.items():
        told = {each.part for each in found.not_run}
        holds = {
            "artifacts": found.artifacts, "parity": found.parity, "quality": found.quality,
            "speed": found.speed, "estimates": found.estimates,
            "pictures": content.worst_cases or content.parity_pictures,
        }  # fmt: skip
        listed += [(machine, each) for each in found.not_run]
        for part, held in holds.items():
            if not held and part not in told:
                why = _NO_PICTURES if part == "pictures" else "no file that was given has it"
                listed.append((machine, NotRun(part, "all", why)))
    return listed


def _worst_first(quality: Quality) -> list[Case]:
    """Return the triplets, those first that the first contender does worst on."""
    first = next(iter(quality.contenders))

    def psnr_db(case: Case) -> float:
        score = case.scores.get(first)
        return math.inf if score is None or score.psnr_db is None else score.psnr_db

    return sorted(quality.cases, key=psnr_db)


def _printable(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return what a Content-Security-Policy calls a script or a style of this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _decibels(value: float | None) -> str:
    return "exact" if value is None or math.isinf(value) else f"{value:.2f} dB"


def _signed(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:+.3f}"


def _percent(value: float | None, digits: int = 0) -> str:
    return _NOTHING if value is None else f"{value:.{digits}%}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"


def _rate(fps: float) -> str:
    return f"{fps:.3g}" if fps < 1000 else f"{fps:.0f}"


def _bytes(count: int | None) -> str:
    if count is None:
        return _NOTHING
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
