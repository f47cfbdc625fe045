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
        shown: as it was typed, without what is secret in it: user and password, a query's values,
            and the key of an RTMP stream.
    """

    name: str
    device: str | None
    protocol: str | None
    shown: str

    @classmethod
    def of(cls, text: str) -> Address:
        """Read FORMAT:NAME of a device, /dev/video0, window, - for a pipe, a URL, or a path."""
        if text == "window":
            return cls("rrin-deploy", "sdl", None, text)
        if re.match(r"/dev/video\d", text):
            return cls(text, "v4l2", None, text)
        prefix, colon, rest = text.partition(":")
        scheme = prefix.lower()  # FFmpeg knows them in lower case alone
        if colon and scheme in _DEVICES:
            return cls(rest, scheme, None, text)
        if colon and scheme == "file":
            return cls(rest, None, None, text)
        if text == "-" or (colon and scheme == "pipe"):
            return cls(f"pipe:{rest}", None, "pipe", text)
        if re.match(r"[a-z][a-z0-9+.-]*://", f"{scheme}:{rest}"):
            return cls(f"{scheme}:{rest}", None, scheme, f"{scheme}://{_public(scheme, rest[2:])}")
        return cls(text, None, None, text)

    @property
    def is_file(self) -> bool:
        """Whether it is a file of this machine."""
        return self.device is None and self.protocol is None

    @property
    def is_paced(self) -> bool:
        """Whether a source comes as fast as it is read: files, HTTP and HLS."""
        return self.is_file or self.device == "lavfi" or self.protocol in ("http", "https")

    @property
    def is_single(self) -> bool:
        """Whether what has come to its end cannot be opened again: files and pipes."""
        return self.is_file or self.protocol == "pipe"

    @property
    def has_end(self) -> bool:
        """Whether a source that ends is over, rather than lost."""
        return self.is_paced or self.is_single


def _public(scheme: str, rest: str) -> str:
    """Return what follows SCHEME:// without what is secret; a password may hold @ and /."""
    place, _, query = rest.partition("?")
    user, at, host = place.rpartition("@")
    if user:
        place = f"***{at}{host}"
    if scheme.startswith("rtmp"):
        place = re.sub(r"/[^/]+/?$", "/***", place)
    names = [part.partition("=")[:2] for part in query.split("&")] if query else []
    values = "&".join(f"{name}=***" if sign else "***" for name, sign in names)
    return f"{place}?{values}" if values else place


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
