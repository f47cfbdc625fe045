"""Arrays in a lane's memory, on the device or page-locked on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import dlpack
from .device import Lane, Pool, cuda
from .device_frames import DeviceFrame, copy_rows
from .layout import Tile


class _Tensor:
    """An array in memory of a pool, which is used again when nobody refers to the array any more.

    Attributes:
        lane: that it belongs to.
        shape, dtype: of the array, C-contiguous.
        nbytes: that it takes.
        memory: where it begins.
    """

    def __init__(
        self, lane: Lane, pool: Pool, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self.lane, self.shape, self.dtype = lane, shape, dtype
        self.nbytes = int(np.prod(shape)) * dtype.itemsize
        self.memory = pool.take(self.nbytes)
        self._pool = pool

    def __del__(self) -> None:
        if hasattr(self, "_pool"):  # else there was no memory to take
            self._pool.give(self.memory)


class HostTensor(_Tensor):
    """A page-locked array on the host, which copies begin from and go to without a wait."""

    def __init__(self, lane: Lane, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        super().__init__(lane, lane.host, shape, dtype)

    @classmethod
    def of(cls, lane: Lane, array: NDArray[Any]) -> HostTensor:
        """Return a page-locked copy."""
        tensor = cls(lane, array.shape, array.dtype)
        tensor.array[...] = array
        return tensor

    @property
    def array(self) -> NDArray[Any]:
        """A view, good as long as someone refers to the tensor."""
        view: NDArray[Any] = self.memory.array[: self.nbytes].view(self.dtype)
        return view.reshape(self.shape)

    def send(self, memory: Any, stream: Any) -> None:
        """Begin to copy it to device memory; keep it until that is done."""
        cuda.copy_to_device(memory, self.memory.array[: self.nbytes], stream)

    def receive(self, memory: Any, first: int, count: int) -> None:
        """Begin to copy frames that lie on the device into its own, from the `first` on."""
        frame = self.nbytes // self.shape[0]
        target = self.memory.array[first * frame : (first + count) * frame]
        cuda.copy_to_host(target, memory, self.lane.compute)


class DeviceTensor(_Tensor):
    """An array on the device, as other libraries take it: `torch.from_dlpack`, `cupy.asarray`.

    Its memory is used again when nobody refers to it any more, and freed when the interpolator is
    closed: wait for whatever reads it before that.

    Attributes:
        shape, dtype: of the array, C-contiguous.
    """

    def __init__(self, lane: Lane, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        super().__init__(lane, lane.device, shape, dtype)
        self._source: HostTensor | None = None

    @classmethod
    def uploaded(cls, lane: Lane, array: NDArray[Any]) -> DeviceTensor:
        """Start copying an array to the device."""
        tensor = cls(lane, array.shape, array.dtype)
        tensor._source = HostTensor.of(lane, array)  # which the copy reads until it is done
        tensor._source.send(tensor.memory, lane.transfer)
        return tensor

    @property
    def frame(self) -> DeviceFrame:
        """The only frame in it, where there is one."""
        _, height, width, channels = self.shape
        pitch = width * channels * self.dtype.itemsize
        shape = height, width, channels
        return DeviceFrame(self.memory.address, shape, self.dtype, pitch, self, shape)

    def receive(self, memory: Any, first: int, count: int) -> None:
        """Begin to copy frames into its own, from the `first` on."""
        frame = self.nbytes // self.shape[0]
        target = self.memory.address + first * frame
        cuda.copy_on_device(target, memory.address, count * frame, self.lane.compute)

    def put(self, tile: Tile, made: DeviceTensor) -> None:
        """Begin to copy what is kept of a tile, which was made [T, h, w, 3], into its frames."""
        (_, height, width, channels), (_, rows, columns, _) = self.shape, made.shape
        pixel = channels * self.dtype.itemsize
        pitch, source_pitch = width * pixel, columns * pixel
        size = (
            (min(tile.columns.last, width) - tile.columns.first) * pixel,
            min(tile.rows.last, height) - tile.rows.first,
        )
        target = self.memory.address + tile.rows.first * pitch + tile.columns.first * pixel
        inside = tile.rows.inside.start * source_pitch + tile.columns.inside.start * pixel
        for _ in range(self.shape[0]):
            source = made.memory.address + inside
            copy_rows((target, pitch), (source, source_pitch), size, self.lane.compute)
            target, inside = target + height * pitch, inside + rows * source_pitch

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.memory.address, False),
            "strides": None,
            "version": 3,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CUDA, self.lane.gpu

    def __dlpack__(
        self,
        *,
        stream: Any = None,  # it is finished, for whichever
        max_version: Any = None,  # everyone takes capsules of before 1.0
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        if copy or dl_device not in (None, self.__dlpack_device__()):
            raise BufferError("it is given where it lies; copy it with the library that takes it")
        return dlpack.given(self, self.lane.gpu)
