"""The error of everything that has to do with pictures and videos."""

from __future__ import annotations

from runtime.errors import RrinError


class MediaError(RrinError, ValueError):
    """An image or a video could not be decoded or encoded."""
