"""The work on one segment, which any process on any machine may do."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
from av import Packet, VideoFrame
from av.container import OutputContainer

from media.encoding import format_of
from media.ffmpeg_log import quiet
from media.filling import Filling
from media.options import VideoOptions
from media.pipeline import run
from media.reading.segments import Segment
from media.reading.source import Opener, SourceVideo, head_of
from media.resuming.packet_file import PacketFile, SegmentSummary
from media.writing.frame_encoder import FrameEncoder
from media.writing.rendering import encoding_of
from runtime.interpolator import Interpolator


def interpolate_segment(
    interpolate: Interpolator,
    source: Path,
    output: Path,
    options: VideoOptions,
    segment: Segment,
    first: Segment,
    job: str,
    target: Path,
    progress: Callable[[int, float], None] = lambda *_: None,
    opener: Opener | None = None,
) -> SegmentSummary:
    """Write a segment's file; it depends on these arguments alone, and on no other segment.

    All of them but `interpolate` can be pickled.

    Args:
        interpolate: of the same artifact and backend for all segments of a video.
        source: the whole video.
        output: the name of the video that the segments become: its suffix chooses the container,
            and messages name it. Nothing is read or written there.
        segment: one of those that `planned` found.
        first: the first of them.
        job: the hash of the job's record, by which the file is known for its own.
        target: the file to write, for `joined`.
        progress: called after each frame with how many there are, and when the last is shown.
        opener: opens the source's bytes on a machine that does not have the file.

    Raises:
        MediaError, OptionError, FrameError: as `interpolate_video` does.
        OSError: `target` cannot be written.
    """
    head = head_of(source, options, first, opener)
    with SourceVideo.opened(source, options, opener) as video, target.open("wb") as file:
        decoding = video.decoding(segment=segment, start=head.start)
        filling = Filling(interpolate)
        with av.open(io.BytesIO(), "w", format=format_of(output)) as container:
            frames = FrameEncoder(
                encoding_of(options.encoding, output, video.timing.shown_rate),
                output,
                rate=video.timing.shown_rate,
                time_base=video.timing.schedule.time_base,
                pixel_aspect=video.pixel_aspect,
            )
            sink = _SegmentWriter(container, file, frames, head.frame)
            _, seconds = run(decoding.run(), filling, sink, progress)
            packets = sink.finish()
        losses = decoding.losses()
        undecoded, leapt, corrupt = (
            tuple(map(str, times)) for times in (losses.undecoded, losses.leapt, losses.corrupt)
        )
        summary = SegmentSummary(
            job=job,
            width=video.stream.width,
            height=video.stream.height,
            frames_read=decoding.frames_read,
            frames_made=filling.frames_made,
            frames_repeated=filling.frames_repeated,
            frames_written=packets.frames,
            frames_left_out=decoding.frames_left_out,
            cuts=decoding.cuts,
            repeats=decoding.repeats,
            reordered=packets.reordered,
            extradata=sink.extradata,
            undecoded=undecoded,
            leapt=leapt,
            corrupt=corrupt,
            decode_seconds=decoding.seconds,
            inference_seconds=filling.seconds,
            encode_seconds=seconds,
        )
        packets.finish(summary)
        return summary


class _SegmentWriter:
    """Encodes a segment's frames as the whole's are, for a container that is never written.

    Args:
        head: the first frame of the whole video, whose colours its encoder is told.

    Attributes:
        extradata: see `SegmentSummary`.
    """

    def __init__(
        self, container: OutputContainer, file: BinaryIO, frames: FrameEncoder, head: VideoFrame
    ) -> None:
        self._packets = PacketFile(file)
        self._frames = frames
        context = frames.add_to(container, head).codec_context
        with quiet(frames.name):
            context.open()
        self.extradata = (context.extradata or b"").hex()

    def copy(self, packet: Packet[Any]) -> None:
        """No stream is copied."""

    def write(
        self,
        given: VideoFrame,
        time: Fraction,
        duration: Fraction,
        start: Fraction,  # noqa: ARG002 - the joined video's matter
    ) -> None:
        """Encode a frame."""
        self._packets.write(self._frames.encode(given, time, duration), self._frames.time_base)

    def finish(self) -> PacketFile:
        """Write what the encoder still holds."""
        self._packets.write(self._frames.flush(), self._frames.time_base)
        return self._packets
