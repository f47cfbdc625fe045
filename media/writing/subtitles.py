"""Text subtitles that a container cannot hold, written anew as what it can."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, cast

import av
from av import Packet
from av.container import OutputContainer
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle, SubtitleSet

# Of texts that are shown at one time: more would fill the picture.
_MOST = 8


class EncodedText:
    """A stream of text that is decoded and encoded, with its styles; see `Track`.

    Where the encoder has no two texts at a time, those that overlap, the last eight of them, are
    shown below each other.

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
        self.stream.time_base = self._time_base = self._encoder.time_base
        # A text track of these has one sample at a time.
        self._one_at_a_time = encoder == "mov_text"
        self._shown: list[tuple[int, bytes]] = []  # until when, and as what line of ASS
        self._since = 0

    def packets(self, packet: Packet[Any]) -> list[Packet[Any]]:
        """Return what is written for a packet, and for those before it.

        Nothing where it is damaged, holds no text, or more than the encoder takes: one text is not
        worth the video.
        """
        try:
            text = self._decoder.decode2(packet)
        except av.FFmpegError:
            return []
        if not text or packet.pts is None:
            return []
        self._time_base, length = packet.time_base, packet.duration or 0
        if not self._one_at_a_time:
            return self._encoded(text, packet.pts, length)
        made = self._until(max(packet.pts, self._since))
        if not length:  # it is shown until the next one
            return [*made, *self._encoded(text, packet.pts, length)]
        new = [(packet.pts + length, cast(AssSubtitle, each).ass) for each in text]
        self._shown = [*self._shown, *new][-_MOST:]
        return made

    def flush(self) -> list[Packet[Any]]:
        """Return what is shown last."""
        return self._until(None)

    def _until(self, time: int | None) -> list[Packet[Any]]:
        """Return a packet for each change of what is shown until then; None is the end."""
        made = []
        while self._shown and self._since != time:
            ends = [end for end, _ in self._shown]
            change = max(self._since, min(ends if time is None else [*ends, time]))
            if change > self._since:
                made += self._together(self._since, change - self._since)
            self._shown = [each for each in self._shown if each[0] > change]
            self._since = change
        self._since = self._since if time is None else time
        return made

    def _together(self, begin: int, length: int) -> list[Packet[Any]]:
        """Return what is shown at one time; of what is too long together the newest."""
        texts = [ass for _, ass in self._shown]
        for first in range(len(texts)):
            made = self._encoded(
                SubtitleSet.create(_joined(texts[first:]), 0, length), begin, length
            )
            if made:
                return made
        return []

    def _encoded(self, text: SubtitleSet, begin: int, length: int) -> list[Packet[Any]]:
        try:
            made = self._encoder.encode_subtitle(text)
        except av.FFmpegError:
            return []
        made.pts, made.dts, made.duration = begin, begin, length
        made.time_base, made.stream = self._time_base, self.stream
        return [made]


def _joined(texts: Sequence[bytes]) -> bytes:
    """Return lines of ASS as one, a line of text each; what two layers both say it says once."""
    fields = [text.split(b",", 8) for text in texts]
    said = {each[-1]: each for each in fields if each[-1].strip()} or {b"": fields[0]}
    first, *others = said.values()
    after = (rb"\N{\r" + each[2] + b"}" + each[-1] for each in others)
    return b"".join([b",".join(first), *after])


def takes_text(encoder: str, source: SubtitleStream) -> bool:
    """Say whether a stream is text that can be read, and PyAV and FFmpeg can write it here."""
    return (
        source.codec_context is not None
        and source.codec_context.codec.text_sub
        and hasattr(SubtitleCodecContext, "encode_subtitle")  # from PyAV 16.1 on
        and encoder in av.codecs_available
    )
