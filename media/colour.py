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
from av.video.format import VideoFormat
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from media.pixel_formats import bits_of, plain

# FFmpeg's SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP; PyAV named
# them all only in version 18, which has left Python 3.10 behind.
ACCURATE = 0x4 | 0x40000 | 0x2000 | 0x4000
# The matrices of ITU-T H.273 that FFmpeg's scaler knows, under the same numbers. Others count as
# BT.601, which is as good as any where both ways use the same.
_BT709, _UNSPECIFIED, _BT601 = 1, 2, 5
_MATRICES = {_BT709, 4, _BT601, 7, 9}


@dataclass(frozen=True)
class SourceFrame:
    """A decoded frame, as RGB, and what RGB lost of it.

    Attributes:
        video: as decoded, but in the `plain` format of its own, and within its bits.
        rgb: (H, W, 3) uint8 for sources of 8 bits, else float32 in [0, 1].
        residue: for each plane, the frame minus its round trip through RGB, in its own levels.
    """

    video: VideoFrame
    rgb: NDArray[Any]
    residue: tuple[NDArray[np.int32], ...]

    @classmethod
    def of(cls, decoded: VideoFrame) -> SourceFrame:
        """Convert a decoded frame of any pixel format.

        Raises:
            av.FFmpegError: FFmpeg does not convert this one.
        """
        video = encodable(decoded)
        rgb = rgb_of(video)
        if video.format.is_rgb or len(video.planes) != len(video.format.components):
            return cls(video, rgb, ())
        back = planes_of(_from_rgb(rgb, video))
        residue = tuple(
            ours.astype(np.int32) - theirs
            for ours, theirs in zip(planes_of(video), back, strict=True)
        )
        return cls(video, rgb, residue)


def rgb_of(video: VideoFrame) -> NDArray[Any]:
    """Return a frame's pixels, (H, W, 3): uint8, or of more than 8 bits float32 in [0, 1]."""
    deep = bits_of(video.format) > 8
    pix_fmt = "rgb48le" if deep else "rgb24"
    rgb = _reformat(video, pix_fmt, _matrix(video), _range(video), ColorRange.JPEG).to_ndarray()
    return rgb.astype(np.float32) / np.float32(65535) if deep else rgb


def video_frame(rgb: NDArray[Any], t: float, before: SourceFrame, after: SourceFrame) -> VideoFrame:
    """Convert an interpolated frame to its sources' pixel format, matrix and range.

    Args:
        rgb: (H, W, 3), of the dtype of the sources' `rgb`.
        t: when between the two, in (0, 1).
    """
    made = _from_rgb(rgb, before.video)
    if not before.residue:
        return made
    pairs = zip(planes_of(made), before.residue, after.residue, strict=True)
    for index, (plane, residue0, residue1) in enumerate(pairs):
        peak = 2 ** made.format.components[index].bits - 1
        lost = np.rint((1 - t) * residue0 + t * residue1).astype(np.int32)
        plane[...] = np.clip(plane + lost, 0, peak)
    return made


def in_format(frame: VideoFrame, pix_fmt: str) -> VideoFrame:
    """Convert a frame, in its own matrix and range; where RGB becomes YUV, to BT.709, limited."""
    if frame.format.name == pix_fmt:
        return frame
    if not frame.format.is_rgb or VideoFormat(pix_fmt).is_rgb:
        made = _reformat(frame, pix_fmt, _matrix(frame), _range(frame), _range(frame))
        copy_tags(frame, made)
        return made
    made = _reformat(frame, pix_fmt, _BT709, ColorRange.JPEG, ColorRange.MPEG)
    made.colorspace = made.color_primaries = made.color_trc = _BT709
    made.color_range = ColorRange.MPEG
    return made


def encodable(decoded: VideoFrame) -> VideoFrame:
    """Return a frame in the `plain` format of its own, and within its bits; mostly itself.

    Raises:
        av.FFmpegError: FFmpeg does not convert this one.
    """
    return _within_bits(_plainly(decoded))


def _plainly(video: VideoFrame) -> VideoFrame:
    """Return a frame in the `plain` format of its own."""
    if plain(video.format) == video.format.name:
        return video
    return _reformat(video, plain(video.format), _matrix(video), ColorRange.JPEG, ColorRange.JPEG)


def _within_bits(video: VideoFrame) -> VideoFrame:
    """Return a frame whose samples are all within its bits, which damaged files' are not.

    Encoders look samples up in tables, and one that is beyond its bits can end the process.
    """
    depths = {component.bits for component in video.format.components}
    if len(video.planes) != len(video.format.components) or depths & {8, 16, 32}:
        return video
    peaks = [2**component.bits - 1 for component in video.format.components]
    if all((plane <= peak).all() for plane, peak in zip(planes_of(video), peaks, strict=True)):
        return video
    legal = VideoFrame(video.width, video.height, video.format.name)
    for ours, theirs, peak in zip(planes_of(legal), planes_of(video), peaks, strict=True):
        np.minimum(theirs, peak, out=ours)
    copy_tags(video, legal)
    legal.pts, legal.time_base, legal.duration = video.pts, video.time_base, video.duration
    return legal


def _from_rgb(rgb: NDArray[Any], like: VideoFrame) -> VideoFrame:
    if rgb.dtype == np.uint8:
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    else:
        levels = np.rint(rgb * np.float32(65535)).astype(np.uint16)
        frame = VideoFrame.from_ndarray(levels, format="rgb48le")
    made = _reformat(frame, like.format.name, _matrix(like), ColorRange.JPEG, _range(like))
    copy_tags(like, made)
    return made


def _reformat(
    frame: VideoFrame, pix_fmt: str, matrix: int, source: ColorRange, target: ColorRange
) -> VideoFrame:
    return frame.reformat(
        format=pix_fmt,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=source,
        dst_color_range=target,
        interpolation=ACCURATE,
    )


def _matrix(frame: VideoFrame) -> int:
    """Return the matrix of a frame; one that says none, as of y4m, has it by its size, as players.

    It matters: what another matrix puts beyond RGB is clipped before the network sees it.
    """
    if frame.colorspace in _MATRICES:
        return int(frame.colorspace)
    high_definition = frame.width >= 1280 or frame.height > 576
    return _BT709 if frame.colorspace == _UNSPECIFIED and high_definition else _BT601


def _range(frame: VideoFrame) -> ColorRange:
    full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    return ColorRange.JPEG if full or frame.format.is_rgb else ColorRange.MPEG


def copy_tags(source: VideoFrame, target: VideoFrame) -> None:
    """Have a frame say of its colours what another one says."""
    for tag in ("colorspace", "color_range", "color_primaries", "color_trc"):
        setattr(target, tag, getattr(source, tag))


def planes_of(frame: VideoFrame) -> list[NDArray[Any]]:
    """Return writable views of a planar frame's planes, (H, W) each."""
    order = ">" if frame.format.is_big_endian else "<"
    views = []
    for plane, component in zip(frame.planes, frame.format.components, strict=True):
        dtype = np.dtype("u1" if component.bits <= 8 else order + "u2")
        rows = np.frombuffer(memoryview(plane), dtype)
        rows = rows.reshape(plane.height, plane.line_size // dtype.itemsize)
        views.append(rows[:, : plane.width])
    return views
