"""Image files: their kind and size before anything is decoded, and their pixels upright."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import av
from av import VideoFrame
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

from media.errors import MediaError
from media.ffmpeg_log import logged
from media.images.png import SIGNATURE, read_png
from media.side_data import carries, display_matrix
from runtime.errors import InputNotFoundError, shown

_DECODERS = {
    SIGNATURE: "png",
    b"\xff\xd8\xff": "mjpeg",
    b"BM": "bmp",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"RIFF": "webp",
}
# What is cut short or damaged is to fail. Not for TIFF, where FFmpeg counts unknown tags as damage.
_STRICT = {"err_detect": "crccheck+explode"}
# No true image needs more for a pixel: uncompressed, of 16 bits and with alpha, it is 8.
_BYTES_PER_PIXEL = 16
_BYTES_BESIDE = 2**20  # EXIF, a profile, a thumbnail
_JPEG_IN_TIFF = ("6", "7")
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)


def decode_image(path: Path, max_pixels: int) -> tuple[VideoFrame, bool]:
    """Decode a PNG, JPEG, BMP, TIFF or WebP, known by its content and not by its name.

    Its size is read, and held against `max_pixels`, before memory is taken for its pixels. Of
    several pages of a TIFF, and several images of a JPEG, the first is decoded.

    Returns:
        The image, and whether it came with an ICC profile.

    Raises:
        InputNotFoundError: there is no such file.
        MediaError: another kind, an animation, more pixels than that or a file too large for so
            many, or damaged.
    """
    if not path.is_file():
        found = "is no file" if path.exists() else "no such file"
        raise InputNotFoundError(f"{path}: {found}; expected an image")
    with path.open("rb") as file:
        head = file.read(8)
        decoder = next((name for magic, name in _DECODERS.items() if head.startswith(magic)), None)
        if decoder is None:
            raise MediaError(
                f"{path}: not an image in PNG, JPEG, BMP, TIFF or WebP, or a damaged one"
            )
        size = path.stat().st_size
        if size > _BYTES_PER_PIXEL * max_pixels + _BYTES_BESIDE:
            enough = -(-(size - _BYTES_BESIDE) // _BYTES_PER_PIXEL)
            found = f"has {size} bytes, more than {max_pixels} pixels take"
            raise _too_large(path, found, enough)
        # Decoded from memory, for FFmpeg's demuxers take a % in a name for a pattern, follow
        # playlists and decode the image once only to learn its size.
        file.seek(0)
        png = read_png(path) if decoder == "png" else None
        data = png.picture if png else file.read()
    try:
        if png.animated if png else _is_animated(decoder, data):
            raise MediaError(f"{path}: is an animation; expected a still image")
        if decoder == "mjpeg" and not _is_whole_jpeg(data):
            raise MediaError(f"{path}: is cut short; its end is missing")
        width, height = (png.width, png.height) if png else _size(decoder, data)
        if width * height > max_pixels:
            found = f"has {width}x{height} pixels, more than the limit of {max_pixels}"
            raise _too_large(path, found, width * height)
        if png:
            png.check_pixels()
        context = _context(decoder)
        # Again, for the file may hold another size than it begins with; FFmpeg rounds sizes up.
        limit = {"max_pixels": str((width + 128) * (height + 128))}
        context.options = limit if decoder == "tiff" else limit | _STRICT
        with _complaints(decoder) as complaints:
            frame = _decode(context, data)[0]
    except (av.FFmpegError, struct.error, IndexError) as error:
        raise MediaError(
            f"{path}: not an image that FFmpeg can decode, or a damaged one"
        ) from error
    if complaints:
        raise MediaError(f"{path}: a damaged TIFF; FFmpeg says: {shown(complaints[0][2].strip())}")
    if decoder == "tiff" and frame.metadata.get("Compression", "").strip() in _JPEG_IN_TIFF:
        raise MediaError(f"{path}: a TIFF compressed as JPEG, which FFmpeg gives black")
    return frame, png.profile if png else carries(frame, "ICC_PROFILE")


def upright(frame: VideoFrame, pixels: NDArray[Any]) -> NDArray[Any]:
    """Turn and mirror the pixels of a frame, (H, W, C), as its EXIF orientation tells."""
    matrix = display_matrix(frame)
    if matrix is None:
        return pixels
    # Column x and row y are shown at column a x + c y and row b x + d y, counted from either end.
    a, b, _, c, d = matrix[:5]
    if a == 0:
        pixels = pixels.swapaxes(0, 1)
    if a + c < 0:
        pixels = pixels[:, ::-1]
    if b + d < 0:
        pixels = pixels[::-1]
    return pixels


def _too_large(path: Path, found: str, enough: int) -> MediaError:
    return MediaError(
        f"{path}: {found}; set max_pixels to {enough} if you trust it and have the memory",
        remedy=("max_pixels", enough),
    )


def _context(decoder: str) -> VideoCodecContext:
    return cast(VideoCodecContext, CodecContext.create(decoder, "r"))


def _decode(context: VideoCodecContext, data: bytes) -> list[VideoFrame]:
    return [*context.decode(av.Packet(data)), *context.decode(None)]


@contextmanager
def _complaints(decoder: str) -> Iterator[list[tuple[int, str, str]]]:
    """Yield the errors that FFmpeg logs of a TIFF: it goes on after them, and leaves rows black."""
    if decoder != "tiff":
        yield []
        return
    with logged() as lines:
        yield lines


def _is_animated(decoder: str, data: bytes) -> bool:
    return decoder == "webp" and data[12:16] == b"VP8X" and bool(data[20] & 2)


def _is_whole_jpeg(data: bytes) -> bool:
    """Whether it has its last marker; without, FFmpeg makes the last blocks up."""
    at = 2
    while marker := _JPEG_MARKER.search(data, at):
        if marker[0] == b"\xff\xd9":
            return True
        at = marker.end() + struct.unpack_from(">H", data, marker.end())[0]
    return False


def _size(decoder: str, data: bytes) -> tuple[int, int]:
    """Return width and height by the header, without decoding what comes behind it."""
    if decoder == "bmp":
        (header,) = struct.unpack_from("<I", data, 14)
        width, height = map(abs, struct.unpack_from("<HH" if header == 12 else "<ii", data, 18))
    elif decoder == "webp":
        width, height = _size_of_webp(data)
    else:
        context = _context(decoder)
        context.skip_frame = "ALL"
        _decode(context, data)
        width, height = context.width, context.height
    return width, height


def _size_of_webp(data: bytes) -> tuple[int, int]:
    if data[12:16] == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif data[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    return width, height
