"""Opening media files: those of this machine alone, and whatever their names and tags hold."""

from __future__ import annotations

from pathlib import Path

import av
from av.container import InputContainer

from .errors import InputNotFoundError, MediaError


def open_media(path: Path) -> InputContainer:
    """Open an image or a video for reading.

    Raises:
        InputNotFoundError: there is no such file.
        MediaError: FFmpeg cannot open it.
    """
    if not path.is_file():
        found = "is no file" if path.exists() else "no such file"
        raise InputNotFoundError(f"{path}: {found}; expected an image or a video")
    try:
        # Absolute, for a name with a colon would be taken for a protocol; and files alone, for a
        # playlist may name anything.
        return av.open(
            str(path.resolve()),
            metadata_errors="replace",
            options={"protocol_whitelist": "file"},
        )
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", error)
        raise MediaError(
            f"{path}: not an image or a video that FFmpeg can open, or a damaged one ({reason})"
        ) from error
