"""What the layers of the networks make of their inputs: a rule an operator.

A rule takes a node and its input tensors and returns what each output is. It knows the combinations
that artifacts have; any other is a ValueError.
"""

from __future__ import annotations

import numpy as np

from .errors import shown
from .graph_tensors import (
    ABSENT,
    FLOAT,
    FLOATS,
    HALF,
    INT8,
    INT32,
    UINT8,
    Shape,
    Symbol,
    Tensor,
    shape_text,
)
from .onnx_file import Node

# Kernel, strides and pads of a convolution, and of one that stands for pooling.
_WINDOWS = (((3, 3), (1, 1), (1, 1, 1, 1)), ((2, 2), (2, 2), (0, 0, 0, 0)))
_DOUBLED = [1, 1, 2, 2]


def convolution(node: Node, tensor: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Conv: one of ours, whose weight and bias fit."""
    channels, height, width = _planes(tensor)
    for each in (weight, bias):
        each.check_type(tensor.dtype)
        if not each.is_constant:
            raise ValueError(f"takes the weight {each}, expected one of the file")
    get, pads = node.attributes.get, (0, 0, 0, 0)
    found = get("kernel_shape"), get("strides"), get("pads", pads)
    if found not in _WINDOWS or weight.shape[2:] != found[0]:
        raise ValueError(
            f"has a weight of {shape_text(weight.shape)} with kernel, strides and pads {found}, "
            f"expected one of {_WINDOWS}"
        )
    made, taken = weight.shape[:2]
    group = get("group", 1)
    if group * taken != channels or group not in (1, made) or bias.shape != (made,):
        raise ValueError(
            f"has group {shown(group)}, a weight of {shape_text(weight.shape)} and a bias of "
            f"{shape_text(bias.shape)} for {tensor}; these do not fit"
        )
    halved = int(found[1] == (2, 2))
    sides = height.halved(halved), width.halved(halved)
    return Tensor(tensor.dtype, (tensor.shape[0], made, *sides))


def pooling(_: Node, tensor: Tensor) -> Tensor:
    """AveragePool: halves the sides."""
    height, width = _planes(tensor)[1:]
    return Tensor(tensor.dtype, (*tensor.shape[:2], height.halved(1), width.halved(1)))


def upsampling(_: Node, tensor: Tensor, region: Tensor, scales: Tensor) -> Tensor:
    """Resize: doubles the sides again."""
    height, width = _planes(tensor)[1:]
    scales.check_type(FLOAT)
    if region is not ABSENT or scales.content() != _DOUBLED:
        raise ValueError(f"scales by {scales.content()}, expected {_DOUBLED} and no region")
    return Tensor(tensor.dtype, (*tensor.shape[:2], height.halved(-1), width.halved(-1)))


def sampling(_: Node, image: Tensor, grid: Tensor) -> Tensor:
    """GridSample: a position for each pixel."""
    height, width = _planes(image)[1:]
    image.check_type(FLOAT)
    grid.check_type(FLOAT)
    if grid.shape != (image.shape[0], height, width, 2):
        raise ValueError(f"takes {image} and the grid {grid}, which do not fit")
    return Tensor(FLOAT, image.shape)


def halving(_: Node, tensor: Tensor) -> Tensor:
    """Split: halves the channels."""
    channels = _planes(tensor)[0]
    if channels % 2:
        raise ValueError(f"halves {tensor}, which has an odd number of channels")
    return Tensor(tensor.dtype, (tensor.shape[0], channels // 2, *tensor.shape[2:]))


def activation(_: Node, tensor: Tensor) -> Tensor:
    """LeakyRelu: element by element, in half or bfloat16 as well."""
    tensor.check_type(*FLOATS)
    return Tensor(tensor.dtype, tensor.shape)


def quantization(_: Node, tensor: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """QuantizeLinear: one scale for the tensor."""
    _planes(tensor)
    zero.check_type(UINT8, INT8)
    _check_scale(scale, zero, ())
    scale.check_type(tensor.dtype)
    return Tensor(zero.dtype, tensor.shape)


def dequantization(node: Node, tensor: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """DequantizeLinear: one scale for a tensor, or one for each output of a weight."""
    if tensor.weight is None:
        tensor.check_type(UINT8, INT8)
        _check_scale(scale, zero, ())
        fits = len(tensor.shape) == 4
    else:
        tensor.check_type(INT8, INT32)
        _check_scale(scale, zero, tensor.shape[:1])
        around_zero = zero.weight is not None and not zero.weight.any()
        fits = tensor.shape != () and node.attributes.get("axis") == 0 and around_zero
    if not fits:
        raise ValueError(f"takes {tensor}, expected four dimensions or a weight around 0")
    zero.check_type(tensor.dtype)
    return Tensor(scale.dtype, tensor.shape)


def _check_scale(scale: Tensor, zero: Tensor, shape: Shape) -> None:
    scale.check_type(FLOAT, HALF)
    if scale.weight is None or zero.weight is None or not scale.shape == zero.shape == shape:
        raise ValueError(f"takes {scale} and {zero}, expected constants of {shape_text(shape)}")
    if not (np.isfinite(scale.weight) & (scale.weight > 0)).all():
        raise ValueError("has a scale that is not above 0")


def _planes(tensor: Tensor) -> tuple[int, Symbol, Symbol]:
    """Return channels, height and width of [N, C, H, W], at any level."""
    tensor.check_type(*FLOATS)
    match tensor.shape:
        case (_, int(channels), Symbol("H", high) as height, Symbol("W", wide) as width):
            if high == wide:
                return channels, height, width
    raise ValueError(f"takes {tensor}, expected [N, C, H, W]")
