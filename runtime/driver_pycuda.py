"""CUDA's driver by PyCUDA; `driver` says what each name is.

PyCUDA destroys streams and events when nothing refers to them any more, and only where their
context is current: `free` lets go of them there, whoever still refers to their owner.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
from typing import Any

import numpy as np
import pycuda.driver as cuda
from numpy.typing import NDArray

try:
    NAME = f"pycuda {importlib.metadata.version('pycuda')}"
except importlib.metadata.PackageNotFoundError:  # a system's own package manager writes none
    NAME = "pycuda"
Error, OutOfMemoryError = cuda.Error, cuda.MemoryError
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING; PyCUDA has no name for it


def device_count() -> int:  # noqa: D103 - here and below, see `driver`
    cuda.init()
    return int(cuda.Device.count())


class Device:  # noqa: D101
    def __init__(self, index: int) -> None:
        self._device = cuda.Device(index)

    @property
    def name(self) -> str:  # noqa: D102
        return str(self._device.name())

    @property
    def compute_capability(self) -> tuple[int, int]:  # noqa: D102
        major, minor = self._device.compute_capability()
        return major, minor

    @property
    def total_memory(self) -> int:  # noqa: D102
        return int(self._device.total_memory())

    def retain_primary_context(self) -> Any:  # noqa: D102
        context = self._device.retain_primary_context()
        # Never collected: PyCUDA would detach it, which the driver refuses, and say so at exit.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(context))
        return context


def pop_context() -> None:  # noqa: D103
    cuda.Context.pop()


def synchronize() -> None:  # noqa: D103
    cuda.Context.synchronize()


def free_memory() -> int:  # noqa: D103
    return int(cuda.mem_get_info()[0])


class Event:  # noqa: D101
    def __init__(self) -> None:
        flags = cuda.event_flags
        self._event: Any = cuda.Event(flags.BLOCKING_SYNC | flags.DISABLE_TIMING)

    def record(self, stream: Stream) -> None:  # noqa: D102
        self._event.record(stream.own)

    def synchronize(self) -> None:  # noqa: D102
        self._event.synchronize()

    def free(self) -> None:  # noqa: D102
        self._event = None


class Stream:  # noqa: D101
    def __init__(self) -> None:
        self.own: Any = cuda.Stream(_NON_BLOCKING)
        self.handle = int(self.own.handle)

    def synchronize(self) -> None:  # noqa: D102
        self.own.synchronize()

    def wait_for_event(self, event: Event) -> None:  # noqa: D102
        self.own.wait_for_event(event._event)

    def free(self) -> None:  # noqa: D102
        self.own = None


class DeviceMemory:  # noqa: D101
    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self._allocation = cuda.mem_alloc(nbytes)
        self.address = int(self._allocation)

    def free(self) -> None:  # noqa: D102
        self._allocation.free()


class HostMemory:  # noqa: D101
    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self.array: NDArray[np.uint8] = cuda.pagelocked_empty(nbytes, np.uint8)

    def free(self) -> None:  # noqa: D102
        owner: Any = self.array.base
        owner.free()


def copy_to_device(memory: DeviceMemory, array: NDArray[Any], stream: Stream) -> None:  # noqa: D103
    cuda.memcpy_htod_async(memory.address, array, stream.own)


def copy_to_host(array: NDArray[Any], memory: DeviceMemory, stream: Stream) -> None:  # noqa: D103
    cuda.memcpy_dtoh_async(array, memory.address, stream.own)


def copy_on_device(target: int, source: int, nbytes: int, stream: Stream) -> None:  # noqa: D103
    cuda.memcpy_dtod_async(target, source, nbytes, stream.own)


def copy_rows_on_device(  # noqa: D103
    target: tuple[int, int], source: tuple[int, int], size: tuple[int, int], stream: Stream
) -> None:
    copy = cuda.Memcpy2D()
    copy.set_dst_device(target[0])
    copy.set_src_device(source[0])
    copy.dst_pitch, copy.src_pitch = target[1], source[1]
    copy.width_in_bytes, copy.height = size
    copy(stream.own)
