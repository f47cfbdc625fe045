"""Writing a video: frames at exact times, and the streams that are copied beside them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av import Packet, VideoFrame
from av.codec.codec import find_best_pix_fmt_of_list
from av.container import InputContainer, OutputContainer
from av.stream import Stream
from av.video.format import VideoFormat
from av.video.frame import PictureType
from av.video.stream import VideoStream

from .colour import in_format
from .errors import MediaError
from .files import replacing

_CODECS = {".mp4": "libx264", ".mkv": "libx264", ".mov": "libx264"}
_CODECS[".webm"] = "libvpx-vp9"
# Visually lossless, for a source frame should not suffer for its new neighbours.
_CRF = 17
_HAS_CRF = ("libx264", "libx264rgb", "libx265", "libvpx", "libvpx-vp9", "libaom-av1", "libsvtav1")
# What a muxer or encoder writes anew; copied, they would tell of the source.
_STALE = ("duration", "encoder", "bps", "number_of_", "_statistics", "handler_name", "vendor_id",
          "major_brand", "minor_version", "compatible_brands")  # fmt: skip


@dataclass(frozen=True)
class Encoding:
    """How frames are encoded, by FFmpeg's names.

    Attributes:
        codec: an encoder, such as libx265 or ffv1; None takes H.264, or VP9 for .webm.
        crf: constant rate factor, for encoders that have one; lower is better and larger.
        preset: such as veryfast or slow; None leaves the encoder's own.
        pix_fmt: None takes the source's, or what comes nearest of those the encoder has.
    """

    codec: str | None = None
    crf: int | None = None
    preset: str | None = None
    pix_fmt: str | None = None


class VideoWriter:
    """A video being written; make one with `open_writer`.

    Attributes:
        left_out: streams of the source that the container cannot hold, for people.
        rate: frames a second, on average; pixel_aspect: width by height of a pixel; start: seconds
            that copied packets are moved back by. To be set before the first frame is written.
    """

    def __init__(
        self, writer: OutputContainer, output: Path, encoding: Encoding, time_base: Fraction
    ) -> None:
        self.left_out: list[str] = []
        self._writer = writer
        self._output = output
        self._encoding = encoding
        self._codec = _codec(encoding, output)
        self._time_base = time_base
        self._encoder: VideoStream | None = None
        self._pix_fmt = encoding.pix_fmt or ""
        self._copied: dict[int, Stream] = {}
        self._early: list[Packet[Any]] = []
        self._chapters: list[Any] = []
        self._slowdown = Fraction(1)
        self._durations: dict[int, int] = {}
        self.rate = Fraction(25)
        self.pixel_aspect = Fraction(1)
        self.start = Fraction(0)

    def describe(self, reader: InputContainer, slowdown: Fraction) -> None:
        """Copy the file's tags and chapters."""
        self._writer.metadata.update(_fresh(reader.metadata))
        self._chapters = reader.chapters()
        self._slowdown = slowdown

    def add_copy(self, stream: Stream) -> bool:
        """Take a stream as it is; False, and an entry in `left_out`, where it does not fit."""
        name = stream.codec_context.codec.canonical_name if stream.codec_context else stream.type
        kind = f"{stream.type} ({name})"
        if name not in self._writer.supported_codecs:
            self.left_out.append(f"{kind}, which {self._output.suffix} cannot hold")
            return False
        copied = self._writer.add_stream_from_template(stream)
        copied.metadata.update(_fresh(stream.metadata))
        copied.disposition = stream.disposition
        self._copied[stream.index] = copied
        return True

    def copy(self, packet: Packet[Any]) -> None:
        """Write a packet of a copied stream, its times counted from `start`."""
        if self._encoder is None:  # the header has to name the video stream too
            self._early.append(packet)
            return
        shift = round(self.start / packet.time_base)
        for field in ("pts", "dts"):
            if getattr(packet, field) is not None:
                setattr(packet, field, getattr(packet, field) - shift)
        packet.stream = self._copied[packet.stream.index]
        self._writer.mux(packet)

    def write(self, given: VideoFrame, time: Fraction, duration: Fraction) -> None:
        """Encode a frame to be shown at `time` for `duration`, seconds."""
        self._pix_fmt = self._pix_fmt or self._pixel_format(given)
        frame = in_format(given, self._pix_fmt)
        if self._encoder is None:
            self._encoder = self._add_encoder(frame, given)
            self._set_chapters()
            early, self._early = self._early, []
            for packet in early:
                self.copy(packet)
        frame.pts, frame.time_base = round(time / self._time_base), self._time_base
        self._durations[frame.pts] = round(duration / self._time_base)
        # The decoder's choice of key frames is not to be forced on the encoder.
        frame.pict_type = PictureType.NONE
        self._mux(self._encoder.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds.

        Raises:
            MediaError: no frame was written.
        """
        if self._encoder is None:
            raise MediaError(f"{self._output}: not written: the video stream holds no frames")
        self._mux(self._encoder.encode(None))

    def _mux(self, packets: list[Packet[Any]]) -> None:
        for packet in packets:
            # Encoders guess it from a constant rate, and players the length from the last one.
            shown = packet.pts * packet.time_base / self._time_base if packet.pts is not None else 0
            duration = self._durations.pop(round(shown), None)
            if duration is not None:
                packet.duration = round(duration * self._time_base / packet.time_base)
            self._writer.mux(packet)

    def _set_chapters(self) -> None:
        for chapter in self._chapters:
            for end in ("start", "end"):
                after = max(Fraction(0), chapter[end] * chapter["time_base"] - self.start)
                chapter[end] = round(after * self._slowdown / chapter["time_base"])
        if self._chapters:
            self._writer.set_chapters(self._chapters)

    def _pixel_format(self, frame: VideoFrame) -> str:
        """Return the frame's own pixel format, or what comes nearest of those the encoder takes."""
        formats = [pix_fmt.name for pix_fmt in av.Codec(self._codec, "w").video_formats or ()]
        deep = max(component.bits for component in frame.format.components) > 8
        own = frame.format.name
        odd = frame.width % 2 or frame.height % 2
        whole = own.startswith(("yuv444", "yuvj444", "gray")) or frame.format.is_rgb
        # Players want YUV; who names an encoder that has RGB gets it.
        if own in formats and (whole or not odd) and (self._encoding.codec or not _is_rgb(frame)):
            return own
        sampling = "yuv444p" if odd else "yuv420p"  # subsampled chroma wants even sizes
        wanted = [sampling + "10le"] if deep else [sampling]
        if not odd and not _is_rgb(frame):
            best, _ = find_best_pix_fmt_of_list(formats, own)
            wanted = [best.name] if best else wanted
        chosen = next((name for name in wanted if name in formats), None)
        if chosen is None or (deep and max(c.bits for c in VideoFormat(chosen).components) <= 8):
            raise MediaError(
                f"{self._output}: {self._codec} cannot hold {own} of {frame.width}x{frame.height} "
                f"without loss; choose another --codec, or one of its --pix-fmt: "
                f"{', '.join(formats)}"
            )
        return chosen

    def _add_encoder(self, frame: VideoFrame, given: VideoFrame) -> VideoStream:
        options = {} if self._encoding.preset is None else {"preset": self._encoding.preset}
        if self._codec in _HAS_CRF:
            options["crf"] = str(_CRF if self._encoding.crf is None else self._encoding.crf)
        if self._codec.startswith("libvpx"):
            options["b"] = "0"  # or the rate would be bounded
        try:
            stream = self._writer.add_stream(
                self._codec, rate=self.rate.limit_denominator(100_000), options=options
            )
        except ValueError as error:
            raise MediaError(
                f"{self._output}: no encoder {self._codec} here, or not for this container: {error}"
            ) from error
        encoder = cast(VideoStream, stream)
        encoder.width, encoder.height = frame.width, frame.height
        encoder.pix_fmt = frame.format.name
        encoder.time_base = self._time_base
        context = encoder.codec_context
        context.time_base = self._time_base
        context.sample_aspect_ratio = self.pixel_aspect
        for tag in ("color_range", "colorspace", "color_primaries", "color_trc"):
            setattr(context, tag, getattr(frame, tag))
        matrix = given.side_data.get("DISPLAYMATRIX")
        if matrix is not None:
            encoder.set_display_matrix(np.frombuffer(bytes(cast(Any, matrix)), np.int32).tolist())
        return encoder


def _codec(encoding: Encoding, output: Path) -> str:
    """Return the encoder's name, once it and the pixel format are known to be there."""
    name = encoding.codec or _CODECS[output.suffix.lower()]
    try:
        codec = av.Codec(name, "w")
    except av.codec.codec.UnknownCodecError as error:
        raise MediaError(f"{output}: no encoder {name} here; see ffmpeg -encoders") from error
    if codec.type != "video":
        raise MediaError(f"{output}: {name} encodes {codec.type}; expected an encoder of video")
    if encoding.crf is not None and name not in _HAS_CRF:
        raise MediaError(f"{output}: {name} has no constant rate factor; leave --crf out")
    formats = [pix_fmt.name for pix_fmt in codec.video_formats or ()]
    if encoding.pix_fmt and encoding.pix_fmt not in formats:
        raise MediaError(
            f"{output}: {name} has no pixel format {encoding.pix_fmt}; it has {', '.join(formats)}"
        )
    return name


@contextmanager
def open_writer(output: Path, encoding: Encoding, time_base: Fraction) -> Iterator[VideoWriter]:
    """Yield a writer beside `output`; move its file into place when the block succeeds.

    Raises:
        MediaError: no container by that suffix, or FFmpeg cannot encode.
    """
    if output.suffix.lower() not in _CODECS:
        raise MediaError(
            f"{output}: no container is known by {output.suffix or 'no suffix'}; "
            f"use one of {', '.join(_CODECS)}"
        )
    try:
        with replacing(output) as partial, av.open(str(partial), "w") as container:
            writer = VideoWriter(container, output, encoding, time_base)
            yield writer
            writer.finish()
    except av.FFmpegError as error:
        raise MediaError(f"{output}: could not be written: {error.strerror}") from error


def _is_rgb(frame: VideoFrame) -> bool:
    return bool(frame.format.is_rgb)


def _fresh(metadata: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if not key.lower().startswith(_STALE)}
