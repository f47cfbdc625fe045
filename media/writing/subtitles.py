"""Text subtitles that a container cannot hold, written anew as what it can."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, cast

import av
from av import Packet
from av.container import OutputContainer
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.stream import SubtitleStream


class EncodedText:
    """A stream of text that is decoded and encoded, with its styles; see `Track`.

    Args:
        container: that it is added to.
        source: whose packets it is given.
        encoder: FFmpeg's name, one that `takes_text` of this stream.
    """

    def __init__(self, container: OutputContainer, source: SubtitleStream, encoder: str) -> None:
        self.stream = cast(SubtitleStream, container.add_stream(encoder))
        self._decoder, self._encoder = source.codec_context, self.stream.codec_context
        self._decoder.open(strict=False)  # which makes the header, where styles are named
        self._encoder.subtitle_header = self._decoder.subtitle_header
        self._encoder.time_base = source.time_base or Fraction(1, 1000)
        self.stream.time_base = self._encoder.time_base

    def packets(self, packet: Packet[Any]) -> list[Packet[Any]]:
        """Return what is written for a packet.

        Nothing where it is damaged, holds no text, or more than the encoder takes: one text is not
        worth the video.
        """
        try:
            text = self._decoder.decode2(packet)
            if not text:
                return []
            made = self._encoder.encode_subtitle(text)
        except av.FFmpegError:
            return []
        made.pts, made.dts, made.duration = packet.pts, packet.pts, packet.duration
        made.time_base, made.stream = packet.time_base, self.stream
        return [made]

    def flush(self) -> list[Packet[Any]]:
        """Return nothing."""
        return []


def takes_text(encoder: str, source: SubtitleStream) -> bool:
    """Say whether a stream is text that can be read, and PyAV and FFmpeg can write it here."""
    return (
        source.codec_context is not None
        and source.codec_context.codec.text_sub
        and hasattr(SubtitleCodecContext, "encode_subtitle")  # from PyAV 16.1 on
        and encoder in av.codecs_available
    )
