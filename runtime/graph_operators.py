"""The operators that artifacts are made of, and in one table what a node of each may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import graph_elements as elements
from . import graph_layers as layers
from .errors import shown
from .graph_tensors import FLOATS, UINT8, Symbol, Tensor
from .onnx_file import Node


@dataclass(frozen=True)
class Operator:
    """What a node of an operator may be.

    Attributes:
        rule: what each output is, of the node and its inputs.
        inputs, outputs: how many.
        attributes: the values that each may have, with None where it may be left out; () stands for
            any that cannot hurt, or that the rule holds against the inputs.
    """

    rule: Callable[..., Tensor]
    inputs: tuple[int, ...] = (1,)
    outputs: int = 1
    attributes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


def infer(node: Node, tensors: list[Tensor]) -> Tensor:
    """Return what each output of a node is.

    Args:
        tensors: its inputs; `ABSENT` is one that is left out.

    Raises:
        ValueError: an operator, attribute, type or shape that no artifact has.
    """
    operator = OPERATORS.get(node.operator)
    if operator is None or node.domain:
        domain = f" of {shown(node.domain)}" if node.domain else ""
        raise ValueError(f"is an operator{domain} that no artifact has")
    if len(node.inputs) not in operator.inputs or len(node.outputs) != operator.outputs:
        raise ValueError(
            f"has {len(node.inputs)} inputs and {len(node.outputs)} outputs, expected "
            f"{' or '.join(map(str, operator.inputs))} and {operator.outputs}"
        )
    for name in node.attributes.keys() - operator.attributes.keys():
        raise ValueError(f"has the attribute {shown(name)}, which no artifact has")
    for name, allowed in operator.attributes.items():
        value = node.attributes.get(name)
        if allowed and not any(value == each and type(value) is type(each) for each in allowed):
            raise ValueError(f"has {name} {shown(value)}, expected one of {allowed}")
    made = operator.rule(node, *tensors)
    sides = [size.name for size in made.shape if isinstance(size, Symbol)]
    if len(made.shape) > 4 or len(set(sides)) < len(sides):
        raise ValueError(f"makes {made}, expected four dimensions and each side once")
    return made


_POOLING: dict[str, tuple[Any, ...]] = {
    "auto_pad": (b"NOTSET", None),
    "ceil_mode": (0, None),
    "count_include_pad": (0, 1, None),
    "kernel_shape": ((2, 2),),
    "pads": ((0, 0, 0, 0), None),
    "strides": ((2, 2),),
}
_CONVOLUTION: dict[str, tuple[Any, ...]] = {
    "auto_pad": (b"NOTSET", None),
    "dilations": ((1, 1), None),
    **dict.fromkeys(("group", "kernel_shape", "pads", "strides"), ()),
}
_UPSAMPLING: dict[str, tuple[Any, ...]] = {
    "antialias": (0, None),
    "coordinate_transformation_mode": (b"half_pixel", None),
    "cubic_coeff_a": (),
    "exclude_outside": (0, None),
    "extrapolation_value": (),
    "keep_aspect_ratio_policy": (b"stretch", None),
    "mode": (b"linear",),
    "nearest_mode": (b"floor", b"round_prefer_floor", None),
}
_SAMPLING: dict[str, tuple[Any, ...]] = {
    "align_corners": (0, 1, None),
    "mode": (b"bilinear", None),
    "padding_mode": (b"zeros", None),
}
OPERATORS: dict[str, Operator] = {
    **dict.fromkeys(("Add", "Div", "Mul"), Operator(elements.arithmetic, (2,))),
    **dict.fromkeys(("Exp", "Neg", "Reciprocal", "Round", "Sigmoid"), Operator(elements.same)),
    "AveragePool": Operator(layers.pooling, attributes=_POOLING),
    "Cast": Operator(elements.cast, attributes={"to": (*FLOATS, UINT8)}),
    "Clip": Operator(elements.clipping, (3,)),
    "Concat": Operator(elements.concatenation, (2, 3, 4), attributes={"axis": (-1, 0, 1)}),
    "Conv": Operator(layers.convolution, (3,), attributes=_CONVOLUTION),
    "DequantizeLinear": Operator(layers.dequantization, (3,), attributes={"axis": (0, None)}),
    "Expand": Operator(elements.expansion, (2,)),
    "Gather": Operator(elements.gathering, (2,), attributes={"axis": (0, 1, None)}),
    "GridSample": Operator(layers.sampling, (2,), attributes=_SAMPLING),
    "LeakyRelu": Operator(layers.activation, attributes={"alpha": ()}),
    "QuantizeLinear": Operator(layers.quantization, (3,), attributes={"axis": (0, None)}),
    "Range": Operator(elements.counting, (3,)),
    "Reshape": Operator(elements.reshaping, (2,), attributes={"allowzero": (0, 1, None)}),
    "Resize": Operator(layers.upsampling, (3,), attributes=_UPSAMPLING),
    "Shape": Operator(
        elements.sizes_of, attributes={"start": (0, 1, 2, 3, None), "end": (1, 2, 3, 4, None)}
    ),
    "Split": Operator(layers.halving, (1,), 2, {"axis": (1,), "num_outputs": (2,)}),
    "Squeeze": Operator(elements.squeezing),
    "Sub": Operator(elements.subtraction, (2,)),
    "Transpose": Operator(
        elements.transposition, attributes={"perm": ((0, 2, 3, 1), (0, 3, 1, 2))}
    ),
    "Unsqueeze": Operator(elements.unsqueezing, (2,)),
}
