"""PNG files: what of them their picture needs, and whether its pixels are all there.

FFmpeg inflates compressed texts and profiles without a bound, and shows pixels that end early as
black ones.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from media.errors import MediaError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What the picture is made of and how it is shown; FFmpeg inflates none of it but the pixels.
_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf",
         b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"cICP", b"mDCV", b"cLLI")  # fmt: skip
_MOST_CHUNKS = 1_000_000  # 1 GB of pixels, 8 kB in each as encoders write them, are 130,000
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_DEPTHS = (1, 2, 4, 8, 16)
# Column and row that each pass of Adam7 starts at, and its steps across and down.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4),
           (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))  # fmt: skip
_PIECE = 1 << 16  # bytes that are inflated at once, and at most come of it


@dataclass(frozen=True)
class Png:
    """A PNG that is not yet decoded.

    Attributes:
        path: of the file.
        picture: the file without texts, profile and all else that its picture does not need.
        width, height: pixels.
        animated: whether it holds several frames.
        profile: whether it came with an ICC profile.
    """

    path: Path
    picture: bytes
    width: int
    height: int
    animated: bool
    profile: bool

    def check_pixels(self) -> None:
        """Inflate the pixels, a little at a time, for FFmpeg does not say what is missing.

        Raises:
            MediaError: they are damaged, or not as many as the header says.
        """
        expected, found = self._size_of_pixels(), 0
        stream = zlib.decompressobj()
        try:
            for piece in self._compressed():
                while piece and found <= expected and not stream.eof:
                    found += len(stream.decompress(piece, _PIECE))
                    piece = stream.unconsumed_tail
        except zlib.error:
            _refuse(self.path, "its pixels do not inflate")
        if found != expected or not stream.eof:
            amount = "more" if found > expected else found
            _refuse(self.path, f"it holds {amount} bytes of pixels, expected {expected}")

    def _size_of_pixels(self) -> int:
        depth, colour, _, _, interlaced = self.picture[24:29]
        if depth not in _DEPTHS or colour not in _CHANNELS:
            _refuse(self.path, "pixels of an unknown kind")
        bits = depth * _CHANNELS[colour]
        passes = _PASSES if interlaced else ((0, 0, 1, 1),)
        sizes = (
            (-((left - self.width) // across), -((top - self.height) // down))
            for left, top, across, down in passes
        )
        # Each row begins with the number of its filter; a pass without columns has no rows.
        return sum(rows * (1 + -(-columns * bits // 8)) for columns, rows in sizes if columns > 0)

    def _compressed(self) -> Iterator[bytes]:
        """Yield the contents of the IDAT chunks in small pieces."""
        at = len(SIGNATURE)
        while at < len(self.picture):
            length, kind = struct.unpack_from(">I4s", self.picture, at)
            start, end = at + 8, at + 8 + length
            at = end + 4
            if kind == b"IDAT":
                for piece in range(start, end, _PIECE):
                    yield self.picture[piece : min(piece + _PIECE, end)]


def read_png(path: Path) -> Png:
    """Read a PNG up to its end chunk; what else it holds is passed over, and takes no memory.

    Raises:
        MediaError: it is cut short, or not made of chunks as a PNG is.
    """
    size = path.stat().st_size
    kinds: set[bytes] = set()
    animated = False
    with path.open("rb") as file:
        kept = [file.read(len(SIGNATURE))]
        for _ in range(_MOST_CHUNKS):
            head = file.read(8)
            length, kind = struct.unpack(">I4s", head) if len(head) == 8 else (size, b"")
            end = file.tell() + length + 4
            if end > size:
                _refuse(path, "its end is missing")
            if not kind.isalpha() or (kind == b"IHDR") == bool(kinds):
                _refuse(path, f"what follows after {file.tell() - 8} bytes is none of its parts")
            if kind == b"acTL" and b"IDAT" not in kinds:
                animated = int.from_bytes(file.read(4), "big") > 1
            elif kind in _KEPT:
                kept.append(head + file.read(length + 4))
            kinds.add(kind)
            if kind == b"IEND":
                break
            file.seek(end)
        else:
            _refuse(path, f"more than {_MOST_CHUNKS} parts")
    picture = b"".join(kept)
    width, height = struct.unpack_from(">II", picture, 16)
    return Png(path, picture, width, height, animated, b"iCCP" in kinds)


def _refuse(path: Path, found: str) -> NoReturn:
    raise MediaError(f"{path}: not an image in PNG, or a damaged one: {found}")
