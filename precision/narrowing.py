"""The U-Nets in half or bfloat16, and nothing else.

Flow arithmetic, the sampling grid, the warps, the blend and the last addition stay float32: a half
grid misplaces samples by up to 0.05 pixels at width 448 and 0.23 at 1920; and 1e-8, as the blend
has it, is 0 in half.

Bfloat16 has 8 bits for a number's digits, half 11: a flow of 60 pixels would be rounded by up to
0.1. So the U-Nets' last convolutions, which make flow, masks and colours, stay float32 there.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from precision.graph import taken, unet_of
from runtime.errors import ArtifactError

_NAMES = {ir.DataType.FLOAT16: "half", ir.DataType.BFLOAT16: "bfloat16", ir.DataType.FLOAT: "float"}


def narrow(graph: ir.Graph, dtype: ir.DataType) -> None:
    """Put a float32 graph's U-Nets in half or bfloat16, in place, with casts at their borders.

    Raises:
        ArtifactError: a weight is beyond what the type holds.
    """
    inside = [node for node in graph if unet_of(node) and not _stays_float(node, dtype)]
    members = set(inside)
    narrowed: dict[ir.Value, ir.Value] = {}
    for node in inside:
        for index, value in enumerate(node.inputs):
            if value is None or value.producer() in members or not _is_data(node, index):
                continue
            if value not in narrowed:
                narrowed[value] = _weight(graph, value, dtype) or _cast(
                    graph, value, dtype, before=node
                )
            node.replace_input_with(index, narrowed[value])
    for node in inside:
        for output in node.outputs:
            if output.dtype not in (None, ir.DataType.FLOAT):
                continue  # INT8 stays what it is
            output.type = ir.TensorType(dtype)
            outside = [use for use in output.uses() if use.node not in members]
            if outside:
                back = _cast(graph, output, ir.DataType.FLOAT, after=node)
                for use in outside:
                    use.node.replace_input_with(use.idx, back)


def _stays_float(node: ir.Node, dtype: ir.DataType) -> bool:
    return dtype == ir.DataType.BFLOAT16 and (node.name or "").startswith(f"{unet_of(node)}.last/")


def _is_data(node: ir.Node, index: int) -> bool:
    # Resize's scales are float32 by the operator's definition, integers stay integers.
    of_data = node.op_type != "Resize" or index == 0
    return of_data and taken(node, index).dtype in (None, ir.DataType.FLOAT)


def _weight(graph: ir.Graph, value: ir.Value, dtype: ir.DataType) -> ir.Value | None:
    """Replace a float32 weight by its rounded self; None if the value is not a weight."""
    if value.const_value is None or value.name not in graph.initializers:
        return None
    with np.errstate(over="ignore"):
        rounded = value.const_value.numpy().astype(dtype.numpy())
    if not np.isfinite(rounded).all():
        raise ArtifactError(f"{value.name} exceeds {_NAMES[dtype]}'s range; leave the graph fp32")
    value.const_value = ir.tensor(rounded, name=value.name)
    value.type = ir.TensorType(dtype)
    return value


def _cast(
    graph: ir.Graph,
    value: ir.Value,
    dtype: ir.DataType,
    *,
    before: ir.Node | None = None,
    after: ir.Node | None = None,
) -> ir.Value:
    suffix = _NAMES[dtype]
    node = ir.node("Cast", [value], {"to": dtype.value}, name=f"RRIN/Cast_{value.name}_{suffix}")
    (result,) = node.outputs
    result.name = f"{value.name}_{suffix}"
    result.type, result.shape = ir.TensorType(dtype), value.shape
    if before is not None:
        graph.insert_before(before, node)
    elif after is not None:
        graph.insert_after(after, node)
    return result
