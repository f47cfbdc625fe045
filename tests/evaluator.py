"""An ONNX file executed node by node, each tensor in the type that the file says.

ONNX Runtime's CPU computes half by way of float32, and fuses: it does not show what a file's types
cost. Here every result is rounded to its type at once. Sums inside an operator are float32's: a
convolution of halves adds up in float32 and is rounded once, as the types of a file can promise
and tensor cores do; kernels that add up in half as well err more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx.helper import get_attribute_value, tensor_dtype_to_np_dtype
from onnx.numpy_helper import to_array
from torch import Tensor

Arrays = dict[str, np.ndarray]


def evaluate(
    model: onnx.ModelProto, inputs: Mapping[str, np.ndarray], outputs: Sequence[str] = ("frames",)
) -> Arrays:
    """Return values of a graph by name; intermediate ones may be asked for.

    Args:
        model: of the operators and attributes that `runtime.graph_check` lets through.
        inputs: by name, in the types of the graph.
        outputs: names of values.
    """
    dtypes = _dtypes(model)
    values = {tensor.name: _tensor(to_array(tensor)) for tensor in model.graph.initializer}
    values |= {name: _tensor(array) for name, array in inputs.items()}
    with torch.inference_mode():
        for node in model.graph.node:
            attributes = {entry.name: get_attribute_value(entry) for entry in node.attribute}
            taken = [_widened(values[name]) if name else None for name in node.input]
            made = _OPERATORS[node.op_type](*taken, **attributes)
            for name, value in zip(
                node.output, made if isinstance(made, tuple) else [made], strict=True
            ):
                values[name] = value.to(dtypes[name])
    return {name: values[name].numpy() for name in outputs}


def _dtypes(model: onnx.ModelProto) -> dict[str, torch.dtype]:
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    return {
        value.name: _tensor(
            np.empty(0, tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
        ).dtype
        for value in (*graph.value_info, *graph.output)
    }


def _tensor(array: np.ndarray) -> Tensor:
    if array.dtype.name == "bfloat16":  # which torch does not take from NumPy
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy())


def _widened(value: Tensor) -> Tensor:
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def _conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    strides: list[int],
    group: int,
    pads: Sequence[int] = (0, 0, 0, 0),
    **_: Any,
) -> Tensor:
    return F.conv2d(x, weight, bias, strides, tuple(pads[:2]), groups=group)


def _double(x: Tensor, _region: None, scales: Tensor, **_: Any) -> Tensor:
    assert scales.tolist() == [1, 1, 2, 2]
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _grid_sample(x: Tensor, grid: Tensor, *, align_corners: int, **_: Any) -> Tensor:
    return F.grid_sample(x, grid, align_corners=bool(align_corners))


def _quantize(x: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    bounds = torch.iinfo(zero.dtype)
    return (torch.round(x / scale) + zero).clamp(bounds.min, bounds.max)


def _dequantize(x: Tensor, scale: Tensor, zero: Tensor, axis: int = 0) -> Tensor:
    if scale.ndim:  # one for each channel
        shape = [-1 if dimension == axis else 1 for dimension in range(x.ndim)]
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return (x.int() - zero.int()) * scale


def _gather(x: Tensor, index: Tensor, axis: int = 0) -> Tensor:
    picked = x.index_select(axis, index.reshape(-1))
    return picked if index.ndim else picked.squeeze(axis)


def _shape(x: Tensor, start: int = 0, end: int | None = None) -> Tensor:
    return torch.tensor(x.shape[start:end])


# Attributes of one possible value are taken for granted.
_OPERATORS: dict[str, Callable[..., Tensor | tuple[Tensor, ...]]] = {
    "Add": torch.add,
    "AveragePool": lambda x, **_: F.avg_pool2d(x, 2),
    "Cast": lambda x, **_: x,  # each result is put in its type
    "Clip": torch.clamp,
    "Concat": lambda *parts, axis: torch.cat(parts, axis),
    "Conv": _conv,
    "DequantizeLinear": _dequantize,
    "Div": torch.div,
    "Exp": torch.exp,
    "Expand": lambda x, shape: x.expand(torch.broadcast_shapes(x.shape, shape.tolist())),
    "Gather": _gather,
    "GridSample": _grid_sample,
    "LeakyRelu": lambda x, alpha: F.leaky_relu(x, alpha),
    "Mul": torch.mul,
    "Neg": torch.neg,
    "QuantizeLinear": _quantize,
    "Range": lambda start, limit, step: torch.arange(*map(torch.Tensor.item, (start, limit, step))),
    "Reciprocal": torch.reciprocal,
    "Reshape": lambda x, shape, **_: x.reshape(shape.tolist()),
    "Resize": _double,
    "Round": torch.round,
    "Shape": _shape,
    "Sigmoid": torch.sigmoid,
    "Split": lambda x, axis, num_outputs: x.chunk(num_outputs, axis),
    "Squeeze": torch.squeeze,
    "Sub": torch.sub,
    "Transpose": lambda x, perm: x.permute(perm),
    "Unsqueeze": lambda x, axis: x.unsqueeze(int(axis)),
}
