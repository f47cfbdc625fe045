"""What a command found or made, for programs: one JSON document on standard output."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from rrin_deploy.failures import explanation

if TYPE_CHECKING:
    from media.images.pair import PairSummary
    from media.images.sequence import SequenceSummary
    from media.summary import ShareSummary, VideoSummary
    from runtime.metadata import Metadata
    from runtime.session import Backend

# Of the documents of `interpolate`, `run`, `export`, `build`, `calibrate` and `doctor`.
FORMAT = 1
_STDOUT, _STDERR = 1, 2

Outputs = list[dict[str, Any]]  # what became of each output that was asked for

AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print the result, or the error, as JSON, and all else to standard error; see "
        "docs/automation.md.",
    ),
]


class Maker(Protocol):
    """What made frames; see `Interpolator`."""

    @property
    def backend(self) -> Backend:
        """What ran the artifact."""

    @property
    def metadata(self) -> Metadata:
        """What the artifact says of itself."""

    @property
    def inferred(self) -> float | None:
        """The share of pixels that were inferred; None where that is not known."""


@contextmanager
def document(wanted: bool) -> Iterator[Callable[[Any], None]]:
    """Print a command's result as JSON, if that is wanted, and nothing else on standard output.

    Where the block fails, `error` says why beside what was given until then; the error goes on.

    Yields:
        Takes the result, what is no JSON type of it as text; the one given last is printed as it
        is at the end of the block.
    """
    found: Any = {}

    def give(result: Any) -> None:
        nonlocal found
        found = result

    if not wanted:
        yield give
        return
    try:
        with apart():
            yield give
    except typer.Exit:
        _print(found)
        raise
    except Exception as error:
        _print({**found, "error": explanation(error)[0]} if isinstance(found, dict) else found)
        raise
    _print(found)


def _print(found: Any) -> None:
    print(json.dumps(found, indent=2, allow_nan=False, default=str))


@contextmanager
def apart() -> Iterator[int]:
    """Yield standard output as another descriptor; all that prints writes to standard error.

    Libraries, too: nothing may come between what is made.
    """
    _flush()
    kept = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    try:
        with redirect_stdout(sys.stderr):
            yield kept
    finally:
        _flush()
        os.dup2(kept, _STDOUT)
        os.close(kept)


def _flush() -> None:
    if sys.stdout is not None:  # as it is where it was closed
        sys.stdout.flush()


def made_entry(
    inputs: Sequence[Path],
    output: Path,
    done: VideoSummary | ShareSummary | SequenceSummary | PairSummary,
    started: float,
    by: Maker,
) -> dict[str, Any]:
    """Return what was made, for programs.

    Args:
        started: when, by `time.perf_counter`.
    """
    return {
        "status": "made",
        "inputs": inputs,
        **asdict(done),
        "output": output,
        "seconds": time.perf_counter() - started,
        "backend": asdict(by.backend),
        "precision": by.metadata.precision,
        "inferred": by.inferred,
    }
