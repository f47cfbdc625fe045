"""How each encoder is told a constant quality: its own scale, and the options that it goes by.

Every encoder has a scale of its own: 17 of x264 is about 20 of x265 and 28 of SVT-AV1. The numbers
are FFmpeg's, from the help of each encoder (`ffmpeg -h encoder=NAME`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from media.errors import MediaError

# What FFmpeg's -q:v means: a flag, and the number times this.
_LAMBDA = 118
_X26X = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower",
         "veryslow", "placebo")  # fmt: skip
_QSV = ("veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")


@dataclass(frozen=True)
class Quality:
    """An encoder's constant quality.

    Attributes:
        names: of the options that hold the number.
        best, worst: ends of the scale; of VideoToolbox's and WebP's more is better.
        usual: visually lossless, for a source frame should not suffer for its new neighbours; None
            leaves the encoder its own way.
        presets: that it has; empty where opening it tells.
        options: that go with the number.
        times: what the number is multiplied by.
    """

    names: tuple[str, ...]
    best: int
    worst: int
    usual: int | None
    presets: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    times: int = 1

    def told(self, number: int) -> dict[str, str]:
        """Return the options that ask for a number on its scale."""
        return {**self.options, **dict.fromkeys(self.names, str(number * self.times))}


def _by_q(best: int, worst: int, usual: int | None) -> Quality:
    return Quality(("global_quality",), best, worst, usual, (), {"flags": "+qscale"}, _LAMBDA)


def _by_quantizer(usual: int) -> Quality:
    # With the flag they go by a number that frames carry, which PyAV does not set.
    return Quality(("qmin", "qmax"), 1, 31, usual)


def _nvenc(worst: int, usual: int) -> Quality:
    # 0 would leave it to the encoder; without b=0 the rate would be bounded.
    return Quality(("cq",), 1, worst, usual, (), {"rc": "vbr", "b": "0"})


def _qsv(worst: int, usual: int) -> Quality:
    return Quality(("global_quality",), 1, worst, usual, _QSV)


_VPX = {"b": "0"}  # or the rate would be bounded
# SVT-AV1 takes 0 for "not said".
# x264 prints to the terminal of its own accord when it is given a preset that it does not have.
_OF: Mapping[str, Quality] = {
    "libx264": Quality(("crf",), 0, 51, 17, _X26X),
    "libx264rgb": Quality(("crf",), 0, 51, 17, _X26X),
    "libx265": Quality(("crf",), 0, 51, 17, _X26X),
    "libvpx": Quality(("crf",), 4, 63, 17, (), _VPX),
    "libvpx-vp9": Quality(("crf",), 0, 63, 17, (), _VPX),
    "libaom-av1": Quality(("crf",), 0, 63, 17, (), _VPX),
    "libsvtav1": Quality(("crf",), 1, 63, 17),
    "h264_nvenc": _nvenc(51, 19),
    "hevc_nvenc": _nvenc(51, 19),
    "av1_nvenc": _nvenc(63, 25),
    "h264_qsv": _qsv(51, 18),
    "hevc_qsv": _qsv(51, 18),
    "av1_qsv": _qsv(51, 18),
    "vp9_qsv": _qsv(255, 60),
    "h264_videotoolbox": _by_q(100, 1, 75),
    "hevc_videotoolbox": _by_q(100, 1, 75),
    "prores_ks": _by_q(1, 31, None),
    "mpeg4": _by_quantizer(2),
    "libwebp_anim": Quality(("quality",), 100, 0, 90),
}


def quality_of(encoder: str) -> Quality | None:
    """Return how an encoder is told a constant quality; None where it has none, or none we know."""
    return _OF.get(encoder)


def quality_options(encoder: str, number: int | None, output: Path | str) -> dict[str, str]:
    """Return the options that ask an encoder for a number on its scale; None is what is usual.

    Raises:
        MediaError: it has no such number.
    """
    quality = quality_of(encoder)
    if quality is None:
        if number is not None:
            raise MediaError(
                f"{output}: {encoder} has no constant quality that is known; leave it out"
            )
        return {}
    low, high = sorted((quality.best, quality.worst))
    if number is not None and not low <= number <= high:
        raise MediaError(
            f"{output}: a constant quality of {number}; {encoder} has {quality.best}, the best, to "
            f"{quality.worst}"
        )
    number = quality.usual if number is None else number
    return {} if number is None else quality.told(number)
