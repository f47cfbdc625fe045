"""Damage to zip files that keeps their checksums right, and to the NumPy arrays in them."""

from __future__ import annotations

import ast
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.fuzz.mutators import Mutator, mutated
from tests.fuzz.mutators.raw import number
from tests.fuzz.mutators.text import changed, strange_text

_METHODS = (0, 8, 8, 9, 12, 14, 93, 99)
_NPY_MAGIC = b"\x93NUMPY"
_DTYPES = (
    *("|O", "|u1", "<f2", "<f4", ">f4", "<f8", "<c8", "<U1", "<U0", "|S0", "<M8[s]", "|V0"),
    *("|V2147483647", "<U536870911", "f4,f4", "(2,)f4", [("a", "<f4")], [("a", "|O")], ""),
)


@dataclass(frozen=True)
class Entry:
    """A file in a zip: `stored` are its compressed bytes, `size` is that of the whole ones."""

    name: bytes
    method: int
    stored: bytes
    crc: int
    size: int
    flags: int = 0

    @classmethod
    def of(cls, name: bytes, content: bytes, method: int = 0) -> Entry:
        """Compress content, by deflate (8) or not at all."""
        packer = zlib.compressobj(wbits=-15)
        stored = packer.compress(content) + packer.flush() if method == 8 else content
        return cls(name, method, stored, zlib.crc32(content), len(content))


def zip_entries(*inside: tuple[str, Mutator]) -> Mutator:
    """Return a mutator of a zip's files by their names' ends, and of the zip's own directory."""

    def mutator(rng: Random, content: bytes) -> bytes:
        files = read_zip(content)
        entries = [Entry.of(name, data, rng.choice((0, 8))) for name, data in files]
        index = rng.randrange(len(entries))
        name, data = files[index]
        known = [each for end, each in inside if name.decode("utf-8", "replace").endswith(end)]
        if rng.random() < 0.7:
            data = mutated(rng, data, [data], known)
            entries[index] = Entry.of(name, data, entries[index].method)
        else:
            _change_directory(rng, entries, index)
        return write_zip(entries)

    return mutator


def _change_directory(rng: Random, entries: list[Entry], index: int) -> None:
    entry, other = entries[index], rng.choice(entries)
    match rng.randrange(9):
        case 0:
            del entries[index]
        case 1:
            entries.append(entry)
        case 2:
            entries.append(replace(other, name=entry.name))
        case 3:
            entries[index] = replace(entry, name=strange_text(rng).encode("utf-8", "replace"))
        case 4:
            entries[index] = replace(entry, size=number(rng) % 2**32)
        case 5:
            entries[index] = replace(entry, method=rng.choice(_METHODS))
        case 6:
            entries[index] = replace(entry, flags=rng.choice((1, 8, 0x20, 0x40, 0x800, 0xFFFF)))
        case 7:
            entries[index] = replace(entry, crc=entry.crc ^ 1)
        case 8:
            entries[index] = replace(
                bomb(rng.choice((2**20, 100 * 2**20, 3 * 2**30))), name=entry.name
            )


@lru_cache
def bomb(size: int) -> Entry:
    """Return an entry of as many zeros, a thousandth as large as they are."""
    block = bytes(2**20)
    packer = zlib.compressobj(wbits=-15)
    packer.compress(block)
    packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    crc = 0
    for _ in range(size // len(block)):
        crc = zlib.crc32(block, crc)
    return Entry(b"", 8, again * (size // len(block)) + packer.flush(), crc, size)


def read_zip(content: bytes) -> list[tuple[bytes, bytes]]:
    """Return names and contents; ValueError where it is a bomb already."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = archive.infolist()
        if sum(info.file_size for info in infos) > 64 * 2**20:
            raise ValueError("a bomb already")
        return [(info.filename.encode("utf-8", "replace"), archive.read(info)) for info in infos]


def write_zip(entries: Sequence[Entry]) -> bytes:
    """Write a zip as the entries say, true or not; zipfile would insist on the truth."""
    data, directory = bytearray(), bytearray()
    for entry in entries:
        sizes = (entry.crc, len(entry.stored), entry.size % 2**32)
        about = (20, entry.flags, entry.method, 0, 33, *sizes, len(entry.name) % 2**16)
        directory += struct.pack("<IH5H3I5H2I", 0x02014B50, 20, *about, 0, 0, 0, 0, 0, len(data))
        directory += entry.name
        data += struct.pack("<I5H3I2H", 0x04034B50, *about, 0) + entry.name + entry.stored
    count = len(entries) % 2**16
    end = struct.pack("<I4H2IH", 0x06054B50, 0, 0, count, count, len(directory), len(data), 0)
    return bytes(data + directory + end)


def npy_header(rng: Random, content: bytes) -> bytes:
    """Change the header of an .npy file: type, shape, order, version, its own length."""
    header, data = _npy(content)
    match rng.randrange(6):
        case 0 | 1:
            header["shape"] = rng.choice(
                ((number(rng),), (1, 1, 3), (0, 32, 3), (20000, 1, 1, 3), [32, 3], 5, (-1, 3), None)
            )
        case 2 | 3:
            header["descr"] = rng.choice(_DTYPES)
        case 4:
            header["fortran_order"] = rng.choice((True, 1, "yes", None))
        case 5:
            changed(rng, header)
    text = repr(header).encode("latin-1", "replace")
    version = rng.choice((b"\1\0", b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\4\0", b"\xff\xff"))
    length = struct.pack("<H" if version[0] == 1 else "<I", len(text) % 2**16)
    if rng.random() < 0.1:
        length = struct.pack("<H", number(rng) % 2**16)
    return _NPY_MAGIC + version + length + text + data


def npy_values(rng: Random, content: bytes) -> bytes:
    """Change an array with its header kept true: other values, other shapes, another type."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    match rng.randrange(5):
        case 0:
            array.flat[rng.randrange(array.size)] = rng.choice((0, 1, np.nan, np.inf, -1, 2))
        case 1:
            array[...] = rng.choice((0, 1, np.nan, np.inf, -np.inf, 1e30))
        case 2:
            array = np.repeat(array, rng.choice((0, 2, 100)), axis=rng.randrange(array.ndim))
        case 3:
            array = array.astype(rng.choice(("f2", "f8", "i8", "u1", ">f4", "U3", "c8", "?")))
        case 4:
            array = array[rng.choice((0, np.newaxis, slice(0), slice(1), ...))]
    return _saved(array)


def npy_json(rng: Random, content: bytes) -> bytes:
    """Change a value of the JSON that a text array holds."""
    about = json.loads(str(np.load(io.BytesIO(content), allow_pickle=False)))
    return _saved(np.array(json.dumps(changed(rng, about))))


def _saved(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _npy(content: bytes) -> tuple[dict[str, object], bytes]:
    end = content.find(b"\n") + 1
    return ast.literal_eval(content[10:end].decode("latin-1").strip()), content[end:]
