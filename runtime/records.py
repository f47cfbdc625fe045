"""JSON of unknown origin, read into a dataclass by its annotations or refused in one line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as shortened
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NoReturn,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from .errors import ArtifactError, first_line, shown

Record = TypeVar("Record")


@dataclass(frozen=True)
class Between:
    """The check that a number, or the length of a tuple, is from `low` to `high`, both allowed."""

    low: float
    high: float

    def __call__(self, value: Any) -> bool:  # noqa: D102 - the class says it
        return self.low <= (len(value) if isinstance(value, tuple) else value) <= self.high

    def __str__(self) -> str:
        return f"{self.low} to {self.high}"


@dataclass(frozen=True)
class Matching:
    """The check that a text matches `pattern` as a whole; messages call it `meaning`."""

    pattern: str
    meaning: str

    def __call__(self, value: str) -> bool:  # noqa: D102 - the class says it
        return re.fullmatch(self.pattern, value, re.ASCII) is not None

    def __str__(self) -> str:
        return self.meaning


@dataclass(frozen=True)
class Flat:
    """The check that a value of any kind is no object, nor a list with more than values in it."""

    def __call__(self, value: Any) -> bool:  # noqa: D102 - the class says it
        parts = value if isinstance(value, list) else [value]
        return not any(isinstance(part, (dict, list)) for part in parts)

    def __str__(self) -> str:
        return "a value, or a list of values"


Sha256 = Annotated[str, Matching(r"[0-9a-f]{64}", "64 hexadecimal digits")]


@dataclass(frozen=True)
class Format(Generic[Record]):
    """A kind of JSON document.

    Attributes:
        record: the dataclass that a document becomes, with 'format_version' beside its fields.
        name: what messages call it, such as 'manifest'.
        version: the only one that is read.
        remedy: what to do about a document that is refused, such as 'build the engine again'.
        max_bytes: of a document; a larger one is not read.
    """

    record: type[Record]
    name: str
    version: int
    remedy: str
    max_bytes: int = 2**20

    def read(self, path: Path) -> Record:
        """Read a file, which has to exist; raises ArtifactError as `parse` does."""
        with path.open("rb") as file:
            return self.parse(file.read(self.max_bytes + 1), path)

    def parse(self, content: bytes, source: object) -> Record:
        """Parse UTF-8 JSON; `source` names it in messages.

        Raises:
            ArtifactError: too large, damaged, of another version, or a field is missing, unknown or
                not what its annotation allows.
        """
        try:
            if len(content) > self.max_bytes:
                raise ValueError(f"more than {self.max_bytes} bytes")
            document = json.loads(content.decode(), parse_constant=_refuse_constant)
            fields = typed(Mapping[str, Any], document)
            version = fields.pop("format_version", None)
            if version == self.version:
                record: Record = typed(self.record, fields)
                return record
            version = _part("format_version", int, version)
        except (ValueError, ArithmeticError, MemoryError, RecursionError) as error:
            raise ArtifactError(
                f"{source}: not a {self.name}, or a damaged one ({first_line(error)}); "
                f"{self.remedy}"
            ) from error
        raise ArtifactError(
            f"{source}: has {self.name} format {version}; this version reads {self.version}: "
            f"{self.remedy}"
        )


def typed(kind: Any, value: Any) -> Any:
    """Return what `json.loads` made as `kind`: a bool, int, float, str, Literal, tuple, Mapping of
    text, dataclass, class with its own `from_json`, one of these Annotated with a check, or
    any of them or None.

    Raises:
        ValueError: the value is something else; the message says what, where, and what it may be.
    """  # fmt: skip
    origin, arguments = get_origin(kind), get_args(kind)
    if type(None) in arguments:
        return None if value is None else typed(arguments[0], value)
    if origin is Annotated:
        inner, check = arguments
        value = typed(inner, value)
        return value if check(value) else _refuse(value, check)
    if origin is Literal:
        known = any(type(value) is type(choice) and value == choice for choice in arguments)
        return value if known else _refuse(value, f"one of {arguments}")
    if origin is tuple and isinstance(value, (list, tuple)):
        kinds = arguments[:1] * len(value) if arguments[-1] is ... else arguments
        if len(value) != len(kinds):
            _refuse(value, f"{len(kinds)} items")
        return tuple(_part(f"[{i}]", kinds[i], part) for i, part in enumerate(value))
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, dict):
        return {name: _part(name, arguments[1], part) for name, part in value.items()}
    if kind is Any or type(value) is kind:
        return value
    if kind is float and type(value) is int:
        return float(value)
    if hasattr(kind, "from_json"):
        return kind.from_json(value)
    if hasattr(kind, "__dataclass_fields__") and isinstance(value, dict):
        return dataclass_of(kind, value)
    return _refuse(value, _NAMES.get(kind, "an object or a list"))


_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def dataclass_of(kind: Callable[..., Record], values: Mapping[str, Any]) -> Record:
    """Return an instance of a dataclass, each value of a field by its annotation, as `typed` does.

    Raises:
        ValueError: a field is missing, unknown, or not what its annotation allows.
    """
    kinds = get_type_hints(kind, include_extras=True)
    if missing := kinds.keys() - values.keys():
        raise ValueError(f"lacks {', '.join(sorted(missing))}")
    if unknown := values.keys() - kinds.keys():
        raise ValueError(f"has the unknown field {shortened(min(unknown))}")
    return kind(**{name: _part(name, kinds[name], value) for name, value in values.items()})


def _part(name: str, kind: Any, value: Any) -> Any:
    try:
        return typed(kind, value)
    except ValueError as error:
        raise ValueError(f"{shown(name)} {error}") from None


def _refuse(value: Any, expected: object) -> NoReturn:
    raise ValueError(f"is {shortened(value)}, expected {expected}")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, expected finite numbers")
