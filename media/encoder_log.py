"""What encoders print past FFmpeg's log."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_ENVIRONMENT = Lock()  # while it is changed


@contextmanager
def quiet(encoder: str) -> Iterator[None]:
    """Keep the encoder's own log off the terminal while it is opened, unless it was asked for."""
    if encoder != "libsvtav1":
        yield
        return
    with _ENVIRONMENT:
        if "SVT_LOG" in os.environ:
            yield
            return
        os.environ["SVT_LOG"] = "0"  # there is no other way, and it is read when it is opened
        try:
            yield
        finally:
            del os.environ["SVT_LOG"]
