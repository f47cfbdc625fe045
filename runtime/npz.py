"""Arrays in a zip archive: written so that equal content makes equal files, read within bounds."""

from __future__ import annotations

import math
import zipfile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_NPY: Any = np.lib.format  # which older numpy has no types for


def member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Open a new compressed member for writing; it is of 1980, whatever the clock says."""
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return archive.open(entry, "w")


def write_array(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    """Write an array as a member in numpy's format 1.0."""
    with member(archive, name) as file:
        _NPY.write_array(file, np.ascontiguousarray(array), (1, 0), allow_pickle=False)


def read_array(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Read an array that is known to be of this shape and dtype; nothing in it is executed.

    Raises:
        ValueError: it is another array, or holds more or less than it says.
    """
    with archive.open(name) as file:
        _NPY.read_magic(file)
        found = _NPY.read_array_header_1_0(file)
        if found != (shape, False, dtype):
            raise ValueError(f"{name} holds {found}, expected {(shape, False, dtype)}")
        # What is packed may be more than the archive's directory says.
        content = file.read((size := math.prod(shape) * dtype.itemsize) + 1)
    if len(content) != size:
        raise ValueError(f"{name} holds other than the {size} bytes of its shape")
    return np.frombuffer(content, dtype).reshape(shape).copy()  # to be written to
