"""Cover pictures: read from a source, and put where players look for them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from av import Packet
from av.container import OutputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from media.reading.container import open_media

# By the codec of the picture: what Matroska's players know its attachment by.
_ATTACHED = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}


def holds_cover(container: str, picture: VideoStream) -> bool:
    """Say whether a container, by FFmpeg's name, has a place for a source's cover picture."""
    codec = picture.codec_context.name if picture.codec_context else ""
    attaches = hasattr(OutputContainer, "add_attachment")  # from PyAV 16 on
    return codec in _ATTACHED and (container == "mp4" or (container == "matroska" and attaches))


def add_cover(container: OutputContainer, picture: VideoStream, source: Path) -> list[Packet[Any]]:
    """Add a source's cover picture, and return what is written of it behind the header."""
    content = _content(source, picture.index)
    if container.format.name == "matroska":
        name, mimetype = _ATTACHED[picture.codec_context.name]
        container.add_attachment(name, mimetype, content)
        return []
    stream = container.add_stream_from_template(picture)
    stream.disposition = Disposition.attached_pic
    packet: Packet[Any] = Packet(content)
    packet.pts = packet.dts = 0
    packet.time_base, packet.stream = Fraction(1), stream
    return [packet]


def _content(source: Path, index: int) -> bytes:
    with open_media(source) as reader:
        return next((bytes(packet) for packet in reader.demux(reader.streams[index])), b"")
