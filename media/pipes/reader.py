"""A stream of y4m, for FFmpeg to read."""

from __future__ import annotations

import errno
import io
import os
import select
from collections.abc import Iterator
from typing import Any

import av

from media.pipes.y4m import LONGEST_LINE, Header, shown

_LOOK = 50  # milliseconds between two looks at whether anybody still waits


class Y4mReader:
    """What a program writes into a pipe, as far as it is there; it cannot be sought in.

    Args:
        descriptor: of the pipe; it stays open.
        name: for messages.

    Attributes:
        header: which is read at once.

    Raises:
        MediaError: see `Header.parsed`.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self._raw = _Patient(descriptor)
        self._bytes = io.BufferedReader(self._raw)
        line = self._bytes.readline(LONGEST_LINE)
        self.header = Header.parsed(line, name)
        self._pieces = self._split(line)
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return at most so many bytes; none at the end.

        Raises:
            av.FFmpegError: it ends within a frame, as when the program that writes it has failed;
                or something else is in a frame's place.
        """
        if not self._rest:
            self._rest = next(self._pieces, b"")
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    def leave(self) -> None:
        """Let it end for who is waiting in another thread."""
        self._raw.left = True

    def _split(self, header: bytes) -> Iterator[bytes]:
        yield header
        while line := self._bytes.readline(LONGEST_LINE):
            if line[:5] != b"FRAME" or not line.endswith(b"\n"):
                raise av.FFmpegError(errno.EIO, _no_frame(line))
            yield b"FRAME\n"  # FFmpeg makes nothing of what else is said there
            missing = self.header.frame_bytes
            while missing:
                piece = self._bytes.read1(min(missing, io.DEFAULT_BUFFER_SIZE))
                if not piece:
                    raise av.FFmpegError(errno.EIO, "it ends within a frame")
                missing -= len(piece)
                yield piece


def _no_frame(line: bytes) -> str:
    if not line.startswith(b"FRAME"):
        return f"{shown(line)} is where FRAME was expected"
    if len(line) < LONGEST_LINE:
        return "it ends within a frame"
    return f"the line before a frame has more than {LONGEST_LINE} bytes"


class _Patient(io.RawIOBase):
    """Reads what is there, or waits for it until it is left.

    A plain read would wait as long as the program that writes keeps silent, and the thread in it
    could not be ended.
    """

    def __init__(self, descriptor: int) -> None:
        self.left = False
        self._descriptor = descriptor
        self._ready = None
        if hasattr(select, "poll"):  # Windows has none
            self._ready = select.poll()
            self._ready.register(descriptor, select.POLLIN)

    def readable(self) -> bool:
        """Say that it is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as it goes; 0 at the end."""
        while self._ready is not None and not self._ready.poll(_LOOK):
            if self.left:
                return 0
        found = os.read(self._descriptor, len(buffer))
        buffer[: len(found)] = found
        return len(found)
