"""How far a command is: bars for a person on a terminal, or lines of JSON for a program."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any, Literal, Protocol

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from rrin_deploy.console import errors, printable

ProgressStyle = Literal["bar", "json"]

# What shows progress lies deep in every command, and how it is shown is the command line's matter.
_style: ContextVar[ProgressStyle] = ContextVar("style", default="bar")
_PAUSE = 0.5  # seconds between two lines of JSON

ProgressAs = Annotated[
    ProgressStyle,
    typer.Option(
        "--progress",
        help="Show progress as a bar on a terminal, or, for programs, as lines of JSON on standard "
        "error; see docs/automation.md.",
    ),
]


@contextmanager
def progress_as(style: ProgressStyle) -> Iterator[None]:
    """Show the progress of what is done in the block as a bar, or as lines of JSON."""
    token = _style.set(style)
    try:
        yield
    finally:
        _style.reset(token)


class FrameProgress(Protocol):
    """Told how many are done, of how many or 0, and how many seconds of video they are.

    Of a video the speed is shown too: seconds of it in a second.
    """

    def __call__(self, done: int, total: int, seconds: float = 0) -> None:
        """Show it."""


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        if not rate:
            return Text(f"- {self._unit}")
        shown = f"{rate:.1f} {self._unit}"
        if task.completed and task.fields["seconds"]:
            shown += f" speed {rate * task.fields['seconds'] / task.completed:.2f}x"
        return Text(shown)


@contextmanager
def frame_progress(what: str, *, unit: str = "fps") -> Iterator[FrameProgress]:
    """Show how many are done, rate and ETA; yield a function of what is done."""
    columns = BarColumn(bar_width=20), MofNCompleteColumn(), _Rate(unit)
    left = TextColumn("ETA"), TimeRemainingColumn()
    with _shown(what, *columns, *left, seconds=0.0) as change:

        def update(done: int, total: int, seconds: float = 0) -> None:
            # What a source says of its length may be less than what comes of it.
            change(completed=done, total=max(done, total) if total else None, seconds=seconds)

        yield update


@contextmanager
def step_progress(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show a builder's phase and its steps; yield a function of (phase, step, steps)."""
    with _shown(what, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()) as change:
        yield lambda phase, step, steps: change(
            description=printable(phase), completed=step, total=steps or None
        )


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show what is being done where nobody knows how far it is."""
    with _shown(what, SpinnerColumn()):
        yield


@contextmanager
def _shown(what: str, *columns: ProgressColumn, **fields: Any) -> Iterator[Callable[..., None]]:
    """Show a task, and yield what changes it; see `Progress.update`."""
    as_lines = _style.get() == "json"
    with Progress(
        TextColumn("{task.description}", markup=False),
        *columns,
        console=errors,
        transient=True,
        disable=as_lines or not errors.is_terminal,
    ) as progress:
        number = progress.add_task(printable(what), total=None, **fields)
        lines = _Lines(progress.tasks[0]) if as_lines else None

        def change(**changes: Any) -> None:
            progress.update(number, **changes)
            if lines:
                lines.write()

        yield change
        if lines:
            lines.write(last=True)


class _Lines:
    """Writes how far a task is as JSON, not all the time, and nothing twice."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._written: tuple[object, ...] = ()
        self._next = 0.0
        self.write()

    def write(self, *, last: bool = False) -> None:
        task, now = self._task, time.monotonic()
        far = task.description, task.completed, task.total
        if far == self._written or (now < self._next and not last):
            return
        self._written, self._next = far, now + _PAUSE
        rate = task.finished_speed or task.speed
        line = {
            "what": task.description,
            "done": task.completed,
            "total": task.total,
            "rate": round(rate, 3) if rate else None,
            "eta_s": task.time_remaining,
        }
        print(json.dumps(line), file=sys.stderr, flush=True)
