"""What a source's streams carry beside pictures: what is true of the output, and what is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av import VideoFrame
from av.stream import Stream
from av.video.stream import VideoStream

from media.errors import MediaError
from media.pixel_formats import has_alpha
from media.reading.container import open_media
from media.side_data import carries

# What a muxer or encoder writes anew; copied, they would tell of the source. A timecode counts
# its frames.
_STALE = ("duration", "encoder", "bps", "number_of_", "_statistics", "handler_name", "vendor_id",
          "major_brand", "minor_version", "compatible_brands", "timecode",
          "alpha_mode")  # fmt: skip
# Codecs whose chroma lies beside the left one of its pixels; PyAV does not tell what a stream says.
_SITED_LEFT = ("h263", "h264", "hevc", "mpeg2video", "mpeg4", "vc1", "wmv3")
_NEAR = Fraction(1, 100)  # codecs hold fractions of few bits
# PyAV gives encoders none of it.
_LOST_SIDE_DATA = {
    "DYNAMIC_HDR_PLUS": "HDR10+ metadata",
    "DOVI_METADATA": "Dolby Vision metadata",
    "ICC_PROFILE": "ICC profile",
}


def siting_of(stream: VideoStream) -> str:
    """Return where a stream's chroma lies, by FFmpeg's name; empty where its codec says nothing."""
    return "left" if stream.codec_context.name in _SITED_LEFT else ""


def fresh(metadata: dict[str, str]) -> dict[str, str]:
    """Return the tags that are true of the output too."""
    return {key: value for key, value in metadata.items() if not key.lower().startswith(_STALE)}


def alpha_left_out(stream: VideoStream, source: Path, asked: str | None) -> list[str]:
    """Return for people that a stream's alpha is lost, where a pixel format without was asked for.

    Raises:
        MediaError: it has alpha, and no such format was asked for.
    """
    if not _shows_through(stream, source):
        return []
    if asked is None or has_alpha(asked):
        raise MediaError(
            f"{source}: has alpha, which is not interpolated; "
            "to leave it out, ask for a pixel format without, such as yuv420p",
            remedy=("pix_fmt", "yuv420p"),
        )
    return ["alpha, for the pixel format asked for has none"]


def _shows_through(stream: VideoStream, source: Path) -> bool:
    """Say whether a stream has alpha, in its pixels or, as VP9 has it, in a stream beside them.

    A GIF or palette is decoded for that: they come with alpha whether any pixel can be seen through
    or not.
    """
    own = stream.codec_context.format
    if stream.codec_context.name == "gif" or (own is not None and own.has_palette):
        frames = _decoded(source, stream.index)
        return any(frame.to_ndarray(format="rgba")[..., 3].min() < 255 for frame in frames)
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    return tags.get("alpha_mode") == "1" or (own is not None and has_alpha(own))


def _decoded(source: Path, index: int) -> Iterator[VideoFrame]:
    """Yield what can be decoded; what cannot is found again when it is interpolated."""
    with open_media(source) as reader:
        for packet in reader.demux(cast(VideoStream, reader.streams[index])):
            with suppress(av.FFmpegError):
                yield from packet.decode()


def lost_with(frame: VideoFrame) -> list[str]:
    """Return what a frame carries and its encoder is not given, for people."""
    return [
        f"{name}, for encoders are not given it"
        for key, name in _LOST_SIDE_DATA.items()
        if carries(frame, key)
    ]


def aspect_lost(video: Path, pixel_aspect: Fraction) -> list[str]:
    """Return for people that a finished video does not say the aspect of its pixels.

    FFmpeg writes it into Matroska only where it is told beside the encoder, as PyAV cannot; there
    it is what the codec itself holds, as H.264 does, and FFV1, VP9 and AV1 do not.
    """
    with open_media(video) as reader:
        found = reader.streams.video[0].sample_aspect_ratio or Fraction(1)
        if abs(found / pixel_aspect - 1) < _NEAR:
            return []
        codec = reader.streams.video[0].codec_context.codec.canonical_name
    return [f"pixel aspect of {pixel_aspect}, which is not written of {codec} in this container"]


def heard_from(streams: Iterable[Stream], default: Fraction) -> Fraction:
    """Return when the first audio or subtitle begins, seconds."""
    starts = [
        stream.start_time * stream.time_base
        for stream in streams
        if stream.type in ("audio", "subtitle")
        and stream.start_time is not None
        and stream.time_base
    ]
    return min(starts, default=default)
