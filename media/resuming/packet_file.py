"""The file of a finished segment: its packets as the encoder gave them, and what was done.

    a line that names the format
    packets, each a head (see `_HEAD`) and its bytes
    an empty packet, and the summary, which is JSON
    the SHA-256 of all before

Containers would round times to their own clock, and leave out how long frames are shown.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from av import Packet

from media.reading.damage import Losses
from runtime.errors import ArtifactError
from runtime.records import Between, Format, Matching, Sha256

_MAGIC = b"rrin-deploy segment 3\n"
_HEAD = struct.Struct("<qqI?")  # when shown, for how long, in ticks; bytes; whether a keyframe
_DIGEST = hashlib.sha256().digest_size
_LARGEST = 2**30  # bytes of a packet
_CHUNK = 2**20

Count = Annotated[int, Between(0, 2**40)]
Seconds = Annotated[float, Between(0, 1e9)]
_Time = Annotated[str, Matching(r"-?\d{1,20}(/\d{1,20})?", "a time, as in 1001/30000")]
_Hex = Annotated[str, Matching(r"([0-9a-f]{2}){0,100000}", "hexadecimal digits")]


@dataclass(frozen=True)
class SegmentSummary:
    """What was done with a segment.

    Attributes:
        job: the hash of the record of the job that it belongs to.
        width, height: of its frames, pixels.
        frames_read, frames_made, frames_repeated, frames_left_out, cuts: see `VideoSummary`.
        repeats: found and taken out.
        frames_written: how many packets there are, a frame each.
        reordered: by how many packets an encoded frame comes later than it is shown, at most.
        extradata: what decoders are told first, which has to be the same in all segments.
        undecoded, leapt, corrupt: see `Losses`.
        decode_seconds, inference_seconds, encode_seconds: see `VideoSummary`.
    """

    job: Sha256
    width: Count
    height: Count
    frames_read: Count
    frames_made: Count
    frames_repeated: Count
    frames_written: Count
    frames_left_out: Count
    cuts: Count
    repeats: Count
    reordered: Count
    extradata: _Hex
    undecoded: tuple[_Time, ...]
    leapt: tuple[_Time, ...]
    corrupt: tuple[_Time, ...]
    decode_seconds: Seconds
    inference_seconds: Seconds
    encode_seconds: Seconds

    def losses(self) -> Losses:
        """Return what of its frames is missing or broken."""
        parts = (self.undecoded, self.leapt, self.corrupt)
        return Losses(*(tuple(map(Fraction, times)) for times in parts))


_FORMAT = Format(SegmentSummary, "segment", 3, "make it again", max_bytes=2**26)


@dataclass(frozen=True)
class Encoded:
    """A packet: when its frame is shown and for how long, in ticks; whether it is a keyframe."""

    time: int
    duration: int
    is_key: bool
    content: bytes


class PacketFile:
    """A segment's file being written.

    Attributes:
        frames: how many are written.
        reordered: see `SegmentSummary`.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.frames = 0
        self._times: list[int] = []
        self._file = file
        self._digest = hashlib.sha256()
        self._put(_MAGIC)

    @property
    def reordered(self) -> int:
        """See `SegmentSummary`."""
        ranks = {time: rank for rank, time in enumerate(sorted(self._times))}
        return max((at - ranks[time] for at, time in enumerate(self._times)), default=0)

    def write(self, packets: list[Packet[Any]], time_base: Fraction) -> None:
        """Write what an encoder gave, in its order, in ticks of `time_base`."""
        for packet in packets:
            tick = packet.time_base / time_base
            content, time = bytes(packet), round((packet.pts or 0) * tick)
            duration = round((packet.duration or 0) * tick)
            self._put(_HEAD.pack(time, duration, len(content), packet.is_keyframe))
            self._put(content)
            self._times.append(time)
            self.frames += 1

    def finish(self, summary: SegmentSummary) -> None:
        """Write the end."""
        self._put(_HEAD.pack(0, 0, 0, False))
        self._put(json.dumps({"format_version": 3, **asdict(summary)}).encode())
        self._file.write(self._digest.digest())

    def _put(self, content: bytes) -> None:
        self._digest.update(content)
        self._file.write(content)


def read_summary(path: Path) -> SegmentSummary:
    """Read what was done, and hold the file against its hash.

    Raises:
        ArtifactError: it is damaged.
        OSError: it cannot be read.
    """
    digest, left = hashlib.sha256(), path.stat().st_size - _DIGEST
    with path.open("rb") as file:
        while left > 0 and (part := file.read(min(_CHUNK, left))):
            digest.update(part)
            left -= len(part)
        if left or file.read() != digest.digest():
            raise ArtifactError(f"{path}: is damaged or cut short; make it again")
        for _ in _packets(file, path, contents=False):
            pass
        return _FORMAT.parse(file.read()[:-_DIGEST], path)


def packets_in(path: Path, *, contents: bool = True) -> Iterator[Encoded]:
    """Yield the packets of a file that `read_summary` found whole, without contents if so asked.

    Raises:
        ArtifactError: it is damaged.
    """
    with path.open("rb") as file:
        yield from _packets(file, path, contents=contents)


def _packets(file: BinaryIO, path: Path, *, contents: bool) -> Iterator[Encoded]:
    file.seek(0)
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ArtifactError(f"{path}: is no segment, or of another version; make it again")
    while len(head := file.read(_HEAD.size)) == _HEAD.size:
        time, duration, size, is_key = _HEAD.unpack(head)
        if not size:
            return
        if size > _LARGEST:
            break
        content = file.read(size) if contents else b""
        if not contents:
            file.seek(size, 1)
        yield Encoded(time, duration, is_key, content)
    raise ArtifactError(f"{path}: is damaged or cut short; make it again")
