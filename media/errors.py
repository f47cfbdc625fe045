"""The error of everything that has to do with pictures and videos."""

from __future__ import annotations

from runtime.errors import RrinError


class MediaError(RrinError, ValueError):
    """An image or a video could not be decoded or encoded.

    Attributes:
        remedy: an argument, by name, and its value that would let it pass; None where none would.
    """

    def __init__(self, message: str, *, remedy: tuple[str, object] | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy
