"""Whether an ONNX file is a graph as `rrin-deploy` writes it: checked before anything runs it.

The library that runs a graph trusts it: a loop without end, a split into too many parts or an
upsampling a thousandfold takes the process or the memory with it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ArtifactError, shown
from .graph_operators import FLOAT, HALF, INT8, INT32, INT64, OPERATORS, UINT8, UNPACKED, check_node
from .metadata import OPSET, Io, Metadata
from .onnx_file import Node, OnnxFile, Value, Weight, read_onnx

MAX_BYTES = 512 * 2**20
_IR_VERSIONS = range(8, 14)
_MAX_CHANNELS = 65536
_DTYPES: dict[int, np.dtype[Any]] = {
    FLOAT: np.dtype("<f4"),
    UINT8: np.dtype("u1"),
    INT8: np.dtype("i1"),
    INT32: np.dtype("<i4"),
    INT64: np.dtype("<i8"),
    HALF: np.dtype("<f2"),
}
_IO: dict[Io, int] = {"uint8": UINT8, "float32": FLOAT}
# Kernel, strides and pads of a convolution, and of one that stands for pooling.
_WINDOWS = {
    (3, 3): ((3, 3), (1, 1), (1, 1, 1, 1)),
    (2, 2): ((2, 2), (2, 2), (0, 0, 0, 0)),
}
_Arrays = Mapping[str, NDArray[Any]]


def read_checked(path: str | Path) -> tuple[bytes, Metadata]:
    """Return an ONNX file's content, which is to be handed on as it is, and its metadata.

    Raises:
        ArtifactError: damaged, too large, or no graph as `rrin-deploy export` or `build` writes;
            the message names the node and the rule.
    """
    with Path(path).open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    try:
        if len(content) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
        model = read_onnx(content)
    except ValueError as error:
        raise ArtifactError(
            f"{path}: not an ONNX file, or a damaged or foreign one ({error}); export it again"
        ) from error
    metadata = Metadata.from_properties(model.metadata, str(path))
    try:
        _check_ends(model, metadata)
        _check_nodes(model, {weight.name: _checked(weight) for weight in model.weights})
    except ValueError as error:
        raise ArtifactError(
            f"{path}: {error}; take only files that rrin-deploy export or build wrote"
        ) from error
    return content, metadata


def _check_ends(model: OnnxFile, metadata: Metadata) -> None:
    """Check versions, inputs and `frames`; whether there may be other outputs the caller knows."""
    if model.opsets != (("", OPSET),) or metadata.opset != OPSET:
        raise ValueError(f"has the opsets {shown(model.opsets)}, expected {OPSET} alone")
    if model.ir_version not in _IR_VERSIONS:
        low, high = _IR_VERSIONS[0], _IR_VERSIONS[-1]
        raise ValueError(f"has IR version {model.ir_version}, expected {low} to {high}")
    io = _IO[metadata.io]
    inputs = (
        Value("frame0", io, (1, None, None, 3)),
        Value("frame1", io, (1, None, None, 3)),
        Value("t", FLOAT, (None,)),
        Value("window", FLOAT, (4,)),
    )
    frames = [value for value in model.outputs if value.name == "frames"]
    _check_values("inputs", model.inputs, inputs)
    _check_values("output", frames, [Value("frames", io, (None, None, None, 3))])


def _check_values(what: str, found: Sequence[Value], expected: Sequence[Value]) -> None:
    names = [value.name for value in expected]
    if sorted(value.name for value in found) != names:
        raise ValueError(f"its {what} are not {', '.join(names)}")
    for value in found:
        wanted = expected[names.index(value.name)]
        if value != wanted:
            raise ValueError(
                f"{value.name} has data type {value.dtype} and shape {shown(value.shape)}, "
                f"expected {wanted.dtype} and {wanted.shape}"
            )


def _checked(weight: Weight) -> NDArray[Any]:
    """Return a weight's content, of the size that its dimensions and type say."""
    name, dtype, dims = shown(weight.name), _DTYPES.get(weight.dtype), weight.dims
    if dtype is None:
        raise ValueError(f"{name} has data type {weight.dtype}, expected one of {list(_DTYPES)}")
    if len(dims) > 4 or not all(1 <= size <= _MAX_CHANNELS for size in dims):
        raise ValueError(f"{name} has dimensions {dims}, expected four of 1 to {_MAX_CHANNELS}")
    if math.prod(dims) * dtype.itemsize != len(weight.content):
        raise ValueError(f"{name} has {len(weight.content)} bytes, expected those of {dims}")
    content = np.frombuffer(weight.content, dtype).reshape(dims)
    # Whole numbers of 64 bits are indices and shapes.
    if weight.dtype == INT64 and (content.size > 4 or content.min() < -4 or content.max() > 4):
        raise ValueError(f"{name} holds {shown(content.tolist())}, expected four of -4 to 4")
    return content


