"""CUDA graphs: work that is captured from a stream once, and launched as a whole from then on.

By the driver's library itself, for PyCUDA has no calls for them; the streams are those of either
package, by their handles.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable

from .errors import BackendError

_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may allocate meanwhile


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
        failed = _libcuda().cuGraphLaunch(self._handle, ctypes.c_void_p(stream))
        if failed:
            raise BackendError(f"a CUDA graph could not be launched: cuGraphLaunch gave {failed}")

    def free(self) -> None:
        """Let go of it; what was launched is still done."""
        _libcuda().cuGraphExecDestroy(self._handle)


@functools.cache
def _libcuda() -> ctypes.CDLL:
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
