"""Sound that a container cannot hold, encoded anew as what it can."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, cast

import av
from av import AudioFrame, Packet
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.filter import Graph

from media.filtering import filtered

# Bits a second for each channel: of AAC and Opus alike so many that few hear a difference.
_BIT_RATE = 96_000
# Sound that is missing is filled up with silence, and what comes twice is cut, from so many seconds
# on; finer clocks than those of containers would be heard as clicks.
_IN_STEP = {"async": "1", "min_hard_comp": "0.02"}


class EncodedSound:
    """A stream of sound that is decoded and encoded; see `Track`.

    Args:
        container: that it is added to.
        source: whose packets it is given.
        encoder: FFmpeg's name, one that `takes_sound` of this stream.
    """

    def __init__(self, container: OutputContainer, source: AudioStream, encoder: str) -> None:
        self.stream = cast(AudioStream, container.add_stream(encoder, _rate(source, encoder)))
        context = self.stream.codec_context
        context.format, context.layout = _format(encoder), _layout(source, encoder)
        context.bit_rate = _BIT_RATE * context.layout.nb_channels
        self._source = source
        self._graph: Graph | None = None
        self._given: tuple[Any, ...] = ()

    def packets(self, packet: Packet[Any]) -> list[Packet[Any]]:
        """Decode a packet, and return what comes of it; damaged ones become silence."""
        try:
            frames = packet.decode()
        except av.FFmpegError:
            return []
        return self._encoded(cast("list[AudioFrame]", frames))

    def flush(self) -> list[Packet[Any]]:
        """Return what decoder and encoder still hold."""
        frames = self._source.codec_context.decode(None)
        return [*self._encoded(frames), *self._through(None), *self.stream.encode(None)]

    def _encoded(self, frames: list[AudioFrame]) -> list[Packet[Any]]:
        packets = []
        for frame in frames:
            given = (frame.format.name, frame.layout.name, frame.sample_rate, frame.time_base)
            if given != self._given:  # as television changes between stereo and surround
                packets += self._through(None)
                self._given, self._graph = given, self._opened(frame)
            packets += self._through(frame)
        return packets

    def _through(self, frame: AudioFrame | None) -> list[Packet[Any]]:
        """Encode what comes of a frame, or with None what the filters still hold."""
        made = filtered(self._graph, frame) if self._graph is not None else ()
        return [packet for each in made for packet in self.stream.encode(each)]

    def _opened(self, frame: AudioFrame) -> Graph:
        context, graph = self.stream.codec_context, Graph()
        nodes = (
            graph.add_abuffer(
                sample_rate=frame.sample_rate,
                format=frame.format,
                layout=frame.layout,
                time_base=frame.time_base,
            ),
            graph.add("aresample", **_IN_STEP),
            graph.add(
                "aformat",
                sample_rates=str(context.sample_rate),
                sample_fmts=context.format.name,
                channel_layouts=context.layout.name,
            ),
            graph.add("abuffersink"),
        )
        graph.link_nodes(*nodes).configure()
        return graph


def takes_sound(encoder: str, source: AudioStream) -> bool:
    """Say whether an encoder is here that can encode a stream of sound, which can be decoded."""
    return bool(
        encoder in av.codecs_available and source.codec_context and _layout(source, encoder)
    )


def _layout(source: AudioStream, encoder: str) -> str:
    """Return the channels that are encoded: the source's where it can be; empty where none can."""
    own = source.layout
    # By the number FFmpeg calls what is usual: Opus has six channels with those behind alone.
    usual = (f"{own.nb_channels}c", "stereo", "mono")
    for layout in usual if own.name.endswith(" channels") else (own.name, *usual):
        with suppress(av.FFmpegError, ValueError):
            context = cast(AudioCodecContext, av.CodecContext.create(encoder, "w"))
            context.sample_rate, context.format = _rate(source, encoder), _format(encoder)
            context.layout = layout
            context.open()
            return layout
    return ""


def _rate(source: AudioStream, encoder: str) -> int:
    """Return the samples a second: the source's, or the next that the encoder has above them."""
    rates = av.Codec(encoder, "w").audio_rates or [source.rate]
    return min((rate for rate in rates if rate >= source.rate), default=max(rates))


def _format(encoder: str) -> str:
    formats = av.Codec(encoder, "w").audio_formats or []
    return formats[-1].name  # the finest
