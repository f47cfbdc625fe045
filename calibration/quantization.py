"""INT8 by explicit Q/DQ: what is quantized, and how, stands here and nowhere else.

Quantized are the U-Nets' convolutions, weights per channel and symmetric, but for
- each `last`: its output is flow in pixels, a mask or a colour, and 8 bits of those show;
- the first of `refine_flow` and of `Mask`: they take flow, whose range no calibration can bound,
  and one that is clipped moves a whole object.
Flow arithmetic, warps and blend lie outside the U-Nets and are never touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from calibration.balance import LEAKY_SLOPE, balance
from calibration.ranges import Range, Ranges
from calibration.unets import (
    CONVOLUTIONS,
    content_of,
    is_up_convolution,
    maker_of,
    place_of,
    taken,
    unet_of,
)
from runtime.errors import ArtifactError

LEFT_OUT = frozenset(
    [f"{unet}.last/Conv" for unet in CONVOLUTIONS]
    + [f"{unet}.down_path.0.block.0/Conv" for unet in ("refine_flow", "Mask")]
)
QUANTIZED = sum(CONVOLUTIONS.values()) - len(LEFT_OUT)
# What the other two first convolutions take, frames and their blend, 8 bits hold as it is.
_TAKES_FRAMES = [f"{unet}.down_path.0.block.0/Conv" for unet in ("Flow_L", "final")]
_FRAMES = Range(np.array([0.0]), np.array([1.0]))


def quantize(graph: ir.Graph, ranges: Ranges, *, carried: bool) -> None:
    """Put Q/DQ into a float32 graph, in place.

    Args:
        graph: a float32 graph, of the model that `ranges` were measured on.
        carried: False quantizes the input of each convolution, symmetric int8, as TensorRT fuses
            it. True is for ONNX Runtime's CPU: asymmetric uint8, and LeakyReLU, pooling, upsampling
            and concatenation stay in it, so that float tensors are not written in between.

    Raises:
        ArtifactError: the ranges do not fit the graph's tensors.
    """
    tensors = balance(_matched(graph, ranges), before_activation=carried)
    if carried:
        _pool_by_convolution(graph)
    nodes = [node for node in graph if unet_of(node)]
    wrapped = _Wrapped(graph, _spread(nodes, tensors), carried)
    for node in nodes:
        if node.op_type == "Conv":
            if place_of(node) not in LEFT_OUT:
                wrapped.convolution(node)
        elif carried and _stays(node):
            for index, value in enumerate(node.inputs):
                if value is not None and value.const_value is None:
                    node.replace_input_with(index, wrapped.data(value, before=node))


def _matched(graph: ir.Graph, ranges: Ranges) -> dict[ir.Value, Range]:
    """Return the measured ranges by the graph's own tensors."""
    matched = {}
    for node in graph:
        if not (unet_of(node) and (node.op_type == "LeakyRelu" or is_up_convolution(node))):
            continue
        convolution = maker_of(taken(node)) if node.op_type == "LeakyRelu" else node
        channels = content_of(taken(convolution, 2)).size
        measured = ranges.tensors.get(place_of(node))
        if measured is None or len(measured.low) != channels:
            found = "no range" if measured is None else f"{len(measured.low)} channels"
            raise ArtifactError(
                f"the ranges have {found} for {place_of(node)}, which has {channels} channels; "
                "calibrate this model again"
            )
        matched[node.outputs[0]] = measured
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
        elif place_of(node) in _TAKES_FRAMES:
            ranges[source] = _FRAMES
    return ranges


def _stays(node: ir.Node) -> bool:
    """True for what ONNX Runtime computes in uint8; a LeakyReLU behind a float convolution not."""
    if node.op_type == "LeakyRelu":
        return place_of(maker_of(taken(node))) not in LEFT_OUT
    return node.op_type in ("Concat", "Resize")


def is_pooling(node: ir.Node) -> bool:
    """True for a depthwise convolution that stands for average pooling."""
    return node.op_type == "Conv" and "/Pool_" in (node.name or "")


def _pool_by_convolution(graph: ir.Graph) -> None:
    """Replace 2x2 average pooling by depthwise convolutions: ten times as fast in uint8, seen."""
    for pool in [node for node in graph if unet_of(node) and node.op_type == "AveragePool"]:
        source, made = taken(pool), pool.outputs[0]
        reader = next(use.node for use in made.uses())
        channels = content_of(taken(reader, 1)).shape[1]
        unet = unet_of(pool)
        weight = _constant(
            graph, np.full((channels, 1, 2, 2), 0.25, np.float32), f"{unet}.pool.{channels}.weight"
        )
        bias = _constant(graph, np.zeros(channels, np.float32), f"{unet}.pool.{channels}.bias")
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


