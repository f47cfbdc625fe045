"""Pictures as a page holds them: encoded small, as data; where errors sit, and flow, as colours."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, cast

import av
import numpy as np
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from media.colour import ACCURATE

MAX_SIDE = 960  # pixels; larger pictures are made smaller
_QUALITY, _OF_MAPS = 88, 70  # of WebP
# Of "inferno" (Smith and van der Walt, CC0): as bright as the value says, to the colour-blind too.
_STOPS = np.array(
    [[0, 0, 4], [40, 11, 84], [101, 21, 110], [159, 42, 99], [212, 72, 66], [245, 125, 21],
     [250, 193, 39], [252, 255, 164]], np.float32,
)  # fmt: skip
DECADES = 4  # that a map of errors spans, below its brightest


@dataclass(frozen=True)
class Picture:
    """A picture of a page.

    Attributes:
        uri: its content, as a data: URI.
        width, height: pixels of it.
        scale: how many pixels of the frame one of it stands for each way; 1 unless that was too
            large.
    """

    uri: str
    width: int
    height: int
    scale: int


def picture(rgb: NDArray[np.uint8], *, of: Literal["photo", "map", "pixels"] = "photo") -> Picture:
    """Return (H, W, 3) as a picture of at most `MAX_SIDE` pixels: WebP, for pixels PNG."""
    height, width = rgb.shape[:2]
    scale = -(-max(height, width) // MAX_SIDE)
    if scale > 1:
        height, width = height // scale or 1, width // scale or 1
        rows = rgb[: height * scale, : width * scale]
        parts = rows.reshape(height, min(scale, len(rows)), width, -1, 3)
        rgb = np.rint(parts.mean(axis=(1, 3))).astype(np.uint8)
    if of == "pixels":
        kind, content = "png", _png(rgb)
    else:
        kind, content = "webp", _webp(rgb, _QUALITY if of == "photo" else _OF_MAPS)
    uri = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return Picture(uri, width, height, scale)


def error_colours(error: NDArray[np.floating], brightest: float) -> NDArray[np.uint8]:
    """Return absolute errors, (H, W), as colours: logarithmic, over `DECADES` below `brightest`."""
    with np.errstate(divide="ignore"):
        shares = 1 + np.log10(error / brightest) / DECADES
    return _coloured(np.clip(np.nan_to_num(shares, neginf=0, posinf=1), 0, 1))


def level_colours(
    made: NDArray[np.uint8], truth: NDArray[np.uint8], most: int
) -> NDArray[np.uint8]:
    """Return the largest error of each pixel's channels as colours, `most` levels the brightest."""
    error = np.abs(made.astype(np.int16) - truth).max(axis=2)
    return _coloured(np.clip(error / np.float32(most), 0, 1))


def flow_colours(flow: NDArray[np.floating], longest: float) -> NDArray[np.uint8]:
    """Return (H, W, 2) displacements as colours: hue by direction, saturation by length.

    Right is red, down yellow-green, left cyan, up violet; what does not move is white.
    """
    hue = np.degrees(np.arctan2(flow[..., 1], flow[..., 0])) % 360
    saturation = np.clip(np.hypot(flow[..., 0], flow[..., 1]) / max(longest, 1e-6), 0, 1)
    # HSV with value 1, a channel at a time.
    sector = (np.array([5, 3, 1]) + hue[..., None] / 60) % 6
    away = np.clip(np.minimum(sector, 4 - sector), 0, 1)
    rgb: NDArray[np.uint8] = np.rint(255 * (1 - saturation[..., None] * away)).astype(np.uint8)
    return rgb


def enlarged(rgb: NDArray[np.uint8], least: int = 320) -> NDArray[np.uint8]:
    """Repeat the pixels of a small picture until it is `least` wide, so that they can be seen."""
    times = max(1, -(-least // rgb.shape[1]))
    return rgb.repeat(times, axis=0).repeat(times, axis=1)


def _coloured(shares: NDArray[np.floating]) -> NDArray[np.uint8]:
    places = shares * (len(_STOPS) - 1)
    known = np.arange(len(_STOPS))
    channels = [np.interp(places, known, _STOPS[:, channel]) for channel in range(3)]
    colours: NDArray[np.uint8] = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    return colours


def _webp(rgb: NDArray[np.uint8], quality: int) -> bytes:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    planes = frame.reformat(  # WebP is BT.601 of limited range, by its specification
        format="yuv420p",
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.MPEG,
        interpolation=ACCURATE,
    )
    return _encoded("libwebp", planes, {"quality": str(quality)})


def _png(rgb: NDArray[np.uint8]) -> bytes:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    return _encoded("png", frame, {"pred": "mixed"})


def _encoded(codec: str, frame: av.VideoFrame, options: dict[str, str]) -> bytes:
    encoder = cast(VideoCodecContext, CodecContext.create(codec, "w"))
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, frame.format.name
    encoder.time_base = Fraction(1)
    encoder.options = options
    return b"".join(map(bytes, [*encoder.encode(frame), *encoder.encode(None)]))
