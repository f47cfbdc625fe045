"""How bright a video was meant to be shown: HDR10's metadata, from a frame to an encoder.

Mastering display: SMPTE ST 2086. Content light level: CTA-861.3.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from av import VideoFrame

from media.side_data import side_data

DISPLAY, LEVEL = "MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"
# FFmpeg's AVMasteringDisplayMetadata: x and y of red, green, blue and white, the least and the most
# luminance, each a fraction; and whether there are colours, and luminance.
_DISPLAY = struct.Struct("20i2i")
_LEVEL = struct.Struct("2I")  # the brightest pixel, and the brightest frame on average


class _Display(NamedTuple):
    """Where the primaries and white lie, and the least and the most luminance, cd/m2."""

    red: tuple[Fraction, Fraction]
    green: tuple[Fraction, Fraction]
    blue: tuple[Fraction, Fraction]
    white: tuple[Fraction, Fraction]
    luminance: tuple[Fraction, Fraction]


def light_options(encoder: str, first: VideoFrame) -> dict[str, str]:
    """Return the options that tell an encoder the light of a video that begins with this frame."""
    display, level = _display(first), side_data(first, LEVEL)
    peaks = ",".join(map(str, _LEVEL.unpack_from(level))) if level else ""
    if encoder == "libx265":
        words = ["log-level=none"]  # it prints past FFmpeg's log
        if display:
            words.append(f"master-display={_in_whole_numbers(display)}")
        if peaks:
            words.append(f"max-cll={peaks}")
        return {"x265-params": ":".join(words)}
    if encoder == "libsvtav1":
        words = [f"mastering-display={_in_decimals(display)}"] if display else []
        words += [f"content-light={peaks}"] if peaks else []
        return {"svtav1-params": ":".join(words)} if words else {}
    return {}


def light_lost(encoder: str, first: VideoFrame) -> list[str]:
    """Return for people what of a video's light an encoder is not told."""
    if encoder in ("libx265", "libsvtav1"):
        partly = side_data(first, DISPLAY) is not None and _display(first) is None
        return ["HDR10 metadata (mastering display), of which a half is missing"] if partly else []
    carried = {DISPLAY: "mastering display", LEVEL: "content light level"}
    return [
        f"HDR10 metadata ({name}), which libx265 and libsvtav1 are told, and {encoder} is not"
        for kind, name in carried.items()
        if side_data(first, kind)
    ]


def _display(frame: VideoFrame) -> _Display | None:
    found = side_data(frame, DISPLAY)
    if found is None:
        return None
    *numbers, has_colours, has_luminance = _DISPLAY.unpack_from(found)
    if not (has_colours and has_luminance):
        return None
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    at = [Fraction(above, below or 1) for above, below in pairs]
    red, green, blue, white, luminance = zip(at[::2], at[1::2], strict=True)
    return _Display(red, green, blue, white, luminance)


def _in_whole_numbers(display: _Display) -> str:
    """Return it in x265's units: 50,000 to 1 of a coordinate, 10,000 to a candela."""
    return _written(
        display, lambda at: str(round(at * 50_000)), lambda light: str(round(light * 10_000))
    )


def _in_decimals(display: _Display) -> str:
    return _written(display, lambda at: f"{float(at):.5f}", lambda light: f"{float(light):.4f}")


def _written(
    display: _Display, coordinate: Callable[[Fraction], str], candelas: Callable[[Fraction], str]
) -> str:
    colours = {"G": display.green, "B": display.blue, "R": display.red, "WP": display.white}
    points = "".join(f"{name}({coordinate(x)},{coordinate(y)})" for name, (x, y) in colours.items())
    least, most = map(candelas, display.luminance)
    return f"{points}L({most},{least})"
