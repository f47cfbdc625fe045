"""Writing a video: frames at exact times, and the streams that are copied beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av import Packet, VideoFrame
from av.container import InputContainer, OutputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from media.encoding import Encoding, format_of
from media.errors import MediaError
from media.ffmpeg_log import quiet
from media.pixel_formats import losses, plain
from media.renditions import called, is_rendition
from media.side_data import display_matrix
from media.writing.covers import add_cover, holds_cover
from media.writing.frame_encoder import FrameEncoder
from media.writing.light import light_lost
from media.writing.rendering import encoding_of, render
from media.writing.span import EVERYTHING, Span
from media.writing.streams import (
    alpha_left_out,
    aspect_lost,
    fresh,
    heard_from,
    lost_with,
    siting_of,
)
from media.writing.tracks import COPY, Track, kind_of, track, way_into
from runtime.errors import OutputError
from runtime.publishing import Publication


class VideoWriter:
    """A video being written; make one with `open_writer`.

    Attributes:
        left_out: what of the source is not in the output, for people; complete when `open_writer`
            is left.
        transcoded: what of the source was encoded anew beside the pictures, and as what.
    """

    def __init__(
        self,
        writer: OutputContainer,
        output: Path,
        frames: FrameEncoder,
        asked: str | None,
    ) -> None:
        self.left_out: list[str] = []
        self.transcoded: list[str] = []
        self._writer = writer
        self._output = output
        self._frames = frames
        self._asked = asked
        self._video: VideoStream | None = None
        self._source: VideoStream | None = None
        self._ways: dict[Stream, str] = {}
        self._tracks: dict[int, Track] = {}
        self._covers: list[tuple[VideoStream, Path]] = []
        self._early: list[Packet[Any]] = []
        self._chapters: list[Any] = []
        self._slowdown = Fraction(1)
        self._lead = Fraction(0)
        self._start = Fraction(0)
        self._span = EVERYTHING

    def describe(self, reader: InputContainer, stream: VideoStream, slowdown: Fraction) -> None:
        """Copy the tags and chapters of the file, and the tags of the stream that is interpolated.

        Raises:
            MediaError: the stream has alpha, and no pixel format without was asked for; or the
                encoder does not take its frames.
        """
        self._writer.metadata.update(fresh(reader.metadata))
        self._chapters = reader.chapters()
        self._slowdown = slowdown
        self._source = stream
        self._frames.siting = siting_of(stream)
        self.left_out += alpha_left_out(stream, Path(reader.name), self._asked)
        if stream.codec_context.format is not None:
            self._frames.choose(plain(stream.codec_context.format), stream.width, stream.height)

    def add_copy(self, stream: Stream, *, transcode: bool = True) -> bool:
        """Take a stream, as it is or encoded anew; False, and an entry in `left_out`, if neither.

        Raises:
            MediaError: see `way_into`.
        """
        kind, suffix = kind_of(stream), called(self._output)
        way = way_into(self._writer.format.name, stream, self._output, transcode=transcode)
        if not way:
            pointing = stream.type == "data" and not is_rendition(self._output)
            why = "for it may point at frames of the source (chapters are kept)"
            self.left_out.append(f"{kind}, {why if pointing else f'which {suffix} cannot hold'}")
            return False
        if way != COPY:
            self.transcoded.append(f"{kind} as {way}, for {suffix} does not hold it")
        self._ways[stream] = way
        return True

    def add_cover(self, picture: VideoStream, source: Path) -> None:
        """Take a source's cover picture, or say in `left_out` that it does not fit."""
        if is_rendition(self._output) or not holds_cover(self._writer.format.name, picture):
            kind = f"cover picture, stream {picture.index}"
            self.left_out.append(f"{kind}, which {called(self._output)} cannot hold")
        else:
            self._covers.append((picture, source))

    def copy(self, packet: Packet[Any]) -> None:
        """Write a packet of a stream that was taken, in step with the frames."""
        if self._video is None:  # the header has to name the video stream too
            self._early.append(packet)
            return
        if not self._span.clips(packet):
            return
        shift = round((self._start - self._lead) / packet.time_base)
        for field in ("pts", "dts"):
            if getattr(packet, field) is not None:
                setattr(packet, field, getattr(packet, field) - shift)
        with _writing(self._output):
            self._writer.mux(self._tracks[packet.stream.index].packets(packet))

    def write(
        self, given: VideoFrame, time: Fraction, duration: Fraction, start: Fraction = Fraction(0)
    ) -> None:
        """Encode a frame to be shown at `time` for `duration`, seconds since the first frame.

        With the first one, `start` says when it is shown in the source, seconds.
        """
        if self._video is None:
            self.begin(given, start)
        with _writing(self._output):
            self._writer.mux(self._frames.encode(given, time + self._lead, duration))

    def write_encoded(self, packet: Packet[Any]) -> None:
        """Write a packet of the video, with times as `write` takes them, once `begin` is done."""
        lead = round(self._lead / packet.time_base)
        for field in ("pts", "dts"):
            setattr(packet, field, getattr(packet, field) + lead)
        assert self._video is not None  # noqa: S101 - as said above
        packet.stream = self._video
        with _writing(self._output):
            self._writer.mux(packet)

    def finish(self) -> None:
        """Write what the encoder still holds, and the end of the file.

        Raises:
            MediaError: no frame was written.
        """
        if self._video is None:
            raise MediaError(f"{self._output}: not written: the video stream holds no frames")
        with _writing(self._output):
            self._writer.mux(self._frames.flush())
            for each in self._tracks.values():
                self._writer.mux(each.flush())
            self._writer.close()

    def begin(self, first: VideoFrame, start: Fraction, span: Span = EVERYTHING) -> None:
        """Add the streams in the source's order, and write what came before the first frame.

        Args:
            first: the first frame.
            start: when it is shown in the source, seconds.
            span: what of the copied streams and chapters is written.
        """
        self._start, self._span = start, span
        place = self._source.index if self._source else 0
        self._add_tracks([stream for stream in self._ways if stream.index < place])
        encoder = self._video = self._frames.add_to(self._writer, first)
        if self._source is not None:
            encoder.metadata.update(fresh(self._source.metadata))
            encoder.disposition = self._source.disposition
        matrix = display_matrix(first)
        if matrix is not None:
            encoder.set_display_matrix(matrix.tolist())
        self._add_tracks([stream for stream in self._ways if stream.index > place])
        if self._asked is None:
            self.left_out += losses(first.format, self._frames.pix_fmt)
        self.left_out += [*light_lost(self._frames.name, first), *lost_with(first)]
        # Players show nothing of before 0, so what is heard earlier moves the frames back.
        heard = heard_from(self._ways, self._start) if span.begin is None else span.begin
        lead = max(self._start - heard, Fraction(0))
        self._lead = math.ceil(lead / self._frames.time_base) * self._frames.time_base
        self._set_chapters()
        with quiet(self._frames.name), _writing(self._output):
            covers = [add_cover(self._writer, *cover) for cover in self._covers]
            self._writer.start_encoding()
            for packets in covers:
                self._writer.mux(packets)
        early, self._early = self._early, []
        for packet in early:
            self.copy(packet)

    def _set_chapters(self) -> None:
        chapters = self._span.chapters(self._chapters)
        for chapter in chapters:
            for end in ("start", "end"):
                time = chapter[end] * chapter["time_base"] - self._start + self._lead
                chapter[end] = round(max(Fraction(0), time) * self._slowdown / chapter["time_base"])
        if chapters:
            self._writer.set_chapters(chapters)

    def _add_tracks(self, sources: Iterable[Stream]) -> None:
        for source in sources:
            added = self._tracks[source.index] = track(self._writer, source, self._ways[source])
            added.stream.metadata.update(fresh(source.metadata))
            added.stream.disposition = source.disposition


