"""Interpolating a video file: decoded, filled up with frames, encoded, all at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av import Packet, VideoFrame
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from media.container import chosen_video, claimed_seconds, open_media
from media.decoding import Decoding
from media.encoding import Encoding
from media.errors import MediaError
from media.filling import Filling, Shown
from media.overlap import overlapped
from media.schedule import Number, Schedule, constant_rate
from media.summary import VideoSummary
from media.writer import VideoWriter, open_writer
from runtime.cuts import THRESHOLD
from runtime.errors import FrameError, OptionError, shown
from runtime.frames import check_frame, check_same_kind, check_several
from runtime.interpolator import Interpolator
from runtime.publishing import Publication

Progress = Callable[[int, int, float], None]
# Frames that may wait between two stages: enough to even them out, few enough for large frames.
_DEPTH = 3


@dataclass(frozen=True)
class VideoOptions:
    """What `interpolate_video` makes; `factor`, or `fps`, or `slow`, or `slow` at `fps`.

    These are numbers of any kind; a Fraction is exact, as is 59.94, which means 2997/50.

    Attributes:
        factor: times the source's frame rate. A whole one divides each interval between two frames,
            whatever its length, so that variable frame rates stay as they are.
        fps: frames a second, constant.
        slow: times as long, at the source's frame rate or at `fps`; without audio and subtitles.
        stream: which of the video streams, from 0; None takes the best.
        cut_threshold: see `CutDetector`; None looks for no cuts.
        encoding: how frames are encoded.
        overwrite: replace an existing output.
    """

    factor: Number | None = None
    fps: Number | None = None
    slow: Number | None = None
    stream: int | None = None
    cut_threshold: float | None = THRESHOLD
    encoding: Encoding = field(default_factory=Encoding)
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.encoding, Encoding):
            raise OptionError(f"encoding is {shown(self.encoding)}; expected an Encoding")


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
    attachments, chapters, tags, rotation and pixel aspect are copied; what cannot be is in the
    summary's `left_out`. Of a damaged source what can be made is made, and its `damage` says what
    is missing or broken.

    Args:
        source: any progressive video that FFmpeg decodes, with one frame size throughout.
        output: the file; its suffix chooses the container.
        progress: called after each frame with the frames written, the total expected (0 if the
            file does not say), and the seconds of video that are written.

    Raises:
        InputNotFoundError, OutputError: the files are not as expected; see `Publication`.
        MediaError: FFmpeg cannot decode or encode it; it is interlaced; it has alpha, and
            `encoding` asks for no pixel format without; its times run backwards, or leap by more
            than a day.
        OptionError: see `Schedule.of` and `CutDetector`; or there is no such stream, or the output
            is the source.
        FrameError: the frame size changes, or the artifact does not take frames of this depth.
    """
    source, output = Path(source), Path(output)
    with open_media(source) as reader:
        if output.exists() and output.samefile(source):
            raise OptionError(f"{output}: is the source as well; choose another output")
        publication = Publication(output, overwrite=options.overwrite)
        return _interpolated(interpolate, reader, source, publication, output, options, progress)


def _interpolated(
    interpolate: Interpolator,
    reader: InputContainer,
    source: Path,
    publication: Publication,
    output: Path,
    options: VideoOptions,
    progress: Progress | None,
) -> VideoSummary:
    stream = chosen_video(reader, options.stream, source)
    stream.thread_type = "AUTO"
    rate, schedule = _schedule(stream, options, source)
    shown_rate = schedule.rate or rate * (schedule.factor or 1) / schedule.slowdown
    frames = stream.frames or int(claimed_seconds(reader, stream) * rate)
    total = int(frames * shown_rate * schedule.slowdown / rate)
    with open_writer(
        publication,
        output,
        options.encoding,
        rate=shown_rate,
        time_base=schedule.time_base,
        pixel_aspect=stream.sample_aspect_ratio or Fraction(1),
    ) as writer:
        decoding = Decoding(
            reader,
            stream,
            source,
            copied=_copies(reader, writer, stream, schedule.slowdown),
            rate=rate,
            schedule=schedule,
            cut_threshold=options.cut_threshold,
        )
        filling = Filling(interpolate)
        shown = filling.run(overlapped(decoding.run(), _DEPTH))
        written, seconds = _write(writer, shown, total, progress)
    return VideoSummary(
        width=stream.width,
        height=stream.height,
        rate=shown_rate,
        frames_read=decoding.frames_read,
        frames_made=filling.frames_made,
        frames_repeated=filling.frames_repeated,
        frames_written=written,
        frames_left_out=decoding.frames_left_out,
        cuts=decoding.cuts,
        left_out=writer.left_out,
        damage=decoding.damage,
        decode_seconds=decoding.seconds,
        inference_seconds=filling.seconds,
        encode_seconds=seconds,
    )


