"""Writing files so that an interrupted run leaves the old file or none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputNotFoundError, OutputExistsError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
# Photographs of 108 megapixels pass; of 16 bits and with alpha, reading takes 4.5 GB at this size.
MAX_PIXELS = 128_000_000


@contextmanager
def replacing(target: str | Path) -> Iterator[Path]:
    """Yield a path beside `target` to write to; move it into place when the block succeeds.

    The path keeps the target's suffix. A leftover of a killed run is written over.

    Raises:
        InputNotFoundError: the target's folder does not exist.
        OutputExistsError: the target is a folder.
    """
    target = Path(target).resolve()  # a link stays a link
    if target.is_dir():
        raise OutputExistsError(f"{target}: is a folder; expected the name of a file")
    check_parent(target)
    partial = target.with_name(f".{target.stem}.partial{target.suffix}")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replacing_folder(target: str | Path) -> Iterator[Path]:
    """Yield an empty folder beside `target`; move it into place when the block succeeds.

    Raises:
        InputNotFoundError: the target's own folder does not exist.
    """
    target = Path(target).resolve()
    check_parent(target)
    partial, old = (target.with_name(f".{target.name}.{kind}") for kind in ("partial", "old"))
    if old.exists() and not target.exists():
        old.rename(target)  # a run was killed between the two renames below
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        yield partial
        if target.exists():
            target.rename(old)
        try:
            partial.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_writable(target: str | Path, *, overwrite: bool) -> None:
    """Raise OutputExistsError if `target` exists and may not be overwritten."""
    if Path(target).exists() and not overwrite:
        raise OutputExistsError(f"{target}: exists; give another -o, or --overwrite to replace it")


def check_parent(target: Path) -> None:
    """Raise InputNotFoundError if the folder that `target` is to be written to does not exist."""
    if not target.parent.is_dir():
        raise InputNotFoundError(f"{target.parent}: no such folder; make it first")
