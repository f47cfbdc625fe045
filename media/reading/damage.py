"""What of a video is missing or broken: noted while it is read, said when it is."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
from av import Packet, VideoFrame
from av.container import InputContainer
from av.video.stream import VideoStream

# Codecs of which every packet is shown as a frame; others hide some, or pack several into one.
_FRAME_A_PACKET = ("h264", "hevc", "vp9", "av1", "ffv1", "mjpeg", "prores", "dnxhd")
# Formats whose header says how long they are; of others FFmpeg estimates it from what is there.
_SAY_THEIR_LENGTH = ("matroska,webm", "avi", "flv", "asf")
_TOLERANCE = Fraction(1)  # seconds that writers' own lengths are off by; of short ones a tenth
# Recordings that may start anywhere: what comes before their first key frame was never whole.
START_ANYWHERE = ("mpegts", "mpeg", "mpegvideo", "h264", "hevc")
_TRANSPORT_PACKET = 188
_BOXES = (b"ftyp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"uuid", b"sidx", b"styp")
_SEGMENT = b"\x18\x53\x80\x67"


@dataclass(frozen=True)
class Losses:
    """When frames were to be shown, in seconds, of which something is missing or broken.

    Attributes:
        undecoded: that could not be decoded.
        leapt: whose time is not between its neighbours', and that are not shown.
        corrupt: that were decoded with errors.
    """

    undecoded: tuple[Fraction, ...] = ()
    leapt: tuple[Fraction, ...] = ()
    corrupt: tuple[Fraction, ...] = ()

    @classmethod
    def of_all(cls, parts: Iterable[Losses]) -> Losses:
        """Return those of several parts of a video as one."""
        whole = cls()
        for part in parts:
            whole = cls(
                whole.undecoded + part.undecoded,
                whole.leapt + part.leapt,
                whole.corrupt + part.corrupt,
            )
        return whole

    def between(self, begin: Fraction | None, end: Fraction | None) -> Losses:
        """Return those from `begin` until just before `end`; None is without a bound."""

        def kept(times: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
            return tuple(
                time
                for time in times
                if (begin is None or time >= begin) and (end is None or time < end)
            )

        return Losses(kept(self.undecoded), kept(self.leapt), kept(self.corrupt))


class Damage:
    """Watches what is read of a file and what its video stream decodes to."""

    def __init__(self, reader: InputContainer, stream: VideoStream, source: Path) -> None:
        self._reader = reader
        self._stream = stream
        self._source = source
        self._frame_a_packet = stream.codec_context.codec.canonical_name in _FRAME_A_PACKET
        self._undecoded: set[Fraction] = set()
        self._first_key: Fraction | None = None
        self._corrupt: list[Fraction] = []
        self._leapt: list[Fraction] = []
        self._corrupt_packets: dict[int, int] = {}
        self._zero = Fraction(reader.start_time or 0, av.time_base)
        self._end = Fraction(0)
        self._broken_off = ""
        self._left = False

    def read(self, packet: Packet[Any]) -> None:
        """Note a packet of any stream."""
        time = packet.dts if packet.pts is None else packet.pts
        if time is not None:
            end = (time + (packet.duration or 0)) * packet.time_base
            self._end = max(self._end, end)
        if packet.stream.index != self._stream.index:
            if packet.is_corrupt:
                count = self._corrupt_packets.get(packet.stream.index, 0)
                self._corrupt_packets[packet.stream.index] = count + 1
            return
        starts = packet.is_keyframe or self._reader.format.name not in START_ANYWHERE
        if starts and self._first_key is None:
            self._first_key = self._time(packet)
        known = self._frame_a_packet and packet.pts is not None
        if packet.size and known and not packet.is_discard:
            self._expect(packet)

    def failed(self, packet: Packet[Any]) -> None:
        """Note that the decoder took offence at a packet, this one or one that it still held."""
        if packet.size or not self._frame_a_packet:  # an empty one asks for the last frames
            self._expect(packet)

    def decoded(self, frame: VideoFrame) -> None:
        """Note a frame of the video stream."""
        time = self._time(frame)
        self._undecoded.discard(time)
        if frame.is_corrupt:
            self._corrupt.append(time)

    def broken_off(self, error: av.FFmpegError) -> None:
        """Note that the file cannot be read on."""
        self._broken_off = error.strerror or "unknown error"

    def left(self) -> None:
        """Note that the rest is not read."""
        self._left = True

    def leapt(self, frame: VideoFrame) -> None:
        """Note a frame whose time is not between its neighbours', and that is not shown."""
        self._leapt.append(self._time(frame))

    @property
    def is_broken_off(self) -> bool:
        """Whether the file cannot be read to its end."""
        return bool(self._broken_off)

    def losses(self) -> Losses:
        """Return what was noted of frames."""
        return Losses(tuple(self._undecoded), tuple(self._leapt), tuple(self._corrupt))

    def found(self, losses: Losses | None = None) -> list[str]:
        """Return all that was noted, for people; `losses` stand for its own, if they are given."""
        return list(self._found(self.losses() if losses is None else losses))

    def at(self, time: Fraction) -> str:
        """Return a time of the file as players show it, which count from where the file starts."""
        return f"{float(time - self._zero):.3f} s"

    def _expect(self, packet: Packet[Any]) -> None:
        # What is shown before the first key frame may refer to frames that the file never held.
        if self._first_key is not None and self._time(packet) >= self._first_key:
            self._undecoded.add(self._time(packet))

    def _time(self, item: Packet[Any] | VideoFrame) -> Fraction:
        if item.pts is None or item.time_base is None:
            return self._end
        return item.pts * item.time_base

    def _frames(self, times: tuple[Fraction, ...]) -> str:
        """Return how many frames and where, as in '3 frames from 1.000 s to 1.080 s'."""
        if len(times) == 1:
            return f"1 frame at {self.at(times[0])}"
        return f"{len(times)} frames from {self.at(min(times))} to {self.at(max(times))}"

    def _found(self, losses: Losses) -> Iterator[str]:
        declared = size = 0
        if self._reader.file is None:  # else it is read from elsewhere, which may have no size
            declared, size = declared_size(self._source), self._source.stat().st_size
        length = Fraction(self._reader.duration or 0, av.time_base)
        says = self._reader.format.name in _SAY_THEIR_LENGTH
        if declared > size and not self._left:
            yield f"the file is cut short: it holds {size} bytes of at least {declared}"
        if self._broken_off:
            yield f"it cannot be read beyond {self.at(self._end)}: {self._broken_off}"
        short = self._end < length - min(_TOLERANCE, length / 10)
        if (says or declared > size) and short and not self._left:
            yield f"it ends at {float(self._end):.3f} s of {float(length):.3f} s"
        if losses.undecoded:
            yield f"{self._frames(losses.undecoded)} could not be decoded"
        if losses.leapt:
            whose = "not between its" if len(losses.leapt) == 1 else "each not between its"
            yield f"{self._frames(losses.leapt)} left out, {whose} neighbours"
        if losses.corrupt:
            yield f"{self._frames(losses.corrupt)} decoded with errors"
        for index, count in self._corrupt_packets.items():
            kind = self._reader.streams[index].type
            yield f"{count} packet{'s' * (count > 1)} of {kind} stream {index} damaged"


