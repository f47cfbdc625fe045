"""The first stage of a video's way: decoded, and cut into the intervals between its frames."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av import Packet, VideoFrame
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from media.colour import SourceFrame
from media.damage import Damage
from media.errors import MediaError
from media.filling import Interval
from media.schedule import LONGEST_GAP, PORTION, Schedule, on_the_beat
from runtime.cuts import CutDetector


class Decoding:
    """The first stage: packets to intervals; copied streams' packets pass as they are.

    Attributes:
        frames_read, frames_left_out, cuts, damage, seconds: as `VideoSummary` has them; they are
            true once `run` has ended.
    """

    def __init__(
        self,
        reader: InputContainer,
        stream: VideoStream,
        source: Path,
        *,
        copied: list[Stream],
        rate: Fraction,
        schedule: Schedule,
        cut_threshold: float | None,
    ) -> None:
        self.frames_read = self.frames_left_out = self.cuts = 0
        self.damage: list[str] = []
        self.seconds = 0.0
        self._start = Fraction(0)  # when the first frame is shown in the source
        self._reader = reader
        self._stream = stream
        self._copied = {stream.index for stream in copied}
        self._source = source
        self._rate = rate
        self._schedule = schedule
        self._watched = Damage(reader, stream, source)
        self._is_cut = (lambda _: False) if cut_threshold is None else CutDetector(cut_threshold)

    def run(self) -> Iterator[Interval | Packet[Any]]:
        """Yield the intervals before each frame, and those of the last frame until the end.

        Raises:
            MediaError: none of its frames can be decoded; it is interlaced; its times run
                backwards, or leap by more than a day.
        """
        before: SourceFrame | None = None
        at = said = Fraction(0)
        length = 1 / self._rate
        for item in self._in_order():
            if isinstance(item, Packet):
                yield item
                continue
            started = time.perf_counter()
            earlier, said = said, self._said(item, said, first=before is None)
            if before is not None and said <= earlier:
                self._left_out(said, earlier)
                continue
            length = item.duration * item.time_base if item.duration and item.time_base else length
            after = self._converted(item)
            is_cut = self._is_cut(after.rgb)
            still = before is not None and np.array_equal(before.rgb, after.rgb)
            self.frames_read += 1
            self.cuts += is_cut
            self.seconds += time.perf_counter() - started
            beat = self._on_the_beat(said)
            end = beat if beat > at else said  # no two frames may meet on one beat
            yield from self._portions(
                before, after, (at, end), "cut" if is_cut else "still" if still else "motion"
            )
            before, at = after, end
        self.damage = self._watched.found()
        if before is not None:
            yield from self._portions(before, before, (at, self._on_the_beat(at + length)), "still")
        else:
            reasons = "; ".join(self.damage) or "it holds no picture that could be shown"
            raise MediaError(f"{self._source}: none of its frames can be decoded: {reasons}")

    def _portions(
        self,
        before: SourceFrame | None,
        after: SourceFrame,
        times: tuple[Fraction, Fraction],
        kind: Literal["motion", "still", "cut"],
    ) -> Iterator[Interval]:
        """Yield an interval in pieces, for a gap may be long and its frames large."""
        start, end = times
        if end - start > LONGEST_GAP:
            raise MediaError(
                f"{self._source}: shows one frame for {float(end - start) / 3600:.1f} hours, from "
                f"{self._watched.at(self._start + start)} on; expected {LONGEST_GAP / 3600} at "
                "most: its times are damaged; remux it, or cut it there"
            )
        wanted = self._schedule.between(start, end) if before is not None else iter(())
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
                f"{self._watched.at(self._start + earlier)}, as in files joined end to end; "
                "remux it, or take it apart"
            )
        self.frames_left_out += 1

    def _in_order(self) -> Iterator[VideoFrame | Packet[Any]]:
        """Leave out a frame whose time is not between its neighbours', for that is damage.

        Times that start anew go on behind the frame before, as in files joined end to end; those
        are not mended.
        """
        shown: int | None = None
        interval = 0
        held: VideoFrame | None = None
        for item in chain(self._frames(), [None]):
            if isinstance(item, Packet):
                yield item
                continue
            if held is not None:
                at = self._stamp(held)
                following = self._stamp(item) if item else sys.maxsize
                if _strays(shown, at, following, interval):
                    self._watched.leapt(held)
                else:
                    yield held
                    interval = 0 if at is None or shown is None else at - shown
                    shown = at
            held = item

    def _stamp(self, frame: VideoFrame) -> int | None:
        # AVI says when to decode and not when to show, which FFmpeg makes up; for H.264 wrongly.
        return frame.dts if self._reader.format.name == "avi" else frame.pts

    def _said(self, frame: VideoFrame, before: Fraction, *, first: bool) -> Fraction:
        """Return when a frame is shown by its own timestamp."""
        stamp = self._stamp(frame)
        if stamp is None or frame.time_base is None:
            return Fraction(0) if first else before + 1 / self._rate
        if first:
            self._start = stamp * frame.time_base
        return stamp * frame.time_base - self._start

    def _on_the_beat(self, said: Fraction) -> Fraction:
        return on_the_beat(said, self._rate, self._stream.time_base or Fraction(1))

    def _frames(self) -> Iterator[VideoFrame | Packet[Any]]:
        for packet in self._packets():
            stream = packet.stream  # an empty packet, which ends a stream, always has index 0
            if stream.index != self._stream.index:
                if packet.dts is not None and stream.index in self._copied:
                    yield packet  # one without a time ends its stream
                continue
            started = time.perf_counter()
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self._watched.failed(packet)
                continue
            self.seconds += time.perf_counter() - started
            for frame in frames:
                self._check(frame)
                self._watched.decoded(frame)
                yield frame

    def _packets(self) -> Iterator[Packet[Any]]:
        """Yield the packets of all streams, for the end of any tells how much is missing."""
        try:
            for packet in self._reader.demux():
                self._watched.read(packet)
                yield packet
        except IndexError:
            return  # PyAV looks for the end of a stream that appeared half way; ours have ended
        except av.FFmpegError as error:
            self._watched.broken_off(error)
            last: Packet[Any] = Packet()  # empty: the decoder gives what it still holds
            last.stream, last.time_base = self._stream, self._stream.time_base or Fraction(1)
            yield last

    def _check(self, frame: VideoFrame) -> None:
        if frame.interlaced_frame:
            raise MediaError(
                f"{self._source}: is interlaced, and its half frames would be morphed; deinterlace "
                f"it first: ffmpeg -i {shlex.quote(str(self._source))} -map 0 -vf bwdif -crf 12 "
                "-c:a copy -c:s copy whole.mkv"
            )


def _strays(before: int | None, at: int | None, after: int | None, interval: int) -> bool:
    """Say whether a time is not between its neighbours', which are in order."""
    if before is None or at is None or after is None or not before < after:
        return False
    if at <= after:
        return at < before
    # Either it leapt ahead, or the next one lags: whichever is farther from what was due.
    due = before + interval
    return abs(at - due) > abs(after - due)
