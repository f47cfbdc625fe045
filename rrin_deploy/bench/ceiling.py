"""This machine's own ceiling for the work: one large convolution, as fast as it goes here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from runtime.installation import is_installed

# Wide and large enough that nothing but arithmetic matters: 256 to 256 channels, 64x112 pixels.
_CHANNELS, _HEIGHT, _WIDTH = 256, 64, 112
_ROUNDS = 9


def cpu_ceilings(threads: int) -> dict[str, float]:
    """Measure a 3x3 convolution, multiply-adds a second, as 'FP32' and 'INT8'.

    Each is the fastest that a library here has: ONNX Runtime, for INT8 by weights with and without
    a zero point, and OpenVINO.

    Raises:
        BackendError: neither is installed.
    """
    generator = np.random.default_rng(0)
    shape = (_CHANNELS, _CHANNELS, 3, 3)
    floats = generator.standard_normal(shape).astype(np.float32)
    data = generator.random((1, _CHANNELS, _HEIGHT, _WIDTH), np.float32)
    integers = generator.integers(-127, 128, shape).astype(np.int8)
    bytes_ = generator.integers(0, 256, data.shape).astype(np.uint8)
    found: dict[str, list[float]] = {"FP32": [], "INT8": []}
    by_openvino = is_installed("openvino")
    if is_installed("onnxruntime") or not by_openvino:
        found["FP32"].append(_rate(_onnxruntime, _float(floats), data, threads))
        for zero in (0, 1):
            found["INT8"].append(_rate(_onnxruntime, _int8(integers, zero), bytes_, threads))
    if by_openvino:
        found["FP32"].append(_rate(_openvino, _float(floats), data, threads))
        found["INT8"].append(_rate(_openvino, _quantized(integers), bytes_, threads))
    return {kind: max(rates) for kind, rates in found.items()}


def gpu_ceiling() -> dict[str, float]:
    """Measure a large half matrix product, as 'GPU half'; nothing without CUDA in PyTorch."""
    try:
        import torch
    except ImportError:
        return {}
    if not torch.cuda.is_available():
        return {}
    side = 8192
    a, b = (torch.randn(side, side, dtype=torch.float16, device="cuda") for _ in range(2))

    def multiply() -> None:
        torch.mm(a, b)
        torch.cuda.synchronize()

    return {"GPU half": side**3 / _fastest(multiply)}


def _rate(
    opened: Callable[[bytes, int], Callable[[NDArray[Any]], object]],
    nodes: tuple[list[Any], dict[str, Any]],
    data: NDArray[Any],
    threads: int,
) -> float:
    made, constants = nodes
    kind = helper.np_dtype_to_tensor_dtype(data.dtype)
    graph = helper.make_graph(
        made,
        "convolution",
        [helper.make_tensor_value_info("data", kind, data.shape)],
        [helper.make_tensor_value_info("made", kind, data.shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(model)
    run = opened(model.SerializeToString(), threads)
    work = 9 * _CHANNELS**2 * _HEIGHT * _WIDTH
    return work / _fastest(lambda: run(data))


def _onnxruntime(model: bytes, threads: int) -> Callable[[NDArray[Any]], object]:
    from runtime.onnxruntime_library import cpu_session

    session = cpu_session(model, threads)
    return lambda data: session.run(None, {"data": data})


def _openvino(model: bytes, threads: int) -> Callable[[NDArray[Any]], object]:
    from runtime.openvino_model import cpu_request

    request = cpu_request(model, threads)
    return lambda data: request.infer([data], share_inputs=True, share_outputs=True)


def _float(weight: NDArray[np.float32]) -> tuple[list[Any], dict[str, Any]]:
    return [helper.make_node("Conv", ["data", "weight"], ["made"], pads=[1] * 4)], {
        "weight": weight
    }


def _int8(weight: NDArray[np.int8], zero: int) -> tuple[list[Any], dict[str, Any]]:
    names = ["data", "scale", "middle", "weight", "scales", "zeros", "scale", "middle"]
    node = helper.make_node("QLinearConv", names, ["made"], pads=[1] * 4)
    return [node], {
        "scale": np.float32(0.02),
        "middle": np.uint8(128),
        "weight": weight,
        "scales": np.full(len(weight), 0.001, np.float32),
        "zeros": np.full(len(weight), zero, np.int8),
    }


def _quantized(weight: NDArray[np.int8]) -> tuple[list[Any], dict[str, Any]]:
    """Return the same as OpenVINO wants to find it: a convolution between Q and DQ."""
    nodes = [
        helper.make_node("DequantizeLinear", ["data", "scale", "middle"], ["floats"]),
        helper.make_node("DequantizeLinear", ["weight", "scales", "zeros"], ["weights"], axis=0),
        helper.make_node("Conv", ["floats", "weights"], ["summed"], pads=[1] * 4),
        helper.make_node("QuantizeLinear", ["summed", "scale", "middle"], ["made"]),
    ]
    return nodes, {
        "scale": np.float32(0.02),
        "middle": np.uint8(128),
        "weight": weight,
        "scales": np.full(len(weight), 0.001, np.float32),
        "zeros": np.zeros(len(weight), np.int8),
    }


def _fastest(call: Callable[[], object]) -> float:
    call()
    seconds = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
