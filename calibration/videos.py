"""Triplets out of videos: every three neighbouring frames of every clip in a folder."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from av import VideoFrame

from calibration.datasets import Frames
from media.errors import MediaError
from media.reading.frames import decoded, frame_count, rgb, videos_in
from media.suffixes import VIDEO_SUFFIXES
from runtime.errors import InputNotFoundError


class _Decoder:
    """Goes forward through one clip at a time, so that triplets in order decode each clip once."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._frames: Iterator[VideoFrame] = iter(())
        self._window: deque[VideoFrame] = deque(maxlen=3)
        self._decoded = 0

    def read(self, path: Path, first: int) -> list[VideoFrame]:
        if path != self._path or first < self._decoded - len(self._window):
            self._path, self._frames, self._decoded = path, decoded(path), 0
            self._window.clear()
        while self._decoded < first + 3:
            frame = next(self._frames, None)
            if frame is None:
                raise MediaError(
                    f"{path}: only {self._decoded} of its frames can be decoded; it is damaged or "
                    "cut short: mend it, or take it out"
                )
            self._window.append(frame)
            self._decoded += 1
        return list(self._window)


@dataclass(frozen=True)
class ClipTriplet:
    """Three neighbouring frames of a clip.

    Attributes:
        name: for people, such as walk.mp4 frame 000012.
        clip: the video.
        first: index of the first of the three.
    """

    name: str
    clip: Path
    first: int
    _decoder: _Decoder = field(repr=False, compare=False)

    def read(self) -> Frames:
        """Decode the three frames; those of one clip are best read in their order.

        Raises:
            MediaError: the clip is damaged, or changes its frame size.
        """
        frames = [rgb(frame) for frame in self._decoder.read(self.clip, self.first)]
        if len({frame.shape for frame in frames}) > 1:
            raise MediaError(f"{self.clip}: changes its frame size; expected one throughout")
        return Frames(*frames)


def clips(root: str | Path) -> list[ClipTriplet]:
    """Return all triplets of the videos in a folder, at any depth: frames i, i + 1 and i + 2.

    Only packets are counted here; a clip is decoded when its triplets are read. Of a recording that
    starts in the middle, the frames before its first key frame do not count.

    Raises:
        InputNotFoundError: no such folder, or no video of three frames in it.
        MediaError: a file named as a video is none, or a damaged one.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputNotFoundError(f"{root}: no such folder; expected one of videos")
    decoder = _Decoder()
    triplets = [
        ClipTriplet(f"{path.relative_to(root).as_posix()} frame {first:06}", path, first, decoder)
        for path in videos_in(root)
        for first in range(frame_count(path) - 2)
    ]
    if not triplets:
        raise InputNotFoundError(
            f"{root}: holds no video of three frames; expected {', '.join(VIDEO_SUFFIXES)}"
        )
    return triplets
