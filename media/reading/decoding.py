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
from media.deinterlacing import Deinterlacing, frames_of_one, whole_frames
from media.errors import MediaError
from media.filling import Interval, Kind
from media.reading.damage import Losses
from media.reading.packets import Reading
from media.reading.segments import WHOLE, Segment
from media.reading.timed import TimedFrames
from media.schedule import LONGEST_GAP, PORTION, Schedule
from runtime.cuts import CutDetector
from runtime.repeats import RUN_UP, RepeatFinder


class _Judged(NamedTuple):
    """A frame, its times, and whether it begins a scene, or repeats the one before."""

    frame: SourceFrame
    said: Fraction
    at: Fraction
    is_cut: bool
    is_repeat: bool = False


class Decoding:
    """The first stage: packets to intervals; copied streams' packets pass as they are.

    An interval belongs to the segment that its first frame belongs to; it lies between two frames,
    or with `dedup` between two that are no repeats.

    Args:
        copied: streams whose packets pass; none beside another segment than `WHOLE`.
        segment: what of the stream.
        start: when the first frame of the whole is shown in the source, seconds; for segments that
            do not begin with it.

    Attributes:
        frames_read, cuts, repeats: as `VideoSummary` has them; they are true once `run` has ended.
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
        dedup: bool = False,
        deinterlacing: Deinterlacing | None = None,
        segment: Segment = WHOLE,
        start: Fraction = Fraction(0),
    ) -> None:
        self.frames_read = self.cuts = self.repeats = 0
        self.shown_from = start
        self._reading = Reading(reader, stream, source, copied, segment)
        self._segment = segment
        self._timed = TimedFrames(
            whole_frames(
                self._reading.run(), deinterlacing, rate / frames_of_one(deinterlacing), source
            ),
            self._reading.watched,
            source,
            segment,
            base=stream.time_base or Fraction(1),
            rate=rate,
            early=RUN_UP if dedup else 0,
            start=start,
        )
        self._source = source
        self._schedule = schedule
        self._dedup = dedup
        self._seconds = 0.0
        self._is_cut = (lambda _: False) if cut_threshold is None else CutDetector(cut_threshold)

    @property
    def frames_left_out(self) -> int:
        """As `VideoSummary.frames_left_out`, once `run` has ended."""
        return self._timed.left_out

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
        times = [Fraction(0)]  # when `before` is shown, and its repeats
        begun = False  # whether an interval from `before` on is one of the segment
        for item in self._judged():
            if isinstance(item, Packet):
                yield item
                continue
            after, inside = item.frame, self._timed.holds(item.said)
            self.frames_read += inside
            if item.is_repeat:
                times.append(item.at)
                continue
            if begun and before is not None:
                self.cuts += item.is_cut
                self.repeats += len(times) - 1
                still = np.array_equal(before.rgb, after.rgb)
                kind: Kind = "cut" if item.is_cut else "still" if still else "motion"
                yield from self._portions(before, after, [*times, item.at], kind)
            if self._timed.is_beyond(item.said):
                return
            if inside and not begun:
                self.shown_from = self._timed.start + item.said
                yield Interval(None, after, [], "motion", self._timed.start)
                begun = True
            before, times = after, [item.at]
        if begun and before is not None:
            yield from self._portions(before, before, [*times, self._timed.end(times[0])], "still")
        elif self._segment == WHOLE:
            reasons = "; ".join(self.damage()) or "it holds no picture that could be shown"
            raise MediaError(f"{self._source}: none of its frames can be decoded: {reasons}")

    def _judged(self) -> Iterator[_Judged | Packet[Any]]:
        """Convert frames, and say what they are to those before; the others pass."""
        finder: RepeatFinder[_Judged] | None = RepeatFinder() if self._dedup else None
        for item in self._timed.run():
            if isinstance(item, Packet):
                yield item
                continue
            started = time.perf_counter()
            frame = self._converted(item.frame)
            judged = _Judged(frame, item.said, item.at, self._is_cut(frame.rgb))
            decided = [(judged, False)]
            if finder is not None:
                decided = finder.add(judged, frame.rgb, item.at, judged.is_cut)
            self._seconds += time.perf_counter() - started
            yield from (each._replace(is_repeat=repeat) for each, repeat in decided)
        if finder is not None:
            yield from (each for each, _ in finder.rest())

    def _portions(
        self,
        before: SourceFrame,
        after: SourceFrame,
        times: Sequence[Fraction],
        kind: Kind,
    ) -> Iterator[Interval]:
        """Yield an interval in pieces, for a gap may be long and its frames large."""
        start, end = times[0], times[-1]
        if end - start > LONGEST_GAP:
            raise MediaError(
                f"{self._source}: shows one frame for {float(end - start) / 3600:.1f} hours, from "
                f"{self._timed.name(start)} on; expected {LONGEST_GAP / 3600} at most: its times "
                "are damaged; remux it, or cut it there"
            )
        wanted = self._schedule.across(times)
        yield Interval(before, after, list(islice(wanted, PORTION)), kind, self._timed.start)
        while portion := list(islice(wanted, PORTION)):
            yield Interval(before, after, portion, kind, self._timed.start)

    def _converted(self, frame: VideoFrame) -> SourceFrame:
        try:
            return SourceFrame.of(frame)
        except av.FFmpegError as error:
            raise MediaError(
                f"{self._source}: FFmpeg does not convert its pixel format, {frame.format.name}, "
                f"to RGB ({error.strerror}); convert it to another first, such as yuv444p"
            ) from error
