"""Calls of CUDA's driver that PyCUDA does not have: CUDA graphs; streams and memory of others.

By the driver's library itself; streams are those of either package, or of anyone, by their handles.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable

from .errors import BackendError

_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may allocate meanwhile
_DISABLE_TIMING = 2  # CU_EVENT_DISABLE_TIMING
_DEVICE_ORDINAL = 9  # CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL


class Graph:
    """Captured work. What it reads and writes has to stay where it was at that time.

    Args:
        handle: of the driver's executable graph.
    """

    def __init__(self, handle: ctypes.c_void_p) -> None:
        self._handle = handle

    @classmethod
    def captured(cls, stream: int, enqueue: Callable[[], bool]) -> Graph | None:
        """Capture what a function puts on a stream, none of which is done by that.

        While it goes on, waiting for the whole GPU fails, in whichever thread.

        Args:
            stream: by its handle.
            enqueue: says whether it could.

        Returns:
            The graph; None where the work cannot be captured.
        """
        cuda, template, handle = _libcuda(), ctypes.c_void_p(), ctypes.c_void_p()
        if cuda.cuStreamBeginCapture_v2(ctypes.c_void_p(stream), _THREAD_LOCAL):
            return None
        queued = False
        try:
            queued = enqueue()
        finally:  # else the stream would do nothing any more
            failed = cuda.cuStreamEndCapture(ctypes.c_void_p(stream), ctypes.byref(template))
            if not failed and queued:
                failed = cuda.cuGraphInstantiateWithFlags(
                    ctypes.byref(handle), template, ctypes.c_ulonglong(0)
                )
            if template:
                cuda.cuGraphDestroy(template)
        return cls(handle) if queued and not failed else None

    def launch(self, stream: int) -> None:
        """Put the work on a stream, as if it were queued anew."""
        _check("cuGraphLaunch", _libcuda().cuGraphLaunch(self._handle, ctypes.c_void_p(stream)))

    def free(self) -> None:
        """Let go of it; what was launched is still done."""
        _libcuda().cuGraphExecDestroy(self._handle)


def wait_for_stream(stream: int, other: int) -> None:
    """Let the next work on a stream wait for all that is queued on another one by now.

    Args:
        stream, other: by their handles; 1 and 2 are the default streams, as in
            `__cuda_array_interface__`.
    """
    cuda, event = _libcuda(), ctypes.c_void_p()
    _check("cuEventCreate", cuda.cuEventCreate(ctypes.byref(event), _DISABLE_TIMING))
    try:
        _check("cuEventRecord", cuda.cuEventRecord(event, ctypes.c_void_p(other)))
        _check("cuStreamWaitEvent", cuda.cuStreamWaitEvent(ctypes.c_void_p(stream), event, 0))
    finally:
        cuda.cuEventDestroy_v2(event)  # which the driver puts off until it has come


def gpu_of(address: int) -> int | None:
    """Return the index of the GPU that memory lies on; None where it is none of CUDA's."""
    index = ctypes.c_int()
    failed = _libcuda().cuPointerGetAttribute(
        ctypes.byref(index), _DEVICE_ORDINAL, ctypes.c_ulonglong(address)
    )
    return None if failed else index.value


def _check(call: str, failed: int) -> None:
    if failed:
        raise BackendError(f"the GPU's driver failed: {call} gave {failed}")


@functools.cache
def _libcuda() -> ctypes.CDLL:
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
