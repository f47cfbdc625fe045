"""Balancing: every hidden channel scaled to one range, without changing what the network does.

A U-Net's activations differ between channels by orders of magnitude, and INT8 has one scale for all
channels of a tensor. LeakyReLU, pooling, upsampling and concatenation commute with a positive
factor per channel, so a channel can be divided by its range where it is made, and the weights that
read it multiplied: cross-layer equalization (Nagel et al., "Data-Free Quantization", ICCV 2019),
here by measured ranges.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from precision.graph import content_of, is_up_convolution, maker_of, taken, unet_of
from precision.ranges import Range
from runtime.architecture import LEAKY_SLOPE

# A channel that hardly ever speaks is not raised above this share of the loudest one.
_QUIETEST = 1 / 64


def balance(ranges: dict[ir.Value, Range], *, before_activation: bool) -> dict[ir.Value, Range]:
    """Scale the channels of each measured tensor to a range of 1; change its graph in place.

    Args:
        ranges: of the outputs of every hidden LeakyReLU and upward convolution of a float32 graph.
        before_activation: take a channel's range where it enters its LeakyReLU, ten times as wide
            below zero. That is where a LeakyReLU that takes INT8 rounds; any uint8 graph loses less
            so, seen.

    Returns:
        The ranges of the balanced tensors, each one channel: the lowest and the highest of all.
    """
    weights: dict[ir.Value, NDArray[np.float64]] = {}

    def weight(node: ir.Node, index: int) -> NDArray[np.float64]:
        value = taken(node, index)
        if value not in weights:
            weights[value] = content_of(value).astype(np.float64)
        return weights[value]

    balanced = {}
    for value, measured in ranges.items():
        node = maker_of(value)
        below = -measured.low
        if not is_up_convolution(node):
            node = maker_of(taken(node))
            below = below / LEAKY_SLOPE if before_activation else below
        factor = np.maximum(np.maximum(below, measured.high), 1e-6)
        factor = np.maximum(factor, _QUIETEST * factor.max())
        weight(node, 1)[...] /= factor[:, np.newaxis, np.newaxis, np.newaxis]
        weight(node, 2)[...] /= factor
        for reader, first in _readers(value, ranges):
            channels = slice(first, first + len(factor))
            weight(reader, 1)[:, channels] *= factor[:, np.newaxis, np.newaxis]
        low, high = (measured.low / factor).min(), (measured.high / factor).max()
        balanced[value] = Range(np.array([low]), np.array([high]))
    for value, content in weights.items():
        value.const_value = ir.tensor(content.astype(np.float32), name=value.name)
    return balanced


def _readers(
    value: ir.Value, ranges: dict[ir.Value, Range], first: int = 0
) -> Iterator[tuple[ir.Node, int]]:
    """Yield each convolution that reads a tensor, and at which of its input channels it begins."""
    for use in value.uses():
        node = use.node
        if node.op_type == "Conv":
            yield node, first
        elif node.op_type == "Concat":
            before = [source for source in node.inputs[: use.idx] if source is not None]
            offset = sum(len(ranges[source].low) for source in before)
            yield from _readers(node.outputs[0], ranges, first + offset)
        elif unet_of(node) and node.op_type in ("AveragePool", "Resize"):
            yield from _readers(node.outputs[0], ranges, first)