def _write(
    writer: VideoWriter,
    items: Iterator[Shown | Packet[Any]],
    total: int,
    progress: Progress | None,
) -> tuple[int, float]:
    """Write all; return how many frames they are, and the seconds that it took."""
    written, seconds = 0, 0.0
    for item in overlapped(items, _DEPTH):
        started = time.perf_counter()
        if isinstance(item, Packet):
            writer.copy(item)
        else:
            frame = item.frame if isinstance(item.frame, VideoFrame) else item.frame()
            writer.write(frame, item.time, item.duration, item.start)
            written += 1
        seconds += time.perf_counter() - started
        if progress and not isinstance(item, Packet):
            progress(written, total, float(item.time))
    return written, seconds


def _schedule(
    stream: VideoStream, options: VideoOptions, source: Path
) -> tuple[Fraction, Schedule]:
    """Return the source's frames a second, and what follows from it."""
    rate = stream.average_rate or stream.guessed_rate
    if not rate or not stream.time_base:
        raise MediaError(f"{source}: does not say its frame rate")
    schedule = Schedule.of(
        factor=options.factor,
        fps=options.fps,
        slow=options.slow,
        source_rate=rate,
        source_base=stream.time_base,
    )
    return rate, schedule


def write_video(output: str | Path, frames: Iterable[NDArray[np.uint8]], rate: Number) -> None:
    """Encode RGB frames, (H, W, 3) uint8, at a constant rate in frames a second, 10,000 at most.

    An existing file is replaced.

    Raises:
        OptionError: the rate is no number above 0, and at most 10,000.
        FrameError: a frame is not as above, or of another size than those before.
        MediaError: FFmpeg cannot encode them, or there are none.
        InputNotFoundError, OutputError: see `Publication`.
    """
    output, rate = Path(output), constant_rate("rate", rate)
    check_several(frames)
    target = Publication(output)
    first: NDArray[np.uint8] | None = None
    with open_writer(target, output, Encoding(), rate=rate, time_base=1 / rate) as writer:
        for index, rgb in enumerate(frames):
            check_frame(rgb, f"frame {index}")
            if rgb.dtype != np.uint8:
                raise FrameError(f"frame {index} is {rgb.dtype}; expected uint8, 0 to 255")
            first = rgb if first is None else first
            check_same_kind(first, rgb)
            writer.write(VideoFrame.from_ndarray(rgb, format="rgb24"), index / rate, 1 / rate)


def _copies(
    reader: InputContainer, writer: VideoWriter, chosen: VideoStream, slowdown: Fraction
) -> list[Stream]:
    """Return the streams whose packets are copied; attachments, which have none, among them."""
    writer.describe(reader, chosen, slowdown)
    for video in reader.streams.video:
        if video.disposition & Disposition.attached_pic:
            writer.left_out.append(
                f"cover picture, stream {video.index}, for covers are not copied"
            )
        elif video.index != chosen.index:
            writer.left_out.append(f"video stream {video.index}, for one alone is interpolated")
    copied = []
    for stream in reader.streams:
        if slowdown != 1 and stream.type in ("audio", "subtitle"):
            writer.left_out.append(f"{stream.type}, for it does not run slower")
        elif stream.type != "video" and writer.add_copy(stream):
            copied.append(stream)
    return copied
