"""What a caller may ask for, checked before anything starts."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from reprlib import repr as shortened
from typing import Any

import numpy as np

from .errors import OptionError, shown

MAX_THREADS = 1024  # ONNX Runtime starts as many as it is told, minutes and gigabytes of them


def check_whole(name: str, value: Any, low: int, high: int | None = None) -> None:
    """Raise OptionError unless a value is a whole number from `low` to `high`, both allowed."""
    number = isinstance(value, (int, float, np.integer, np.floating))
    if not number or not low <= value <= (math.inf if high is None else high) or value % 1:
        expected = f", {low} or more" if high is None else f" from {low} to {high}"
        found = shortened(value) if isinstance(value, str) else shown(value)
        raise OptionError(f"{name} is {found}; expected a whole number{expected}")


def check_within(name: str, value: Any, low: float, high: float) -> None:
    """Raise OptionError unless a value is a number from `low` to `high`, both allowed."""
    number = isinstance(value, (int, float, np.integer, np.floating))
    if not number or not low <= value <= high:
        raise OptionError(f"{name} is {shown(value)}; expected a number from {low:g} to {high:g}")


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Raise OptionError unless a value is one of the choices."""
    if value not in choices:
        raise OptionError(f"{name} is {shortened(value)}; expected {' or '.join(choices)}")


def check_threads(threads: int | None) -> None:
    """Raise OptionError unless `threads` is None or from 1 to `MAX_THREADS`."""
    if threads is not None:
        check_whole("threads", threads, 1, MAX_THREADS)


def check_providers(providers: Sequence[str] | None) -> None:
    """Raise OptionError unless `providers` is None or a list of names."""
    if providers is None:
        return
    listed = isinstance(providers, Sequence) and not isinstance(providers, str)
    if not listed or not all(isinstance(provider, str) for provider in providers):
        raise OptionError(
            f"providers is {shortened(providers)}; expected a list of names, such as "
            "['CPUExecutionProvider']"
        )


def check_path(name: str, path: Any, example: str) -> None:
    """Raise OptionError unless `path` can be the path of a file."""
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise OptionError(f"{name} is {shortened(path)}; expected a path, such as {example}")