@dataclass(frozen=True)
class _Extent:
    """At most how large a tensor is: sides beside the frames', in powers of two, and channels."""

    doublings: int
    channels: int


def _check_nodes(model: OnnxFile, weights: _Arrays) -> None:
    makers = {value.name: value.name for value in model.inputs}
    if len(weights) != len(model.weights) or weights.keys() & makers.keys():
        raise ValueError("two weights have one name")
    extents = {name: _Extent(0, 4) for name in makers}
    kernels = dict(weights)  # and those behind a DequantizeLinear
    for node in model.nodes:
        try:
            check_node(node, weights, makers)
            maker = node.operator
            if maker == "DequantizeLinear" and node.inputs[0] in weights:
                maker, kernels[node.outputs[0]] = UNPACKED, weights[node.inputs[0]]
            taken = [extents.get(name, _Extent(-64, 1)) for name in node.inputs]
            extent = _extent(node, taken, kernels)
            for name in node.outputs:
                if not name or name in makers or name in weights:
                    raise ValueError(f"makes {shown(name)}, which is there already")
                makers[name], extents[name] = maker, extent
        except ValueError as error:
            raise ValueError(f"{shown(node.name)} ({shown(node.operator)}) {error}") from error
    for operator, count in Counter(node.operator for node in model.nodes).items():
        if count > OPERATORS[operator].most:
            raise ValueError(f"has {count} {operator}, expected {OPERATORS[operator].most} at most")
    for value in model.outputs:
        if value.name not in makers:
            raise ValueError(f"nothing makes the output {shown(value.name)}")


def _extent(node: Node, taken: list[_Extent], kernels: _Arrays) -> _Extent:
    """Return how large a node's outputs are; ValueError where that is too large."""
    doublings = max(extent.doublings for extent in taken)
    channels = max(extent.channels for extent in taken)
    if node.operator == "Conv":
        channels = _convolution_channels(node, kernels)
    elif node.operator == "Concat":
        channels = sum(extent.channels for extent in taken)
    elif node.operator == "Resize":
        doublings += 1
    if node.attributes.get("strides") == (2, 2):
        doublings -= 1
    if doublings > 0 or channels > _MAX_CHANNELS:
        raise ValueError(f"makes a tensor larger than the frames, or of {channels} channels")
    return _Extent(doublings, channels)


def _convolution_channels(node: Node, kernels: _Arrays) -> int:
    """Return how many channels a convolution makes; ValueError where it is none of ours."""
    weight = kernels.get(node.inputs[1])
    shape: tuple[int, ...] = () if weight is None else weight.shape
    found = tuple(node.attributes.get(name) for name in ("kernel_shape", "strides", "pads"))
    found = (*found[:2], found[2] or (0, 0, 0, 0))
    if len(shape) != 4 or _WINDOWS.get((shape[2], shape[3])) != found:
        raise ValueError(
            f"has a weight of {shape} with kernel, strides and pads {found}, expected one of "
            f"{list(_WINDOWS.values())}"
        )
    group = node.attributes.get("group", 1)
    if group != 1 and (group, shape[1]) != (shape[0], 1):
        raise ValueError(f"has group {shown(group)} with a weight of {shape}, expected 1 or all")
    return shape[0]
