"""The second stage of a video's way: its intervals filled up with frames by the network."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from av import Packet, VideoFrame
from numpy.typing import NDArray

from media.colour import SourceFrame, video_frame
from media.schedule import Wanted
from media.summary import VideoSummary
from runtime.frames import Frame
from runtime.interpolator import Interpolator


@dataclass(frozen=True)
class Interval:
    """Two source frames, and a portion of what is wanted from the first until just before the next.

    Nothing comes before the first of all; after the last comes itself, until the end.
    """

    before: SourceFrame | None
    after: SourceFrame
    wanted: list[Wanted]
    kind: Literal["motion", "still", "cut"]


@dataclass(frozen=True)
class Shown:
    """A frame of the output: made, or one of the source."""

    time: Fraction
    duration: Fraction
    frame: VideoFrame | Callable[[], VideoFrame]


def filled(
    interpolate: Interpolator, items: Iterator[Interval | Packet[Any]], done: VideoSummary
) -> Iterator[Shown | Packet[Any]]:
    """Yield the frames that are shown, and the packets that pass, in their order."""
    passing: deque[Packet[Any]] = deque()
    asked: deque[Interval | None] = deque()
    waited = 0.0

    def wanted() -> Iterator[tuple[Frame, list[float]]]:
        nonlocal waited
        last: SourceFrame | None = None
        while True:
            started = time.perf_counter()
            item = next(items, None)
            waited += time.perf_counter() - started
            if isinstance(item, Packet):
                passing.append(item)
                continue
            if item is None:
                return
            if item.before is not None and item.before is not last:  # a further portion
                asked.append(None)
                yield item.before.rgb, []
            asked.append(item)
            last = item.after
            times = [float(w.t) for w in item.wanted if w.t] if item.kind == "motion" else []
            yield item.after.rgb, times

    steps = interpolate.fill(wanted())
    try:
        while True:
            started, waited_before = time.perf_counter(), waited
            step = next(steps, None)
            busy = time.perf_counter() - started - (waited - waited_before)
            done.inference_seconds += busy
            while passing:
                yield passing.popleft()
            if step is None:
                return
            interval = asked.popleft()
            if interval is not None:
                yield from _between(interval, step[1], done)
    finally:
        if hasattr(items, "close"):
            items.close()


def _between(interval: Interval, frames: NDArray[Any], done: VideoSummary) -> Iterator[Shown]:
    before, after = interval.before, interval.after
    made = iter(frames)
    for t, at, duration in interval.wanted:
        assert before is not None  # noqa: S101 - the first frame has no interval before it
        if t == 0:
            yield Shown(at, duration, before.video)
        elif interval.kind == "motion":
            done.frames_made += 1
            yield Shown(at, duration, _converted(next(made), float(t), before, after))
        else:
            done.frames_repeated += 1
            nearer = after if t >= Fraction(1, 2) else before
            yield Shown(at, duration, nearer.video)


def _converted(
    rgb: NDArray[Any], t: float, before: SourceFrame, after: SourceFrame
) -> Callable[[], VideoFrame]:
    """Return the conversion itself, which is the encoder's work and not the network's."""
    return lambda: video_frame(rgb, t, before, after)
