"""CUDA's driver by NVIDIA's cuda-bindings; `driver` says what each name is."""

from __future__ import annotations

import ctypes
import importlib.metadata
from typing import Any

import numpy as np
from cuda.bindings import driver as cuda
from numpy.typing import NDArray

NAME = f"cuda-bindings {importlib.metadata.version('cuda-bindings')}"
_MAX_NAME = 256  # bytes


class Error(Exception):
    """A call of the driver failed."""


class OutOfMemoryError(Error):
    """The device, or the host's page-locked memory, is full."""


def _called(function: Any, *arguments: Any) -> Any:
    """Call the driver; return what it gives beside its result, None where that is all."""
    try:
        result, *given = function(*arguments)
    except RuntimeError as error:  # there is no libcuda, or it is too old for the call
        raise Error(f"{function.__name__} failed: {error}") from error
    if result != cuda.CUresult.CUDA_SUCCESS:
        _, text = cuda.cuGetErrorString(result)
        why = text.decode() if text else str(result)
        kind = OutOfMemoryError if result == cuda.CUresult.CUDA_ERROR_OUT_OF_MEMORY else Error
        raise kind(f"{function.__name__} failed: {why}")
    return given[0] if len(given) == 1 else given or None


def device_count() -> int:  # noqa: D103 - here and below, see `driver`
    _called(cuda.cuInit, 0)
    return int(_called(cuda.cuDeviceGetCount))


class Context:
    """A device's primary context."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def push(self) -> None:  # noqa: D102
        _called(cuda.cuCtxPushCurrent, self._handle)


class Device:  # noqa: D101
    def __init__(self, index: int) -> None:
        self._device = _called(cuda.cuDeviceGet, index)

    @property
    def name(self) -> str:  # noqa: D102
        name: bytes = _called(cuda.cuDeviceGetName, _MAX_NAME, self._device)
        return name.split(b"\0")[0].decode()

    @property
    def compute_capability(self) -> tuple[int, int]:  # noqa: D102
        kind = cuda.CUdevice_attribute
        major, minor = (
            int(_called(cuda.cuDeviceGetAttribute, attribute, self._device))
            for attribute in (
                kind.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
                kind.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
            )
        )
        return major, minor

    @property
    def total_memory(self) -> int:  # noqa: D102
        return int(_called(cuda.cuDeviceTotalMem, self._device))

    def retain_primary_context(self) -> Context:  # noqa: D102
        return Context(_called(cuda.cuDevicePrimaryCtxRetain, self._device))


def pop_context() -> None:  # noqa: D103
    _called(cuda.cuCtxPopCurrent)


def synchronize() -> None:  # noqa: D103
    _called(cuda.cuCtxSynchronize)


def free_memory() -> int:  # noqa: D103
    return int(_called(cuda.cuMemGetInfo)[0])


class Event:  # noqa: D101
    def __init__(self) -> None:
        flags = cuda.CUevent_flags
        wanted = flags.CU_EVENT_BLOCKING_SYNC.value | flags.CU_EVENT_DISABLE_TIMING.value
        self.own = _called(cuda.cuEventCreate, wanted)

    def record(self, stream: Stream) -> None:  # noqa: D102
        _called(cuda.cuEventRecord, self.own, stream.own)

    def synchronize(self) -> None:  # noqa: D102
        _called(cuda.cuEventSynchronize, self.own)

    def free(self) -> None:  # noqa: D102
        _called(cuda.cuEventDestroy, self.own)


class Stream:  # noqa: D101
    def __init__(self) -> None:
        non_blocking = cuda.CUstream_flags.CU_STREAM_NON_BLOCKING.value
        self.own = _called(cuda.cuStreamCreate, non_blocking)
        self.handle = int(self.own)

    def synchronize(self) -> None:  # noqa: D102
        _called(cuda.cuStreamSynchronize, self.own)

    def wait_for_event(self, event: Event) -> None:  # noqa: D102
        _called(cuda.cuStreamWaitEvent, self.own, event.own, 0)

    def free(self) -> None:  # noqa: D102
        _called(cuda.cuStreamDestroy, self.own)


class DeviceMemory:  # noqa: D101
    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self._pointer = _called(cuda.cuMemAlloc, nbytes)
        self.address = int(self._pointer)

    def free(self) -> None:  # noqa: D102
        _called(cuda.cuMemFree, self._pointer)


class HostMemory:  # noqa: D101
    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self._pointer = int(_called(cuda.cuMemHostAlloc, nbytes, 0))
        whole = (ctypes.c_uint8 * nbytes).from_address(self._pointer)
        self.array: NDArray[np.uint8] = np.ctypeslib.as_array(whole)

    def free(self) -> None:  # noqa: D102
        _called(cuda.cuMemFreeHost, self._pointer)


def copy_to_device(memory: DeviceMemory, array: NDArray[Any], stream: Stream) -> None:  # noqa: D103
    source = array.ctypes.data
    _called(cuda.cuMemcpyHtoDAsync, memory.address, source, array.nbytes, stream.own)


def copy_to_host(array: NDArray[Any], memory: DeviceMemory, stream: Stream) -> None:  # noqa: D103
    _called(cuda.cuMemcpyDtoHAsync, array.ctypes.data, memory.address, array.nbytes, stream.own)


def copy_on_device(target: int, source: int, nbytes: int, stream: Stream) -> None:  # noqa: D103
    _called(cuda.cuMemcpyDtoDAsync, target, source, nbytes, stream.own)


def copy_rows_on_device(  # noqa: D103
    target: tuple[int, int], source: tuple[int, int], size: tuple[int, int], stream: Stream
) -> None:
    copy = cuda.CUDA_MEMCPY2D()
    copy.dstMemoryType = copy.srcMemoryType = cuda.CUmemorytype.CU_MEMORYTYPE_DEVICE
    copy.dstDevice, copy.dstPitch = target
    copy.srcDevice, copy.srcPitch = source
    copy.WidthInBytes, copy.Height = size
    _called(cuda.cuMemcpy2DAsync, copy, stream.own)
