"""Video frames to RGB and back, so that made frames and source frames have the same colours.

FFmpeg's default conversion darkens by about a level, and RGB cannot hold every YUV colour, nor
all of its fine chroma. Between untouched source frames, either would flicker. So conversions are
accurate, and what the round trip of the two sources loses is added back to the frames between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

# FFmpeg's SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP; PyAV named
# them all only in version 18, which has left Python 3.10 behind.
ACCURATE = 0x4 | 0x40000 | 0x2000 | 0x4000
# The matrices of ITU-T H.273 that FFmpeg's scaler knows, under the same numbers. Others count as
# BT.601, which is as good as any where both ways use the same.
_BT709, _BT601 = 1, 5
_MATRICES = {_BT709, 4, _BT601, 7, 9}


@dataclass(frozen=True)
class SourceFrame:
    """A decoded frame, as RGB, and what RGB lost of it.

    Attributes:
        video: as decoded; never changed.
        rgb: (H, W, 3) uint8 for sources of 8 bits, else float32 in [0, 1].
        residue: for each plane, the frame minus its round trip through RGB, in its own levels.
    """

    video: VideoFrame
    rgb: NDArray[Any]
    residue: tuple[NDArray[np.int32], ...]

    @classmethod
    def of(cls, video: VideoFrame) -> SourceFrame:
        """Convert a decoded frame of any pixel format."""
        deep = max(component.bits for component in video.format.components) > 8
        rgb = _reformat(video, "rgb48le" if deep else "rgb24", video, to_rgb=True).to_ndarray()
        if deep:
            rgb = rgb.astype(np.float32) / np.float32(65535)
        if video.format.is_rgb or len(video.planes) != len(video.format.components):
            return cls(video, rgb, ())
        back = _planes(_from_rgb(rgb, video))
        residue = tuple(
            ours.astype(np.int32) - theirs
            for ours, theirs in zip(_planes(video), back, strict=True)
        )
        return cls(video, rgb, residue)


def video_frame(rgb: NDArray[Any], t: float, before: SourceFrame, after: SourceFrame) -> VideoFrame:
    """Convert an interpolated frame to its sources' pixel format, matrix and range.

    Args:
        rgb: (H, W, 3), of the dtype of the sources' `rgb`.
        t: when between the two, in (0, 1).
    """
    made = _from_rgb(rgb, before.video)
    if not before.residue:
        return made
    pairs = zip(_planes(made), before.residue, after.residue, strict=True)
    for index, (plane, residue0, residue1) in enumerate(pairs):
        peak = 2 ** made.format.components[index].bits - 1
        lost = np.rint((1 - t) * residue0 + t * residue1).astype(np.int32)
        plane[...] = np.clip(plane + lost, 0, peak)
    return made


def rgb_video_frame(rgb: NDArray[np.uint8]) -> VideoFrame:
    """Convert (H, W, 3) uint8 to a frame as most players want it: yuv420p, BT.709, limited."""
    return VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
        format="yuv420p",
        src_color_range=ColorRange.JPEG,
        dst_colorspace=_BT709,
        dst_color_range=ColorRange.MPEG,
        interpolation=ACCURATE,
    )


def _from_rgb(rgb: NDArray[Any], like: VideoFrame) -> VideoFrame:
    if rgb.dtype == np.uint8:
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    else:
        levels = np.rint(rgb * np.float32(65535)).astype(np.uint16)
        frame = VideoFrame.from_ndarray(levels, format="rgb48le")
    made = _reformat(frame, like.format.name, like, to_rgb=False)
    made.colorspace, made.color_range = like.colorspace, like.color_range
    return made


def _reformat(frame: VideoFrame, pix_fmt: str, video: VideoFrame, *, to_rgb: bool) -> VideoFrame:
    matrix = video.colorspace if video.colorspace in _MATRICES else _BT601
    full = video.color_range == ColorRange.JPEG or video.format.name.startswith("yuvj")
    video_range = ColorRange.JPEG if full or video.format.is_rgb else ColorRange.MPEG
    return frame.reformat(
        format=pix_fmt,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=video_range if to_rgb else ColorRange.JPEG,
        dst_color_range=ColorRange.JPEG if to_rgb else video_range,
        interpolation=ACCURATE,
    )


def _planes(frame: VideoFrame) -> list[NDArray[Any]]:
    """Return writable views of a planar frame's planes, (H, W) each."""
    views = []
    for plane, component in zip(frame.planes, frame.format.components, strict=True):
        dtype = np.dtype(np.uint8 if component.bits <= 8 else np.uint16)
        rows = np.frombuffer(memoryview(plane), dtype).reshape(
            plane.height, plane.line_size // dtype.itemsize
        )
        views.append(rows[:, : plane.width])
    return views
