"""Arrays in a lane's memory, on the device or page-locked on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .device import Lane, Pool, cuda


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

    def receive(self, memory: Any, offset: int, nbytes: int) -> None:
        """Begin to copy device memory into it, once the work so far is done."""
        target = self.memory.array[offset : offset + nbytes]
        cuda.copy_to_host(target, memory, self.lane.compute)


class DeviceTensor(_Tensor):
    """An array on the device, as other libraries take it: see `__cuda_array_interface__`.

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

    def receive(self, memory: Any, offset: int, nbytes: int) -> None:
        """Begin to copy other device memory into it, once the work so far is done."""
        target = self.memory.address + offset
        cuda.copy_on_device(target, memory.address, nbytes, self.lane.compute)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.memory.address, False),
            "strides": None,
            "version": 3,
        }
