"""How frames are to be encoded, and in which container."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from media.errors import MediaError
from media.renditions import ANIMATIONS, is_rendition
from media.suffixes import IMAGE_SUFFIXES
from runtime.errors import OptionError, shown
from runtime.options import check_whole

# Containers by suffix, and their usual encoder.
CODECS = {
    ".mp4": "libx264", ".mkv": "libx264", ".mov": "libx264", ".ts": "libx264",
    ".webm": "libvpx-vp9",
}  # fmt: skip
_FORMATS = {".mkv": "matroska", ".ts": "mpegts"}  # else as the suffix


def format_of(output: Path) -> str:
    """Return FFmpeg's name of the container that a suffix stands for; of a rendition, its video's.

    Raises:
        MediaError: it stands for none.
    """
    suffix = output.suffix.lower()
    if is_rendition(output):
        return "matroska"
    if suffix in IMAGE_SUFFIXES:
        raise MediaError(
            f"{output}: is one image; images of a video are a folder, or a pattern such as "
            f"{output.stem}_%05d.png"
        )
    if suffix not in CODECS:
        raise MediaError(
            f"{output}: no container is known by {output.suffix}; "
            f"use one of {', '.join((*CODECS, *ANIMATIONS, '.y4m'))}"
        )
    return _FORMATS.get(suffix, suffix[1:])


@dataclass(frozen=True)
class Encoding:
    """How frames are encoded, by FFmpeg's names.

    Attributes:
        codec: an encoder, such as libx265 or ffv1; None takes H.264, or H.265 for more than 8 bits;
            VP9 for .webm, or AV1.
        crf: constant quality on the encoder's own scale, see `media.qualities`; None takes what is
            visually lossless.
        preset: such as veryfast or slow; None leaves the encoder's own.
        pix_fmt: None takes the source's, or what comes nearest of those the encoder has.

    Raises:
        OptionError: a name is none, or crf is not a whole number from 0 on.
    """

    codec: str | None = None
    crf: int | None = None
    preset: str | None = None
    pix_fmt: str | None = None

    def __post_init__(self) -> None:
        for name in ("codec", "preset", "pix_fmt"):
            value = getattr(self, name)
            if not isinstance(value, str | None):
                raise OptionError(f"{name} is {shown(value)}; expected a name that FFmpeg knows")
        if self.crf is not None:
            check_whole("crf", self.crf, 0)
