"""JSON of unknown origin: typed as declared, or one line that names what is wrong."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from runtime import ArtifactError
from runtime.records import Between, Format, Sha256


@dataclass(frozen=True)
class Box:
    size: tuple[int, int]


@dataclass(frozen=True)
class Parcel:
    sender: Sha256
    kind: Literal["letter", "box"]
    fragile: bool
    grams: Annotated[float, Between(0, 1000)]
    stamps: Annotated[tuple[int, ...], Between(1, 3)]
    notes: Mapping[str, str]
    box: Box


PARCELS = Format(Parcel, "parcel", 2, "send it again", max_bytes=10_000)
WHOLE: dict[str, Any] = {
    "format_version": 2,
    "sender": "ab" * 32,
    "kind": "box",
    "fragile": False,
    "grams": 7,
    "stamps": [1, 2],
    "notes": {"to": "you"},
    "box": {"size": [3, 4]},
}


def test_read_as_declared() -> None:
    parcel = PARCELS.parse(json.dumps(WHOLE).encode(), "p")
    assert parcel == Parcel("ab" * 32, "box", False, 7.0, (1, 2), {"to": "you"}, Box((3, 4)))
    assert type(parcel.grams) is float


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another version": ({"format_version": 3}, "has parcel format 3; this version reads 2: send"),
    "a version of text": ({"format_version": "2"}, "is '2', expected a whole number"),
    "a boolean for a number": ({"stamps": [True]}, r"stamps \[0\] is True, expected a whole"),
    "a number for a boolean": ({"fragile": 0}, "fragile is 0, expected true or false"),
    "a fraction for a whole number": ({"stamps": [1.0]}, r"stamps \[0\] is 1.0, expected a whole"),
    "nothing": ({"kind": None}, "kind is None, expected one of"),
    "an unhashable choice": ({"kind": [["box"]]}, "kind is .*, expected one of"),
    "negative": ({"grams": -1}, "grams is -1.0, expected 0 to 1000"),
    "beyond a float": ({"grams": 10**400}, "damaged one"),
    "an empty list": ({"stamps": []}, r"stamps is \(\), expected 1 to 3"),
    "a long list": ({"stamps": [1] * 4}, "stamps is .*, expected 1 to 3"),
    "text for a list": ({"stamps": "12"}, "stamps is '12', expected an object or a list"),
    "three for a pair": ({"box": {"size": [1, 2, 3]}}, "box size is .*, expected 2 items"),
    "a list for an object": ({"notes": ["to"]}, "notes is"),
    "upper case": ({"sender": "AB" * 32}, "sender is .*, expected 64 hexadecimal digits"),
    "a line end behind": ({"sender": "ab" * 32 + "\n"}, "expected 64 hexadecimal digits"),
    "an unknown field": ({"\x1b]0;title\x07": 1}, r"unknown field '\\x1b\]0;title\\x07'"),
    "an escape within": ({"notes": {"\x1b[2J": 5}}, r"notes '\\x1b\[2J' is 5, expected text"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_fields_are_named(case: str) -> None:
    change, message = WRONG[case]
    with pytest.raises(ArtifactError, match=message) as caught:
        PARCELS.parse(json.dumps(WHOLE | change).encode(), "p")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_missing_fields_are_named() -> None:
    with pytest.raises(ArtifactError, match="lacks box, fragile, grams"):
        PARCELS.parse(b'{"format_version": 2}', "p")


DAMAGED = {
    "nothing": b"",
    "no JSON": b"hello",
    "cut short": b'{"format_version": 2, "sen',
    "a list": b"[2]",
    "not UTF-8": b'{"format_version": 2, "kind": "\xff"}',
    "UTF-16": json.dumps(WHOLE).encode("utf-16"),
    "deep": b"[" * 9_000,
    "deep in a field": b'{"format_version": 2, "box": ' + b'{"a":' * 1_500,
    "NaN": json.dumps(WHOLE | {"grams": float("nan")}).encode(),
    "infinity": json.dumps(WHOLE | {"grams": float("-inf")}).encode(),
    "infinity in disguise": json.dumps(WHOLE).replace("7", "1e999").encode(),
    "many digits": b'{"format_version": ' + b"9" * 9_000 + b"}",
    "too large": json.dumps(WHOLE).encode() + b" " * 10_000,
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_documents_are_refused(case: str, tmp_path: Path) -> None:
    path = tmp_path / "parcel.json"
    path.write_bytes(DAMAGED[case])
    with pytest.raises(ArtifactError, match=r"parcel\.json: not a parcel, .* \(.+\); send"):
        PARCELS.read(path)
