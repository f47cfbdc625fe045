"""Folders where parts of an unfinished output wait, beside it, for a run that goes on.

    NAME.partial/job.json   what is made, from what, by what; without it nothing there is of worth
    NAME.partial/*.lock     locked by the run that makes a part, or puts all together

What lies there comes from whoever may write there, and is read as data that may be damaged.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from re import Pattern

from runtime.errors import OutputError
from runtime.locks import lock
from runtime.partials import contents, settle
from runtime.publishing import Publication

RECORD = "job.json"


def partial_of(output: Path) -> Path:
    """Return where a video's segments wait until all are finished."""
    return output.with_name(f"{output.name}.partial")


def cleared(folder: Path, ours: Pattern[str]) -> bool:
    """Clear away what a run left that ended just after it began, or just before its end.

    Args:
        ours: names of files that may go.

    Returns:
        Whether there is a job.

    Raises:
        OutputError: something else is there.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise OutputError(f"{folder}: is in the way of a folder for what is made; move it away")
    settle(folder, RECORD)
    if not folder.exists() or (folder / RECORD).exists():
        return folder.exists()
    others = [path.name for path in contents(folder) if not ours.fullmatch(path.name)]
    if others:
        raise OutputError(
            f"{folder}: holds {others[0]}, and no unfinished job; move it away, or name the "
            "output otherwise"
        )
    shutil.rmtree(folder, ignore_errors=True)
    return False


def begun(folder: Path, record: bytes) -> None:
    """Make a folder for a job.

    Raises:
        OutputExistsError: another run has begun one meanwhile.
        OutputError: it cannot be written.
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from error
    try:
        Publication(folder / RECORD, overwrite=False).write(record)
    except OutputError:
        with suppress(OSError):
            folder.rmdir()  # if it is empty
        raise


@contextmanager
def claimed(folder: Path, what: str) -> Iterator[bool]:
    """Hold off other runs from a part of a job; yield False if one is at it.

    Raises:
        OutputError: the folder is gone.
    """
    try:
        handle = os.open(folder / f"{what}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError as error:
        raise OutputError(
            f"{folder}: was removed meanwhile, or another run has finished the job"
        ) from error
    try:
        try:
            lock(handle)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def remove(folder: Path) -> None:
    """Remove a job's folder."""
    with suppress(OSError):
        (folder / RECORD).unlink()
    shutil.rmtree(folder, ignore_errors=True)
