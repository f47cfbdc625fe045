"""What the packages export is all that a caller needs: its arguments, its results, its errors."""

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest

from runtime import RrinError

ROOMS = ("runtime", "media", "export", "precision", "calibration", "engines", "training")


def public(room: str) -> dict[str, Any]:
    package = importlib.import_module(room)
    return {name: getattr(package, name) for name in package.__all__}


def errors_below(error: type[Exception]) -> Iterator[type[Exception]]:
    yield error
    for below in error.__subclasses__():
        yield from errors_below(below)


def public_hints(value: Any) -> list[Any]:
    return [hint for name, hint in get_type_hints(value).items() if not name.startswith("_")]


def annotated(value: Any) -> Iterator[Any]:
    """Yield the annotations of a function, or of a class's fields and public members."""
    if isinstance(value, type):
        yield from public_hints(value)
        for name, member in vars(value).items():
            if not name.startswith("_") or name in ("__init__", "__call__"):
                yield from annotated(getattr(member, "fget", None) or member)
    elif inspect.isfunction(value):
        yield from public_hints(value)


def classes_in(hint: Any) -> Iterator[type]:
    if isinstance(hint, type):
        yield hint
    for part in get_args(hint):
        yield from classes_in(list(part) if isinstance(part, tuple) else part)


def raised_by(value: Any) -> Iterator[str]:
    """Yield the errors that docstrings name under Raises."""
    members = vars(value).values() if isinstance(value, type) else ()
    for each in (value, *members):
        section = (inspect.getdoc(each) or "").partition("Raises:\n")[2]
        for names in re.findall(r"^ {4}(\w+(?:, \w+)*):", section, re.MULTILINE):
            yield from names.split(", ")


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_public_name_takes_gives_or_raises_is_public(room: str) -> None:
    exported = {
        value for each in ROOMS for value in public(each).values() if isinstance(value, type)
    }
    errors = {error.__name__: error for error in errors_below(RrinError)}
    for name, value in public(room).items():
        used = {each for hint in annotated(value) for each in classes_in(hint)}
        used |= {errors[error] for error in raised_by(value) if error in errors}
        ours = {each for each in used if each.__module__.partition(".")[0] in ROOMS}
        assert not {each.__qualname__ for each in ours - exported}, f"{room}.{name}"
