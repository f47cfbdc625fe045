"""The first stage of a video's way: decoded, and cut into the intervals between its frames."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av import Packet, VideoFrame
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from media.colour import SourceFrame
from media.deinterlacing import Deinterlacing, whole_frames
from media.errors import MediaError
from media.filling import Interval, Kind
from media.reading.damage import Losses
from media.reading.packets import Reading
from media.reading.segments import WHOLE, Segment
from media.schedule import LONGEST_GAP, PORTION, Schedule, on_the_beat
from runtime.cuts import CutDetector


class _Timed(NamedTuple):
    """A frame, when it is shown by its own timestamp, and when it is meant to be shown."""

    frame: VideoFrame
    said: Fraction
    at: Fraction


class Decoding:
    """The first stage: packets to intervals; copied streams' packets pass as they are.

    An interval belongs to the segment that its first frame belongs to.

    Args:
        copied: streams whose packets pass; none beside another segment than `WHOLE`.
        segment: what of the stream.
        start: when the first frame of the whole is shown in the source, seconds; for segments that
            do not begin with it.

    Attributes:
        frames_read, frames_left_out, cuts: as `VideoSummary` has them; they are true once `run` has
            ended.
        shown_from: when the segment's first frame is shown in the source, seconds; true once `run`
            has yielded it.
    """

    def __init__(
        self,
        reader: InputContainer,
        stream: VideoStream,
        source: Path,
        *,
        copied: Sequence[Stream],
        rate: Fraction,
        schedule: Schedule,
        cut_threshold: float | None,
        deinterlacing: Deinterlacing | None = None,
        segment: Segment = WHOLE,
        start: Fraction = Fraction(0),
    ) -> None:
        self.frames_read = self.frames_left_out = self.cuts = 0
        self.shown_from = start
        self._reading = Reading(reader, stream, source, copied, segment)
        self._segment = segment
        self._start = start
        self._base = stream.time_base or Fraction(1)
        self._stream = stream
        self._source = source
        self._deinterlacing = deinterlacing
        self._rate = rate
        self._schedule = schedule
        self._seconds = 0.0
        self._is_cut = (lambda _: False) if cut_threshold is None else CutDetector(cut_threshold)

    @property
    def seconds(self) -> float:
        """As `VideoSummary.decode_seconds`, once `run` has ended."""
        return self._reading.seconds + self._seconds

    def losses(self) -> Losses:
        """See `Reading.losses`; once `run` has ended."""
        return self._reading.losses()

    def damage(self) -> list[str]:
        """As `VideoSummary.damage`, of the whole; once `run` has ended."""
        return self._reading.watched.found()

    def run(self) -> Iterator[Interval | Packet[Any]]:
        """Yield the intervals before each frame, and those of the last frame until the end.

        Raises:
            MediaError: none of its frames can be decoded; it is interlaced; its times run
                backwards, or leap by more than a day.
        """
        before: SourceFrame | None = None
        before_segment: VideoFrame | None = None
        at, length = Fraction(0), 1 / self._rate
        begun = False  # whether an interval from `before` on is one of the segment
        for item in self._timed():
            if isinstance(item, Packet):
                yield item
                continue
            if self._segment.closes and self._is_beyond(item.said):
                length = item.at - at
                break
            frame = item.frame
            if frame.duration and frame.time_base:
                length = frame.duration * frame.time_base
            if self._is_before(item.said):
                before_segment = frame
                continue
            started = time.perf_counter()
            if before_segment is not None:
                before, before_segment = self._converted(before_segment), None
                self._is_cut(before.rgb)
            after = self._converted(frame)
            is_cut = self._is_cut(after.rgb)
            still = before is not None and np.array_equal(before.rgb, after.rgb)
            self._seconds += time.perf_counter() - started
            if begun and before is not None:
                self.cuts += is_cut
                kind: Kind = "cut" if is_cut else "still" if still else "motion"
                yield from self._portions(before, after, (at, item.at), kind)
            if self._is_beyond(item.said):
                return
            if not begun:
                self.shown_from = self._start + item.said
                yield Interval(None, after, [], "motion", self._start)
            begun, before, at = True, after, item.at
            self.frames_read += 1
        if begun and before is not None:
            yield from self._portions(before, before, (at, self._end(at, length)), "still")
        elif self._segment == WHOLE:
            reasons = "; ".join(self.damage()) or "it holds no picture that could be shown"
            raise MediaError(f"{self._source}: none of its frames can be decoded: {reasons}")

    def _end(self, at: Fraction, length: Fraction) -> Fraction:
        """Return when the last frame, shown so long from `at` on, gives way to nothing."""
        end = at + length
        if self._segment.closes and self._segment.end is not None:
            end = min(end, self._segment.end * self._base - self._start)
        beat = self._on_the_beat(end)
        return beat if beat > at else end

    def _is_before(self, said: Fraction) -> bool:
        begin = self._segment.begin
        return begin is not None and said < begin * self._base - self._start

    def _is_beyond(self, said: Fraction) -> bool:
        end = self._segment.end
        return end is not None and said >= end * self._base - self._start

    def _timed(self) -> Iterator[_Timed | Packet[Any]]:
        """Say when each frame is shown; leave out those that have the time of the one before."""
        said, at = None, Fraction(0)
        for item in self._whole_frames():
            if isinstance(item, Packet):
                yield item
                continue
            earlier, said = said, self._said(item, said)
            if earlier is not None and said <= earlier:
                self._left_out(said, earlier)
                continue
            beat = self._on_the_beat(said)
            at = beat if beat > at else said  # no two frames may meet on one beat
            yield _Timed(item, said, at)

    def _whole_frames(self) -> Iterator[VideoFrame | Packet[Any]]:
        items = self._reading.run()
        return whole_frames(items, self._deinterlacing, self._stream, self._source)

    def _portions(
        self,
        before: SourceFrame,
        after: SourceFrame,
        times: tuple[Fraction, Fraction],
        kind: Kind,
    ) -> Iterator[Interval]:
        """Yield an interval in pieces, for a gap may be long and its frames large."""
        start, end = times
        if end - start > LONGEST_GAP:
            raise MediaError(
                f"{self._source}: shows one frame for {float(end - start) / 3600:.1f} hours, from "
                f"{self._at(start)} on; expected {LONGEST_GAP / 3600} at most: its times are "
                "damaged; remux it, or cut it there"
            )
        wanted = self._schedule.between(start, end)
        yield Interval(before, after, list(islice(wanted, PORTION)), kind, self._start)
        while portion := list(islice(wanted, PORTION)):
            yield Interval(before, after, portion, kind, self._start)

    def _converted(self, frame: VideoFrame) -> SourceFrame:
        try:
            return SourceFrame.of(frame)
        except av.FFmpegError as error:
            raise MediaError(
                f"{self._source}: FFmpeg does not convert its pixel format, {frame.format.name}, "
                f"to RGB ({error.strerror}); convert it to another first, such as yuv444p"
            ) from error

    def _left_out(self, said: Fraction, earlier: Fraction) -> None:
        if said < earlier:
            raise MediaError(
                f"{self._source}: its times run backwards after "
                f"{self._at(earlier)}, as in files joined end to end; "
                "remux it, or take it apart"
            )
        if not self._is_before(said) and not self._is_beyond(said):
            self.frames_left_out += 1

    def _said(self, frame: VideoFrame, before: Fraction | None) -> Fraction:
        """Return when a frame is shown by its own timestamp."""
        stamp = frame.pts
        if stamp is None or frame.time_base is None:
            return Fraction(0) if before is None else before + 1 / self._rate
        if before is None and self._segment.begin is None:
            self._start = stamp * frame.time_base
        return stamp * frame.time_base - self._start

    def _at(self, said: Fraction) -> str:
        return self._reading.watched.at(self._start + said)

    def _on_the_beat(self, said: Fraction) -> Fraction:
        return on_the_beat(said, self._rate, self._base)
