"""What was proved, what failed and what could not be run: as JSON, and as a page of Markdown."""

from __future__ import annotations

import json
import math
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from rrin_deploy import __version__
from runtime.publishing import Publication

JSON_NAME, MARKDOWN_NAME = "gpu-proof.json", "gpu-proof.md"
Status = Literal["passed", "failed", "not run", "told"]


class NotRunError(Exception):
    """A part cannot be run here; the message says why."""


@dataclass(frozen=True)
class Finding:
    """What a part found.

    Attributes:
        name: what was proved.
        status: 'not run' wherever something is missing, never 'passed'; 'told' of what was looked
            at and held against nothing.
        text: the figures that count, or the reason, in one line.
        figures: all that was measured, as JSON types.
        seconds: that it took.
    """

    name: str
    status: Status
    text: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0


Part = Callable[[], Iterable[Finding]]


def verdict(name: str, passed: bool, text: str, figures: Mapping[str, Any]) -> Finding:
    """Return the finding of something that ran."""
    return Finding(name, "passed" if passed else "failed", text, figures)


class Report:
    """Findings so far; written anew after each, so that a crash leaves what was found.

    Args:
        folder: where the two files go; it exists.
        machine: facts of the GPU and of what is installed.
    """

    def __init__(self, folder: Path, machine: Mapping[str, Any]) -> None:
        self.findings: list[Finding] = []
        self._machine = dict(machine)
        self._files = folder / JSON_NAME, folder / MARKDOWN_NAME

    def run(self, name: str, part: Part) -> Iterator[Finding]:
        """Run a part, whatever it raises; yield its findings as they come."""
        started = time.perf_counter()
        for finding in caught(name, part):
            now = time.perf_counter()
            self.findings.append(replace(finding, seconds=now - started))
            self.write()
            yield self.findings[-1]
            started = now

    @property
    def failed(self) -> bool:
        """True if anything that ran failed."""
        return any(finding.status == "failed" for finding in self.findings)

    def write(self) -> None:
        """Write both files."""
        document = {
            "rrin_deploy": __version__,
            "failed": self.failed,
            "machine": self._machine,
            "findings": [asdict(finding) for finding in self.findings],
        }
        content = json.dumps(_plain(document), indent=2, allow_nan=False) + "\n"
        Publication(*self._files).write(content.encode(), self._markdown().encode())

    def _markdown(self) -> str:
        count = {
            status: sum(finding.status == status for finding in self.findings)
            for status in get_args(Status)
        }
        lines = [
            "# GPU proof",
            "",
            ", ".join(f"{number} {status}" for status, number in count.items()) + ".",
            "",
            *(f"- {name}: {value}" for name, value in self._machine.items()),
            "",
            "| part | verdict | what was found | s |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {_cell(each.name)} | {_SHOWN[each.status]} | {_cell(each.text)} "
            f"| {each.seconds:.1f} |"
            for each in self.findings
        ]
        for each in self.findings:
            lines += _table(each)
        return "\n".join(lines) + "\n"


_SHOWN = {"passed": "passed", "failed": "**FAILED**", "not run": "*not run*", "told": "told"}


def _plain(value: Any) -> Any:
    """Return what was measured as JSON has it; NaN and infinity as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def caught(name: str, part: Part) -> Iterator[Finding]:
    """Yield a part's findings; what it raises becomes one of its own, by this name."""
    try:
        yield from part()
    except NotRunError as error:
        yield Finding(name, "not run", str(error))
    except Exception as error:
        lines = traceback.format_exc().splitlines()
        text = f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
        yield Finding(name, "failed", text, {"traceback": lines})


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _table(finding: Finding) -> list[str]:
    """Return a finding's rows, where it has any, as a table of their own."""
    rows = finding.figures.get("rows")
    if not rows:
        return []
    columns = list(rows[0])
    lines = ["", f"## {finding.name}", "", "| " + " | ".join(columns) + " |", "|---" * len(columns)]
    lines[-1] += "|"
    return lines + ["| " + " | ".join(_shown(row[name]) for name in columns) + " |" for row in rows]


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else _cell(str(value))
