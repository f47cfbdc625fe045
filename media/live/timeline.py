"""One clock for a live source, which runs on whatever the source's own timestamps do."""

from __future__ import annotations

import math
from fractions import Fraction

from media.schedule import on_the_beat

# A camera's clock and ours differ by millionths, so that a thousandth follows any of them unseen.
_SLEW = 0.001
_WINDOW = 2.0  # seconds; the frame that was least delayed within one says where the source is
_UNSEEN = 0.02  # seconds: less than this is jitter and drift, and never jumped
_BURST = 0.1  # seconds early: what a server had in stock comes at once, and is not waited through
_LEAP = 1.0  # seconds off: not delayed any more, but another clock


class Timeline:
    """When source frames are shown, in seconds since the first; of the source's own clock.

    The first frame has time 0, and a source that is interrupted goes on at the time that has passed
    meanwhile, on a tick of the output. The output is paced by this clock, so that frames that hit a
    tick keep hitting it.

    Args:
        rate: of the output, frames a second.

    Attributes:
        epoch: when a frame of time 0 arrives or would have, where nothing delays it; monotonic
            clock, seconds.
        leaps: how often the source's timestamps leapt, or it fell behind for good.
    """

    def __init__(self, rate: Fraction) -> None:
        self.epoch = 0.0
        self.leaps = 0
        self._rate = rate
        self._begun = False
        self._anchor: tuple[Fraction, Fraction] | None = None  # a stamp, and the time it stands for
        self._last: Fraction | None = None
        self._window_from = 0.0
        self._least = math.inf

    def interrupted(self) -> None:
        """Take the timestamps that come next for those of another clock."""
        self._anchor = None

    def arrived(
        self, stamp: Fraction, source_rate: Fraction, base: Fraction, now: float
    ) -> Fraction | None:
        """Return when a frame is shown; None where it comes too fast, behind one of its time.

        Args:
            stamp: its own timestamp, seconds.
            source_rate: frames a second that the source claims.
            base: what its timestamps are multiples of, seconds.
            now: when it arrived, monotonic clock.
        """
        if not self._begun:
            self._begun, self.epoch = True, now
        if self._anchor is None:
            self._anchor_at(stamp, now)
        time = self._time_of(stamp, source_rate, base)
        late = now - self.epoch - float(time)
        if abs(late) > _LEAP:
            self.leaps += 1
            self._anchor_at(stamp, now)
            time = self._time_of(stamp, source_rate, base)
        elif late < -_BURST:
            self.epoch += late
            self._begin_window(now)
        else:
            self._least = min(self._least, late)
            if now - self._window_from >= _WINDOW:
                self._follow(now)
        if self._last is not None and time <= self._last:
            return None
        self._last = time
        return time

    def _time_of(self, stamp: Fraction, source_rate: Fraction, base: Fraction) -> Fraction:
        assert self._anchor is not None  # noqa: S101 - set by the caller
        first, time = self._anchor
        return time + on_the_beat(stamp - first, source_rate, base)

    def _anchor_at(self, stamp: Fraction, now: float) -> None:
        passed = Fraction(math.ceil((now - self.epoch) * self._rate)) / self._rate
        self._anchor = stamp, max(passed, Fraction(0))
        self._begin_window(now)

    def _begin_window(self, now: float) -> None:
        self._window_from, self._least = now, math.inf

    def _follow(self, now: float) -> None:
        """Go after the source, where even its least delayed frame came early or late."""
        late = self._least
        if late > _UNSEEN and self._anchor is not None:
            # All that it sends is late, and would be for ever: what comes is shown that much later.
            ticks = Fraction(math.floor(late * self._rate)) / self._rate
            stamp, time = self._anchor
            self._anchor = stamp, time + ticks
            self.epoch += late - float(ticks)
            self.leaps += 1
        elif late < -_UNSEEN:
            self.epoch += late
        else:
            most = _SLEW * (now - self._window_from)
            self.epoch += min(max(late, -most), most)
        self._begin_window(now)
