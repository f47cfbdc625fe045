"""The stages of a video's way: decoded to intervals, intervals to the frames that are shown."""

from __future__ import annotations

import shlex
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av import Packet, VideoFrame
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from .colour import SourceFrame, video_frame, within_bits
from .cuts import CutDetector
from .errors import MediaError
from .frames import Frame
from .interpolator import Interpolator
from .timing import Timing, Wanted, on_the_beat


@dataclass
class VideoSummary:
    """What `interpolate_video` did.

    Attributes:
        width, height: of the frames, pixels.
        rate: of the output, frames a second, on average where the source's varies.
        frames_read: of the source.
        frames_made: by the network.
        frames_repeated: of the source, shown again: at cuts, in stills, after the last frame.
        cuts: scene cuts found.
        left_out: what of the source is not in the output, and why.
        decode_seconds, inference_seconds, encode_seconds: that the stages worked; they overlap.
    """

    width: int
    height: int
    rate: Fraction
    frames_read: int = 0
    frames_made: int = 0
    frames_repeated: int = 0
    frames_written: int = 0
    cuts: int = 0
    left_out: list[str] = field(default_factory=list)
    decode_seconds: float = 0
    inference_seconds: float = 0
    encode_seconds: float = 0


@dataclass(frozen=True)
class Interval:
    """A source frame, what is wanted since the one before, and how to come by it."""

    after: SourceFrame | None
    wanted: list[Wanted]
    kind: Literal["motion", "still", "cut"]


@dataclass(frozen=True)
class Shown:
    """A frame of the output: made, or one of the source."""

    time: Fraction
    duration: Fraction
    frame: VideoFrame | Callable[[], VideoFrame]


class Decoding:
    """The first stage: packets to intervals; copied streams' packets pass as they are.

    Attributes:
        start: when the first frame is shown in the source, seconds; known once it is yielded.
    """

    def __init__(
        self,
        reader: InputContainer,
        stream: VideoStream,
        copied: list[Stream],
        source: Path,
        rate: Fraction,
        timing: Timing,
        cut_threshold: float | None,
        done: VideoSummary,
    ) -> None:
        self.start = Fraction(0)
        self._reader = reader
        self._stream = stream
        self._copied = copied
        self._source = source
        self._rate = rate
        self._timing = timing
        self._done = done
        self._is_cut = (lambda _: False) if cut_threshold is None else CutDetector(cut_threshold)

    def run(self) -> Iterator[Interval | Packet[Any]]:
        """Yield an interval for each frame, and one for the last frame until the end.

        Raises:
            MediaError: FFmpeg cannot decode it; it is interlaced; its times run backwards.
        """
        before: SourceFrame | None = None
        at = Fraction(0)
        length = 1 / self._rate
        for item in self._frames():
            if isinstance(item, Packet):
                yield item
                continue
            started = time.perf_counter()
            time_of = self._time_of(item, at, first=before is None)
            if before is not None and time_of < at:
                raise MediaError(
                    f"{self._source}: its times run backwards after {float(at):.3f} s, as in files "
                    "joined end to end; remux it, or take it apart"
                )
            if before is not None and time_of == at:
                continue  # shown for no time at all
            length = item.duration * item.time_base if item.duration and item.time_base else length
            after = SourceFrame.of(item)
            is_cut = self._is_cut(after.rgb)
            wanted = self._timing.between(at, time_of) if before is not None else []
            still = before is not None and np.array_equal(before.rgb, after.rgb)
            self._done.frames_read += 1
            self._done.cuts += is_cut
            self._done.decode_seconds += time.perf_counter() - started
            yield Interval(after, wanted, "cut" if is_cut else "still" if still else "motion")
            before, at = after, time_of
        if before is not None:
            end = on_the_beat(at + length, self._rate, self._stream.time_base or Fraction(1))
            yield Interval(None, self._timing.between(at, end), "still")

    def _time_of(self, frame: VideoFrame, before: Fraction, *, first: bool) -> Fraction:
        if frame.pts is None or frame.time_base is None:
            return Fraction(0) if first else before + 1 / self._rate
        if first:
            self.start = frame.pts * frame.time_base
        return on_the_beat(frame.pts * frame.time_base - self.start, self._rate, frame.time_base)

    def _frames(self) -> Iterator[VideoFrame | Packet[Any]]:
        try:
            for packet in self._reader.demux([self._stream, *self._copied]):
                if packet.stream is not self._stream:
                    if packet.dts is not None:  # else it ends its stream
                        yield packet
                    continue
                started = time.perf_counter()
                frames = packet.decode()
                self._done.decode_seconds += time.perf_counter() - started
                for frame in frames:
                    self._check(frame)  # type: ignore[arg-type]
                    yield within_bits(frame)  # type: ignore[arg-type]
        except av.FFmpegError as error:
            raise MediaError(f"{self._source}: {error.strerror}; is it a whole video?") from error

    def _check(self, frame: VideoFrame) -> None:
        if frame.interlaced_frame:
            raise MediaError(
                f"{self._source}: is interlaced, and its half frames would be morphed; deinterlace "
                f"it first: ffmpeg -i {shlex.quote(str(self._source))} -map 0 -vf bwdif -crf 12 "
                "-c:a copy -c:s copy whole.mkv"
            )


def made(
    interpolate: Interpolator, items: Iterator[Interval | Packet[Any]], done: VideoSummary
) -> Iterator[Shown | Packet[Any]]:
    """The second stage: intervals to the frames that are shown."""
    passing: deque[Packet[Any]] = deque()
    intervals: deque[Interval] = deque()
    waited = 0.0

    def wanted() -> Iterator[tuple[Frame, list[float]]]:
        nonlocal waited
        while True:
            started = time.perf_counter()
            item = next(items, None)
            waited += time.perf_counter() - started
            if isinstance(item, Packet):
                passing.append(item)
                continue
            if item is None:
                return
            intervals.append(item)
            if item.after is None:
                return
            times = [float(w.t) for w in item.wanted if w.t] if item.kind == "motion" else []
            yield item.after.rgb, times

    before: SourceFrame | None = None
    filled = interpolate.fill(wanted())
    try:
        while True:
            started, waited_before = time.perf_counter(), waited
            step = next(filled, None)
            busy = time.perf_counter() - started - (waited - waited_before)
            done.inference_seconds += busy
            while passing:
                yield passing.popleft()
            if step is None:
                break
            interval = intervals.popleft()
            yield from _between(before, interval, step[1], done)
            before = interval.after
        for interval in intervals:  # the last: nothing follows it
            yield from _between(before, interval, np.empty(0), done)
    finally:
        if hasattr(items, "close"):
            items.close()


def _between(
    before: SourceFrame | None, interval: Interval, made: NDArray[Any], done: VideoSummary
) -> Iterator[Shown]:
    after = interval.after
    pictures = iter(made)
    for t, at, duration in interval.wanted:
        assert before is not None  # noqa: S101 - the first frame has no interval before it
        if t == 0:
            yield Shown(at, duration, before.video)
        elif interval.kind == "motion" and after is not None:
            done.frames_made += 1
            yield Shown(at, duration, _converted(next(pictures), float(t), before, after))
        else:
            done.frames_repeated += 1
            nearer = after if after is not None and t >= Fraction(1, 2) else before
            yield Shown(at, duration, nearer.video)


def _converted(
    rgb: NDArray[Any], t: float, before: SourceFrame, after: SourceFrame
) -> Callable[[], VideoFrame]:
    """Return the conversion itself, which is the encoder's work and not the network's."""
    return lambda: video_frame(rgb, t, before, after)
