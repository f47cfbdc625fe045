"""Locks that end with their process: on open files, and on folders that files are moved into."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


def lock(handle: int, *, wait: bool = False) -> bool:
    """Lock an open file; False where its file system, one of a network perhaps, has no locks.

    Raises:
        BlockingIOError: another has locked it.
    """
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise BlockingIOError(error.errno, error.strerror) from error
        return False
    return True


@contextmanager
def alone_in(folder: Path, name: str) -> Iterator[None]:
    """Hold off whoever else asks to be alone in a folder; not where it has no locks.

    Args:
        name: of a file that is made for it, and goes, on Windows, where folders cannot be opened.
    """
    with ExitStack() as stack:
        with suppress(OSError):
            if sys.platform == "win32":
                handle = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_TEMPORARY)
            else:
                handle = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, handle)
            lock(handle, wait=True)
        yield
