"""A file of another machine, of which comes what is read and no more."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

BLOCK = 2**22  # bytes that come at a time: large beside a round trip, small beside a video
_KEPT = 16  # blocks, for demuxers go to and fro between a few places


def read_block(path: str, number: int) -> bytes:
    """Read a block of a file that lies here; shorter at its end, empty behind it."""
    with Path(path).open("rb") as file:
        file.seek(number * BLOCK)
        return file.read(BLOCK)


class RemoteFile(io.RawIOBase):
    """A file that is read through a function; it can be sought in.

    Args:
        block: returns a block by its number, as `read_block` does.
        size: of the file, bytes.
    """

    def __init__(self, block: Callable[[int], bytes], size: int) -> None:
        self._block = lru_cache(_KEPT)(block)
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an offset from the start, from here, or from the end; return it from the start."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read into a buffer what is left of a block; return how many bytes, 0 at the end."""
        number, start = divmod(self._at, BLOCK)
        found = self._block(number)[start : start + len(buffer)]
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)
