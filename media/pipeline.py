"""What making a whole video and making a segment of one have in common."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Protocol

from av import Packet, VideoFrame
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from media.decoding import Decoding
from media.filling import Filling
from media.overlap import overlapped
from media.writer import VideoWriter

# Frames that may wait between two stages: enough to even them out, few enough for large frames.
_DEPTH = 3


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
