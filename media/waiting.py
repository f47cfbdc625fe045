"""Folders where parts of an unfinished output wait, beside it, for a run that goes on.

    NAME.partial/job.json   what is made, from what, by what; without it nothing there is of worth
    NAME.partial/*.lock     locked by the run that makes a part, or puts all together

The folder comes with its record by one rename, so that no run that begins is without one. What lies
there comes from whoever may write there: it is read as data that may be damaged, links are refused,
and nothing goes but what has a name of ours.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runtime.errors import OutputError, OutputExistsError
from runtime.locks import lock
from runtime.partials import Partial, settle
from runtime.publishing import Publication
from runtime.signals import signals_held

RECORD = "job.json"
_PRIVATE = re.compile(r"\.(.+)\.[0-9a-f]+\.partial")  # see `runtime.partials`


def partial_of(output: Path) -> Path:
    """Return where a video's segments wait until all are finished."""
    return output.with_name(f"{output.name}.partial")


def cleared(folder: Path, ours: re.Pattern[str]) -> bool:
    """Clear away what a run left that ended just before its end.

    Args:
        ours: names of files that may go.

    Returns:
        Whether there is a job.

    Raises:
        OutputError: something else is there, or what is there cannot be removed.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise OutputError(f"{folder}: is in the way of a folder for what is made; move it away")
    settle(folder.parent, folder.name)
    _settle_in(folder, ours)
    held = _held(folder)
    if links := [path.name for path in held if path.is_symlink()]:
        raise OutputError(
            f"{folder}: holds a link, {links[0]}, which no run leaves there; remove it, or move "
            "the folder away"
        )
    if (folder / RECORD).exists():
        return True
    if others := [path.name for path in held if not _is_of(path, ours)]:
        raise OutputError(
            f"{folder}: holds {others[0]}, and no unfinished job; move it away, or name the "
            "output otherwise"
        )
    remove(folder, ours)
    if folder.exists():
        raise OutputError(f"{folder}: cannot be cleared away; move it away")
    return False


def begun(folder: Path, record: bytes) -> None:
    """Make a folder for a job, with its record in it.

    Raises:
        OutputExistsError: another run has begun one meanwhile.
        OutputError: it cannot be written.
    """
    partial = Partial(folder.parent, folder.name)
    try:
        partial.claim()
        (partial.new / RECORD).write_bytes(record)
        partial.new.rename(folder)
    except OSError as error:
        if os.path.lexists(folder):
            raise OutputExistsError(f"{folder}: another run has begun it meanwhile") from error
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from error
    finally:
        with signals_held():
            partial.remove()


def published(path: Path) -> Publication:
    """Return the publication of a part of a job, in place of a link if one lies there."""
    if path.is_symlink():
        path.unlink()
    return Publication(path)


@contextmanager
def claimed(folder: Path, what: str) -> Iterator[bool]:
    """Hold off other runs from a part of a job; yield False if one is at it.

    Raises:
        OutputError: the folder is gone, or the lock is a link or cannot be opened.
    """
    path, not_a_link = folder / f"{what}.lock", getattr(os, "O_NOFOLLOW", 0)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | not_a_link, 0o600)
    except FileNotFoundError as error:
        raise OutputError(
            f"{folder}: was removed meanwhile, or another run has finished the job"
        ) from error
    except OSError as error:
        found = "is a link" if path.is_symlink() else f"cannot be opened: {error.strerror}"
        raise OutputError(f"{path}: {found}; expected a file; remove it") from error
    try:
        try:
            lock(handle)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def remove(folder: Path, ours: re.Pattern[str]) -> None:
    """Remove a job's folder; but what has no name of ours stays, and the folder with it."""
    with signals_held():
        _settle_in(folder, ours)
        files = [path for path in _held(folder) if _is_of(path, ours)]
        # Locks last: a run that comes meanwhile finds one held, or no job.
        for path in sorted((*files, folder / RECORD), key=_goes_at):
            with suppress(OSError):
                path.unlink()
        with suppress(OSError):
            folder.rmdir()


def _goes_at(path: Path) -> int:
    return 2 if path.suffix == ".lock" else 1 if path.name == RECORD else 0


def _settle_in(folder: Path, ours: re.Pattern[str]) -> None:
    """Clear away what runs that died were writing."""
    for path in _held(folder):
        private = _PRIVATE.fullmatch(path.name)
        if private and (private[1] == RECORD or ours.fullmatch(private[1])):
            settle(folder, private[1])


def _held(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OutputError(f"{folder}: cannot be read: {error.strerror or error}") from error


def _is_of(path: Path, ours: re.Pattern[str]) -> bool:
    return ours.fullmatch(path.name) is not None and (path.is_file() or path.is_symlink())
