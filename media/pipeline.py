"""What making a whole video and making a segment of one have in common."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from av import Packet, VideoFrame
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from media.container import chosen_video, claimed_seconds, open_media
from media.decoding import Decoding
from media.errors import MediaError
from media.filling import Filling, Interval
from media.options import VideoOptions
from media.overlap import overlapped
from media.schedule import Schedule
from media.writer import VideoWriter

# Frames that may wait between two stages: enough to even them out, few enough for large frames.
_DEPTH = 3


@dataclass(frozen=True)
class Timing:
    """When frames are shown.

    Attributes:
        rate: frames a second of the source, on average.
        schedule: what follows from it.
    """

    rate: Fraction
    schedule: Schedule

    @classmethod
    def of(cls, stream: VideoStream, options: VideoOptions, source: Path) -> Timing:
        """Choose by what was asked for.

        Raises:
            MediaError: the stream does not say its frame rate.
            OptionError: see `Schedule.of`.
        """
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
        return cls(rate, schedule)

    @property
    def shown_rate(self) -> Fraction:
        """Frames a second of the output, on average."""
        schedule = self.schedule
        return schedule.rate or self.rate * (schedule.factor or 1) / schedule.slowdown

    def frames(self, reader: InputContainer, stream: VideoStream) -> int:
        """Return how many frames the output will have, as far as the source says; else 0."""
        frames = stream.frames or int(claimed_seconds(reader, stream) * self.rate)
        return int(frames * self.shown_rate * self.schedule.slowdown / self.rate)


@dataclass(frozen=True)
class Head:
    """What a video begins with: its first frame, and when that is shown in the source, seconds."""

    frame: VideoFrame
    start: Fraction


def head_of(source: Path, options: VideoOptions) -> Head:
    """Decode the first frame.

    Raises:
        MediaError: none can be decoded; see `Decoding.run`.
    """
    with open_media(source) as reader:
        stream = chosen_video(reader, options.stream, source)
        timing = Timing.of(stream, options, source)
        decoding = Decoding(
            reader,
            stream,
            source,
            copied=[],
            rate=timing.rate,
            schedule=timing.schedule,
            cut_threshold=None,
        )
        items = decoding.run()
        first = next(item for item in items if isinstance(item, Interval))
        return Head(first.after.video, first.start)


class Sink(Protocol):
    """The last stage; see `VideoWriter`."""

    def copy(self, packet: Packet[Any]) -> None:
        """Take a packet of a copied stream."""

    def write(self, given: VideoFrame, time: Fraction, duration: Fraction, start: Fraction) -> None:
        """Take a frame."""


def run(
    decoding: Decoding, filling: Filling, sink: Sink, progress: Callable[[int, float], None]
) -> tuple[int, float]:
    """Run all stages at once; return how many frames there are, and the seconds the last one took.

    Args:
        progress: called after each frame with how many there are, and when the last is shown.
    """
    written, seconds = 0, 0.0
    shown = filling.run(overlapped(decoding.run(), _DEPTH))
    for item in overlapped(shown, _DEPTH):
        started = time.perf_counter()
        if isinstance(item, Packet):
            sink.copy(item)
        else:
            frame = item.frame if isinstance(item.frame, VideoFrame) else item.frame()
            sink.write(frame, item.time, item.duration, item.start)
            written += 1
        seconds += time.perf_counter() - started
        if not isinstance(item, Packet):
            progress(written, float(item.time))
    return written, seconds


def copies(
    reader: InputContainer, writer: VideoWriter, chosen: VideoStream, slowdown: Fraction
) -> list[Stream]:
    """Describe the source to a writer, and have it take what is copied.

    Args:
        chosen: the stream that is interpolated.
        slowdown: output seconds for one source second.

    Returns:
        The streams whose packets are copied; attachments, which have none, among them.

    Raises:
        MediaError: see `VideoWriter.describe`.
    """
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
