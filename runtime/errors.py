"""Every error that a caller may want to catch, each also the builtin that one would expect.

A message says what was found, what was expected and what to do, in one line.
"""

from __future__ import annotations

import re
from reprlib import repr as shortened
from typing import Any


class RrinError(Exception):
    """Base of all errors that rrin-deploy raises on purpose.

    Attributes:
        remedy: an argument, by name, and a value that would let it pass; None where none would.
    """

    def __init__(self, message: str, *, remedy: tuple[str, object] | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy


class InputNotFoundError(RrinError, FileNotFoundError):
    """A file or folder that was named does not exist, or is not of the kind expected."""


class OutputError(RrinError, OSError):
    """An output cannot be written where it was asked for: no file, a full disk, a read-only one."""


class OutputExistsError(OutputError, FileExistsError):
    """The output exists and overwriting was not asked for."""


class ArtifactError(RrinError, ValueError):
    """A model or golden file is unreadable, damaged, or not one of ours."""


class NotFiniteError(ArtifactError):
    """An artifact made NaN or infinite values.

    Attributes:
        frames: what it made, (T, H, W, 3) float32.
    """

    def __init__(self, frames: Any) -> None:
        super().__init__(
            "the artifact made values that are NaN or infinite; such weights are of no use: "
            "export or build it from others, and judge it with check_parity"
        )
        self.frames = frames


class CheckpointError(RrinError, ValueError):
    """A PyTorch checkpoint is not one of RRIN, or is unsafe to load."""


class FrameError(RrinError, ValueError):
    """Frames or times do not fit what the interpolator takes."""


class OptionError(RrinError, ValueError):
    """An option is outside what it may be."""


class BackendError(RrinError, RuntimeError):
    """This machine cannot run what was asked for: a package, a provider or a device is missing."""


# As ONNX Runtime, OpenVINO, C++, CUDA and cuBLAS say it.
_SHORT_OF_MEMORY = re.compile("failed to allocate|bad.?alloc|out of memory|alloc_failed", re.I)


def short_of_memory(error: BaseException) -> bool:
    """Say whether it was memory that a library of someone else's failed for."""
    return isinstance(error, MemoryError) or bool(_SHORT_OF_MEMORY.search(str(error)))


def first_line(error: BaseException) -> str:
    """Return what an error of someone else's says, cut to one line of a message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def shown(value: object) -> str:
    """Return what stands in someone else's file, cut and escaped for one line of a message."""
    try:
        text = value if isinstance(value, str) else shortened(value)
    except ValueError:  # Python prints no number of over 4300 digits
        return f"a {type(value).__name__} too long to print"
    return text if text.isprintable() and len(text) <= 80 else shortened(text)
