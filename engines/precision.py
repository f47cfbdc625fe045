"""Precision lives in the graph: which part of RRIN runs in which type.

The U-Nets run in half. Flow arithmetic, the sampling grid, the warps, the blend and the last
addition stay float32: a half grid misplaces samples by up to 0.05 pixels at width 448 and 0.23 at
1920, and the blend's 1e-8 is 0 in half.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from engines.unets import check_recognised, unet_of
from runtime.errors import ArtifactError, InputNotFoundError
from runtime.metadata import Metadata, Precision


def load_graph(path: str | Path) -> tuple[ir.Model, Metadata]:
    """Read an ONNX file that `rrin-deploy export` wrote.

    Raises:
        InputNotFoundError: there is no such file.
        ArtifactError: damaged, or not one of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise InputNotFoundError(
            f"{path}: no such file; make it with rrin-deploy export CHECKPOINT"
        )
    try:
        model = ir.from_proto(onnx.load(path))
    except Exception as error:  # protobuf's DecodeError is of no public class
        raise ArtifactError(f"{path}: not an ONNX file, or a damaged one ({error})") from error
    metadata = Metadata.from_properties(model.metadata_props, str(path))
    check_recognised(model.graph, str(path))
    return model, metadata


def with_precision(
    model: ir.Model, metadata: Metadata, precision: Precision
) -> tuple[ir.Model, Metadata]:
    """Return the graph with its U-Nets in the type asked for; a float32 graph is changed in place.

    Raises:
        ArtifactError: the graph is not float32, so that there is nothing to start from.
    """
    if metadata.precision != "fp32":
        raise ArtifactError(
            f"the graph is {metadata.precision} already; start from the fp32 file of export"
        )
    if precision == "fp16":
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
            output.type = ir.TensorType(ir.DataType.FLOAT16)
            outside = [use for use in output.uses() if use.node not in members]
            if outside:
                back = _cast(graph, output, ir.DataType.FLOAT, after=node)
                for use in outside:
                    use.node.replace_input_with(use.idx, back)


def _is_data(node: ir.Node, index: int) -> bool:
    # Resize's scales are float32 by the operator's definition.
    return node.op_type != "Resize" or index == 0


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
