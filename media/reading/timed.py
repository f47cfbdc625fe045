"""Frames of a video, or of a segment of it, and when they are shown."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from av import Packet, VideoFrame

from media.errors import MediaError
from media.reading.damage import Damage
from media.reading.segments import Segment
from media.schedule import on_the_beat


class Timed(NamedTuple):
    """A frame, when it is shown by its own timestamp, and when it is meant to be shown."""

    frame: VideoFrame
    said: Fraction
    at: Fraction


class TimedFrames:
    """Frames with their times, counted in seconds from the first of the whole on; packets pass.

    Args:
        frames: in the order in which they are shown; and packets.
        watched: what messages name times by.
        base: what every time of the source is a multiple of, seconds.
        rate: frames a second, on average.
        early: how many frames before the segment's own are wanted, of the same part.
        start: see `Decoding`.

    Attributes:
        start: when the first frame of the whole is shown in the source, seconds; true once there is
            a frame.
        left_out: how many of the segment's frames have the time of the one before.
        length: for how long the last frame is shown, seconds; true once `run` has ended.
    """

    def __init__(
        self,
        frames: Iterator[VideoFrame | Packet[Any]],
        watched: Damage,
        source: Path,
        segment: Segment,
        *,
        base: Fraction,
        rate: Fraction,
        early: int,
        start: Fraction,
    ) -> None:
        self.start = start
        self.left_out = 0
        self.length = 1 / rate
        self._frames = frames
        self._watched = watched
        self._source = source
        self._segment = segment
        self._base = base
        self._rate = rate
        self._early = early

    def run(self) -> Iterator[Timed | Packet[Any]]:
        """Yield the segment's frames and those around it, but none after a part's last.

        Raises:
            MediaError: as `Decoding.run` does.
        """
        early: deque[Timed] = deque(maxlen=self._early)
        at = Fraction(0)
        for item in self._timed():
            if isinstance(item, Packet):
                yield item
                continue
            if self._segment.closes and self.is_beyond(item.said):
                self.length = item.at - at
                return
            frame, at = item.frame, item.at
            if frame.duration and frame.time_base:
                self.length = frame.duration * frame.time_base
            if not self._is_before(item.said):
                yield from early
                early.clear()
                yield item
            elif item.said >= 0:  # else it is before a part's first
                early.append(item)

    def holds(self, said: Fraction) -> bool:
        """Say whether a frame is one of the segment, by its own timestamp."""
        return not self._is_before(said) and not self.is_beyond(said)

    def _is_before(self, said: Fraction) -> bool:
        begin = self._segment.begin
        return begin is not None and said < begin * self._base - self.start

    def is_beyond(self, said: Fraction) -> bool:
        """Say whether a frame is shown after the segment, by its own timestamp."""
        end = self._segment.end
        return end is not None and said >= end * self._base - self.start

    def end(self, at: Fraction) -> Fraction:
        """Return when the last frame, shown from `at` on, gives way to nothing."""
        end = at + self.length
        if self._segment.closes and self._segment.end is not None:
            end = min(end, self._segment.end * self._base - self.start)
        beat = self._on_the_beat(end)
        return beat if beat > at else end

    def name(self, said: Fraction) -> str:
        """Return when that is in the source, for people."""
        return self._watched.at(self.start + said)

    def _timed(self) -> Iterator[Timed | Packet[Any]]:
        """Say when each frame is shown; leave out those that have the time of the one before."""
        said, at = None, Fraction(0)
        for item in self._frames:
            if isinstance(item, Packet):
                yield item
                continue
            earlier, said = said, self._said(item, said)
            if earlier is not None and said <= earlier:
                self._left_out(said, earlier)
                continue
            beat = self._on_the_beat(said)
            at = beat if beat > at else said  # no two frames may meet on one beat
            yield Timed(item, said, at)

    def _left_out(self, said: Fraction, earlier: Fraction) -> None:
        if said < earlier:
            raise MediaError(
                f"{self._source}: its times run backwards after "
                f"{self.name(earlier)}, as in files joined end to end; "
                "remux it, or take it apart"
            )
        self.left_out += self.holds(said)

    def _said(self, frame: VideoFrame, before: Fraction | None) -> Fraction:
        """Return when a frame is shown by its own timestamp."""
        stamp = frame.pts
        if stamp is None or frame.time_base is None:
            return Fraction(0) if before is None else before + 1 / self._rate
        if before is None and self._segment.begin is None:
            self.start = stamp * frame.time_base
        return stamp * frame.time_base - self.start

    def _on_the_beat(self, said: Fraction) -> Fraction:
        return on_the_beat(said, self._rate, self._base)
