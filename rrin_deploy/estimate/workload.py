"""The work of a graph, layer by layer: multiply-adds, and what is read and written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from precision.blocks import is_int8
from runtime.architecture import UNETS, padded
from runtime.graph_check import read_graph
from runtime.graph_tensors import TIMES, Symbol, Tensor
from runtime.metadata import Metadata, Precision
from runtime.onnx_file import Node

# Steps that read and write memory. What is computed element by element goes with the step before.
_PASSES = ("AveragePool", "Concat", "Conv", "GridSample", "Resize", "Transpose")
ITEMSIZE: dict[Precision, int] = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}
_FLOAT = 4
_FIRST, _LAST = ".down_path.0.block.0", ".last"


@dataclass(frozen=True)
class Layer:
    """A step of the graph that moves memory, for one pixel of the padded frame and one run.

    Attributes:
        unet: which U-Net it is of; empty for flow arithmetic, warps and blend.
        level: how often its frames' sides are halved.
        multiply_adds: of a convolution, else 0.
        values: read and written, weights left out.
        outer: of these, what enters or leaves the U-Net, which no base width changes.
        each_time: whether it runs for each time, or once a pair.
        quantizes: whether INT8 graphs run it in INT8.
    """

    unet: str
    level: int
    multiply_adds: float
    values: float
    outer: float
    each_time: bool
    quantizes: bool

    def bytes(self, precision: Precision) -> float:
        """Return the bytes that it moves at least, in a graph of that precision."""
        return self.values * (ITEMSIZE[precision] if self.unet else _FLOAT)


@dataclass(frozen=True)
class Workload:
    """What a graph has to do.

    Attributes:
        layers: in the order in which they run.
        weights: how many.
        metadata: of the file.
    """

    layers: Sequence[Layer]
    weights: int
    metadata: Metadata

    def multiply_adds(self, size: tuple[int, int], times: int) -> float:
        """Return those of a pair of frames of `size` (width, height), `times` frames made of it."""
        return sum(layer.multiply_adds * count for layer, count in self.runs(size, times))

    def bytes(self, size: tuple[int, int], times: int, precision: Precision) -> float:
        """Return what a pair reads and writes at least, weights left out."""
        return sum(layer.bytes(precision) * count for layer, count in self.runs(size, times))

    def of_width(self, base_width: int) -> Workload:
        """Return the work of the same network with another base width.

        Multiply-adds are exact for each U-Net as a whole, and so is what is moved for each layer.
        """
        old = self.metadata.base_width
        ratio = {
            name: sum(unet.multiply_adds(base_width).values())
            / sum(unet.multiply_adds(old).values())
            for name, unet in UNETS.items()
        }
        layers = [
            replace(
                layer,
                multiply_adds=layer.multiply_adds * ratio[layer.unet],
                values=layer.outer + (layer.values - layer.outer) * base_width / old,
            )
            if layer.unet
            else layer
            for layer in self.layers
        ]
        weights = int(self.weights * (base_width / old) ** 2)
        return Workload(layers, weights, replace(self.metadata, base_width=base_width))

    def runs(self, size: tuple[int, int], times: int) -> Iterator[tuple[Layer, int]]:
        """Yield each layer, and how many pixels it runs for."""
        pixels = padded(size[0]) * padded(size[1])
        for layer in self.layers:
            yield layer, pixels * (times if layer.each_time else 1)


def read_workload(path: str | Path) -> Workload:
    """Read the work of an ONNX file of any precision; the package onnx is not needed.

    Raises:
        ArtifactError: see `runtime.graph_check.read_checked`.
    """
    model, tensors, metadata = read_graph(path)
    layers = [
        _layer(node, tensors, metadata)
        for node in model.nodes
        if node.operator in _PASSES and any(map(_is_frame, _made(node, tensors)))
    ]
    weights = int(sum(tensor.elements for tensor in tensors.values() if _is_kernel(tensor)))
    return Workload(layers, weights, metadata)


def _layer(node: Node, tensors: dict[str, Tensor], metadata: Metadata) -> Layer:
    made = _made(node, tensors)
    taken = [tensors[name] for name in node.inputs if name and _is_frame(tensors[name])]
    place = node.name.split("/")[0]
    unet = place.split(".")[0]
    work = 0.0
    if node.operator == "Conv":
        kernel = tensors[node.inputs[1]]
        work = made[0].elements * kernel.elements / kernel.shape[0]  # type: ignore[operator]
    in_place = node.operator == "Concat" and unet in UNETS
    # Of a joined pair the first is written in its place by the layer that makes it.
    moved = [*taken[1:], *taken[1:]] if in_place else [*taken, *made]
    ends = taken if place.endswith(_FIRST) else made if place.endswith(_LAST) else []
    return Layer(
        unet=unet if unet in UNETS else "",
        level=max(side.halvings for side in made[0].shape if isinstance(side, Symbol)),
        multiply_adds=work,
        values=sum(tensor.elements for tensor in moved),
        outer=sum(tensor.elements for tensor in ends),
        each_time=TIMES in made[0].shape,
        quantizes=node.operator == "Conv" and is_int8(place, metadata.kept_float),
    )


def _made(node: Node, tensors: dict[str, Tensor]) -> list[Tensor]:
    return [tensors[name] for name in node.outputs]


def _is_frame(tensor: Tensor) -> bool:
    """Whether its size is that of frames, on any level."""
    return sum(isinstance(side, Symbol) and side != TIMES for side in tensor.shape) == 2


def _is_kernel(tensor: Tensor) -> bool:
    return tensor.weight is not None and len(tensor.shape) == 4
