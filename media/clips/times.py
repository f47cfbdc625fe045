"""Which frames an interpolated VapourSynth clip has: any of them, found by its number alone."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import NamedTuple

from media.schedule import Number, Schedule, Wanted, rational
from runtime.errors import OptionError

# Of a clip, whatever its rate; a player's has no known end, and says so by a number near it.
MOST_FRAMES = 2**31 - 1


class Place(NamedTuple):
    """Where a frame of the output lies.

    Attributes:
        source: the frame of the source that it is, or comes after.
        t: where it lies between that and the next one, in [0, 1).
    """

    source: int
    t: Fraction


@dataclass(frozen=True)
class Timeline:
    """The frames of the output, by number; see `timeline`.

    Attributes:
        frames: of the source.
        rate: frames a second of the source; None where each says for itself.
        schedule: how the output's times follow.
        starts: when each frame of the source is shown, and when the last one ends, seconds; empty
            where `rate` says so, or nothing depends on it.
    """

    frames: int
    rate: Fraction | None
    schedule: Schedule
    starts: Sequence[Fraction]

    @property
    def count(self) -> int:
        """How many frames the output has."""
        if self.schedule.factor:
            return self.frames * self.schedule.factor
        return math.ceil(self._start(self.frames) / self.schedule.time_base)

    @property
    def shown_rate(self) -> Fraction | None:
        """Frames a second of the output; None where they vary."""
        if self.schedule.rate:
            return self.schedule.rate
        return self.rate and self.rate * (self.schedule.factor or 1)

    def place(self, number: int) -> Place:
        """Find a frame of the output."""
        if self.schedule.factor:
            source, step = divmod(number, self.schedule.factor)
            return Place(source, self._wanted(source)[step].t)
        time = number * self.schedule.time_base
        if self.starts:
            source = bisect_right(self.starts, time) - 1
        else:
            source = math.floor(time * (self.rate or 1))
        return Place(source, next(w.t for w in self._wanted(source) if w.time == time))

    def times(self, source: int) -> list[Fraction]:
        """Return when frames are to be made behind one of the source, inside (0, 1)."""
        return [wanted.t for wanted in self._wanted(source) if wanted.t]

    def duration(self, said: Fraction | None) -> Fraction | None:
        """Return how long a frame of the output is shown, by what its source frame says."""
        if self.schedule.rate:
            return 1 / self.schedule.rate
        return said and next(self.schedule.between(Fraction(0), said)).duration

    def _wanted(self, source: int) -> Sequence[Wanted]:
        return list(self.schedule.between(self._start(source), self._start(source + 1)))

    def _start(self, source: int) -> Fraction:
        return self.starts[source] if self.starts else source / (self.rate or Fraction(1))


def timeline(
    frames: int,
    rate: Fraction | None,
    durations: Callable[[], list[Fraction]],
    *,
    factor: Number | None,
    fps: Number | None,
) -> Timeline:
    """Choose the output's frames as `interpolate_video` does.

    Args:
        frames: of the source.
        rate: frames a second of the source; None where they vary.
        durations: reads from every frame of the source how long it is shown, seconds. Only called
            where that is needed: for a rate that is made of varying ones.
        factor, fps: see `Schedule.of`.

    Raises:
        OptionError: see `Schedule.of`; or the output has more frames than a clip can have.
    """
    starts: list[Fraction] = []
    whole = fps is None and factor is not None and rational("factor", factor).denominator == 1
    if rate is None and not whole:
        starts = [Fraction(0), *accumulate(durations())]
    # Where neither is known, a whole factor divides intervals, and depends on no rate.
    average = rate or (frames / starts[-1] if starts else Fraction(1))
    schedule = Schedule.of(
        factor=factor, fps=fps, slow=None, source_rate=average, source_base=1 / average
    )
    chosen = Timeline(frames, rate, schedule, starts)
    if chosen.count > MOST_FRAMES:
        raise OptionError(
            f"{frames} frames become {chosen.count}; expected {MOST_FRAMES} at most: take a "
            "smaller factor or fps"
        )
    return chosen
