"""Writing files so that an interrupted run leaves the old file or none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputNotFoundError, OutputExistsError


@contextmanager
def replacing(target: str | Path) -> Iterator[Path]:
    """Yield a path beside `target` to write to; move it into place when the block succeeds.

    The path keeps the target's suffix. A leftover of a killed run is written over.

    Raises:
        InputNotFoundError: the target's folder does not exist.
    """
    target = Path(target)
    if not target.parent.is_dir():
        raise InputNotFoundError(f"{target.parent}: no such folder; make it first")
    partial = target.with_name(f".{target.stem}.partial{target.suffix}")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def check_writable(target: str | Path, *, overwrite: bool) -> None:
    """Raise OutputExistsError if `target` exists and may not be overwritten."""
    if Path(target).exists() and not overwrite:
        raise OutputExistsError(f"{target}: exists; give another -o, or --overwrite to replace it")


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target`; move it into place when the block succeeds."""
    partial, old = (target.with_name(f".{target.name}.{kind}") for kind in ("partial", "old"))
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if target.exists():
            target.rename(old)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
