"""Frames that lie in the GPU's memory: taken from others, padded, and cropped, all of it there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import dlpack
from .architecture import padded
from .device import Gpu, Lane, cuda
from .driver_library import gpu_of, wait_for_stream
from .errors import FrameError
from .layout import Tile


@dataclass(frozen=True)
class DeviceFrame:
    """A frame in the GPU's memory.

    Attributes:
        address: where it begins.
        shape: (H, W, 3), pixels contiguous.
        dtype: of its values.
        pitch: bytes from a row to the next.
        owner: who keeps the memory.
        padded_shape: (H', W', 3), what a run takes it as.
    """

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pitch: int
    owner: Any
    padded_shape: tuple[int, ...]

    @classmethod
    def of(cls, array: Any, name: str, gpu: Gpu, lane: Lane) -> DeviceFrame:
        """Take a frame from another library; the lane waits for what still fills it.

        Args:
            array: with `__cuda_array_interface__`, else `__dlpack__`.
            name: what messages call it.
            gpu: that it has to lie on, its context current.
            lane: that is going to use it.

        Raises:
            FrameError: it is none, lies elsewhere, or its pixels are not contiguous.
        """
        stream, owner = lane.compute.handle, array
        if hasattr(array, "__cuda_array_interface__"):
            found = array.__cuda_array_interface__
            if 0 not in found["shape"]:  # else it lies nowhere
                _check_lies_on(gpu, found["data"][0], name)
            if found["version"] < 3:  # which does not say who fills it
                gpu.settle()
            elif found.get("stream") is not None:
                wait_for_stream(stream, found["stream"])
        elif hasattr(array, "__dlpack__"):
            found, owner = dlpack.taken(array, name, gpu.index, stream)
        else:
            raise FrameError(
                f"{name} is a {type(array).__name__}; expected an array on the GPU, with "
                "__cuda_array_interface__ or __dlpack__"
            )
        shape, dtype = tuple(found["shape"]), np.dtype(found["typestr"])
        if len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise FrameError(f"{name} has shape {shape}; expected (H, W, 3), RGB")
        row, pixel = shape[1] * 3 * dtype.itemsize, 3 * dtype.itemsize
        strides = found.get("strides") or (row, pixel, dtype.itemsize)
        if tuple(strides[1:]) != (pixel, dtype.itemsize) or strides[0] < row:
            raise FrameError(
                f"{name} has strides {tuple(strides)}; expected contiguous pixels, one row after "
                f"the other: (at least {row}, {pixel}, {dtype.itemsize})"
            )
        padded_shape = padded(shape[0]), padded(shape[1]), 3
        return cls(found["data"][0], shape, dtype, strides[0], owner, padded_shape)

    def cut(self, tile: Tile) -> DeviceFrame:
        """Return the part of it that a tile takes, padded where the tile goes beyond the frame."""
        rows, columns = tile.rows, tile.columns
        height, width, channels = self.shape
        start = rows.start * self.pitch + columns.start * channels * self.dtype.itemsize
        shape = min(rows.stop, height) - rows.start, min(columns.stop, width) - columns.start, 3
        taken = rows.stop - rows.start, columns.stop - columns.start, 3
        return replace(self, address=self.address + start, shape=shape, padded_shape=taken)

    def copy_padded(self, target: int, stream: Any) -> None:
        """Begin to copy it to an address, padded right and bottom by replication."""
        (height, width, _), (whole_height, whole_width, _) = self.shape, self.padded_shape
        pixel = 3 * self.dtype.itemsize
        pitch = whole_width * pixel
        copy_rows((target, pitch), (self.address, self.pitch), (width * pixel, height), stream)
        for done, more in _doubled(width, whole_width):
            last, beyond = target + (width - 1) * pixel, target + done * pixel
            copy_rows((beyond, pitch), (last, pitch), (more * pixel, height), stream)
        for done, more in _doubled(height, whole_height):
            last, beyond = target + (height - 1) * pitch, target + done * pitch
            copy_rows((beyond, pitch), (last, pitch), (pitch, more), stream)


def _check_lies_on(gpu: Gpu, address: int, name: str) -> None:
    index = gpu_of(address)
    if index != gpu.index:
        where = "not in a GPU's memory" if index is None else f"on GPU {index}"
        raise FrameError(
            f"{name} lies {where}; expected GPU {gpu.index}, that the engine runs on; copy it there"
        )


def copy_rows(
    target: tuple[int, int], source: tuple[int, int], size: tuple[int, int], stream: Any
) -> None:
    """Begin to copy rows within the GPU.

    Args:
        target, source: address of the first row, and bytes from a row to the next.
        size: bytes of a row, and how many rows.
        stream: that does it.
    """
    row, rows = size
    if row == target[1] == source[1]:
        cuda.copy_on_device(target[0], source[0], row * rows, stream)
    else:
        cuda.copy_rows_on_device(target, source, size, stream)


def _doubled(done: int, whole: int) -> Iterator[tuple[int, int]]:
    """Yield how many are done, and how many more the last one and its copies by then make."""
    first = done
    while done < whole:
        more = min(done - first + 1, whole - done)
        yield done, more
        done += more
