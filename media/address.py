"""What FFmpeg opens: devices, streams and files, as a person types them."""

from __future__ import annotations

import re
from typing import NamedTuple

_DEVICES = ("v4l2", "avfoundation", "dshow", "gdigrab", "x11grab", "lavfi", "null")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0  # seconds until what was lost is opened again


class Address(NamedTuple):
    """A source or a sink.

    Attributes:
        name: what FFmpeg opens.
        device: FFmpeg's format of a device, such as v4l2; else None.
        protocol: such as udp or pipe; None for devices and files.
        shown: as it was typed, without the password in it.
    """

    name: str
    device: str | None
    protocol: str | None
    shown: str

    @classmethod
    def of(cls, text: str) -> Address:
        """Read FORMAT:NAME of a device, /dev/video0, window, - for a pipe, a URL, or a path."""
        shown = re.sub(r"(?<=//)[^/@]*@", "***@", text)
        if text == "window":
            return cls("rrin-deploy", "sdl", None, shown)
        if re.match(r"/dev/video\d", text):
            return cls(text, "v4l2", None, shown)
        prefix, colon, rest = text.partition(":")
        if colon and prefix in _DEVICES:
            return cls(rest, prefix, None, shown)
        if text == "-" or text.startswith("pipe:"):
            return cls("pipe:" if text == "-" else text, None, "pipe", shown)
        protocol = re.match(r"([a-z][a-z0-9+.-]*)://", text)
        return cls(text, None, protocol[1] if protocol else None, shown)

    @property
    def is_file(self) -> bool:
        """Whether it is a file of this machine."""
        return self.device is None and self.protocol is None

    @property
    def is_paced(self) -> bool:
        """Whether a source comes as fast as it is read, and has an end: files, HTTP and HLS."""
        return self.is_file or self.device == "lavfi" or self.protocol in ("http", "https")


class Pauses:
    """How long to wait before each further try: ever longer, up to 8 seconds."""

    def __init__(self) -> None:
        self.over()

    def over(self) -> None:
        """Begin anew, for it went well."""
        self._next = _FIRST_PAUSE

    def next(self) -> float:
        """Return the seconds to wait now."""
        pause, self._next = self._next, min(2 * self._next, _LONGEST_PAUSE)
        return pause