class _Wrapped:
    """Values of the graph behind Q/DQ, each made once."""

    def __init__(self, graph: ir.Graph, ranges: Mapping[ir.Value, Range], carried: bool) -> None:
        self._graph = graph
        self._ranges = ranges
        self._carried = carried
        self._made: dict[ir.Value, ir.Value] = {}
        self._scales: dict[ir.Value, np.float32] = {}

    def convolution(self, node: ir.Node) -> None:
        """Quantize what a convolution takes: data, weight and, for ONNX Runtime, bias."""
        data, weight, bias = (taken(node, index) for index in range(3))
        node.replace_input_with(0, self.data(data, before=node))
        if weight not in self._made:
            content = content_of(weight)
            largest = np.abs(content).reshape(len(content), -1).max(1)
            scale = self._representable(np.maximum(largest, 1e-12) / 127)
            steps = content / scale[:, np.newaxis, np.newaxis, np.newaxis]
            self._made[weight] = self._dequantized(
                node, weight, np.clip(np.rint(steps), -127, 127).astype(np.int8), scale
            )
            if self._carried:  # the accumulator's own type and scale
                scale = (scale * self._scales[data]).astype(np.float32)
                limits = np.iinfo(np.int32)
                steps = np.rint(content_of(bias) / scale.astype(np.float64))
                self._made[bias] = self._dequantized(
                    node, bias, np.clip(steps, limits.min, limits.max).astype(np.int32), scale
                )
        node.replace_input_with(1, self._made[weight])
        node.replace_input_with(2, self._made.get(bias, bias))

    def data(self, value: ir.Value, *, before: ir.Node) -> ir.Value:
        """Return a tensor behind Q and DQ, which stand where it is made."""
        if value in self._made:
            return self._made[value]
        scale, zero = self._parameters(self._ranges[value])
        parameters = [
            _constant(self._graph, scale, f"{value.name}_scale"),
            _constant(self._graph, zero, f"{value.name}_zero"),
        ]
        where = place_of(before).split("/")[0]  # under the U-Net's name
        to = ir.node("QuantizeLinear", [value, *parameters], name=f"{where}/Q_{value.name}")
        back = ir.node(
            "DequantizeLinear", [to.outputs[0], *parameters], name=f"{where}/DQ_{value.name}"
        )
        to.outputs[0].name, back.outputs[0].name = f"{value.name}_int8", f"{value.name}_dequantized"
        to.outputs[0].type = ir.TensorType(ir.DataType.from_numpy(zero.dtype))
        back.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        to.outputs[0].shape = back.outputs[0].shape = value.shape
        producer = value.producer()
        if producer is not None and unet_of(producer):
            self._graph.insert_after(producer, [to, back])
        else:
            self._graph.insert_before(before, [to, back])
        self._made[value] = back.outputs[0]
        self._scales[value] = np.float32(scale)
        return back.outputs[0]

    def _parameters(self, bounds: Range) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return scale and zero point of a tensor; zero itself is always exact."""
        low, high = min(float(bounds.low.min()), 0), max(float(bounds.high.max()), 1e-6)
        if not self._carried:
            return self._representable(np.array(max(-low, high) / 127)), np.array(0, np.int8)
        scale = np.array((high - low) / 255, np.float32)
        return scale, np.array(np.rint(-low / scale), np.uint8)

    def _representable(self, scale: NDArray[Any]) -> NDArray[np.float32]:
        """Round scales up to half where the graph will be cast to half: its integers must fit."""
        if self._carried:
            return scale.astype(np.float32)
        half = scale.astype(np.float16)
        return np.where(half < scale, np.nextafter(half, np.float16(np.inf)), half).astype(
            np.float32
        )

    def _dequantized(
        self, node: ir.Node, value: ir.Value, content: NDArray[Any], scale: NDArray[Any]
    ) -> ir.Value:
        inputs = [
            _constant(self._graph, content, f"{value.name}_int8"),
            _constant(self._graph, scale, f"{value.name}_scale"),
            _constant(self._graph, np.zeros(scale.shape, content.dtype), f"{value.name}_zero"),
        ]
        where = place_of(node).split("/")[0]
        back = ir.node("DequantizeLinear", inputs, {"axis": 0}, name=f"{where}/DQ_{value.name}")
        back.outputs[0].name = f"{value.name}_dequantized"
        back.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        back.outputs[0].shape = value.shape
        self._graph.insert_before(node, back)
        if value.name and value.name in self._graph.initializers:
            del self._graph.initializers[value.name]
        return back.outputs[0]


def _constant(graph: ir.Graph, content: NDArray[Any], name: str) -> ir.Value:
    if name not in graph.initializers:
        tensor = ir.tensor(content, name=name)
        graph.register_initializer(
            ir.Value(
                name=name,
                const_value=tensor,
                type=ir.TensorType(tensor.dtype),
                shape=ir.Shape(content.shape),
            )
        )
    return graph.initializers[name]
