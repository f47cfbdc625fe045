"""Whether an ONNX file is a graph as `rrin-deploy` writes it: checked before anything runs it.

The library that runs a graph trusts it: a loop without end, a split into too many parts, a division
of the least integer by -1 or an upsampling a thousandfold takes the process or the memory with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .errors import ArtifactError, shown
from .graph_cost import Cost, check_width
from .graph_operators import infer
from .graph_tensors import (
    ABSENT,
    BFLOAT16,
    DTYPES,
    FLOAT,
    HEIGHT,
    INT64,
    TIMES,
    UINT8,
    WIDTH,
    Tensor,
)
from .manifest import is_engine
from .metadata import Io, Metadata, opset_of
from .onnx_file import Node, OnnxFile, Value, Weight, read_onnx

MAX_BYTES = 512 * 2**20
_IR_VERSIONS = range(8, 14)
_MAX_SIZE = 65536
_IO: dict[Io, int] = {"uint8": UINT8, "float32": FLOAT}


def read_checked(path: str | Path) -> tuple[bytes, Metadata]:
    """Return an ONNX file's content, which is to be handed on as it is, and its metadata.

    Raises:
        ArtifactError: damaged, too large, or no graph as `rrin-deploy export` or `build` writes;
            the message names the node and the rule.
    """
    content, *_, metadata = _read(path)
    return content, metadata


def read_graph(path: str | Path) -> tuple[OnnxFile, dict[str, Tensor], Metadata]:
    """Return an ONNX file's graph, what is known of each of its tensors, and its metadata.

    Raises:
        ArtifactError: see `read_checked`.
    """
    return _read(path)[1:]


def _read(path: str | Path) -> tuple[bytes, OnnxFile, dict[str, Tensor], Metadata]:
    with Path(path).open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    try:
        if len(content) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
        model = read_onnx(content)
    except ValueError as error:
        if found := _other_kind(path, content):
            raise ArtifactError(
                f"{path}: is {found}; expected an ONNX file of export or build"
            ) from error
        raise ArtifactError(
            f"{path}: not an ONNX file, or a damaged or foreign one ({error}); export it again"
        ) from error
    metadata = Metadata.from_properties(model.metadata, str(path))
    try:
        _check_versions(model, metadata)
        known = _check_graph(model, metadata)
    except ValueError as error:
        raise ArtifactError(
            f"{path}: {error}; take only files that were exported or built for this runtime"
        ) from error
    return content, model, known, metadata


def _other_kind(path: str | Path, content: bytes) -> str | None:
    """Return what a file is that is no ONNX file, where its name or first bytes show it."""
    if is_engine(path):
        return "a TensorRT engine"
    starts = {
        b"{": "JSON, as manifests and ranges files are",
        b"PK\x03\x04": "a zip archive, as checkpoints and golden files are",
        b"\x80\x02": "a pickle, as older checkpoints are",
    }
    return next((kind for start, kind in starts.items() if content.startswith(start)), None)


def _check_versions(model: OnnxFile, metadata: Metadata) -> None:
    opset = opset_of(metadata.precision)
    if model.opsets != (("", opset),) or metadata.opset != opset:
        raise ValueError(f"has the opsets {shown(model.opsets)}, expected {opset} alone")
    if model.ir_version not in _IR_VERSIONS:
        low, high = _IR_VERSIONS[0], _IR_VERSIONS[-1]
        raise ValueError(f"has IR version {model.ir_version}, expected {low} to {high}")


def _check_graph(model: OnnxFile, metadata: Metadata) -> dict[str, Tensor]:
    """Follow the graph from its inputs to `frames`; return what is known of each tensor.

    What other outputs are is the caller's.
    """
    pixels = _IO[metadata.io]
    inputs = {
        "frame0": Tensor(pixels, (1, HEIGHT, WIDTH, 3)),
        "frame1": Tensor(pixels, (1, HEIGHT, WIDTH, 3)),
        "t": Tensor(FLOAT, (TIMES,)),
        "window": Tensor(FLOAT, (4,)),
    }
    frames = {"frames": Tensor(pixels, (TIMES, HEIGHT, WIDTH, 3))}
    _check_ends("inputs", model.inputs, inputs)
    _check_ends("output", [each for each in model.outputs if each.name == "frames"], frames)
    known = inputs | {weight.name: _checked(weight) for weight in model.weights}
    if len(known) != len(inputs) + len(model.weights):
        raise ValueError("two weights have one name")
    cost = Cost()
    for node in model.nodes:
        try:
            _follow(node, known, cost)
            cost.check(metadata.base_width)
        except ValueError as error:
            raise ValueError(f"{shown(node.name)} ({shown(node.operator)}) {error}") from error
    if metadata.precision != "bf16" and BFLOAT16 in {each.dtype for each in known.values()}:
        raise ValueError(f"holds bfloat16, and names the precision {metadata.precision}")
    check_width(metadata.base_width, (known[weight.name] for weight in model.weights))
    for value in model.outputs:
        if value.name not in known:
            raise ValueError(f"nothing makes the output {shown(value.name)}")
    if known["frames"] != frames["frames"]:
        raise ValueError(f"makes {known['frames']} as frames, expected {frames['frames']}")
    return known


def _check_ends(what: str, found: Sequence[Value], expected: dict[str, Tensor]) -> None:
    """Check what a graph says of its inputs or outputs; their symbols may have any names."""
    if sorted(value.name for value in found) != sorted(expected):
        raise ValueError(f"its {what} are not {', '.join(expected)}")
    for value in found:
        wanted = expected[value.name]
        sizes = tuple(size if isinstance(size, int) else None for size in wanted.shape)
        if (value.dtype, value.shape) != (wanted.dtype, sizes):
            raise ValueError(
                f"{value.name} has data type {value.dtype} and shape {shown(value.shape)}, "
                f"expected {wanted.dtype} and {sizes}"
            )


def _checked(weight: Weight) -> Tensor:
    """Return a weight, of the size that its dimensions and type say."""
    name, dtype, dims = shown(weight.name), DTYPES.get(weight.dtype), weight.dims
    if dtype is None:
        raise ValueError(f"{name} has data type {weight.dtype}, expected one of {list(DTYPES)}")
    if len(dims) > 4 or not all(1 <= size <= _MAX_SIZE for size in dims):
        raise ValueError(f"{name} has dimensions {dims}, expected four of 1 to {_MAX_SIZE}")
    if math.prod(dims) * dtype.itemsize != len(weight.content):
        raise ValueError(f"{name} has {len(weight.content)} bytes, expected those of {dims}")
    content = np.frombuffer(weight.content, dtype).reshape(dims)
    if weight.dtype != INT64:
        return Tensor(weight.dtype, dims, weight=content)
    # Whole numbers of 64 bits are indices and shapes.
    if content.size > 4 or content.min() < -4 or content.max() > 4:
        raise ValueError(f"{name} holds {shown(content.tolist())}, expected four of -4 to 4")
    return Tensor(INT64, dims, tuple(content.reshape(-1).tolist()), content)


def _follow(node: Node, known: dict[str, Tensor], cost: Cost) -> None:
    """Add what a node makes to what is known, and to the cost."""
    for name in node.inputs:
        if name and name not in known:
            raise ValueError(f"takes {shown(name)}, which nothing before it makes")
    taken = [known[name] if name else ABSENT for name in node.inputs]
    made = infer(node, taken)
    for name in node.outputs:
        if not name or name in known:
            raise ValueError(f"makes {shown(name)}, which is there already")
        known[name] = made
    cost.add(node, taken, made)
