"""Outputs that are made of a finished lossless video: GIF, animated WebP, folders of images.

A GIF's colours are chosen for all frames at once, an animated WebP is one packet, and images are
none: such outputs cannot be joined of segments. So what is encoded is a lossless video, in segments
or in one piece as others are, and `media.writing` makes the output of it at the end.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av

from media.errors import MediaError
from media.images.numbering import NAME, check_pattern, is_pattern
from media.qualities import quality_options
from media.suffixes import VIDEO_SUFFIXES

if TYPE_CHECKING:
    from media.encoding import Encoding

LOSSLESS = "ffv1"
GIF, WEBP = ".gif", ".webp"
ANIMATIONS = {GIF: "gif", WEBP: "libwebp_anim"}
# Times of a GIF are in hundredths, and browsers show for a tenth what is to be shown for one.
_MOST_FPS_OF_GIF = 50
_IMAGES = (".png", ".tif", ".tiff")


def is_rendition(output: Path) -> bool:
    """Say whether an output is made of a lossless video."""
    return output.suffix.lower() in ANIMATIONS or are_images(output)


def are_images(output: Path) -> bool:
    """Say whether an output is images: a folder that is there, a pattern, or a name without suffix.

    What is named as a video is none of them.
    """
    suffix = output.suffix.lower()
    if suffix in (*ANIMATIONS, *VIDEO_SUFFIXES):
        return False
    return output.is_dir() or is_pattern(output) or not suffix


def place_of(output: Path) -> tuple[Path, str]:
    """Return the folder that images are written to, and the pattern of their names.

    Raises:
        OptionError: the pattern has not one number in it.
    """
    if not is_pattern(output):
        return output, NAME
    check_pattern(output.name)
    return output.parent, output.name


def called(output: Path) -> str:
    """Say for people what kind of output it is."""
    return "a folder of images" if are_images(output) else output.suffix


def encoding_of(encoding: Encoding, output: Path, rate: Fraction) -> Encoding:
    """Return how the video is encoded that is an output, or that one is made of.

    Args:
        encoding: that was asked for.
        rate: frames a second, on average.

    Raises:
        MediaError: the output cannot be made so, or not here.
    """
    if not is_rendition(output):
        return encoding
    suffix = output.suffix.lower()
    given = replace(encoding, pix_fmt=None, crf=None if suffix == WEBP else encoding.crf)
    if given != type(encoding)():
        names = [name for name in ("codec", "crf", "preset") if getattr(given, name) is not None]
        raise MediaError(
            f"{output}: {called(output)} is not encoded by choice; leave out {' and '.join(names)}"
        )
    if suffix == GIF and rate > _MOST_FPS_OF_GIF:
        raise MediaError(
            f"{output}: has {float(rate):.6g} frames a second, of which players show "
            f"{_MOST_FPS_OF_GIF} in a GIF; ask for fewer",
            remedy=("fps", _MOST_FPS_OF_GIF),
        )
    if is_pattern(output) and suffix not in _IMAGES:
        raise MediaError(f"{output}: images of a video are {', '.join(_IMAGES)}")
    encoder = ANIMATIONS.get(suffix, LOSSLESS)
    quality_options(encoder, encoding.crf, output)
    if not {encoder, LOSSLESS} <= av.codecs_available:
        raise MediaError(f"{output}: no encoder {encoder} here; see ffmpeg -encoders")
    return replace(encoding, codec=LOSSLESS, crf=None)
