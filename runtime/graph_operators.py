"""The operators that artifacts are made of, and in one table what a node of each may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import shown
from .onnx_file import Node

# What makes a weight of integers a float.
UNPACKED = "DequantizeLinear of a weight"
FLOAT, UINT8, INT8, INT32, INT64, HALF = 1, 2, 3, 6, 7, 10


@dataclass(frozen=True)
class Operator:
    """What a node of an operator may be.

    Attributes:
        inputs: how many at least and at most.
        outputs: how many.
        attributes: the values that each may have; None stands for any.
        required: attributes that have to be there.
        constants: by index, inputs that have to be weights, and the values that may be in them.
        sources: by index, inputs that have to be made by one of these operators, or be one of these
            inputs of the graph.
        large: inputs that may be weights of any size.
        small: elements of a weight elsewhere at most, as it is broadcast against tensors.
        most: nodes of it in a graph.
    """

    inputs: tuple[int, int]
    outputs: int = 1
    attributes: Mapping[str, tuple[Any, ...] | None] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    constants: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    sources: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    large: tuple[int, ...] = ()
    small: int = 4
    most: int = 2000


_POOLING: dict[str, tuple[Any, ...] | None] = {
    "auto_pad": (b"NOTSET",),
    "ceil_mode": (0,),
    "count_include_pad": (0, 1),
    "kernel_shape": ((2, 2),),
    "pads": ((0, 0, 0, 0),),
    "strides": ((2, 2),),
}
_CONVOLUTION: dict[str, tuple[Any, ...] | None] = {
    "auto_pad": (b"NOTSET",),
    "dilations": ((1, 1),),
    "group": None,  # these four are held against the weight
    "kernel_shape": None,
    "pads": None,
    "strides": None,
}
_DOUBLING: dict[str, tuple[Any, ...] | None] = {
    "antialias": (0,),
    "coordinate_transformation_mode": (b"half_pixel",),
    "cubic_coeff_a": None,
    "exclude_outside": (0,),
    "extrapolation_value": None,
    "keep_aspect_ratio_policy": (b"stretch",),
    "mode": (b"linear",),
    "nearest_mode": (b"floor", b"round_prefer_floor"),
}
_SAMPLING: dict[str, tuple[Any, ...] | None] = {
    "align_corners": (0, 1),
    "mode": (b"bilinear",),
    "padding_mode": (b"zeros",),
}
_HALVES: dict[str, tuple[Any, ...] | None] = {"axis": (1,), "num_outputs": (2,)}
_LAYOUTS: dict[str, tuple[Any, ...] | None] = {"perm": ((0, 2, 3, 1), (0, 3, 1, 2))}
_INPUTS = ("t", "frame0", "frame1")

# What shapes a tensor is a constant as ours, or the shape of an input of the graph.
OPERATORS: dict[str, Operator] = {
    **dict.fromkeys(("Add", "Div", "Mul", "Sub"), Operator((2, 2), small=1)),
    **dict.fromkeys(("Exp", "Neg", "Reciprocal", "Round", "Sigmoid"), Operator((1, 1))),
    "AveragePool": Operator((1, 1), attributes=_POOLING, required=("kernel_shape", "strides")),
    "Cast": Operator((1, 1), attributes={"to": (FLOAT, UINT8, HALF)}, required=("to",)),
    "Clip": Operator((3, 3), small=1),
    "Concat": Operator((2, 4), attributes={"axis": (-1, 0, 1)}, required=("axis",)),
    "Conv": Operator((2, 3), attributes=_CONVOLUTION, large=(1, 2)),
    "DequantizeLinear": Operator((3, 3), attributes={"axis": (0,)}, large=(0, 1, 2)),
    "Expand": Operator((2, 2), sources={1: ("Concat",)}, most=1),
    "Gather": Operator((2, 2), attributes={"axis": (0, 1)}, constants={1: (0, 1, 2, 3)}),
    "GridSample": Operator((2, 2), attributes=_SAMPLING, most=2),
    "LeakyRelu": Operator((1, 1), attributes={"alpha": None}),
    "QuantizeLinear": Operator((3, 3), small=1),
    "Range": Operator((3, 3), constants={0: (0,), 2: (1,)}, sources={1: ("Cast",)}, most=2),
    "Reshape": Operator(
        (2, 2),
        attributes={"allowzero": (0, 1)},
        constants={1: (-1, 1)},
        sources={0: ("t", "Range")},
        most=3,
    ),
    "Resize": Operator((3, 3), attributes=_DOUBLING, constants={2: (1, 2)}, most=13),
    "Shape": Operator((1, 1), attributes={"start": None, "end": None}, sources={0: _INPUTS}),
    "Split": Operator((1, 1), 2, attributes=_HALVES, required=("axis", "num_outputs")),
    "Squeeze": Operator((1, 1), sources={0: ("Shape",)}),
    "Transpose": Operator((1, 1), attributes=_LAYOUTS, required=("perm",), most=3),
    "Unsqueeze": Operator((2, 2), constants={1: (-1,)}, most=4),
}


def check_node(node: Node, weights: Mapping[str, NDArray[Any]], makers: Mapping[str, str]) -> None:
    """Hold a node against the rules of its operator.

    Args:
        weights: by name.
        makers: by the name of each tensor that is there before the node, the operator that made
            it, or the input of the graph that it is.

    Raises:
        ValueError: what is not allowed.
    """
    rules = OPERATORS.get(node.operator)
    if rules is None or node.domain:
        domain = f" of {shown(node.domain)}" if node.domain else ""
        raise ValueError(f"is an operator{domain} that no artifact has")
    least, most = rules.inputs
    if not least <= len(node.inputs) <= most or len(node.outputs) != rules.outputs:
        raise ValueError(
            f"has {len(node.inputs)} inputs and {len(node.outputs)} outputs, expected "
            f"{least} to {most} and {rules.outputs}"
        )
    for index, name in enumerate(node.inputs):
        left_out = not name and (node.operator, index) == ("Resize", 1)  # its region of interest
        if not (left_out or name in makers or name in weights):
            raise ValueError(f"takes {shown(name)}, which nothing before it makes")
        if name in weights and index not in rules.large and weights[name].size > rules.small:
            raise ValueError(
                f"takes a weight of {weights[name].shape}, expected {rules.small} elements at most"
            )
        if makers.get(name) == UNPACKED and index not in rules.large:
            raise ValueError(f"takes the weight {shown(name)}, expected a tensor")
    _check_attributes(node, rules)
    for index, values in rules.constants.items():
        content = weights.get(node.inputs[index])
        if content is None or not np.isin(content, values).all():
            found = "no constant" if content is None else shown(content.tolist())
            raise ValueError(f"has {found} as input {index}, expected values of {values}")
    for index, sources in rules.sources.items():
        source = makers.get(node.inputs[index])
        if source not in sources:
            raise ValueError(f"takes {shown(source)} as input {index}, expected one of {sources}")


def _check_attributes(node: Node, rules: Operator) -> None:
    for name in rules.required:
        if name not in node.attributes:
            raise ValueError(f"has no {name}")
    for name, value in node.attributes.items():
        if name not in rules.attributes:
            raise ValueError(f"has the attribute {shown(name)}, which no artifact has")
        allowed = rules.attributes[name]
        if allowed is not None and value not in allowed:
            raise ValueError(f"has {name} {shown(value)}, expected one of {allowed}")
