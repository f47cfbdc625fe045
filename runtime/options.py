"""What a caller may ask for, checked before anything starts."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

import numpy as np

from .errors import InputNotFoundError, OptionError, shown

MAX_SIDE = 16384  # of a golden pair's frames, pixels
MAX_THREADS = 1024  # ONNX Runtime starts as many as it is told, minutes and gigabytes of them


def check_whole(name: str, value: Any, low: int, high: int | None = None) -> None:
    """Raise OptionError unless a value is an integer from `low` to `high`, both allowed."""
    number = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not number or not low <= value <= (math.inf if high is None else high):
        expected = f", {low} or more" if high is None else f" from {low} to {high}"
        found = shortened(value) if isinstance(value, str) else shown(value)
        raise OptionError(f"{name} is {found}; expected a whole number{expected}")


def check_within(name: str, value: Any, low: float, high: float = sys.float_info.max) -> None:
    """Raise OptionError unless a value is a finite number from `low` to `high`, both allowed."""
    number = isinstance(value, (int, float, np.integer, np.floating))
    if not number or isinstance(value, bool) or not low <= value <= high:
        open_ended = high == sys.float_info.max
        expected = (
            f"finite number, {low:g} or more" if open_ended else f"number from {low:g} to {high:g}"
        )
        raise OptionError(f"{name} is {shown(value)}; expected a {expected}")


def check_flag(name: str, value: Any) -> None:
    """Raise OptionError unless a value is True or False."""
    if not isinstance(value, bool):
        raise OptionError(f"{name} is {shortened(value)}; expected True or False")


def check_sizes(name: str, sizes: Any) -> None:
    """Raise OptionError unless `sizes` are one (width, height) or more, 1 to `MAX_SIDE` pixels."""
    listed = isinstance(sizes, Sequence) and not isinstance(sizes, str)
    if not listed or not sizes:
        raise OptionError(f"{name} is {shortened(sizes)}; expected one (width, height) or more")
    for size in sizes:
        if not isinstance(size, Sequence) or isinstance(size, str) or len(size) != 2:
            raise OptionError(f"{name} holds {shortened(size)}; expected (width, height), pixels")
        for side in size:
            check_whole(f"a side among {name}", side, 1, MAX_SIDE)


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Raise OptionError unless a value is one of the choices."""
    if value not in choices:
        raise OptionError(f"{name} is {shortened(value)}; expected {' or '.join(choices)}")


def check_threads(threads: int | None) -> None:
    """Raise OptionError unless `threads` is None or from 1 to `MAX_THREADS`."""
    if threads is not None:
        check_whole("threads", threads, 1, MAX_THREADS)


def checked_device(device: Any) -> int | str | None:
    """Return an index or the name of a device of OpenVINO; OptionError if it is none."""
    if device is None:
        return None
    if isinstance(device, str):
        if not re.fullmatch(r"[A-Z]+(\.[0-9]+)?", device):
            raise OptionError(f"device is {shortened(device)}; expected a name, such as GPU or NPU")
        return device
    check_whole("device", device, 0)
    return int(device)


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


def check_file(path: Path, expected: str) -> None:
    """Raise InputNotFoundError unless there is such a file; `expected` says which or what to do."""
    try:
        found = path.is_file()
    except OSError as error:  # a name that is too long, a folder that may not be read
        raise InputNotFoundError(f"{path}: {error.strerror}; {expected}") from error
    if not found:
        raise InputNotFoundError(f"{path}: no such file; {expected}")
