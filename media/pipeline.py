"""What making a whole video and making a segment of one have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from av import Packet, VideoFrame
from av.stream import Disposition, Stream

from media.filling import Filling, Interval
from media.options import Progress
from media.reading.overlap import overlapped
from media.reading.source import SourceVideo
from media.summary import VideoSummary
from media.writing.writer import VideoWriter, open_writer
from runtime.interpolator import Interpolator
from runtime.publishing import Publication

# Frames that may wait between two stages: enough to even them out, few enough for large frames.
_DEPTH = 3


class Sink(Protocol):
    """The last stage; see `VideoWriter`."""

    def copy(self, packet: Packet[Any]) -> None:
        """Take a packet of a copied stream."""

    def write(self, given: VideoFrame, time: Fraction, duration: Fraction, start: Fraction) -> None:
        """Take a frame."""


class Writer(Sink, Protocol):
    """What a whole video goes to.

    Attributes:
        left_out, transcoded: as `VideoSummary` has them.
    """

    left_out: list[str]
    transcoded: list[str]


def whole(
    source: SourceVideo,
    interpolate: Interpolator,
    opened: AbstractContextManager[tuple[Writer, list[Stream]]],
    progress: Progress,
    leave: Callable[[], None] = lambda: None,
) -> VideoSummary:
    """Make a video in one piece.

    Args:
        opened: gives what it goes to, and the source's streams that are copied to it.
        progress: see `interpolate_video`.
        leave: called when the stages are left, to end one that waits for bytes.

    Raises: as `interpolate_video`.
    """
    timing, total = source.timing, source.frames_expected
    filling = Filling(interpolate)
    with opened as (writer, copied):
        decoding = source.decoding(copied)
        written, seconds = run(
            decoding.run(), filling, writer, lambda done, at: progress(done, total, at), leave
        )
    return VideoSummary(
        width=source.stream.width,
        height=source.stream.height,
        rate=timing.shown_rate,
        frames_read=decoding.frames_read,
        frames_made=filling.frames_made,
        frames_repeated=filling.frames_repeated,
        frames_written=written,
        frames_left_out=decoding.frames_left_out,
        cuts=decoding.cuts,
        repeats=decoding.repeats if source.options.dedup else None,
        left_out=writer.left_out,
        transcoded=writer.transcoded,
        damage=decoding.damage(),
        decode_seconds=decoding.seconds,
        inference_seconds=filling.seconds,
        encode_seconds=seconds,
    )


def run(
    items: Iterator[Interval | Packet[Any]],
    filling: Filling,
    sink: Sink,
    progress: Callable[[int, float], None],
    leave: Callable[[], None] = lambda: None,
) -> tuple[int, float]:
    """Run all stages at once; return how many frames there are, and the seconds the last one took.

    Args:
        items: of the first stage; see `Decoding.run`.
        progress: called after each frame with how many there are, and when the last is shown.
        leave: see `whole`.
    """
    written, seconds = 0, 0.0
    shown = filling.run(overlapped(items, _DEPTH))
    for item in overlapped(shown, _DEPTH, leave):
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


def writer_of(
    source: SourceVideo, target: Publication, output: Path
) -> AbstractContextManager[VideoWriter]:
    """Open a writer of what is made of a source, by its options; see `open_writer`."""
    return open_writer(
        target,
        output,
        source.options.encoding,
        rate=source.timing.shown_rate,
        time_base=source.timing.schedule.time_base,
        pixel_aspect=source.pixel_aspect,
    )


def copies(source: SourceVideo, writer: VideoWriter) -> list[Stream]:
    """Describe the source to a writer, and have it take what is copied.

    Returns:
        The streams whose packets are copied, or encoded anew; attachments, which have none, among
        them.

    Raises:
        MediaError: see `VideoWriter.describe` and `way_into`.
    """
    reader, chosen = source.reader, source.stream
    slowdown = source.timing.schedule.slowdown
    writer.describe(reader, chosen, slowdown)
    for video in reader.streams.video:
        if video.disposition & Disposition.attached_pic:
            writer.add_cover(video, source.path)
        elif video.index != chosen.index:
            writer.left_out.append(f"video stream {video.index}, for one alone is interpolated")
    copied = []
    for stream in reader.streams:
        if slowdown != 1 and stream.type in ("audio", "subtitle", "data"):
            writer.left_out.append(f"{stream.type}, for it does not run slower")
        elif stream.type != "video" and writer.add_copy(stream, transcode=source.options.transcode):
            copied.append(stream)
    return copied
