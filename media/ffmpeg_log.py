"""What FFmpeg says of what it cannot do, and what encoders print past its log."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import av.logging

_ENVIRONMENT = Lock()  # while it is changed
_LEVEL = Lock()  # which FFmpeg has one of for all threads


@contextmanager
def logged() -> Iterator[list[tuple[int, str, str]]]:
    """Yield the list that FFmpeg's errors come to meanwhile: level, who says it, what."""
    with _LEVEL:
        level, skips = av.logging.get_level(), av.logging.get_skip_repeated()
        av.logging.set_level(av.logging.ERROR)
        av.logging.set_skip_repeated(False)  # what was said the time before, too
        try:
            with av.logging.Capture() as lines:
                yield lines
        finally:
            av.logging.set_skip_repeated(skips)
            av.logging.set_level(level)


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
