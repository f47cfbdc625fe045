"""Outputs that are made of a finished lossless video: GIF, animated WebP, folders of images.

A GIF's colours are chosen for all frames at once, an animated WebP is one packet, and images are
none: such outputs cannot be joined of segments. So what is encoded is a lossless video, in segments
or in one piece as others are, and `media.writing` makes the output of it at the end.
"""

from __future__ import annotations

from pathlib import Path

from media.images.numbering import NAME, check_pattern, is_pattern
from media.suffixes import VIDEO_SUFFIXES

LOSSLESS = "ffv1"
GIF, WEBP = ".gif", ".webp"
ANIMATIONS = {GIF: "gif", WEBP: "libwebp_anim"}


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
