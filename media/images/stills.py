"""Still images: read, written, and the images between two of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av import VideoFrame
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from media.colour import ACCURATE
from media.errors import MediaError
from media.images.file import decode_image, upright
from media.pixel_formats import bits_of, has_alpha
from runtime.errors import FrameError, shown
from runtime.frames import check_frame, times_of
from runtime.interpolator import Interpolator
from runtime.publishing import Publication

# Photographs of 108 megapixels pass; of 16 bits and with alpha, reading takes 4.5 GB at this size.
MAX_PIXELS = 128_000_000
CODECS = {".png": "png", ".jpg": "mjpeg", ".jpeg": "mjpeg", ".tif": "tiff", ".tiff": "tiff"}
_OPTIONS = {
    "mjpeg": {"qmin": "2", "qmax": "2"},  # FFmpeg's best but one
    "tiff": {"compression_algo": "lzw"},
}
_FORMATS = {1: "gray", 3: "rgb24", 4: "rgba"}  # by channels
_DEEP_FORMATS = {1: "gray16be", 3: "rgb48be", 4: "rgba64be"}  # as PNG stores them
_DEEP_OF_TIFF = {1: "gray16le", 3: "rgb48le", 4: "rgba64le"}  # as FFmpeg does


@dataclass(frozen=True)
class Still:
    """An image as an interpolator takes it.

    Attributes:
        rgb: (H, W, 3) uint8, or float32 in [0, 1] for images of more than 8 bits.
        alpha: (H, W), of the same dtype, or None where all is opaque.
        grey: whether the image has no colour, and its result should have none.
        profile: whether it came with an ICC profile, which is neither applied nor written.

    Raises:
        FrameError: pixels or alpha are not as above.
    """

    rgb: NDArray[Any]
    alpha: NDArray[Any] | None
    grey: bool
    profile: bool = False

    def __post_init__(self) -> None:
        check_frame(self.rgb, "rgb")
        if self.alpha is None:
            return
        alpha = np.asarray(self.alpha)
        size = self.rgb.shape[:2]
        if (alpha.shape, alpha.dtype) != (size, self.rgb.dtype):
            raise FrameError(
                f"alpha is {alpha.dtype} of shape {alpha.shape}; expected {self.rgb.dtype} of "
                f"shape {size}, as the pixels have"
            )
        check_frame(np.broadcast_to(alpha[..., np.newaxis], self.rgb.shape), "alpha")


def read_still(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Still:
    """Decode an image: grey, palette, colour, with or without alpha, 1 to 16 bits, upright.

    Args:
        path: PNG, JPEG, BMP, TIFF or WebP, whatever the name; of several pages the first.
        max_pixels: width times height at most, so that a small file cannot take all memory.

    Raises:
        InputNotFoundError: there is no such file.
        MediaError: it has more pixels, is an animation, or cannot be decoded.
    """
    frame, profile = decode_image(Path(path), max_pixels)
    deep, translucent = bits_of(frame.format) > 8, has_alpha(frame.format)
    pixels = frame.reformat(
        format=(_DEEP_FORMATS if deep else _FORMATS)[4 if translucent else 3],
        dst_color_range=ColorRange.JPEG,
        interpolation=ACCURATE,
    ).to_ndarray()
    pixels = upright(frame, pixels)
    if deep:
        pixels = pixels.astype(np.float32) / np.float32(65535)
    colours = sum(not component.is_alpha for component in frame.format.components)
    alpha = pixels[..., 3] if translucent else None
    if alpha is not None and (alpha == _opaque(pixels)).all():
        alpha = None
    return Still(
        rgb=np.ascontiguousarray(pixels[..., :3]),
        alpha=alpha,
        grey=colours == 1 and not frame.format.has_palette,
        profile=profile,
    )


def write_still(path: str | Path, still: Still, *, overwrite: bool = True) -> None:
    """Encode an image as PNG or TIFF or, named .jpg, as JPEG; 16 bits where it is float32.

    Raises:
        FrameError: it is no Still.
        MediaError: another suffix, transparency or 16 bits in a JPEG, or the encoder failed.
        InputNotFoundError, OutputError: see `Publication`.
    """
    _check_still(still, "still")
    path = Path(path)
    Publication(path, overwrite=overwrite).write(encoded(path, still))


def encoded(path: Path, still: Still) -> bytes:
    """Return what `write_still` writes to a file of that name, and raise its MediaError."""
    codec = still_codec(path)
    if codec == "mjpeg" and still.alpha is not None:
        raise MediaError(f"{path}: JPEG holds no transparency; write a .png")
    if codec == "mjpeg" and still.rgb.dtype == np.float32:
        raise MediaError(f"{path}: JPEG holds 8 bits, and these are more; write a .png")
    frame = _frame_of(still, _DEEP_OF_TIFF if codec == "tiff" else _DEEP_FORMATS)
    if codec == "mjpeg":
        frame = frame.reformat(
            format="yuvj444p", dst_color_range=ColorRange.JPEG, interpolation=ACCURATE
        )
    encoder = cast(VideoCodecContext, CodecContext.create(codec, "w"))
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, frame.format.name
    encoder.time_base = Fraction(1)
    encoder.options = _OPTIONS.get(codec, {})
    try:
        packets = [*encoder.encode(frame), *encoder.encode(None)]
    except av.FFmpegError as error:
        raise MediaError(
            f"{path}: {frame.width}x{frame.height} could not be encoded: {error.strerror}"
        ) from error
    return b"".join(map(bytes, packets))


def still_codec(path: Path) -> str:
    """Return FFmpeg's encoder of an image to be written; ask before long work.

    Raises:
        MediaError: the suffix is not one of PNG, TIFF or JPEG.
    """
    codec = CODECS.get(path.suffix.lower())
    if codec is None:
        found = f"ends in {path.suffix}" if path.suffix else "has no suffix"
        raise MediaError(f"{path}: {found}; expected the name of an image, in .png, .tif or .jpg")
    return codec


def read_for(interpolate: Interpolator, path: Path, max_pixels: int) -> Still:
    """Read an image that is to be interpolated; see `read_still`.

    Raises:
        FrameError: it has more than 8 bits, and the artifact takes uint8.
    """
    still = read_still(path, max_pixels=max_pixels)
    if still.rgb.dtype == np.float32 and interpolate.metadata.io == "uint8":
        raise FrameError(
            f"{path}: has 16 bits, and the artifact takes 8; save it with 8 bits, or export the "
            "artifact for float32 io"
        )
    return still


def interpolate_stills(
    interpolate: Interpolator, still0: Still, still1: Still, t: Sequence[float]
) -> list[Still]:
    """Interpolate a pair of images at several times, in [0, 1].

    Colours are weighted by alpha on the way, so that what cannot be seen does not bleed in; alpha
    is interpolated like a grey image. Grey and grey give grey; 8 and 16 bits give 16. At t of 0 and
    1 stand the images themselves.

    Raises:
        FrameError: no Stills, two sizes, or 16 bits for an artifact that takes uint8; t is one
            number, or none of [0, 1].
    """
    _check_still(still0, "still0")
    _check_still(still1, "still1")
    if np.ndim(t) == 0:
        raise FrameError(f"t is {shown(t)}; expected several times, as in [0.5]")
    times = times_of(t)
    if still0.rgb.dtype != still1.rgb.dtype:
        still0, still1 = (_as_float(still) for still in (still0, still1))
    ends = {0: still0, 1: still1}
    between = _between(interpolate, still0, still1, times[(times > 0) & (times < 1)])
    return [ends[int(time)] if time in ends else next(between) for time in times]


def _between(
    interpolate: Interpolator, still0: Still, still1: Still, t: NDArray[np.float32]
) -> Iterator[Still]:
    grey = still0.grey and still1.grey
    if still0.alpha is None and still1.alpha is None:
        for rgb in interpolate(still0.rgb, still1.rgb, t):
            yield Still(rgb, None, grey)
        return
    alpha0, alpha1 = _alpha_of(still0), _alpha_of(still1)
    opaque = np.float32(_opaque(alpha0))
    colours = interpolate(
        _scaled(still0.rgb, alpha0 / opaque), _scaled(still1.rgb, alpha1 / opaque), t
    )
    alphas = interpolate(np.repeat(alpha0, 3, axis=2), np.repeat(alpha1, 3, axis=2), t)[..., :1]
    for rgb, alpha in zip(colours, alphas, strict=True):
        gain = np.divide(opaque, alpha, out=np.zeros(alpha.shape, np.float32), where=alpha > 0)
        yield Still(_scaled(rgb, gain), alpha[..., 0], grey)


def _check_still(still: Still, name: str) -> None:
    if not isinstance(still, Still):
        raise FrameError(f"{name} is a {type(still).__name__}; expected a Still")


def _frame_of(still: Still, deep_formats: Mapping[int, str]) -> VideoFrame:
    deep = still.rgb.dtype == np.float32
    pixels = still.rgb[..., :1] if still.grey and still.alpha is None else still.rgb
    if still.alpha is not None:
        pixels = np.dstack([pixels, still.alpha])
    if deep:
        pixels = np.rint(pixels * np.float32(65535)).astype(np.uint16)
    pix_fmt = (deep_formats if deep else _FORMATS)[pixels.shape[2]]
    if pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    return VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=pix_fmt)


def _opaque(like: NDArray[Any]) -> float:
    return 255 if like.dtype == np.uint8 else 1


def _alpha_of(still: Still) -> NDArray[Any]:
    """Return (H, W, 1); opaque where the image has no alpha."""
    if still.alpha is not None:
        return still.alpha[..., np.newaxis]
    return np.full((*still.rgb.shape[:2], 1), _opaque(still.rgb), still.rgb.dtype)


def _scaled(rgb: NDArray[Any], gain: NDArray[Any]) -> NDArray[Any]:
    scaled: NDArray[Any] = np.clip(rgb * gain, 0, _opaque(rgb))
    return (np.rint(scaled) if rgb.dtype == np.uint8 else scaled).astype(rgb.dtype)


def _as_float(still: Still) -> Still:
    if still.rgb.dtype == np.float32:
        return still
    alpha = None if still.alpha is None else still.alpha / np.float32(255)
    return Still(still.rgb / np.float32(255), alpha, still.grey)
