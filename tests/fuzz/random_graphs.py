"""Graphs that no exporter wrote: random nodes of the allowed operators, on extreme numbers.

Nodes are drawn until the vetting takes them, for wholly random graphs would all be refused; a few
graphs keep one that it does not take. What it takes wrongly is taken here.
"""

from __future__ import annotations

import contextlib
from functools import cache
from itertools import product
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

from runtime.graph_operators import OPERATORS, infer
from runtime.graph_tensors import ABSENT, DTYPES, FLOAT, HALF, HEIGHT, TIMES, UINT8, WIDTH, Tensor
from runtime.onnx_file import Node
from tests.models import SMALL_MODEL

_NUMBERS = (0, -1, 1, 0.5, 255, 1e30, -1e30, 1e-45, np.inf, np.nan)
_BALLAST = 18720  # weights of RRIN of base width 1, below which no graph is one
_MOST_OUTPUTS = 14
_DRAWS = 60


def _constants() -> dict[str, dict[str, Any]]:
    """Return what nodes may take from the file, by kind and name."""
    rng = np.random.default_rng(0)
    kernels, biases = {}, {}
    for channels, kind in product((1, 2, 3, 4, 6), (np.float32, np.float16)):
        biases[f"bias {channels} {kind.__name__}"] = rng.standard_normal(channels).astype(kind)
        for taken, side in product((1, 2, 3, 4, 6), (2, 3)):
            kernel = rng.standard_normal((channels, taken, side, side)).astype(kind)
            kernel[0, 0, 0] = rng.choice([1, 1e4, np.nan])
            kernels[f"kernel {channels} {taken} {side} {kind.__name__}"] = kernel
    ints = {
        f"int{kind.__name__}{value}": np.array(value, kind)
        for kind in (np.int8, np.uint8, np.int32, np.int64)
        for value in (-(2**31), -1, 0, 1, 3)
        if np.iinfo(kind).min <= value and (kind != np.int64 or value >= -4)
    }
    lists = ([-1], [1], [-1, 1, 1, 1], [1, 1, -1], [1, -1, 1], [4, 4], [0, 1])
    packed = rng.integers(-128, 127, (4, 3, 3, 3)).astype(np.int8)
    return {
        "number": {f"number{value}": np.array(value, np.float32) for value in _NUMBERS},
        "half": {f"half{value}": np.array(value, np.float16) for value in (0.5, 1, np.nan)},
        "kernel": kernels,
        "bias": biases,
        "int": ints,
        "list": {f"list{each}": np.array(each, np.int64) for each in lists},
        "scales": {"scales": np.array([1, 1, 2, 2], np.float32)},
        "packed": {"packed": packed, "packed_bias": np.full(4, -(2**31), np.int32)},
        "packed_scale": {"packed_scale": np.full(4, 1e-3, np.float32)},
        "packed_zero": {"packed_zero": np.zeros(4, np.int8), "bias_zero": np.zeros(4, np.int32)},
    }


_CONSTANTS = _constants()
_VALUES = {name: value for kind in _CONSTANTS.values() for name, value in kind.items()}
_CODES = {dtype: code for code, dtype in DTYPES.items()}
# What each input is drawn from: kinds of constants, or what is made already.
_TAKES: dict[str, tuple[tuple[str, ...], ...]] = {
    **dict.fromkeys(("Add", "Div", "Mul", "Sub"), (("made", "number"), ("made", "number", "int"))),
    "Clip": (("made",), ("number",), ("number",)),
    "Conv": (("made",), ("kernel", "made"), ("bias", "made")),
    "DequantizeLinear": (
        ("made", "packed"),
        ("number", "half", "packed_scale"),
        ("int", "packed_zero"),
    ),
    "Expand": (("made", "number"), ("made", "list")),
    "Gather": (("made",), ("int",)),
    "QuantizeLinear": (("made",), ("number", "half"), ("int",)),
    "Range": (("number",), ("made",), ("number",)),
    "Reshape": (("made",), ("list",)),
    "Resize": (("made",), ("absent",), ("scales",)),
    "Unsqueeze": (("made",), ("list",)),
}
_ATTRIBUTES: dict[str, tuple[Any, ...]] = {
    "group": (1, 2, 3, 4, 6, None),
    "kernel_shape": ((3, 3), (2, 2)),
    "strides": ((1, 1), (2, 2)),
    "pads": ((1, 1, 1, 1), (0, 0, 0, 0), None),
    "alpha": (0.1, -1e30, float("nan"), None),
    "cubic_coeff_a": (-0.75, None),
    "extrapolation_value": (0.0, None),
}


