"""YUV4MPEG2 (y4m): pictures as they are, as programs hand them on through pipes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from reprlib import repr as shortened

from media.errors import MediaError

_MAGIC = b"YUV4MPEG2 "
LONGEST_LINE = 128  # bytes, as FFmpeg has it
_MOST = 2**28  # of pixels with 128 more either way, as FFmpeg has it
_DEPTHS = (9, 10, 12, 14, 16)
# The chroma of each pixel format. In 8 bits that of 4:2:0 says where it lies, too: 420jpeg between
# the pixels, 420mpeg2 beside the left one, 420paldv at the left one of the upper row.
CHROMA = {
    "yuv420p": "420jpeg", "yuv422p": "422", "yuv444p": "444", "yuv411p": "411", "gray": "mono",
    **{f"yuv{form}p{bits}le": f"{form}p{bits}" for form in (420, 422, 444) for bits in _DEPTHS},
    **{f"gray{bits}le": f"mono{bits}" for bits in _DEPTHS if bits != 14},
}  # fmt: skip
_SITED = ("420", "420mpeg2", "420paldv")
_COARSE = {"420": (2, 2), "422": (2, 1), "444": (1, 1), "411": (4, 1)}  # across, down
_RANGES = {None: "", False: " XCOLORRANGE=LIMITED", True: " XCOLORRANGE=FULL"}


@dataclass(frozen=True)
class Header:
    """What the pictures are.

    Attributes:
        width, height: pixels.
        rate: frames a second.
        pixel_aspect: the width of a pixel for its height.
        chroma: how and where colour is sampled, and in how many bits, as in 420mpeg2 or 422p10.
        full_range: None where it is not said, which means False.
    """

    width: int
    height: int
    rate: Fraction
    pixel_aspect: Fraction
    chroma: str
    full_range: bool | None

    @classmethod
    def parsed(cls, line: bytes, name: str) -> Header:
        """Read the first line of what has this name.

        Raises:
            MediaError: it is no such line, or one of pictures that are not taken.
        """
        if line.startswith(_MAGIC) and len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            raise MediaError(
                f"{name}: its first line has more than {LONGEST_LINE} bytes; expected no more, as "
                "FFmpeg does; leave out comments, which begin with X"
            )
        if not line.startswith(_MAGIC) or not line.endswith(b"\n"):
            found = f"begins with {shown(line)}" if line else "is empty"
            raise MediaError(
                f"{name}: {found}; expected YUV4MPEG2, as of ffmpeg -i FILE -f yuv4mpegpipe -"
            )
        fields = line[len(_MAGIC) :].decode("ascii", "replace").split()
        tags = {field[0]: field[1:] for field in fields if field[0] != "X"}
        sides = [tags.get(side, "") for side in "WH"]
        if not all(re.fullmatch(r"[1-9]\d{0,4}", side) for side in sides):
            raise MediaError(f"{name}: does not say its size, but {shown(line)}; expected W and H")
        width, height = map(int, sides)
        if (width + 128) * (height + 128) >= _MOST:
            raise MediaError(
                f"{name}: its frames are {width}x{height}; expected fewer than {_MOST} pixels, "
                "edges of FFmpeg's included; scale them down: ffmpeg -i FILE -vf scale=7680:-2"
            )
        rate = _ratio(tags.get("F", ""))
        if rate is None:
            raise MediaError(f"{name}: does not say its frame rate; ffmpeg -r 25 gives it one")
        if tags.get("I", "?") not in ("p", "?"):
            raise MediaError(
                f"{name}: is interlaced, and its half frames would be morphed; deinterlace it "
                "first: ffmpeg -i FILE -vf bwdif -f yuv4mpegpipe -"
            )
        chroma = tags.get("C", "420")
        if chroma not in (*_SITED, *CHROMA.values()):
            raise MediaError(
                f"{name}: its chroma is {shown(chroma.encode())}; expected one without alpha that "
                "FFmpeg knows, as of ffmpeg -pix_fmt yuv420p"
            )
        ranges = {tag.strip(): full for full, tag in _RANGES.items()}
        said = next((ranges[field] for field in fields if field in ranges), None)
        aspect = _ratio(tags.get("A", "")) or Fraction(1)
        return cls(width, height, rate, aspect, chroma, said)

    def line(self) -> bytes:
        """Return the first line that says so."""
        return (
            f"YUV4MPEG2 W{self.width} H{self.height} F{_text(self.rate)} Ip "
            f"A{_text(self.pixel_aspect)} C{self.chroma}{_RANGES[self.full_range]}\n"
        ).encode()

    @property
    def frame_bytes(self) -> int:
        """How long a frame is, beside the line before it."""
        samples = self.width * self.height
        if not self.chroma.startswith("mono"):
            across, down = _COARSE[self.chroma[:3]]
            samples += 2 * -(-self.width // across) * -(-self.height // down)
        return samples * (2 if re.search(r"(?:p|mono)\d+$", self.chroma) else 1)


def _ratio(text: str) -> Fraction | None:
    """Return a ratio as in 30000:1001; None where it is none above 0."""
    match = re.fullmatch(r"(\d{1,10}):(\d{1,10})", text)
    numerator, denominator = map(int, match.groups()) if match else (0, 0)
    return Fraction(numerator, denominator) if numerator and denominator else None


def _text(ratio: Fraction) -> str:
    return f"{ratio.numerator}:{ratio.denominator}"


def shown(text: bytes) -> str:
    """Return what was found, for messages: in a line, and not all where it is long."""
    return shortened(text.decode("ascii", "backslashreplace"))
