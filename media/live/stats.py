"""What a live stream comes to, for people and for programs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from media.live.pacing import Counts

_TICK = 0.001  # seconds: how exactly latencies are kept, so that an endless stream takes no memory
_LONGEST = 60.0


@dataclass(frozen=True)
class LiveStats:
    """How a live stream does, now or in all.

    Attributes:
        seconds: since the start.
        fps_in, fps_out: frames a second that came, and that the sink took: of the last second, or
            of the whole.
        latency_median, latency_p99: from when a moment came in, by the source's least delayed
            frames, until the sink had it; seconds, of the last second or of the whole; None where
            nothing was sent.
        read: frames of the source.
        dropped: of them, those that came too fast.
        passed, made, repeated: frames of the output that were the source's own, made, or another
            frame in the place of one that was not there in time.
        skipped: frames of the output that the sink did not take in time.
        limit: the most frames that are made between two, for want of time; None for all.
        reconnects: how often the source was opened again.
    """

    seconds: float
    fps_in: float
    fps_out: float
    latency_median: float | None
    latency_p99: float | None
    read: int
    dropped: int
    passed: int
    made: int
    repeated: int
    skipped: int
    limit: int | None
    reconnects: int


class Meter:
    """Measures a span of a stream.

    Args:
        now: monotonic clock.
        counts: at its beginning.
    """

    def __init__(self, now: float, counts: Counts) -> None:
        self._began = now
        self._read = counts.read
        self._latencies: Counter[int] = Counter()

    def sent(self, latency: float) -> None:
        """Note a frame that the sink has taken, so many seconds after it came in."""
        self._latencies[round(min(max(latency, 0), _LONGEST) / _TICK)] += 1

    def rates(self, now: float, counts: Counts) -> tuple[float, float]:
        """Return frames a second, in and out."""
        seconds = max(now - self._began, _TICK)
        return (counts.read - self._read) / seconds, sum(self._latencies.values()) / seconds

    def percentile(self, share: float) -> float | None:
        """Return the latency that this share of all frames did not exceed, seconds."""
        left = share * sum(self._latencies.values())
        for ticks in sorted(self._latencies):
            left -= self._latencies[ticks]
            if left <= 0:
                return round(ticks * _TICK, 3)
        return None