class _Graph:
    """Nodes that are there, and what is known of the tensors that they make."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.pixels = rng.choice((FLOAT, UINT8))
        frame = Tensor(self.pixels, (1, HEIGHT, WIDTH, 3))
        self.inputs = {"frame0": frame, "frame1": frame, "t": Tensor(FLOAT, (TIMES,))}
        self.inputs["window"] = Tensor(FLOAT, (4,))
        self.known = {"": ABSENT, **self.inputs}
        for name, value in _VALUES.items():
            sizes = tuple(value.reshape(-1).tolist()) if value.dtype == np.int64 else None
            self.known[name] = Tensor(_CODES[value.dtype], value.shape, sizes, value)
        self.nodes: list[NodeProto] = []
        self.made = list(self.inputs)

    def add(self, operator: str, taken: list[str], outputs: int = 1, **attributes: Any) -> str:
        """Add a node that the vetting takes; ValueError where it does not."""
        names = [f"made{len(self.nodes)}_{index}" for index in range(outputs)]
        node = Node("", operator, "", tuple(taken), tuple(names), attributes)
        made = infer(node, [self.known[name] for name in taken])
        self.keep(operator, taken, names, attributes)
        self.known |= dict.fromkeys(names, made)
        self.made += names
        return names[0]

    def keep(
        self, operator: str, taken: list[str], names: list[str], attributes: dict[str, Any]
    ) -> None:
        """Add a node whatever it is."""
        name = f"node{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, taken, names, name=name, **attributes))

    def drawn(self, operator: str) -> tuple[list[str], dict[str, Any]]:
        """Return random inputs and attributes of a node."""
        takes = _TAKES.get(operator, (("made",),) * self.rng.choice(OPERATORS[operator].inputs))
        attributes = {}
        for name, allowed in OPERATORS[operator].attributes.items():
            value = self.rng.choice(allowed or _ATTRIBUTES[name])
            if value is not None:
                attributes[name] = value
        names = [self._name(self.rng.choice(kinds)) for kinds in takes]
        if operator == "Conv" and self.rng.random() < 0.9:
            names[1:], attributes = self._fitting(self.known[names[0]])
        return names, attributes

    def _fitting(self, tensor: Tensor) -> tuple[list[str], dict[str, Any]]:
        """Return weight, bias and attributes of a convolution that suits a tensor of planes."""
        taken = (*tensor.shape, 0, 0)[1]
        kind = "float16" if tensor.dtype == HALF else "float32"
        side, groups = self.rng.choice((2, 3)), self.rng.choice((1, taken))
        made = self.rng.choice((1, 2, 3, 4, 6)) if groups == 1 else taken
        kernel = f"kernel {made} {taken if groups == 1 else 1} {side} {kind}"
        if kernel not in self.known:
            return ["", ""], {}
        window = {"kernel_shape": (side, side), "strides": (4 - side, 4 - side), "group": groups}
        if side == 3:
            window["pads"] = (1, 1, 1, 1)
        return [kernel, f"bias {made} {kind}"], window

    def _name(self, kind: str) -> str:
        if kind == "absent":
            return ""
        # What is new is taken more often, so that graphs grow deep.
        recent = self.made[-6:] if self.rng.random() < 0.5 else self.made
        return self.rng.choice(recent if kind == "made" else list(_CONSTANTS[kind]))


def random_model(rng: Random) -> bytes:
    """Return a model of random nodes between the inputs and outputs of RRIN's."""
    graph = _Graph(rng)
    planes = []
    for frame in ("frame0", "frame1"):
        pixels = graph.add("Cast", [frame], to=FLOAT)
        planes.append(graph.add("Transpose", [pixels], perm=(0, 3, 1, 2)))
    graph.add("Split", [graph.add("Concat", planes, axis=1)], outputs=2, axis=1, num_outputs=2)
    side = graph.add("Shape", ["frame0"], start=1, end=rng.choice((2, 3, 4)))
    with contextlib.suppress(ValueError):
        limit = graph.add("Cast", [graph.add("Squeeze", [side])], to=FLOAT)
        graph.add("Range", ["number0", limit, "number1"])
    columns = [graph.add("Gather", [planes[0], f"intint64{index}"], axis=1) for index in (0, 1)]
    axes = [graph.add("Unsqueeze", [column, "list[-1]"]) for column in columns]
    graph.add("Concat", axes, axis=-1)
    for operator in rng.choices(list(OPERATORS), k=rng.randint(3, 20)):
        for _ in range(_DRAWS):
            with contextlib.suppress(ValueError):
                taken, attributes = graph.drawn(operator)
                graph.add(operator, taken, OPERATORS[operator].outputs, **attributes)
                break
    if rng.random() < 0.3:
        operator = rng.choice(list(OPERATORS))
        taken, attributes = graph.drawn(operator)
        graph.keep(
            operator,
            taken,
            [f"odd{index}" for index in range(OPERATORS[operator].outputs)],
            attributes,
        )
    times = graph.add("Reshape", ["t", "list[-1, 1, 1, 1]"])
    frames = graph.add("Mul", [planes[0], times])
    for name in rng.sample(graph.made, len(graph.made)):
        with contextlib.suppress(ValueError):
            made = graph.add("Add", [frames, name])
            if graph.known[made].shape == graph.known[frames].shape:
                frames = made
                break
    last = graph.add("Transpose", [frames], perm=(0, 2, 3, 1))
    graph.add("Cast", [last], to=graph.pixels)
    graph.nodes[-1].output[0] = "frames"
    del graph.known[graph.made.pop()]
    graph.known["frames"] = Tensor(graph.pixels, (TIMES, HEIGHT, WIDTH, 3))
    made_model: bytes = _model(graph).SerializeToString()
    return made_model


def _model(graph: _Graph) -> ModelProto:
    taken = {name for node in graph.nodes for name in node.input}
    leaves = [
        name
        for name in graph.made
        if name not in taken and graph.known[name].dtype in (FLOAT, UINT8)
    ]
    weights = [
        numpy_helper.from_array(value, name) for name, value in _VALUES.items() if name in taken
    ]
    weights.append(numpy_helper.from_array(np.zeros((_BALLAST,), np.int8), "ballast"))
    made = helper.make_graph(
        graph.nodes,
        "random",
        [_value(graph, name) for name in graph.inputs],
        [_value(graph, name) for name in ("frames", *leaves[-_MOST_OUTPUTS:])],
        weights,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    model.metadata_props.extend(_properties())
    changed = {"rrin.base_width": "1", "rrin.io": DTYPES[graph.pixels].name}
    for entry in model.metadata_props:
        entry.value = changed.get(entry.key, entry.value)
    return model


@cache
def _properties() -> Any:
    return onnx.load(SMALL_MODEL).metadata_props


def _value(graph: _Graph, name: str) -> Any:
    known = graph.known[name]
    shape = [size if isinstance(size, int) else str(size) for size in known.shape]
    return helper.make_tensor_value_info(name, known.dtype, shape)
