"""Damage to images and videos along the chunks that their containers are made of."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from random import Random
from typing import NamedTuple

from tests.fuzz.mutators import Mutator
from tests.fuzz.mutators.raw import overwrite_number, scramble

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_BOXES = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"dinf", b"mvex", b"moof")
_EBML_MASTERS = (
    *(0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0xE0, 0xE1, 0x1F43B675, 0xA0),
    *(0x1C53BB6B, 0xBB, 0xB7, 0x114D9B74, 0x4DBB, 0x1254C367, 0x7373, 0x67C8, 0x6D80),
)


class Chunk(NamedTuple):
    """A piece of a container: its header begins at `start`, its content at `content`."""

    start: int
    content: int
    end: int


Walk = Callable[[bytes], Iterator[Chunk]]


def chunks(walk: Walk) -> Mutator:
    """Return a mutator for the containers whose chunks `walk` finds."""

    def mutator(rng: Random, content: bytes) -> bytes:
        found = [chunk for chunk in walk(content) if chunk.end <= len(content)]
        chunk, other = rng.choice(found), rng.choice(found)
        data = bytearray(content)
        piece, others = data[chunk.start : chunk.end], data[other.start : other.end]
        match rng.randrange(10):
            case 0:
                del data[chunk.start : chunk.end]
            case 1:
                data[chunk.end : chunk.end] = piece * rng.choice((1, 2, 50))
            case 2:
                data[chunk.start : chunk.end] = others
            case 3:
                data[other.content : other.end] = data[chunk.content : chunk.end]
            case 4:
                overwrite_number(rng, data, chunk.start, chunk.content)
            case 5:
                inside = bytes(data[chunk.content : chunk.end])
                data[chunk.content : chunk.end] = scramble(rng, inside, inside)
            case _:
                # Headers are short and what they say matters most: near the front of a chunk.
                overwrite_number(rng, data, chunk.content, min(chunk.end, chunk.content + 96))
        return bytes(data)

    return mutator


def boxes(data: bytes) -> Iterator[Chunk]:
    """Walk the boxes of MP4 and MOV."""
    return _boxes(data, 0, len(data))


def _boxes(data: bytes, at: int, end: int) -> Iterator[Chunk]:
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        stop = at + size if size >= 8 else end
        yield Chunk(at, at + 8, min(stop, end))
        if kind in _BOXES:
            yield from _boxes(data, at + 8, min(stop, end))
        if kind == b"stsd":  # an entry of 16 bytes more, then boxes behind 78 of the sample's own
            yield from _boxes(data, at + 16, min(stop, end))
        if kind in (b"avc1", b"mp4v", b"rle ", b"hvc1", b"vp09"):
            yield from _boxes(data, at + 86, min(stop, end))
        at = stop


def ebml(data: bytes) -> Iterator[Chunk]:
    """Walk the elements of Matroska and WebM."""
    return _ebml(data, 0, len(data))


def _ebml(data: bytes, at: int, end: int) -> Iterator[Chunk]:
    while at < end:
        name_length = 9 - data[at].bit_length()
        if data[at] == 0 or at + name_length >= end or data[at + name_length] == 0:
            return
        name = int.from_bytes(data[at : at + name_length], "big")
        size_length = 9 - data[at + name_length].bit_length()
        content = at + name_length + size_length
        size = int.from_bytes(data[at + name_length : content], "big") - (1 << 7 * size_length)
        stop = end if size == (1 << 7 * size_length) - 1 else min(content + size, end)
        yield Chunk(at, content, stop)
        if name in _EBML_MASTERS:
            yield from _ebml(data, content, stop)
        at = max(stop, content)


def riff(data: bytes) -> Iterator[Chunk]:
    """Walk the chunks of AVI and WebP."""
    return _riff(data, 0, len(data))


def _riff(data: bytes, at: int, end: int) -> Iterator[Chunk]:
    while at + 8 <= end:
        kind, size = struct.unpack_from("<4sI", data, at)
        stop = min(at + 8 + size, end)
        yield Chunk(at, at + 8, stop)
        if kind in (b"RIFF", b"LIST"):
            yield from _riff(data, at + 12, stop)
        at = stop + size % 2


def jpeg(data: bytes) -> Iterator[Chunk]:
    """Walk the segments of a JPEG, up to its scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        stop = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield Chunk(at, at + 4, stop)
        at = stop


def tiff(data: bytes) -> Iterator[Chunk]:
    """Walk the entries of a TIFF's first folder; tag and type are the header."""
    order = "<" if data[:2] == b"II" else ">"
    if len(data) < 8:
        return
    (at,) = struct.unpack_from(order + "I", data, 4)
    if at + 2 > len(data):
        return
    (count,) = struct.unpack_from(order + "H", data, at)
    for index in range(count):
        yield Chunk(at + 2 + 12 * index, at + 6 + 12 * index, at + 14 + 12 * index)


def fields(length: int) -> Walk:
    """Take the first bytes of a file for one chunk, for formats that are a header and pixels."""
    return lambda data: iter([Chunk(0, 0, min(length, len(data)))])


def png(rng: Random, content: bytes) -> bytes:
    """Change a chunk of a PNG, and put lengths and checksums right; some are made into bombs."""
    found = list(_png_chunks(content))
    index = rng.randrange(len(found))
    kind, inside = found[index]
    match rng.randrange(8):
        case 0:
            del found[index]
        case 1:
            found[index:index] = [found[index]] * rng.choice((1, 2, 200))
        case 2:
            other = rng.randrange(len(found))
            found[index], found[other] = found[other], found[index]
        case 3:
            found[index] = (rng.choice((b"PLTE", b"tRNS", b"acTL", b"fcTL", b"eXIf", kind)), inside)
        case 4 if kind == b"IDAT":
            rows = zlib.decompressobj().decompress(inside, 2**20)
            found[index] = (kind, zlib.compress(scramble(rng, rows, rows)))
        case 5 if rng.random() < 0.2:
            found = _png_bomb(*rng.choice(((16000, 16000), (2**24, 1), (1, 2**24), (40000, 6000))))
        case 6 | 7 if kind == b"IHDR":
            header = bytearray(inside)
            overwrite_number(rng, header, 0, len(header))
            found[index] = (kind, bytes(header))
        case _:
            found[index] = (kind, scramble(rng, inside, inside))
    return _PNG_MAGIC + b"".join(
        struct.pack(">I", len(inside))
        + kind
        + inside
        + struct.pack(">I", zlib.crc32(kind + inside))
        for kind, inside in found
    )


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_PNG_MAGIC)
    while data.startswith(_PNG_MAGIC) and at + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + 8 + size]
        at += 12 + size


@lru_cache
def _png_bomb(width: int, height: int) -> list[tuple[bytes, bytes]]:
    """Return a whole and true image, very large and of one colour of a palette."""
    rows = zlib.compress(bytes(height * (width + 1)), 1)
    header = struct.pack(">2I5B", width, height, 8, 3, 0, 0, 0)
    return [(b"IHDR", header), (b"PLTE", b"\1\2\3"), (b"IDAT", rows), (b"IEND", b"")]
