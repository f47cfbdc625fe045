"""QuantizeLinear and DequantizeLinear nodes, put around values of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from precision.graph import content_of, place_of, taken, unet_of
from precision.ranges import Range


@dataclass(frozen=True)
class Layout:
    """How a runtime wants to find what it fuses.

    Attributes:
        symmetric: activations are int8 around zero; else uint8 with a zero point, which wastes no
            steps.
        rest_in_half: what is not INT8 will be half, so that half has to hold the scales.
        carried: the operators that take INT8 as convolutions do, so that it stays between them.
        spelled_out: biases are integers and pooling a convolution, for a runtime that makes nothing
            of these by itself.
        weight_steps: a channel's largest weight in steps of its scale. 127 rounds least. x86 CPUs
            without VNNI add products of uint8 and int8 in pairs and saturate the sum at 16 bits:
            64 keeps all of them exact (2 * 255 * 64 < 2**15); ONNX Runtime calls it reduce_range.
    """

    symmetric: bool
    rest_in_half: bool
    carried: frozenset[str]
    spelled_out: bool
    weight_steps: int


# It knows no zero points, and half is its faster float; it fuses what lies between by itself. With
# pooling and concatenation in INT8 nothing reads a skip tensor in half, and its convolution can end
# in INT8; upsampling would add a rounding and save nothing.
TENSORRT = Layout(
    symmetric=True,
    rest_in_half=True,
    carried=frozenset({"AveragePool", "Concat"}),
    spelled_out=False,
    weight_steps=127,
)
# Its CPU kernels fuse nothing: float tensors would be written and read between convolutions.
ONNXRUNTIME = Layout(
    symmetric=False,
    rest_in_half=False,
    carried=frozenset({"LeakyRelu", "Concat", "Resize"}),
    spelled_out=True,
    weight_steps=64,
)
# It fuses by itself, and has kernels for AMX, which ONNX Runtime's own convolutions do not use.
OPENVINO = Layout(
    symmetric=False, rest_in_half=False, carried=frozenset(), spelled_out=False, weight_steps=64
)

# Half of what int32 holds; the other half is for the products, each at most 255 * 127.
_BIAS_STEPS = 2**30


class Wrapped:
    """Values of the graph behind Q/DQ, each made once."""

    def __init__(self, graph: ir.Graph, ranges: Mapping[ir.Value, Range], layout: Layout) -> None:
        self._graph = graph
        self._ranges = ranges
        self._layout = layout
        self._made: dict[ir.Value, ir.Value] = {}
        self._scales: dict[ir.Value, np.float32] = {}

    def convolution(self, node: ir.Node) -> None:
        """Quantize what a convolution takes: data, weight and, where spelled out, bias."""
        data, weight, bias = (taken(node, index) for index in range(3))
        node.replace_input_with(0, self.data(data, before=node))
        if weight not in self._made:
            content, most = content_of(weight), self._layout.weight_steps
            largest = np.abs(content).reshape(len(content), -1).max(1)
            scale = np.maximum(largest, 1e-12) / most
            if self._layout.spelled_out:  # a bias that outweighs its weights has to fit as well
                fitting = np.abs(content_of(bias)) / (_BIAS_STEPS * self._scales[data])
                scale = np.maximum(scale, fitting)
            scale = self._representable(scale)
            steps = content / scale[:, np.newaxis, np.newaxis, np.newaxis]
            self._made[weight] = self._dequantized(
                node, weight, np.clip(np.rint(steps), -most, most).astype(np.int8), scale
            )
            if self._layout.spelled_out:  # the accumulator's own type and scale
                scale = (scale * self._scales[data]).astype(np.float32)
                steps = np.rint(content_of(bias) / scale.astype(np.float64))
                self._made[bias] = self._dequantized(node, bias, steps.astype(np.int32), scale)
        node.replace_input_with(1, self._made[weight])
        node.replace_input_with(2, self._made.get(bias, bias))

    def data(self, value: ir.Value, *, before: ir.Node) -> ir.Value:
        """Return a tensor behind Q and DQ, which stand where it is made."""
        if value in self._made:
            return self._made[value]
        scale, zero = self._parameters(self._ranges[value])
        parameters = [
            constant_of(self._graph, scale, f"{value.name}_scale"),
            constant_of(self._graph, zero, f"{value.name}_zero"),
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
        if self._layout.symmetric:
            return self._representable(np.array(max(-low, high) / 127)), np.array(0, np.int8)
        scale = np.array((high - low) / 255, np.float32)
        return scale, np.array(np.rint(-low / scale), np.uint8)

    def _representable(self, scale: NDArray[Any]) -> NDArray[np.float32]:
        """Round scales up to half where the graph will be cast to half: its integers must fit."""
        if not self._layout.rest_in_half:
            return scale.astype(np.float32)
        half = scale.astype(np.float16)
        return np.where(half < scale, np.nextafter(half, np.float16(np.inf)), half).astype(
            np.float32
        )

    def _dequantized(
        self, node: ir.Node, value: ir.Value, content: NDArray[Any], scale: NDArray[Any]
    ) -> ir.Value:
        inputs = [
            constant_of(self._graph, content, f"{value.name}_int8"),
            constant_of(self._graph, scale, f"{value.name}_scale"),
            constant_of(self._graph, np.zeros(scale.shape, content.dtype), f"{value.name}_zero"),
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


def constant_of(graph: ir.Graph, content: NDArray[Any], name: str) -> ir.Value:
    """Return the graph's constant of that name, made if there is none."""
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
