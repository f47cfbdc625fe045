"""The frames of a video as pictures, for who measures or trains on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
from av import VideoFrame
from av.container import InputContainer
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from media.colour import ACCURATE
from media.errors import MediaError
from media.reading.container import open_media
from media.reading.damage import START_ANYWHERE
from media.suffixes import VIDEO_SUFFIXES


def videos_in(folder: Path) -> list[Path]:
    """Return the files in a folder, at any depth, that are named as videos, sorted by path."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)


def frame_count(path: Path) -> int:
    """Count what can be decoded: in a recording that starts anywhere, from its first key frame.

    Packets are counted, and none is decoded.

    Raises:
        InputNotFoundError: there is no such file.
        MediaError: it cannot be opened or read, or has no video stream.
    """
    with _opened(path) as reader:
        started, start, count = reader.format.name not in START_ANYWHERE, None, 0
        for packet in reader.demux(video=0):
            if not started and packet.is_keyframe:
                started, start = True, packet.pts
            # Shown before the key frame, it refers to frames that are not there.
            early = start is not None and packet.pts is not None and packet.pts < start
            count += started and not early and packet.size > 0 and not packet.is_discard
        return count


def decoded(path: Path) -> Iterator[VideoFrame]:
    """Decode the first video stream of a file, frame by frame.

    Raises:
        InputNotFoundError: there is no such file.
        MediaError: it cannot be opened or decoded, or has no video stream.
    """
    with _opened(path) as reader:
        reader.streams.video[0].thread_type = "AUTO"
        yield from reader.decode(video=0)


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    """Open a file that has a video stream; what fails in the block is a MediaError."""
    try:
        with open_media(path) as reader:
            if not reader.streams.video:
                raise MediaError(f"{path}: has no video stream")
            yield reader
    except av.FFmpegError as error:
        raise MediaError(f"{path}: {error.strerror}; is it a whole video?") from error


def rgb(frame: VideoFrame) -> NDArray[np.uint8]:
    """Convert a decoded frame to (H, W, 3) uint8 RGB of full range."""
    pixels: NDArray[Any] = frame.reformat(
        format="rgb24", dst_color_range=ColorRange.JPEG, interpolation=ACCURATE
    ).to_ndarray()
    return pixels.astype(np.uint8, copy=False)
