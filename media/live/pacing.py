"""What is shown when, made when, and left out, of a live source: decided without any waiting.

Threads do the work (`media.live.stream`), and tests a simulation; both say here what time it is.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from media.live.capacity import Capacity
from media.live.timeline import Timeline
from media.schedule import Schedule, Wanted

Origin = Literal["passed", "made", "repeated"]
TARDY = 0.05  # seconds that an output frame may be overdue; what is more so is left out
_FASTEST = 240  # frames a second of a source that are kept while they wait


class Pair(NamedTuple):
    """Two source frames, at their times, and what is to be made between; possibly nothing."""

    before: Any
    after: Any
    wanted: list[Wanted]


class Shown(NamedTuple):
    """A frame of the output.

    Attributes:
        time: when it is shown, seconds since the first; a multiple of the output's frame interval.
        due: when that is by the monotonic clock.
        origin: a source frame of that time, one made for it, or another in its place.
    """

    time: Fraction
    due: float
    picture: Any
    origin: Origin


@dataclass
class Counts:
    """How many frames there were.

    Attributes:
        read: of the source.
        dropped: of the source, for they came too fast.
        passed, made, repeated: of the output: the source's own, made, and others in their place.
        skipped: of the output, for the sink was not ready in time.
    """

    read: int = 0
    dropped: int = 0
    passed: int = 0
    made: int = 0
    repeated: int = 0
    skipped: int = 0


class Pacing:
    """Frames that wait, a fixed time after each arrived, to be shown at a constant rate.

    At every tick of the output the frame of that time is shown, of the source or made; where there
    is none, the nearest one that is there, but none before what was shown last. So nothing ever
    waits for what is not there, and latency is what it was chosen to be.

    Args:
        rate: of the output, frames a second.
        latency: from a frame's arrival until it is shown, seconds.

    Attributes:
        counts: of all frames so far.
        timeline: of the source.
        capacity: what the machine has time for.
        latency: as above.
    """

    def __init__(self, rate: Fraction, latency: float) -> None:
        self.counts = Counts()
        self.timeline = Timeline(rate)
        self.capacity = Capacity()
        self._rate = rate
        self.latency = latency
        self._schedule = Schedule(None, rate, Fraction(1), 1 / rate)
        self._most = 8 + math.ceil((latency + TARDY) * _FASTEST)
        self._sources: list[tuple[Fraction, Any]] = []
        self._made: dict[Fraction, Any] = {}
        self._looked_at: Fraction | None = None  # the last frame that was offered as one of a pair
        self._tick = 0
        self._shown: tuple[Fraction, Any] | None = None

    def arrived(
        self, picture: Any, stamp: Fraction, source_rate: Fraction, base: Fraction, now: float
    ) -> bool:
        """Take a source frame, with what `Timeline.arrived` takes; False where it is dropped."""
        self.counts.read += 1
        time = self.timeline.arrived(stamp, source_rate, base, now)
        if time is None:
            self.counts.dropped += 1
            return False
        self._sources.append((time, picture))
        self._forget(Fraction(now - TARDY - self.latency - self.timeline.epoch))
        excess = max(len(self._sources) - self._most, 0)
        self.counts.dropped += excess
        del self._sources[:excess]
        return True

    def pair(self, now: float) -> Pair | None:
        """Return the next two source frames, or None before there are two.

        Between them so many are wanted as the machine has time for, and as will be made in time.
        """
        for (start, before), (end, after) in pairwise(self._sources):
            if self._looked_at is None or start >= self._looked_at:
                self._looked_at = end
                return Pair(before, after, self._affordable(start, end, now))
        return None

    def made(self, pair: Pair, pictures: list[Any], seconds: float) -> None:
        """Take what was made of a pair, for all that was wanted, and what it has cost."""
        self.capacity.spent(len(pictures), seconds)
        for wanted, picture in zip(pair.wanted, pictures, strict=True):
            self._made[wanted.time] = picture

    def due(self) -> float | None:
        """Return when the next frame is to be shown, monotonic clock; None before there is any."""
        return self._due(Fraction(self._tick) / self._rate) if self._sources else None

    def show(self, now: float) -> Shown:
        """Return what is shown now, once it is due; what is long overdue is left out."""
        late = now - TARDY - self.latency - self.timeline.epoch
        current = math.ceil(late * self._rate)
        if current > self._tick:
            self.counts.skipped += current - self._tick
            self._tick = current
        time = Fraction(self._tick) / self._rate
        self._tick += 1
        found, picture = self._nearest(time)
        origin: Origin = "repeated"
        if found == time:
            origin = "made" if time in self._made else "passed"
        self._shown = found, picture
        self._forget(found)
        return Shown(time, self._due(time), picture, origin)

    def sent(self, shown: Shown, *, taken: bool) -> None:
        """Count what was shown, or would have been, had the sink taken it."""
        kind = shown.origin if taken else "skipped"
        setattr(self.counts, kind, getattr(self.counts, kind) + 1)

    def is_over(self) -> bool:
        """Say whether all that has come was shown, so that an ended source is at its end."""
        return not self._sources or Fraction(self._tick) / self._rate > self._sources[-1][0]

    def _due(self, time: Fraction) -> float:
        return self.timeline.epoch + self.latency + float(time)

    def _affordable(self, start: Fraction, end: Fraction, now: float) -> list[Wanted]:
        wanted = [each for each in self._schedule.between(start, end) if each.t]
        # Where the second frame comes later than the first was to be left, all that moves is past.
        if not wanted or end - start > self.latency:
            return []
        for times in range(self.capacity.most(len(wanted), float(end - start), now), 0, -1):
            ready = now + self.capacity.cost(times)
            in_time = [each for each in wanted if self._due(each.time) >= ready]
            if len(in_time) >= times:
                return _spread(in_time, times)
        return []

    def _nearest(self, time: Fraction) -> tuple[Fraction, Any]:
        there = [*self._sources, *self._made.items()]
        if self._shown is not None:
            earliest = self._shown[0]
            there = [each for each in there if each[0] >= earliest] or [self._shown]
        return min(there, key=lambda each: (abs(each[0] - time), each[0]))

    def _forget(self, before: Fraction) -> None:
        """Drop what nobody will want any more: all but the last frame until then, and the next."""
        first = max(bisect.bisect_right([time for time, _ in self._sources], before) - 1, 0)
        del self._sources[:first]
        floor = min(before, self._sources[0][0]) if self._sources else before
        for time in [time for time in self._made if time < floor]:
            del self._made[time]


def _spread(wanted: list[Wanted], times: int) -> list[Wanted]:
    """Return so many of them, as evenly apart between the two source frames as they come."""
    left, chosen = list(wanted), []
    for number in range(1, times + 1):
        target = Fraction(number, times + 1)
        chosen.append(min(left, key=lambda each: abs(each.t - target)))
        left.remove(chosen[-1])
    return sorted(chosen, key=lambda each: each.time)
