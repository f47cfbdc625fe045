"""Frames of VapourSynth as RGB, and made ones back in the format of their sources."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
from av import VideoFrame
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from media.colour import SourceFrame, planes_of, video_frame
from media.errors import MediaError
from runtime.errors import OptionError

RGB = ("RGB24", "RGBH", "RGBS")
# What FFmpeg has of it.
_YUV = (
    "YUV 4:2:0, 4:2:2 or 4:4:4 of 8, 9, 10, 12, 14 or 16 bits, 4:4:0 of 8, 10 or 12, 4:1:1 or "
    "4:1:0 of 8"
)
_SAMPLING = {(0, 0): "444", (1, 0): "422", (1, 1): "420", (0, 1): "440", (2, 0): "411",
             (2, 2): "410"}  # fmt: skip
_Made = TypeVar("_Made")
_LOCATIONS = ("left", "center", "topleft", "top", "bottomleft", "bottom")  # by _ChromaLocation
_UNSPECIFIED = 2  # the matrix, in ITU-T H.273


@dataclass(frozen=True)
class Picture:
    """A frame of a clip as RGB.

    Attributes:
        rgb: (H, W, 3), uint8 for formats of 8 bits, else float32 in [0, 1].
        source: of a YUV frame, what `SourceFrame` keeps of it.
    """

    rgb: NDArray[Any]
    source: SourceFrame | None

    @classmethod
    def of(cls, frame: Any) -> Picture:
        """Convert a frame of VapourSynth by its own matrix and range.

        What RGB has beyond [0, 1] is clipped. As the project does with videos, a YUV frame that
        does not say its matrix has it by its size, BT.709 from 1280 pixels in width or 577 in
        height on, else BT.601, and one that does not say its range is limited.

        Raises:
            MediaError: the frame is of two fields, which were taken at two times, or says that its
                chroma lies where no format has it.
        """
        if frame.props.get("_FieldBased"):
            raise MediaError("a frame is interlaced (_FieldBased); deinterlace the clip first")
        if frame.format.name not in RGB:
            source = SourceFrame.of(_video_frame(frame))
            return cls(source.rgb, source)
        rgb = np.stack([np.asarray(frame[plane]) for plane in range(3)], axis=-1)
        if rgb.dtype == np.uint8:
            return cls(rgb, None)
        return cls(np.clip(rgb, 0, 1).astype(np.float32, copy=False), None)


def duration_of(frame: Any) -> Fraction | None:
    """Return how long a frame says that it is shown, seconds."""
    over, under = (frame.props.get(f"_Duration{part}", 0) for part in ("Num", "Den"))
    return Fraction(over, under) if over > 0 and under > 0 else None


def recent(size: int, make: Callable[..., _Made]) -> Callable[..., _Made]:
    """Return a function that makes what it is asked for, by a key, and keeps the last ones.

    Threads may call it side by side; those that want the same at once may each make it.

    Args:
        size: how many it keeps.
        make: called with the key, and with what is given besides, which the key stands for.
    """
    kept: dict[Any, _Made] = {}
    lock = threading.Lock()  # not held while something is made: that takes a while

    def get(key: Any, *given: Any) -> _Made:
        with lock:
            if key in kept:
                kept[key] = kept.pop(key)
                return kept[key]
        made = make(key, *given)
        with lock:
            kept[key] = made
            while len(kept) > size:
                del kept[next(iter(kept))]
        return made

    return get


def write(target: Any, rgb: NDArray[Any], t: float, before: Picture, after: Picture) -> None:
    """Write what was made between two pictures into a frame of their format.

    Args:
        target: a frame of VapourSynth that may be written to.
        rgb: (H, W, 3), of the dtype of the pictures' `rgb`.
        t: when between the two, in (0, 1).
    """
    if before.source and after.source:
        planes = planes_of(video_frame(rgb, t, before.source, after.source))
    else:
        planes = [rgb[..., channel] for channel in range(3)]
    for index, plane in enumerate(planes):
        np.copyto(np.asarray(target[index]), plane, casting="same_kind")


def write_planes(target: Any, rgb: NDArray[Any]) -> None:
    """Write (H, W, 3), uint8 or float32 in [0, 1], into an RGBS frame."""
    unit = rgb / np.float32(255) if rgb.dtype == np.uint8 else rgb
    for index in range(3):
        np.copyto(np.asarray(target[index]), unit[..., index])


def check_format(video_format: Any) -> None:
    """Raise OptionError unless clips of a format can be interpolated; None is of no one format."""
    name = "no one format" if video_format is None else video_format.name
    if name in RGB:
        return
    try:
        if not name.startswith("YUV"):
            raise ValueError
        VideoFormat(_pixel_format(video_format))
    except (KeyError, ValueError):
        raise OptionError(
            f"the clip is of {name}; expected {', '.join(RGB)}, or {_YUV}: convert it with resize "
            "first"
        ) from None


def _pixel_format(video_format: Any) -> str:
    """Return FFmpeg's name of a YUV format."""
    sampling = _SAMPLING[video_format.subsampling_w, video_format.subsampling_h]
    bits = video_format.bits_per_sample
    if video_format.name.endswith(("H", "S")):
        raise ValueError("FFmpeg has no YUV in float")
    return f"yuv{sampling}p" if bits == 8 else f"yuv{sampling}p{bits}le"


def _video_frame(frame: Any) -> VideoFrame:
    """Return a YUV frame as FFmpeg has it."""
    copied = VideoFrame(frame.width, frame.height, _pixel_format(frame.format))
    for index, plane in enumerate(planes_of(copied)):
        plane[...] = np.asarray(frame[index])
    location = frame.props.get("_ChromaLocation")
    if location is not None:
        if location not in range(len(_LOCATIONS)):
            raise MediaError(
                f"a frame's _ChromaLocation is {location}; expected 0 to {len(_LOCATIONS) - 1}: "
                "set it with std.SetFrameProps, or remove it with std.RemoveFrameProps"
            )
        copied = _located(copied, _LOCATIONS[location])
    copied.colorspace = int(frame.props.get("_Matrix", _UNSPECIFIED))
    copied.color_range = ColorRange.JPEG if _is_full(frame.props) else ColorRange.MPEG
    return copied


def _located(frame: VideoFrame, location: str) -> VideoFrame:
    """Return a frame that says where its chroma lies, which FFmpeg heeds and PyAV cannot set."""
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
    )
    steps = (
        source,
        graph.add("setparams", f"chroma_location={location}"),
        graph.add("buffersink"),
    )
    graph.link_nodes(*steps).configure()
    graph.push(frame)
    located = graph.pull()
    assert isinstance(located, VideoFrame)  # noqa: S101 - it holds no audio
    return located


def _is_full(props: Any) -> bool:
    """Say whether a frame has full range: the newer property calls it 1, the older one 0."""
    if "_Range" in props:
        return int(props["_Range"]) == 1
    return int(props.get("_ColorRange", 1)) == 0
