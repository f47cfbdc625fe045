"""A part of a video, by seconds as players show them."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

from media.options import VideoOptions
from media.reading.segments import WHOLE, Segment
from media.reading.source import SourceVideo, head_of
from media.schedule import on_the_beat


def part_of(source: Path, options: VideoOptions) -> Segment:
    """Return the part that is asked for, without a keyframe to decode it from; see `planned`.

    Raises:
        InputNotFoundError, OptionError, MediaError: as `head_of` does.
    """
    start, end = options.span
    if not start and end is None:
        return WHOLE
    first = head_of(source, options).start
    with SourceVideo.opened(source, options) as video:
        rate, base = video.timing.rate, video.stream.time_base or Fraction(1)

    def tick(time: Fraction) -> int:
        """Return the first one at which a frame is shown at that time or later."""
        after = math.ceil(time / base)
        # A container may have rounded such a frame's time down.
        rounded = on_the_beat((after - 1) * base, rate, base) >= time
        return round(first / base) + after - rounded

    return Segment(
        begin=tick(start) if start else None,
        end=None if end is None else tick(end),
        closes=end is not None,
    )
