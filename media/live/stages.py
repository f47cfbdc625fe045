"""The threads of a live stream: what takes in, what makes, and what presents."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from av import VideoFrame

from media.colour import SourceFrame, video_frame
from media.live.capture import Capture
from media.live.pacing import Counts, Pacing, Pair
from media.live.sink import Sink
from media.live.stats import LiveStats, Meter
from media.options import Tell
from runtime.cuts import CutDetector
from runtime.interpolator import Interpolator

_PERIOD = 1.0  # seconds between two statistics
_GLANCE = 0.05  # seconds that a thread sleeps at most before it looks again
_FAREWELL = 3.0  # seconds that a thread which waits for others is given to end


class Filler:
    """Makes the frames between two, for one thread.

    Args:
        cut_threshold: see `CutDetector`; None looks for no cuts.
    """

    def __init__(self, interpolate: Interpolator, cut_threshold: float | None) -> None:
        self._interpolate = interpolate
        self._is_cut = (lambda _: False) if cut_threshold is None else CutDetector(cut_threshold)
        self._before: SourceFrame | None = None
        self._of: Any = None  # the decoded frame that it was converted from
        self._warm = False

    def made(self, pair: Pair) -> list[VideoFrame]:
        """Return what is wanted between two decoded frames; nothing at a cut, or where they match.

        Raises:
            FrameError, ArtifactError, BackendError: as for a call of the interpolator.
        """
        before = self._before if self._of is pair.before else None
        if before is None:
            before = SourceFrame.of(pair.before)
            self._is_cut(before.rgb)
        after = SourceFrame.of(pair.after)
        self._before, self._of = after, pair.after
        is_cut = self._is_cut(after.rgb)
        if not self._warm:
            height, width = after.rgb.shape[:2]
            self._interpolate.warm_up(height, width, max(len(pair.wanted), 1))
            self._warm = True
            return []  # it is too late for these
        if is_cut or not pair.wanted or np.array_equal(before.rgb, after.rgb):
            return []
        times = [float(each.t) for each in pair.wanted]
        frames = self._interpolate(before.rgb, after.rgb, times)
        return [video_frame(rgb, t, before, after) for rgb, t in zip(frames, times, strict=True)]


class LiveStages:
    """Three threads around what `Pacing` decides, and the one that called, which attends.

    Args:
        stopping: set when all are to end, by whoever says so.
        tell: called with lines for people.
    """

    def __init__(
        self,
        capture: Capture,
        filler: Filler,
        sink: Sink,
        pacing: Pacing,
        stopping: threading.Event,
        tell: Tell,
    ) -> None:
        self._capture = capture
        self._filler = filler
        self._sink = sink
        self._pacing = pacing
        self._stopping = stopping
        self._tell = tell
        self._ended = threading.Event()  # the source
        self._news = threading.Condition()  # a frame has come; held by who talks to the pacing
        self._failed: list[BaseException] = []
        self._began = time.monotonic()
        self._whole = Meter(self._began, Counts())
        self._second = Meter(self._began, Counts())

    def run(self, watch: Callable[[LiveStats], None], seconds: float | None) -> None:
        """Run until `stopping` is set, by the end of the source or of the seconds or from outside.

        Raises:
            Exception: what a thread raised.
        """
        take_in, make, present = (
            threading.Thread(target=self._watched, args=[stage], daemon=True)
            for stage in (self._take_in, self._make, self._present)
        )
        for thread in (take_in, make, present):
            thread.start()
        try:
            self._attend(watch, seconds)
        finally:
            self._stopping.set()
            make.join()
            present.join(_FAREWELL)
            if present.is_alive():
                self._sink.abandon()
                self._tell("the sink takes nothing any more; what it has not taken is lost")
            take_in.join(_FAREWELL)
        if self._failed:
            raise self._failed[0]

    def stats(self) -> LiveStats:
        """Return those of the whole."""
        return self._stats(self._whole)

    def _watched(self, stage: Callable[[], None]) -> None:
        try:
            stage()
        except BaseException as error:
            self._failed.append(error)
            self._stopping.set()

    def _take_in(self) -> None:
        for frame, stamp, rate, base, first in self._capture.frames():
            if first and self._pacing.latency * rate <= 1:
                self._tell(
                    f"a latency of {1000 * self._pacing.latency:g} ms is no more than there is "
                    f"between two frames of the source, {1000 / float(rate):.0f} ms: none can be "
                    "made"
                )
            with self._news:
                if first:
                    self._pacing.timeline.interrupted()
                self._pacing.arrived(frame, stamp, rate, base, time.monotonic())
                self._news.notify_all()
        self._ended.set()

    def _make(self) -> None:
        while not self._stopping.is_set():
            with self._news:
                pair = self._pacing.pair(time.monotonic())
                if pair is None:
                    self._news.wait(_GLANCE)
                    continue
            started = time.monotonic()
            frames = self._filler.made(pair)
            if frames:
                with self._news:
                    self._pacing.made(pair, frames, time.monotonic() - started)

    def _present(self) -> None:
        while not self._stopping.is_set():
            with self._news:
                due = self._pacing.due()
                if self._ended.is_set() and self._pacing.is_over():
                    self._stopping.set()
                    return
                ahead = _GLANCE if due is None else due - time.monotonic()
                shown = None if ahead > 0 else self._pacing.show(time.monotonic())
            if shown is None:
                self._stopping.wait(min(ahead, _GLANCE))
                continue
            taken = self._sink.write(shown.picture, shown.time)
            with self._news:
                self._pacing.sent(shown, taken=taken)
                if taken:
                    latency = time.monotonic() - shown.due + self._pacing.latency
                    self._whole.sent(latency)
                    self._second.sent(latency)

    def _attend(self, watch: Callable[[LiveStats], None], seconds: float | None) -> None:
        """Say every second how it goes, and what has changed and stayed so."""
        said = held = None
        end = None if seconds is None else self._began + seconds
        due = self._began + _PERIOD
        while not self._stopping.is_set():
            now = time.monotonic()
            if end is not None and now >= end:
                return
            if now < due:
                self._stopping.wait(min(due, end or due) - now)
                continue
            due += _PERIOD
            stats = self._stats(self._second)
            with self._news:
                self._second = Meter(now, replace(self._pacing.counts))
            watch(stats)
            if stats.limit != said and stats.limit == held:
                said = stats.limit
                self._tell(_of_limit(said))
            held = stats.limit

    def _stats(self, meter: Meter) -> LiveStats:
        with self._news:
            now, counts = time.monotonic(), self._pacing.counts
            fps_in, fps_out = meter.rates(now, counts)
            return LiveStats(
                seconds=round(now - self._began, 3),
                fps_in=round(fps_in, 2),
                fps_out=round(fps_out, 2),
                latency_median=meter.percentile(0.5),
                latency_p99=meter.percentile(0.99),
                read=counts.read,
                dropped=counts.dropped,
                passed=counts.passed,
                made=counts.made,
                repeated=counts.repeated,
                skipped=counts.skipped,
                limit=self._pacing.capacity.limit,
                reconnects=self._capture.reconnects,
            )


def _of_limit(limit: int | None) -> str:
    if limit is None:
        return "the machine keeps up: all frames between two are made"
    if limit:
        return f"too slow for all: at most {limit} between two source frames, others are repeated"
    return "too slow to make any between two source frames: those are repeated"
