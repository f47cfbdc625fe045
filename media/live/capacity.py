"""How many frames between two a machine has time for, by what they have cost so far."""

from __future__ import annotations

from collections import deque
from statistics import median

_REMEMBERED = 9  # runs, of whose cost the median counts, so that a single hiccup changes nothing
_ENOUGH = 5  # runs before anything is concluded, for the first are the slowest
_FULL = 0.95  # of an interval: what costs more falls behind
_PATIENCE = 5.0  # seconds until more is tried again
_MOST_PATIENCE = 120.0


class Capacity:
    """The most frames that are made between two source frames, so that the machine keeps up.

    It falls as soon as they cost more time than there is between source frames, to fewer, at last
    to none. After a while one more is tried, ever less often where that fails, so that the picture
    does not change its rhythm all the time.

    Attributes:
        limit: that most; None while all that was asked for could be made.
    """

    def __init__(self) -> None:
        self.limit: int | None = None
        self._wanted = 0
        self._costs: dict[int, deque[float]] = {}
        self._changed = 0.0
        self._patience = _PATIENCE
        self._tries = False

    def cost(self, times: int) -> float:
        """Return how many seconds so many frames between two take; 0 while too little is known."""
        known = [each for each, costs in self._costs.items() if len(costs) >= _ENOUGH]
        if not times or not known:
            return 0.0
        nearest = min(known, key=lambda each: (abs(each - times), each))
        # The flow between the two, which serves all of them, takes about as long as one of them.
        return median(self._costs[nearest]) * (times + 1) / (nearest + 1)

    def spent(self, times: int, seconds: float) -> None:
        """Note what so many frames between two have cost."""
        self._costs.setdefault(times, deque(maxlen=_REMEMBERED)).append(seconds)

    def most(self, wanted: int, interval: float, now: float) -> int:
        """Return how many of the frames that are wanted between two to make.

        Args:
            wanted: one or more.
            interval: seconds between the two.
            now: monotonic clock.
        """
        self._wanted = max(self._wanted, wanted)
        if self.limit is not None and now - self._changed > self._patience:
            self._try_more(now)
        times = wanted if self.limit is None else min(wanted, self.limit)
        affordable = times
        while affordable and self.cost(affordable) > _FULL * interval:
            affordable -= 1
        if affordable < times:
            self._patience = min(2 * self._patience, _MOST_PATIENCE) if self._tries else _PATIENCE
            self.limit, self._changed, self._tries = affordable, now, False
        return affordable

    def _try_more(self, now: float) -> None:
        assert self.limit is not None  # noqa: S101 - checked by the caller
        if self._tries:
            self._patience = _PATIENCE  # the last try went well
        self._tries = True
        self.limit, self._changed = self.limit + 1, now
        for times in [known for known in self._costs if known >= self.limit]:
            del self._costs[times]  # measured while something else may have run
        if self.limit >= self._wanted:
            self.limit = None
