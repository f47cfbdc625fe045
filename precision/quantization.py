"""INT8 by explicit Q/DQ: what is quantized, and how, stands here and nowhere else.

Quantized are the U-Nets' convolutions, weights per channel and symmetric, but for
- each `last`: its output is flow in pixels, a mask or a colour, and 8 bits of those show;
- the first of `refine_flow` and of `Mask`: they take flow, whose range no calibration can bound,
  and one that is clipped moves a whole object.
Flow arithmetic, warps and blend lie outside the U-Nets and are never touched. Whole blocks can be
kept in float besides, where frames would suffer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir

from precision.balance import balance
from precision.blocks import LEFT_OUT, block_of
from precision.graph import (
    content_of,
    hidden_tensors,
    is_pooling,
    maker_of,
    place_of,
    taken,
    unet_of,
)
from precision.qdq import Layout, Wrapped, constant_of
from precision.ranges import Range, Ranges
from runtime.architecture import LEAKY_SLOPE
from runtime.errors import ArtifactError

# What the other two first convolutions take, frames and their blend, 8 bits hold as it is.
_TAKES_FRAMES = [f"{unet}.down_path.0.block.0" for unet in ("Flow_L", "final")]
_FRAMES = Range(np.array([0.0]), np.array([1.0]))


def quantize(
    graph: ir.Graph, ranges: Ranges, layout: Layout, *, kept_float: Collection[str] = ()
) -> None:
    """Put Q/DQ into a float32 graph, in place.

    Args:
        graph: a float32 graph, of the model that `ranges` were measured on.
        layout: of the runtime that the graph is for.
        kept_float: blocks whose nodes stay as they are, by name; see `precision.blocks`.

    Raises:
        ArtifactError: the ranges do not fit the graph's tensors.
    """
    tensors = balance(_matched(graph, ranges), before_activation=not layout.symmetric)
    if layout.spelled_out:
        _pool_by_convolution(graph, kept_float)
    nodes = [node for node in graph if unet_of(node)]
    wrapped = Wrapped(graph, _spread(nodes, tensors), layout)
    for node in nodes:
        if block_of(node) in kept_float or _module(node) in LEFT_OUT:
            continue
        if node.op_type == "Conv":
            wrapped.convolution(node)
        elif node.op_type in layout.carried and not _beside_float(node):
            for index, value in enumerate(node.inputs):
                if value is not None and value.const_value is None:
                    node.replace_input_with(index, wrapped.data(value, before=node))


def _matched(graph: ir.Graph, ranges: Ranges) -> dict[ir.Value, Range]:
    """Return the measured ranges by the graph's own tensors."""
    matched = {}
    for place, value in hidden_tensors(graph):
        node = maker_of(value)
        convolution = maker_of(taken(node)) if node.op_type == "LeakyRelu" else node
        channels = content_of(taken(convolution, 2)).size
        measured = ranges.tensors.get(place)
        if measured is None or len(measured.low) != channels:
            found = "no range" if measured is None else f"{len(measured.low)} channels"
            raise ArtifactError(
                f"the ranges have {found} for {place}, which has {channels} channels; "
                "calibrate this model again"
            )
        matched[value] = measured
    return matched


def _spread(nodes: list[ir.Node], measured: Mapping[ir.Value, Range]) -> dict[ir.Value, Range]:
    """Return the ranges of all tensors inside the U-Nets, from those that were measured."""
    ranges = dict(measured)
    for node in nodes:
        source, made = taken(node), node.outputs[0]
        if node.op_type == "LeakyRelu":
            low, high = measured[made].low, measured[made].high
            ranges[source] = Range(low / LEAKY_SLOPE, high)
        elif node.op_type in ("AveragePool", "Resize") or is_pooling(node):
            ranges[made] = ranges[source]
        elif node.op_type == "Concat":
            sources = [ranges[value] for value in node.inputs if value is not None]
            ranges[made] = Range(
                np.min([value.low for value in sources], 0),
                np.max([value.high for value in sources], 0),
            )
            # Made in its neighbour's range at once, or it would be rounded twice.
            ranges[source] = ranges[made]
        elif _module(node) in _TAKES_FRAMES:
            ranges[source] = _FRAMES
    return ranges


def _beside_float(node: ir.Node) -> bool:
    """True for the LeakyReLU of a float convolution, which it can be fused with."""
    return node.op_type == "LeakyRelu" and _module(maker_of(taken(node))) in LEFT_OUT


def _module(node: ir.Node) -> str:
    return place_of(node).split("/")[0]


def _pool_by_convolution(graph: ir.Graph, kept_float: Collection[str]) -> None:
    """Replace 2x2 average pooling by depthwise convolutions: ten times as fast in uint8, seen."""
    for pool in [node for node in graph if unet_of(node) and node.op_type == "AveragePool"]:
        if block_of(pool) in kept_float:
            continue
        source, made = taken(pool), pool.outputs[0]
        reader = next(use.node for use in made.uses())
        channels = content_of(taken(reader, 1)).shape[1]
        unet = unet_of(pool)
        weight = constant_of(
            graph, np.full((channels, 1, 2, 2), 0.25, np.float32), f"{unet}.pool.{channels}.weight"
        )
        bias = constant_of(graph, np.zeros(channels, np.float32), f"{unet}.pool.{channels}.bias")
        node = ir.node(
            "Conv",
            [source, weight, bias],
            {"kernel_shape": [2, 2], "strides": [2, 2], "group": channels},
            name=place_of(pool).replace("AveragePool", f"Pool_{source.name}"),
        )
        node.outputs[0].name = f"{source.name}_pooled"
        node.outputs[0].type, node.outputs[0].shape = made.type, made.shape
        graph.insert_before(pool, node)
        ir.convenience.replace_all_uses_with(made, node.outputs[0])
        graph.remove(pool, safe=True)
