"""Precision lives in the graph: which part of RRIN runs in which type.

The U-Nets run in half or, with activation ranges, most of their convolutions in INT8. Flow
arithmetic, the sampling grid, the warps, the blend and the last addition stay float32: a half grid
misplaces samples by up to 0.05 pixels at width 448 and 0.23 at 1920; and 1e-8, as the blend has it,
is 0 in half.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx_ir as ir

from precision.graph import check_float32, load_graph, taken, unet_of
from precision.qdq import ONNXRUNTIME, OPENVINO, TENSORRT, Layout
from precision.quantization import quantize
from precision.ranges import Ranges, ranges_beside
from runtime.errors import ArtifactError, OptionError
from runtime.metadata import Metadata, Precision, Runtime

_LAYOUTS: dict[Runtime, Layout] = {
    "tensorrt": TENSORRT,
    "onnxruntime": ONNXRUNTIME,
    "openvino": OPENVINO,
}


def load_with_precision(
    path: Path, precision: Precision, ranges: Path | None, runtime: Runtime = "tensorrt"
) -> tuple[ir.Model, Metadata]:
    """Read a float32 file and return it in another precision; see `with_precision`.

    Args:
        ranges: the ranges file, for int8; None takes the one beside the model.
        runtime: what the graph is for; int8 is laid out for it.

    Raises:
        InputNotFoundError: the model or its ranges file is missing.
        ArtifactError: either is damaged, or the ranges are of another model.
    """
    model, metadata = load_graph(path)
    metadata = dataclasses.replace(metadata, runtime=runtime)
    if precision != "int8":
        return with_precision(model, metadata, precision)
    ranges = ranges or ranges_beside(path)
    measured = Ranges.load(ranges)
    measured.check_model(metadata, str(ranges))
    return with_precision(model, metadata, precision, measured, _LAYOUTS[runtime])


def with_precision(
    model: ir.Model,
    metadata: Metadata,
    precision: Precision,
    ranges: Ranges | None = None,
    layout: Layout = TENSORRT,
) -> tuple[ir.Model, Metadata]:
    """Return the graph with its U-Nets in the type asked for; a float32 graph is changed in place.

    Args:
        model, metadata: as `load_graph` returns them.
        precision: of the U-Nets. What int8 leaves out is half for TensorRT, else float32.
        ranges: measured on this model; int8 needs them.
        layout: of int8's Q/DQ.

    Raises:
        ArtifactError: the graph is not float32, so that there is nothing to start from; or the
            ranges are of another model.
        OptionError: int8 without ranges.
    """
    check_float32(metadata)
    if precision == "int8":
        if ranges is None:
            raise OptionError("int8 needs the model's activation ranges; calibrate it first")
        quantize(model.graph, ranges, layout)
    if precision == "fp16" or (precision == "int8" and layout == TENSORRT):
        _halve(model.graph)
    metadata = dataclasses.replace(metadata, precision=precision)
    model.metadata_props.update(metadata.to_properties())
    return model, metadata


def _halve(graph: ir.Graph) -> None:
    """Put the U-Nets in half, with casts at their borders."""
    inside = [node for node in graph if unet_of(node)]
    members = set(inside)
    halves: dict[ir.Value, ir.Value] = {}
    for node in inside:
        for index, value in enumerate(node.inputs):
            if value is None or value.producer() in members or not _is_data(node, index):
                continue
            if value not in halves:
                halves[value] = _half_weight(graph, value) or _cast(
                    graph, value, ir.DataType.FLOAT16, before=node
                )
            node.replace_input_with(index, halves[value])
    for node in inside:
        for output in node.outputs:
            if output.dtype not in (None, ir.DataType.FLOAT):
                continue  # INT8 stays what it is
            output.type = ir.TensorType(ir.DataType.FLOAT16)
            outside = [use for use in output.uses() if use.node not in members]
            if outside:
                back = _cast(graph, output, ir.DataType.FLOAT, after=node)
                for use in outside:
                    use.node.replace_input_with(use.idx, back)


def _is_data(node: ir.Node, index: int) -> bool:
    # Resize's scales are float32 by the operator's definition, integers stay integers.
    of_data = node.op_type != "Resize" or index == 0
    return of_data and taken(node, index).dtype in (None, ir.DataType.FLOAT)


def _half_weight(graph: ir.Graph, value: ir.Value) -> ir.Value | None:
    """Replace a float32 weight by its half; None if the value is not a weight."""
    if value.const_value is None or value.name not in graph.initializers:
        return None
    with np.errstate(over="ignore"):
        half = value.const_value.numpy().astype(np.float16)
    if not np.isfinite(half).all():
        raise ArtifactError(f"{value.name} exceeds half's range (65504); build with --fp32")
    value.const_value = ir.tensor(half, name=value.name)
    value.type = ir.TensorType(ir.DataType.FLOAT16)
    return value


def _cast(
    graph: ir.Graph,
    value: ir.Value,
    dtype: ir.DataType,
    *,
    before: ir.Node | None = None,
    after: ir.Node | None = None,
) -> ir.Value:
    suffix = "half" if dtype == ir.DataType.FLOAT16 else "float"
    node = ir.node("Cast", [value], {"to": dtype.value}, name=f"RRIN/Cast_{value.name}_{suffix}")
    (result,) = node.outputs
    result.name = f"{value.name}_{suffix}"
    result.type, result.shape = ir.TensorType(dtype), value.shape
    if before is not None:
        graph.insert_before(before, node)
    elif after is not None:
        graph.insert_after(after, node)
    return result
