"""Frames of a video, decoded in the order in which they are shown, and packets beside them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
from av import Packet, VideoFrame
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from media.reading.damage import Damage, Losses
from media.reading.segments import WHOLE, Segment, misread, packets_of


class Reading:
    """Packets to frames; copied streams' packets pass as they are.

    Args:
        copied: streams whose packets pass; with another segment than `WHOLE` there are none.

    Attributes:
        seconds: that decoding took; true once `run` has ended.
        watched: what is found missing or broken meanwhile.
    """

    def __init__(
        self,
        reader: InputContainer,
        stream: VideoStream,
        source: Path,
        copied: Sequence[Stream],
        segment: Segment,
    ) -> None:
        self.seconds = 0.0
        self.watched = Damage(reader, stream, source)
        self._reader = reader
        self._stream = stream
        self._source = source
        self._copied = {stream.index for stream in copied}
        self._segment = segment
        self._packets_read = 0

    def losses(self) -> Losses:
        """Return what of the segment's frames is missing or broken.

        Raises:
            MediaError: other packets were read than when the segment was planned.
        """
        losses, segment = self.watched.losses(), self._segment
        if segment == WHOLE:
            return losses
        if segment.key is not None and self._packets_read != segment.packets:
            raise misread(self._source)
        base = self._stream.time_base or Fraction(1)
        return losses.between(
            *(None if ticks is None else ticks * base for ticks in (segment.begin, segment.end))
        )

    def run(self) -> Iterator[VideoFrame | Packet[Any]]:
        """Yield frames in order, and packets.

        A frame whose time is not between its neighbours' is left out, for that is damage.

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
                at = held.pts
                following = item.pts if item else sys.maxsize
                if _strays(shown, at, following, interval):
                    self.watched.leapt(held)
                else:
                    yield held
                    interval = 0 if at is None or shown is None else at - shown
                    shown = at
            held = item

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
                self.watched.failed(packet)
                continue
            self.seconds += time.perf_counter() - started
            for frame in frames:
                self.watched.decoded(frame)
                if self._reader.format.name == "avi":
                    # It says when to decode and not when to show, which FFmpeg makes up; for H.264
                    # wrongly.
                    frame.pts = frame.dts
                yield frame

    def _packets(self) -> Iterator[Packet[Any]]:
        """Yield the packets of all streams, for the end of any tells how much is missing."""
        for packet in watched_packets(self._demuxed(), self.watched):
            shown = packet.size and not packet.is_discard
            self._packets_read += bool(shown and self._segment.holds(packet.pts))
            yield packet
        if self.watched.is_broken_off:
            last: Packet[Any] = Packet()  # empty: the decoder gives what it still holds
            last.stream, last.time_base = self._stream, self._stream.time_base or Fraction(1)
            yield last

    def _demuxed(self) -> Iterator[Packet[Any]]:
        if self._segment == WHOLE:
            return self._reader.demux()
        return packets_of(self._reader, self._stream, self._segment, self._source)


def watched_packets(packets: Iterator[Packet[Any]], watched: Damage) -> Iterator[Packet[Any]]:
    """Yield packets until the file cannot be read on, and have them noted."""
    try:
        for packet in packets:
            watched.read(packet)
            yield packet
    except IndexError:
        return  # PyAV looks for the end of a stream that appeared half way; ours have ended
    except av.FFmpegError as error:
        watched.broken_off(error)


def _strays(before: int | None, at: int | None, after: int | None, interval: int) -> bool:
    """Say whether a time is not between its neighbours', which are in order."""
    if before is None or at is None or after is None or not before < after:
        return False
    if at <= after:
        return at < before
    # Either it leapt ahead, or the next one lags: whichever is farther from what was due.
    due = before + interval
    return abs(at - due) > abs(after - due)
