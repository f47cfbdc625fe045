"""Interpolating a video file: decoded, filled up with frames, encoded, all at the same time."""

from __future__ import annotations

import shlex
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av import Packet, VideoFrame
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from .colour import SourceFrame, video_frame, within_bits
from .cuts import THRESHOLD, CutDetector
from .encoding import Encoding, VideoWriter, open_writer
from .errors import MediaError, OptionError
from .files import check_writable
from .frames import Frame
from .interpolator import Interpolator
from .media import open_media
from .overlap import overlapped
from .timing import Timing, Wanted, on_the_beat

Progress = Callable[[int, int, float], None]
# Frames that may wait between two stages: enough to even them out, few enough for large frames.
_DEPTH = 3


@dataclass(frozen=True)
class VideoOptions:
    """What `interpolate_video` makes; one of `factor`, `fps` and `slow`, all exact.

    Attributes:
        factor: times the source's frame rate. A whole one divides each interval between two frames,
            whatever its length, so that variable frame rates stay as they are.
        fps: frames a second, constant.
        slow: times as long, at the source's frame rate; without audio and subtitles.
        stream: which of the video streams, from 0; None takes the best.
        cut_threshold: see `CutDetector`; None looks for no cuts.
        encoding: how frames are encoded.
        overwrite: replace an existing output.
    """

    factor: Fraction | None = None
    fps: Fraction | None = None
    slow: Fraction | None = None
    stream: int | None = None
    cut_threshold: float | None = THRESHOLD
    encoding: Encoding = field(default_factory=Encoding)
    overwrite: bool = False


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
        left_out: streams that were not copied, and why.
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
class _Interval:
    """A source frame, what is wanted since the one before, and how to come by it."""

    after: SourceFrame | None
    wanted: list[Wanted]
    kind: Literal["motion", "still", "cut"]


@dataclass(frozen=True)
class _Shown:
    """A frame of the output: made, or one of the source."""

    time: Fraction
    duration: Fraction
    frame: VideoFrame | Callable[[], VideoFrame]


def interpolate_video(
    interpolate: Interpolator,
    source: str | Path,
    output: str | Path,
    options: VideoOptions,
    *,
    progress: Progress | None = None,
) -> VideoSummary:
    """Write a video with more frames than its source; it takes as long, but with `slow`.

    Source frames go to the encoder as they were decoded; the frames between get the same pixel
    format and colours. Nothing is made across a scene cut or between identical frames: there the
    nearer source frame is shown again, as the last one is until the end. Audio, subtitles,
    chapters, tags, rotation and pixel aspect are copied.

    Args:
        source: any progressive video that FFmpeg decodes, with one frame size throughout.
        output: the file; its suffix chooses the container.
        progress: called after each frame with the frames written, the total expected (0 if the
            file does not say), and the seconds of video that are written.

    Raises:
        InputNotFoundError, OutputExistsError: the files are not as expected.
        MediaError: FFmpeg cannot decode or encode it; it is interlaced.
        OptionError: see `Timing.of`; or there is no such stream.
        FrameError: the frame size changes, or the artifact does not take frames of this depth.
    """
    source, output = Path(source), Path(output)
    with open_media(source) as reader:
        check_writable(output, overwrite=options.overwrite)
        stream = _chosen(reader, options.stream, source)
        stream.thread_type = "AUTO"
        rate = stream.average_rate or stream.guessed_rate
        if not rate or not stream.time_base:
            raise MediaError(f"{source}: does not say its frame rate")
        timing = Timing.of(
            factor=options.factor,
            fps=options.fps,
            slow=options.slow,
            source_rate=rate,
            source_base=stream.time_base,
        )
        shown_rate = timing.rate or rate * (timing.factor or 1) / timing.slowdown
        frames = stream.frames or int(_seconds(reader, stream) * rate)
        total = int(frames * shown_rate * timing.slowdown / rate)
        done = VideoSummary(stream.width, stream.height, shown_rate)
        with open_writer(output, options.encoding, timing.time_base) as writer:
            writer.rate = shown_rate
            writer.pixel_aspect = stream.sample_aspect_ratio or Fraction(1)
            copied = _copies(reader, writer, stream, options.slow)
            done.left_out = writer.left_out
            decoding = _Decoding(reader, stream, copied, source, rate, timing, options, done)
            made = _made(interpolate, overlapped(decoding.run(), _DEPTH), done)
            for item in overlapped(made, _DEPTH):
                started = time.perf_counter()
                if isinstance(item, Packet):
                    writer.copy(item)
                else:
                    writer.start = decoding.start
                    frame = item.frame if isinstance(item.frame, VideoFrame) else item.frame()
                    writer.write(frame, item.time, item.duration)
                    done.frames_written += 1
                done.encode_seconds += time.perf_counter() - started
                if progress and not isinstance(item, Packet):
                    progress(done.frames_written, total, float(item.time))
    return done


