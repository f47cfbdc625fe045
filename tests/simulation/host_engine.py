"""A double's engine on the fake libcuda: ONNX Runtime, called by the lazy stream itself."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime

from rrin_deploy.proof.double import Binding, Execute

_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
driver = ctypes.CDLL("libcuda.so.1")
driver.fake_count.restype = ctypes.c_long
driver.cuStreamSynchronize.argtypes = [ctypes.c_void_p]
driver.cuLaunchHostFunc.argtypes = [ctypes.c_void_p, _FUNCTION, ctypes.c_void_p]

failures: list[BaseException] = []
bound: list[tuple[Any, ...]] = []  # addresses and shapes of every run
_kept: list[Any] = []  # a function that is queued, or in a graph, must not be collected


def count(name: str) -> int:
    """Return what the fake driver counted."""
    return int(driver.fake_count(name.encode()))


def host_rrin(model: onnx.ModelProto) -> Execute:
    """Return what queues a run of the model on a stream of the fake driver."""
    session = _session(model)

    def execute(handle: int, bindings: Mapping[str, Binding]) -> bool:
        given = dict(bindings)

        def work(_: object) -> None:
            bound.append(tuple((each.address, each.shape) for each in given.values()))
            try:
                arrays = {name: _array(binding) for name, binding in given.items()}
                made = arrays.pop("frames")
                made[...] = _run(session, arrays, made.dtype)
            except BaseException as error:
                failures.append(error)

        function = _FUNCTION(work)
        _kept.append(function)
        assert driver.cuLaunchHostFunc(handle, function, None) == 0
        return True

    return execute


def host_rrin_that_waits(model: onnx.ModelProto) -> Execute:
    """Return the same, but it waits for the stream, and so cannot be captured."""
    execute = host_rrin(model)
    return lambda handle, bindings: (
        driver.cuStreamSynchronize(handle) == 0 and execute(handle, bindings)
    )


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # frames here are too small for more
    content = model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _array(binding: Binding) -> np.ndarray:
    nbytes = int(np.prod(binding.shape)) * binding.dtype.itemsize
    raw = (ctypes.c_uint8 * nbytes).from_address(binding.address)
    return np.ctypeslib.as_array(raw).view(binding.dtype).reshape(binding.shape)


def _run(session: Any, arrays: dict[str, np.ndarray], dtype: np.dtype[Any]) -> np.ndarray:
    """Run a float32 graph, also where the double's plan says that its frames are bytes."""
    if dtype == np.uint8:
        for name in ("frame0", "frame1"):
            arrays[name] = arrays[name] / np.float32(255)
    # Copied, as a kernel would have read them by now.
    (made,) = session.run(["frames"], {name: array.copy() for name, array in arrays.items()})
    return np.rint(made * np.float32(255)).astype(np.uint8) if dtype == np.uint8 else made