@contextmanager
def open_writer(
    target: Publication,
    output: Path,
    encoding: Encoding,
    *,
    rate: Fraction,
    time_base: Fraction,
    pixel_aspect: Fraction = Fraction(1),
) -> Iterator[VideoWriter]:
    """Yield a writer of what is published as `target`, named `output`, when the block succeeds.

    Args:
        rate: frames a second, on average.
        time_base: what every time is a multiple of, seconds.
        pixel_aspect: width by height of a pixel.

    Raises:
        MediaError: no container by that suffix, or FFmpeg cannot encode.
        OutputError: it cannot be written to the disk; see `Publication`.
    """
    container_format = format_of(output)
    # Matroska would call the first stream of each kind the default where the source names none.
    matroska = container_format in ("matroska", "webm")
    options = {"default_mode": "passthrough"} if matroska else {}
    with target:
        rendition = is_rendition(output)
        path = target.path.with_name(f"{target.path.name}.mkv") if rendition else target.path
        with _writing(output):
            container = av.open(str(path), "w", container_format, container_options=options)
        with container:
            chosen = encoding_of(encoding, output, rate)
            frames = FrameEncoder(
                chosen, output, rate=rate, time_base=time_base, pixel_aspect=pixel_aspect
            )
            writer = VideoWriter(container, output, frames, encoding.pix_fmt)
            if rendition and pixel_aspect != 1:
                lost = f"pixel aspect of {pixel_aspect}, which {called(output)} does not hold"
                writer.left_out.append(lost)
            yield writer
            writer.finish()
        if rendition:
            with _writing(output):
                render(path, target.path, output, encoding)
            path.unlink()
        elif pixel_aspect != 1:
            writer.left_out += aspect_lost(path, pixel_aspect)


@contextmanager
def _writing(output: Path) -> Iterator[None]:
    """Name the file that FFmpeg could not write."""
    try:
        yield
    except av.FFmpegError as error:
        kind = OutputError if isinstance(error, OSError) else MediaError
        raise kind(f"{output}: not written: {error.strerror}") from error
