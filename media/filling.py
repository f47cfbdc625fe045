"""The second stage of a video's way: its intervals filled up with frames by the network."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, Protocol

import numpy as np
from av import Packet, VideoFrame
from numpy.typing import NDArray

from media.colour import SourceFrame, video_frame
from media.schedule import Wanted
from runtime.frames import Frame

Kind = Literal["motion", "still", "cut"]


@dataclass(frozen=True)
class Interval:
    """Two source frames, and a portion of what is wanted from the first until just before the next.

    Nothing comes before the first of all; after the last comes itself, until the end.

    Attributes:
        start: when the first of all is shown in the source, seconds.
    """

    before: SourceFrame | None
    after: SourceFrame
    wanted: list[Wanted]
    kind: Kind
    start: Fraction


@dataclass(frozen=True)
class Shown:
    """A frame of the output: made, or one of the source; `start` as of its interval."""

    time: Fraction
    duration: Fraction
    frame: VideoFrame | Callable[[], VideoFrame]
    start: Fraction


class Interpolates(Protocol):
    """What makes the frames."""

    def fill(
        self, frames: Iterable[tuple[Frame, Sequence[float] | NDArray[np.float32]]]
    ) -> Iterator[tuple[Frame, NDArray[Any]]]:
        """See `Interpolator.fill`."""


class Filling:
    """The second stage: intervals to the frames that are shown; packets pass, in their order.

    Attributes:
        frames_made, frames_repeated, seconds: as `VideoSummary` has them; they are true once `run`
            has ended.
    """

    def __init__(self, interpolate: Interpolates) -> None:
        self.frames_made = self.frames_repeated = 0
        self.seconds = 0.0
        self._interpolate = interpolate
        self._passing: deque[Packet[Any]] = deque()
        self._asked: deque[Interval | None] = deque()
        self._waited = 0.0  # seconds, for the stage before

    def run(self, items: Iterator[Interval | Packet[Any]]) -> Iterator[Shown | Packet[Any]]:
        """Yield what is shown, and the packets."""
        steps = self._interpolate.fill(self._wanted(items))
        try:
            while True:
                started, waited = time.perf_counter(), self._waited
                step = next(steps, None)
                self.seconds += time.perf_counter() - started - (self._waited - waited)
                while self._passing:
                    yield self._passing.popleft()
                if step is None:
                    return
                interval = self._asked.popleft()
                if interval is not None:
                    yield from self._shown(interval, step[1])
        finally:
            if hasattr(items, "close"):
                items.close()

    def _wanted(
        self, items: Iterator[Interval | Packet[Any]]
    ) -> Iterator[tuple[Frame, list[float]]]:
        last: SourceFrame | None = None
        while True:
            started = time.perf_counter()
            item = next(items, None)
            self._waited += time.perf_counter() - started
            if isinstance(item, Packet):
                self._passing.append(item)
                continue
            if item is None:
                return
            if item.before is not None and item.before is not last:  # a further portion
                self._asked.append(None)
                yield item.before.rgb, []
            self._asked.append(item)
            last = item.after
            times = [float(w.t) for w in item.wanted if w.t] if item.kind == "motion" else []
            yield item.after.rgb, times

    def _shown(self, interval: Interval, frames: NDArray[Any]) -> Iterator[Shown]:
        before, after, start = interval.before, interval.after, interval.start
        made = iter(frames)
        for t, at, duration in interval.wanted:
            assert before is not None  # noqa: S101 - the first frame has no interval before it
            if t == 0:
                yield Shown(at, duration, before.video, start)
            elif interval.kind == "motion":
                self.frames_made += 1
                converted = _converted(next(made), float(t), before, after)
                yield Shown(at, duration, converted, start)
            else:
                self.frames_repeated += 1
                nearer = after if t >= Fraction(1, 2) else before
                yield Shown(at, duration, nearer.video, start)


def _converted(
    rgb: NDArray[Any], t: float, before: SourceFrame, after: SourceFrame
) -> Callable[[], VideoFrame]:
    """Return the conversion itself, which is the encoder's work and not the network's."""
    return lambda: video_frame(rgb, t, before, after)
