"""Streams beside the pictures, as they come into a container: copied, or encoded anew."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Protocol, cast

import av
from av import Packet
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Stream
from av.subtitles.stream import SubtitleStream

from media.errors import MediaError
from media.renditions import is_rendition
from media.writing.sound import EncodedSound, takes_sound
from media.writing.subtitles import EncodedText, takes_text

COPY = "copy"
# FFmpeg writes any stream into a transport stream, and finds these alone again.
_OF_TRANSPORT = ("aac", "aac_latm", "ac3", "dts", "eac3", "mp2", "mp3", "opus", "s302m", "truehd",
                 "dvb_subtitle", "dvb_teletext")  # fmt: skip
# What FFmpeg writes into .mp4, and few players take.
_UNHEARD = ("vorbis", "pcm_")
_SOUND = {"webm": "libopus"}  # and AAC in all others
_TEXT = {"matroska": "subrip", "mov": "mov_text", "mp4": "mov_text", "webm": "webvtt"}
# Data with times of their own. What else there is, such as timecodes, may count the source's frames
# or point at them.
_TIMED_DATA = ("klv", "timed_id3")


class Track(Protocol):
    """What becomes of a source's stream."""

    @property
    def stream(self) -> Stream:
        """The output's."""

    def packets(self, packet: Packet[Any]) -> list[Packet[Any]]:
        """Return what is written for a packet of the source's stream, whose times are shifted."""

    def flush(self) -> list[Packet[Any]]:
        """Return what is written at the end."""


class CopiedTrack:
    """A stream as it is; see `Track`."""

    def __init__(self, container: OutputContainer, source: Stream) -> None:
        self.stream = container.add_stream_from_template(source)

    def packets(self, packet: Packet[Any]) -> list[Packet[Any]]:
        """Return the packet."""
        packet.stream = self.stream
        return [packet]

    def flush(self) -> list[Packet[Any]]:
        """Return nothing."""
        return []


def way_into(container: str, stream: Stream, output: Path, *, transcode: bool) -> str:
    """Return how a container, by FFmpeg's name, takes a stream: COPY, the encoder, or "" for not.

    Raises:
        MediaError: it is to be encoded, and that is not wanted.
    """
    if is_rendition(output):
        return ""
    if _holds(container, stream):
        return COPY
    encoder = _encoder_for(container, stream)
    if encoder and not transcode:
        raise MediaError(
            f"{output}: {output.suffix} does not hold {kind_of(stream)}, and it is not to be "
            f"encoded anew; choose another container, such as .mkv, or have it encoded as {encoder}"
        )
    return encoder


def _encoder_for(container: str, stream: Stream) -> str:
    """Return the encoder of what a container holds in a stream's place; empty if there is none."""
    if isinstance(stream, AudioStream):
        encoder = _SOUND.get(container, "aac")
        return encoder if takes_sound(encoder, stream) else ""
    encoder = _TEXT.get(container, "")
    return encoder if isinstance(stream, SubtitleStream) and takes_text(encoder, stream) else ""


def track(container: OutputContainer, stream: Stream, way: str) -> Track:
    """Add a stream to a container, as `way_into` says."""
    if way == COPY:
        return CopiedTrack(container, stream)
    if isinstance(stream, SubtitleStream):
        return EncodedText(container, stream, way)
    return EncodedSound(container, cast(AudioStream, stream), way)


def kind_of(stream: Stream) -> str:
    """Say for people what a stream is."""
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else ""
    return f"{stream.type} ({codec})" if codec else f"{stream.type} stream {stream.index}"


def _holds(container: str, stream: Stream) -> bool:
    """Say whether a container takes a stream, by writing it the header of a file in memory."""
    if stream.type == "attachment":
        return container == "matroska"  # FFmpeg's WebM leaves them out without a word
    if stream.type == "data":
        return container == "mpegts" and stream.name in _TIMED_DATA
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else ""
    if container == "mpegts" and codec not in _OF_TRANSPORT:
        return False
    if container == "mp4" and codec.startswith(_UNHEARD):
        return False
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True
