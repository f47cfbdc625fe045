"""Frames at exact times to packets."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from av import Packet, VideoFrame
from av.container import OutputContainer
from av.video.frame import PictureType
from av.video.stream import VideoStream

from media.colour import in_format
from media.encoder import SMALLEST_DEEP, Encoder, Pictures
from media.encoding import Encoding
from media.pixel_formats import bits_of
from media.renditions import LOSSLESS
from media.schedule import LARGEST_DENOMINATOR
from media.writing.light import light_options


class FrameEncoder:
    """Encodes the frames of one stream.

    Args:
        output: the video's name, whose suffix chooses the codec where `encoding` names none.
        rate: frames a second, on average.
        time_base: what every time is a multiple of, seconds.
        pixel_aspect: width by height of a pixel.

    Attributes:
        pix_fmt: that frames are encoded in, once `choose` has been called.
        siting: where chroma lies, by FFmpeg's name; empty where it is not known.

    Raises:
        MediaError: see `Encoder`.
    """

    def __init__(
        self,
        encoding: Encoding,
        output: Path | str,
        *,
        rate: Fraction,
        time_base: Fraction,
        pixel_aspect: Fraction,
    ) -> None:
        self.time_base = time_base
        self.pix_fmt = self.siting = ""
        self._encoding, self._output = encoding, output
        self._choice = Encoder(encoding, output, time_base)
        self._rate = rate.limit_denominator(LARGEST_DENOMINATOR)
        self._pixel_aspect = pixel_aspect
        self._chosen_for: Pictures | None = None
        self._stream: VideoStream | None = None
        self._durations: dict[int, int] = {}
        self._begun = False

    @property
    def name(self) -> str:
        """FFmpeg's, of the encoder; of frames like those that `choose` was told last."""
        return self._choice.name

    def choose(self, pix_fmt: str, width: int, height: int) -> None:
        """Choose how frames like these are encoded.

        Raises:
            MediaError: the encoder does not take them.
        """
        pictures = Pictures(pix_fmt, width, height, self._rate)
        if self._chosen_for != pictures:
            deep = bits_of(pix_fmt) > 8 and max(width, height) >= SMALLEST_DEEP
            self._choice = Encoder(self._encoding, self._output, self.time_base, deep=deep)
            self.pix_fmt = self._choice.pixel_format(pictures)
            self._chosen_for = pictures

    def add_to(self, container: OutputContainer, first: VideoFrame) -> VideoStream:
        """Add the stream to a container, for frames that have the size and colours of this one.

        Raises:
            MediaError: the encoder does not take them, or the container not what it makes.
        """
        self.choose(first.format.name, first.width, first.height)
        self._stream = self._choice.add_stream(
            container,
            in_format(first, self.pix_fmt),
            self._rate,
            self._pixel_aspect,
            {**light_options(self.name, first), **self._siting_options()},
        )
        return self._stream

    def _siting_options(self) -> dict[str, str]:
        # FFV1 itself does not hold it, and chroma without would be shown between the pixels.
        known = self.siting and self.name == LOSSLESS
        return {"chroma_sample_location": self.siting} if known else {}

    def encode(self, given: VideoFrame, time: Fraction, duration: Fraction) -> list[Packet[Any]]:
        """Encode a frame to be shown at `time` for `duration`, seconds; return what comes of it.

        `add_to` comes before, and the container's header is written or never will be.
        """
        assert self._stream is not None  # noqa: S101 - as said above
        frame = in_format(given, self.pix_fmt)
        frame.pts = round(time / self.time_base)
        frame.time_base = self.time_base
        self._durations[frame.pts] = round(duration / self.time_base)
        # The decoder's choice of key frames is not to be forced on the encoder.
        frame.pict_type = PictureType.NONE
        self._begun = True
        return self._timed(self._stream.encode(frame))

    def flush(self) -> list[Packet[Any]]:
        """Return what the encoder still holds."""
        if self._stream is None or not self._begun:  # some wait for ever for what never comes
            return []
        return self._timed(self._stream.encode(None))

    def _timed(self, packets: list[Packet[Any]]) -> list[Packet[Any]]:
        for packet in packets:
            # Encoders guess it from a constant rate, and players the length from the last one.
            shown = packet.pts * packet.time_base / self.time_base if packet.pts is not None else 0
            duration = self._durations.pop(round(shown), None)
            if duration is not None:
                packet.duration = round(duration * self.time_base / packet.time_base)
        return packets
