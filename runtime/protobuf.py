"""Protobuf's wire format: written, and read by a table of the fields that a message may have.

All else is refused: what is not understood here would be understood by the library that the file is
handed to.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .errors import shown

_VARINT, _BYTES, _FIXED32 = 0, 2, 5
_MAX_TEXT = 4096

Kind = Literal["integer", "float", "text", "bytes", "content", "refused"]
_WIRES: dict[Kind, int] = {"integer": _VARINT, "float": _FIXED32}  # of the others, bytes


@dataclass(frozen=True)
class Field:
    """A field of a message.

    Attributes:
        name: in what `read_message` returns, and in messages.
        kind: of its value, or the table of the message that it holds. Texts and bytes are short;
            content is a view of any length; refused is one that no file of ours has.
        most: how often it may stand there; with more than 1 it becomes a list.
    """

    name: str
    kind: Kind | Mapping[int, Field]
    most: int = 1


def read_message(view: memoryview, table: Mapping[int, Field]) -> dict[str, Any]:
    """Return a message's fields by name; lists are never missing.

    Nesting ends where the tables do.

    Raises:
        ValueError: damaged, or it has a field that the table has not, one too often or of another
            type.
    """
    message: dict[str, Any] = {field.name: [] for field in table.values() if field.most > 1}
    for number, wire, raw in _wire_fields(view):
        field = table.get(number) or Field(f"field {number}", "refused")
        if field.kind == "refused":
            raise ValueError(f"{_owner(message)}has {field.name}, which no file of ours has")
        if field.most > 1:
            packed = field.kind == "integer" and wire == _BYTES
            found = message[field.name]
            found.extend(_integers(raw, field.most) if packed else [_typed(field, wire, raw)])
            if len(found) > field.most:
                raise ValueError(f"{_owner(message)}has more than {field.most} {field.name}")
        elif field.name in message:
            # Libraries differ in which one they take.
            raise ValueError(f"{_owner(message)}has {field.name} twice")
        else:
            message[field.name] = _typed(field, wire, raw)
    return message


def raw_fields(view: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield a message's fields as they are: number, and unsigned integer or content."""
    return ((number, raw) for number, _, raw in _wire_fields(view))


def field_bytes(number: int, value: int | bytes | memoryview) -> bytes:
    """Write a field: an unsigned integer, or content."""
    if isinstance(value, int):
        return _varint_bytes(number << 3 | _VARINT) + _varint_bytes(value)
    return b"".join((_varint_bytes(number << 3 | _BYTES), _varint_bytes(len(value)), value))


def text_of(content: bytes, what: str) -> str:
    """Decode UTF-8; ValueError where it is none."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{what} {shown(repr(content))} is not UTF-8") from error


def _wire_fields(view: memoryview) -> Iterator[tuple[int, int, Any]]:
    """Yield number, wire type and content: an unsigned integer, or a view."""
    at = 0
    while at < len(view):
        tag, at = _varint(view, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            integer, at = _varint(view, at)
            yield number, wire, integer
            continue
        if wire not in (_BYTES, _FIXED32):
            raise ValueError(f"field {number} has wire type {wire}")
        size, at = _varint(view, at) if wire == _BYTES else (4, at)
        if size > len(view) - at:
            raise ValueError("cut short")
        yield number, wire, view[at : at + size]
        at += size


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """Return an unsigned integer, and where it ends."""
    value = 0
    for index, byte in enumerate(view[at : at + 10]):
        value |= (byte & 127) << 7 * index
        if byte < 128 and value < 2**64:
            return value, at + index + 1
    raise ValueError("cut short, or an integer of more than 64 bits")


def _varint_bytes(value: int) -> bytes:
    groups = [value >> shift & 127 for shift in range(0, max(1, value.bit_length()), 7)]
    return bytes(group | 128 for group in groups[:-1]) + bytes(groups[-1:])


def _integers(view: memoryview, most: int) -> Iterator[int]:
    at = 0
    for _ in range(most + 1):  # one more than allowed is enough to be refused
        if at == len(view):
            return
        integer, at = _varint(view, at)
        yield _signed(integer)


def _signed(integer: int) -> int:
    return integer - 2**64 if integer >= 2**63 else integer


def _typed(field: Field, wire: int, raw: Any) -> Any:
    expected = _BYTES if isinstance(field.kind, Mapping) else _WIRES.get(field.kind, _BYTES)
    if wire != expected:
        raise ValueError(f"{field.name} has wire type {wire}, expected {expected}")
    if isinstance(field.kind, Mapping):
        return read_message(raw, field.kind)
    if field.kind == "integer":
        return _signed(raw)
    if field.kind == "float":
        return struct.unpack("<f", raw)[0]
    if field.kind == "content":
        return raw
    if len(raw) > _MAX_TEXT:
        raise ValueError(f"{field.name} of {len(raw)} bytes, expected {_MAX_TEXT} at most")
    return text_of(bytes(raw), field.name) if field.kind == "text" else bytes(raw)


def _owner(message: Mapping[str, Any]) -> str:
    return f"{shown(message['name'])} " if message.get("name") else ""