def write_video(output: str | Path, frames: Iterable[NDArray[np.uint8]], rate: Fraction) -> None:
    """Encode RGB frames, (H, W, 3) uint8, at a constant rate in frames a second.

    An existing file is replaced.

    Raises:
        MediaError: FFmpeg cannot encode them.
    """
    with open_writer(Path(output), Encoding(), 1 / rate) as writer:
        writer.rate = rate
        for index, rgb in enumerate(frames):
            writer.write(VideoFrame.from_ndarray(rgb, format="rgb24"), index / rate, 1 / rate)


def _chosen(reader: InputContainer, index: int | None, source: Path) -> VideoStream:
    streams = [
        stream
        for stream in reader.streams.video
        if not stream.disposition & Disposition.attached_pic  # the cover of a song
    ]
    if not streams:
        raise MediaError(f"{source}: has no video stream")
    if index is None:
        best = reader.streams.best("video")
        return best if best in streams else streams[0]
    if index >= len(streams):
        raise OptionError(
            f"{source}: has no video stream {index}; it has {len(streams)}, counted from 0"
        )
    return streams[index]


def _seconds(reader: InputContainer, stream: VideoStream) -> Fraction:
    """Return how long the file says it is; 0 if it does not."""
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    return Fraction(reader.duration or 0, av.time_base)


def _copies(
    reader: InputContainer, writer: VideoWriter, chosen: VideoStream, slow: Fraction | None
) -> list[Stream]:
    others = [stream for stream in reader.streams if stream.type != "video"]
    writer.left_out += [
        f"video stream {stream.index}, for one alone is interpolated"
        for stream in reader.streams.video
        if stream.index != chosen.index
    ]
    if slow is None:
        writer.describe(reader, Fraction(1))
        return [stream for stream in others if writer.add_copy(stream)]
    writer.describe(reader, slow)
    writer.left_out += [f"{stream.type}, for it does not run slower" for stream in others]
    return []


class _Decoding:
    """The first stage: packets to intervals; copied streams' packets pass as they are."""

    def __init__(
        self,
        reader: InputContainer,
        stream: VideoStream,
        copied: list[Stream],
        source: Path,
        rate: Fraction,
        timing: Timing,
        options: VideoOptions,
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
        threshold = options.cut_threshold
        self._is_cut = CutDetector(threshold) if threshold is not None else lambda _: False

    def run(self) -> Iterator[_Interval | Packet[Any]]:
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
            yield _Interval(after, wanted, "cut" if is_cut else "still" if still else "motion")
            before, at = after, time_of
        if before is not None:
            end = on_the_beat(at + length, self._rate, self._stream.time_base or Fraction(1))
            yield _Interval(None, self._timing.between(at, end), "still")

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


def _made(
    interpolate: Interpolator, items: Iterator[_Interval | Packet[Any]], done: VideoSummary
) -> Iterator[_Shown | Packet[Any]]:
    """The second stage: intervals to the frames that are shown."""
    passing: deque[Packet[Any]] = deque()
    intervals: deque[_Interval] = deque()
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
    before: SourceFrame | None, interval: _Interval, made: NDArray[Any], done: VideoSummary
) -> Iterator[_Shown]:
    after = interval.after
    pictures = iter(made)
    for t, at, duration in interval.wanted:
        assert before is not None  # noqa: S101 - the first frame has no interval before it
        if t == 0:
            yield _Shown(at, duration, before.video)
        elif interval.kind == "motion" and after is not None:
            done.frames_made += 1
            yield _Shown(at, duration, _converted(next(pictures), float(t), before, after))
        else:
            done.frames_repeated += 1
            nearer = after if after is not None and t >= Fraction(1, 2) else before
            yield _Shown(at, duration, nearer.video)


def _converted(
    rgb: NDArray[Any], t: float, before: SourceFrame, after: SourceFrame
) -> Callable[[], VideoFrame]:
    """Return the conversion itself, which is the encoder's work and not the network's."""
    return lambda: video_frame(rgb, t, before, after)
