"""`torch.cuda` where there is none: all work is done at once, on the CPU.

It shows that what uses it runs at all; what it measures means nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import time
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

_kept: list[np.ndarray] = []  # device arrays are addresses, which keep nothing alive
_driver = ctypes.CDLL("libcuda.so.1")
_driver.fake_adopt.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


class _OnCpu(TorchFunctionMode):
    def __torch_function__(
        self, function: Any, _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        given = dict(kwargs or {})
        if str(given.get("device")) == "cuda":
            given["device"] = "cpu"
        if function is torch.as_tensor and not isinstance(args[0], (torch.Tensor, np.ndarray)):
            return _tensor_at(args[0].__cuda_array_interface__)
        return function(*args, **given)


def _tensor_at(array: dict[str, Any]) -> torch.Tensor:
    dtype = np.dtype(array["typestr"])
    raw = (ctypes.c_uint8 * (int(np.prod(array["shape"])) * dtype.itemsize)).from_address(
        array["data"][0]
    )
    return torch.from_numpy(np.ctypeslib.as_array(raw).view(dtype).reshape(array["shape"]))


def _lying(tensor: torch.Tensor) -> np.ndarray:
    """Return a copy in what the fake GPU has for memory."""
    content = tensor.contiguous().numpy()
    room = np.zeros(content.nbytes + 256, np.uint8)
    start = -room.ctypes.data % 256  # aligned, as device memory is
    aligned = room[start : start + content.nbytes]
    aligned[:] = content.view(np.uint8).ravel()
    _kept.append(room)
    _driver.fake_adopt(aligned.ctypes.data, content.nbytes)
    return aligned.view(content.dtype).reshape(content.shape)


def _interface(tensor: torch.Tensor) -> dict[str, Any]:
    return {**_lying(tensor).__array_interface__, "version": 2}


def _dlpack(tensor: torch.Tensor, *, stream: int) -> Any:
    assert stream > 2
    return _lying(tensor).__dlpack__()


class _Event:
    def __init__(self, enable_timing: bool = False) -> None:  # noqa: ARG002 - torch's own
        self.time = 0.0

    def record(self) -> None:
        self.time = time.perf_counter()

    def synchronize(self) -> None:
        pass

    def query(self) -> bool:
        return False

    def elapsed_time(self, end: _Event) -> float:
        return 1e3 * (end.time - self.time)


class _Stream:
    cuda_stream = 1  # the default one

    def synchronize(self) -> None:
        pass

    def record_event(self) -> _Event:
        return _Event()


class _Graph:
    def replay(self) -> None:
        pass


def install() -> None:
    """Put it in place, for the rest of the process."""
    offered: dict[str, Any] = {
        "is_available": lambda: True,
        "synchronize": lambda: None,
        "empty_cache": lambda: None,
        "Event": _Event,
        "Stream": _Stream,
        "stream": lambda _: contextlib.nullcontext(),
        "_sleep": lambda _: None,
        "CUDAGraph": _Graph,
        "graph": lambda _: contextlib.nullcontext(),
    }
    for name, value in offered.items():
        setattr(torch.cuda, name, value)
    torch.Tensor.cuda = torch.nn.Module.cuda = lambda self: self  # type: ignore[assignment, method-assign]
    torch.Tensor.__dlpack_device__ = lambda _: (2, 0)  # type: ignore[assignment, method-assign]
    torch.Tensor.__dlpack__ = _dlpack  # type: ignore[assignment, method-assign]
    torch.Tensor.__cuda_array_interface__ = property(_interface)  # type: ignore[assignment]
    _OnCpu().__enter__()
