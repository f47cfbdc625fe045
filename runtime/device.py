"""What the runtime keeps on a GPU: contexts, lanes, buffers and arrays, by whichever driver."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .driver import load_driver
from .errors import BackendError

cuda = load_driver()
DRIVER: str = cuda.NAME


def compute_capability(index: int) -> int:
    """Return a GPU's compute capability, such as 89 for 8.9."""
    major, minor = _gpu(index).compute_capability
    return int(10 * major + minor)


def total_memory(index: int) -> int:
    """Return the bytes of a GPU's memory, free or not."""
    return int(_gpu(index).total_memory)


def _gpu(index: int) -> Any:
    try:
        count = cuda.device_count()
        if index >= count:
            raise BackendError(f"GPU {index}: this machine has {count}, from 0 on")
        return cuda.Device(index)
    except cuda.Error as error:
        raise BackendError(f"no GPU can be used here: {error}") from error


@functools.cache
def _primary_context(index: int) -> Any:
    """Retain a GPU's primary context for as long as the process lives, as CUDA's runtime does."""
    return _gpu(index).retain_primary_context()


class Buffer:
    """Device memory with a page-locked twin on the host, of at least the bytes asked for."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self.device = cuda.DeviceMemory(nbytes)
        try:
            self.host = cuda.HostMemory(nbytes)
        except BaseException:
            self.device.free()
            raise

    def view(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the beginning of the host twin as an array."""
        size = int(np.prod(shape)) * dtype.itemsize
        view: NDArray[Any] = self.host.array[:size].view(dtype).reshape(shape)
        return view

    def free(self) -> None:
        """Free both; the context has to be current."""
        self.device.free()
        self.host.free()


class Gpu:
    """A GPU's primary context, shared with whoever else uses it, torch for example.

    It is made current only inside `current`, so that the caller's own context stays as it was.
    """

    def __init__(self, index: int) -> None:
        self.name = str(_gpu(index).name)
        self._context = _primary_context(index)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the context current in this thread; CUDA's errors come out as BackendError."""
        self._context.push()
        try:
            yield
        except cuda.OutOfMemoryError as error:
            raise BackendError(
                f"{self.name} is out of memory ({error}); take fewer times a call, smaller frames, "
                "or an engine built for less"
            ) from error
        except cuda.Error as error:
            raise BackendError(f"{self.name} failed: {error}") from error
        finally:
            cuda.pop_context()

    def settle(self) -> None:
        """Wait for all work on the GPU, whoever queued it; the context has to be current."""
        cuda.synchronize()

    def free_memory(self) -> int:
        """Return the bytes that nobody has allocated; the context has to be current."""
        return int(cuda.free_memory())


class Lane:
    """What one thread has on the GPU: two streams, an execution context, and buffers.

    Uploads of frames run on a stream of their own, so that the next one overlaps with inference.
    Buffers are kept and grown instead of allocated per frame.
    """

    def __init__(self) -> None:
        self.compute: Any = cuda.Stream()
        try:
            self.transfer: Any = cuda.Stream()
        except BaseException:
            self.compute.free()
            raise
        self.execution: Any = None
        self._free: list[Buffer] = []
        self._all: list[Buffer] = []
        self._free_events: list[Any] = []
        self._all_events: list[Any] = []

    def take(self, nbytes: int) -> Buffer:
        """Return a buffer that is nobody's, at least as large; `give` hands it back."""
        fitting = [buffer for buffer in self._free if buffer.nbytes >= nbytes]
        if fitting:
            buffer = min(fitting, key=lambda free: free.nbytes)
            self._free.remove(buffer)
            return buffer
        while self._free:  # sizes have grown: make room
            small = self._free.pop()
            self._all.remove(small)
            small.free()
        buffer = Buffer(nbytes)
        self._all.append(buffer)
        return buffer

    def give(self, buffer: Buffer) -> None:
        """Hand back a buffer; no work on it may be under way."""
        if buffer in self._all:  # else the lane has freed it already
            self._free.append(buffer)

    def upload(self, buffer: Buffer, array: NDArray[Any], stream: Any) -> None:
        """Start copying an array into a buffer, by way of its page-locked twin."""
        buffer.view(array.shape, array.dtype)[...] = array
        cuda.copy_to_device(buffer.device, buffer.host.array[: array.nbytes], stream)

    def download(self, buffer: Buffer, nbytes: int) -> None:
        """Start copying a buffer to its page-locked twin, once the work so far is done."""
        cuda.copy_to_host(buffer.host.array[:nbytes], buffer.device, self.compute)

    def record(self, stream: Any) -> Any:
        """Return an event that comes when the work queued on a stream so far is done."""
        if not self._free_events:
            self._free_events.append(cuda.Event())
            self._all_events.append(self._free_events[-1])
        event = self._free_events.pop()
        event.record(stream)
        return event

    def give_event(self, event: Any) -> None:
        """Hand back an event that nobody waits for any more."""
        self._free_events.append(event)

    def await_uploads(self, other: Lane) -> None:
        """Let the next work wait for all uploads that a lane, this or another, has begun."""
        event = other.record(other.transfer)
        self.compute.wait_for_event(event)
        other.give_event(event)

    def settle(self) -> None:
        """Wait for all work."""
        self.transfer.synchronize()
        self.compute.synchronize()

    def free(self) -> None:
        """Wait for all work, then free everything; the GPU's context has to be current."""
        self.settle()
        self.execution = None
        self._free.clear()
        while self._all:
            self._all.pop().free()
        while self._all_events:
            self._all_events.pop().free()
        self.transfer.free()
        self.compute.free()


class DeviceTensor:
    """An array on the device, as other libraries take it: see `__cuda_array_interface__`.

    Its memory is used again when nobody refers to it any more, and freed when the interpolator is
    closed: wait for whatever reads it before that.

    Attributes:
        shape, dtype: of the array, C-contiguous.
    """

    def __init__(self, lane: Lane, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype = shape, dtype
        self.nbytes = int(np.prod(shape)) * dtype.itemsize
        self.buffer = lane.take(self.nbytes)
        self.lane = lane

    @classmethod
    def uploaded(cls, lane: Lane, array: NDArray[Any]) -> DeviceTensor:
        """Start copying an array to the device."""
        tensor = cls(lane, array.shape, array.dtype)
        # Times and window are too small to overlap with anything.
        lane.upload(tensor.buffer, array, lane.compute if array.ndim == 1 else lane.transfer)
        return tensor

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.buffer.device.address, False),
            "strides": None,
            "version": 3,
        }

    def __del__(self) -> None:
        if hasattr(self, "lane"):  # else there was no memory to take
            self.lane.give(self.buffer)
