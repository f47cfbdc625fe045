"""Segments to a video: packets put behind each other, beside all else that the source holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from av import Packet
from av.stream import Stream

from media.errors import MediaError
from media.options import VideoOptions
from media.pipeline import copies, writer_of
from media.reading.damage import Damage, Losses
from media.reading.packets import watched_packets
from media.reading.segments import Segment
from media.reading.source import Head, SourceVideo, head_of
from media.resuming.packet_file import SegmentSummary, packets_in
from media.summary import VideoSummary
from media.writing.span import Span
from media.writing.writer import VideoWriter
from runtime.publishing import Publication


def joined(
    segments: Sequence[Segment],
    files: Sequence[Path],
    summaries: Sequence[SegmentSummary],
    source: Path,
    output: Path,
    options: VideoOptions,
    publication: Publication,
) -> VideoSummary:
    """Publish a video of finished segments, and nothing is encoded again.

    Args:
        segments, files, summaries: of all segments, in order.
        publication: of `output`.

    Raises:
        MediaError: the segments' encoders were not the same.
        OutputError: see `Publication`.
    """
    if len({summary.extradata for summary in summaries}) > 1:
        raise MediaError(
            f"{output}: its segments come from encoders of several versions or kinds, which one "
            "video cannot hold; remove them, and make all with one"
        )
    head = head_of(source, options, segments[0])
    with SourceVideo.opened(source, options) as video:
        base = video.timing.schedule.time_base
        watched = Damage(video.reader, video.stream, source)
        with writer_of(video, publication, output) as writer:
            streams = copies(video, writer)
            copied = {each.index for each in streams}
            span = _span(segments, head, video.stream)
            writer.begin(head.frame, head.start, span)
            rest = _Rest(span, video.stream, streams)
            reordered = max(summary.reordered for summary in summaries)
            encoded = _encoded(files, reordered, base)
            waiting = next(encoded, None)
            for packet in watched_packets(video.reader.demux(), watched):
                if rest.begins_with(packet):
                    watched.left()
                    break
                if packet.stream.index not in copied or packet.dts is None:
                    continue
                due = packet.dts * packet.time_base - head.start
                while waiting is not None and (waiting.dts or 0) * base <= due:
                    writer.write_encoded(waiting)
                    waiting = next(encoded, None)
                writer.copy(packet)
            while waiting is not None:
                writer.write_encoded(waiting)
                waiting = next(encoded, None)
        damage = watched.found(Losses.of_all(summary.losses() for summary in summaries))
        return _summary(summaries, video, writer, damage)


def _span(segments: Sequence[Segment], head: Head, stream: Stream) -> Span:
    """Return what is made of the source."""
    end, base = segments[-1].end, stream.time_base or Fraction(1)
    return Span(
        None if segments[0].begin is None else head.start, None if end is None else end * base
    )


class _Rest:
    """Finds where all that is copied lies before: pictures and sound of what is not made.

    Subtitles are not waited for, as they may be far apart.
    """

    def __init__(self, span: Span, video: Stream, copied: Sequence[Stream]) -> None:
        self._span = span
        heard = {stream.index for stream in copied if stream.type == "audio"}
        self._awaited = {video.index, *heard}

    def begins_with(self, packet: Packet[Any]) -> bool:
        """Say whether all that is copied comes before a packet."""
        if packet.dts is not None and self._span.ends_before(packet.dts * packet.time_base):
            self._awaited.discard(packet.stream.index)
        return not self._awaited


def _encoded(files: Sequence[Path], reordered: int, base: Fraction) -> Iterator[Packet[Any]]:
    """Yield the packets of all segments; each is decoded when the frame so many before is shown.

    Args:
        reordered: by how many packets an encoded frame comes later than it is shown, at most.
    """
    due: deque[int] = deque()
    begun = False
    for file in files:
        times = sorted(encoded.time for encoded in packets_in(file, contents=False))
        if times and not begun:
            step = times[1] - times[0] if len(times) > 1 else 1
            due.extend(times[0] - (reordered - early) * step for early in range(reordered))
            begun = True
        due.extend(times)
        for encoded in packets_in(file):
            packet: Packet[Any] = Packet(encoded.content)
            packet.time_base = base
            packet.pts, packet.dts = encoded.time, due.popleft()
            packet.duration, packet.is_keyframe = encoded.duration, encoded.is_key
            yield packet


def _summary(
    summaries: Sequence[SegmentSummary], video: SourceVideo, writer: VideoWriter, damage: list[str]
) -> VideoSummary:
    counted = ("frames_read", "frames_made", "frames_repeated", "frames_written",
               "frames_left_out", "cuts", "repeats", "decode_seconds", "inference_seconds",
               "encode_seconds")  # fmt: skip
    sums: dict[str, Any] = {
        name: sum(getattr(summary, name) for summary in summaries) for name in counted
    }
    if not video.options.dedup:
        sums["repeats"] = None
    return VideoSummary(
        width=summaries[0].width,
        height=summaries[0].height,
        rate=video.timing.shown_rate,
        left_out=writer.left_out,
        transcoded=writer.transcoded,
        damage=damage,
        **sums,
    )