def declared_size(path: Path) -> int:
    """Return how many bytes a file says it has, by its format's own account; 0 if it does not."""
    with path.open("rb") as file:
        start = file.read(12)
        if start[4:8] in _BOXES:
            return _end_of_boxes(file, path.stat().st_size)
        if start[:4] == b"RIFF":
            size = int.from_bytes(start[4:8], "little")
            return 0 if size == 0xFFFFFFFF else 8 + size  # which stands for unknown
        if start[:4] == b"\x1a\x45\xdf\xa3":
            return _end_of_segment(file)
        if start[:1] == b"\x47" and _is_transport(file):
            return -(-path.stat().st_size // _TRANSPORT_PACKET) * _TRANSPORT_PACKET
    return 0


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    """ISO media files (MP4, MOV): boxes, each with its size."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(16).ljust(16, b"\0")
        length, kind, large = struct.unpack(">I4sQ", head)
        length = large if length == 1 else length
        cut = at + length > size
        if length < 8 or (cut and kind not in _BOXES):  # the last has no size, or rubbish follows
            return 0
        at += length
    return at


def _end_of_segment(file: BinaryIO) -> int:
    """Matroska: a header and a segment, which is of unknown size in live recordings."""
    file.seek(4)
    header = _ebml_size(file)
    file.seek(header or 0, 1)
    if file.read(4) != _SEGMENT:
        return 0
    segment = _ebml_size(file)
    return file.tell() + segment if segment is not None else 0


def _ebml_size(file: BinaryIO) -> int | None:
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(length - 1), "big") & ((1 << 7 * length) - 1)
    return None if value == (1 << 7 * length) - 1 else value


def _is_transport(file: BinaryIO) -> bool:
    file.seek(0)
    return set(file.read(_TRANSPORT_PACKET * 8)[::_TRANSPORT_PACKET]) == {0x47}
