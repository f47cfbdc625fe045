"""Damage to ONNX models that leaves them models: other operators, attributes, shapes, constants."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tests.fuzz.mutators.raw import number
from tests.fuzz.mutators.text import strange_text

_OPERATORS = (
    *("Split", "Expand", "Tile", "ConstantOfShape", "Range", "Reshape", "Resize", "Pad", "Gather"),
    *("NonZero", "Identity", "Softmax", "MatMul", "ConvTranspose", "OneHot", "ScatterND", "Where"),
    *("RandomNormal", "Upsample", "StringNormalizer", "Optional", "GridSample", "Conv", "Concat"),
    *("MaxUnpool", "RoiAlign", "Einsum", "LSTM", "QLinearConv", "DequantizeLinear", "Bogus", ""),
)
_LOCATIONS = (
    "weights.bin",
    "/etc/passwd",
    "../../../etc/passwd",
    "/dev/zero",
    "/proc/self/mem",
    "",
)
_BAD_TEXT = "not-utf-8-here"


def graph(rng: Random, content: bytes) -> bytes:
    """Change one thing in a model, well-formed as a message."""
    model = onnx.load_from_string(content)
    change = rng.choice(_CHANGES)
    change(rng, model)
    made: bytes = model.SerializeToString()
    return made.replace(_BAD_TEXT.encode(), b"\xff" * len(_BAD_TEXT))


def _node(rng: Random, model: ModelProto) -> None:
    nodes = model.graph.node
    node, other = rng.choice(nodes), rng.choice(nodes)
    match rng.randrange(6):
        case 0:
            nodes.remove(node)
        case 1:
            node.op_type = rng.choice((*_OPERATORS, other.op_type))
        case 2:
            node.CopyFrom(other)
        case 3:
            node.domain = rng.choice(("com.microsoft", "ai.onnx.ml", "x", strange_text(rng)))
        case 4:
            copy = NodeProto()
            copy.CopyFrom(node)
            nodes.append(copy)
        case 5:
            first, second = NodeProto(), NodeProto()
            first.CopyFrom(node)
            second.CopyFrom(other)
            node.CopyFrom(second)
            other.CopyFrom(first)


def _wiring(rng: Random, model: ModelProto) -> None:
    node = rng.choice(model.graph.node)
    names = [name for each in model.graph.node for name in (*each.input, *each.output)]
    ends = rng.choice((node.input, node.input, node.output))
    match rng.randrange(4):
        case 0:
            del ends[rng.randrange(len(ends))]
        case 1:
            ends.append(rng.choice((*names, "", "nothing")))
        case _:
            ends[rng.randrange(len(ends))] = rng.choice((*names, "", "nothing"))


def _attribute(rng: Random, model: ModelProto) -> None:
    node = rng.choice([node for node in model.graph.node if node.attribute])
    attribute = rng.choice(node.attribute)
    donor = rng.choice([node for node in model.graph.node if node.attribute])
    match rng.randrange(7):
        case 0:
            node.attribute.remove(attribute)
        case 1:
            node.attribute.add().CopyFrom(rng.choice(donor.attribute))
        case 2:
            attribute.ints.append(number(rng))
        case 3 if attribute.s:
            attribute.s = rng.choice((b"linear", b"nearest", b"", b"\xff", b"a" * 10**5))
        case 4:
            attribute.type = rng.choice((1, 2, 3, 4, 5, 6, 7, 8))
        case _ if attribute.ints:
            attribute.ints[rng.randrange(len(attribute.ints))] = number(rng)
        case _:
            attribute.i, attribute.f = number(rng), rng.choice((0, -1, 1e38, np.nan, np.inf))


def _constant(rng: Random, model: ModelProto) -> None:
    """Change values of a constant; of the small ones, which steer shapes, more than of weights."""
    small = [tensor for tensor in model.graph.initializer if np.prod(tensor.dims) <= 8]
    tensor = rng.choice(small if rng.random() < 0.8 else model.graph.initializer)
    values = numpy_helper.to_array(tensor).copy().reshape(-1)
    if values.dtype.kind == "f":
        values[rng.randrange(values.size)] = rng.choice((0, -1, 1e-38, 1e38, np.nan, np.inf, 1e5))
    else:
        values[rng.randrange(values.size)] = number(rng)
    made = numpy_helper.from_array(values.reshape(tensor.dims), tensor.name)
    tensor.CopyFrom(made)


def _tensor(rng: Random, model: ModelProto) -> None:
    tensor = rng.choice(model.graph.initializer)
    match rng.randrange(5):
        case 0:
            tensor.dims.append(number(rng))
        case 1:
            tensor.dims[rng.randrange(len(tensor.dims))] = number(rng)
        case 2:
            tensor.data_type = rng.randrange(-1, 30)
        case 3:
            tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data))]
        case 4:
            model.graph.initializer.remove(tensor)


def _edges(rng: Random, model: ModelProto) -> None:
    edge = rng.choice((*model.graph.input, *model.graph.output))
    shape = edge.type.tensor_type.shape
    match rng.randrange(6):
        case 0:
            edge.name = rng.choice((strange_text(rng), "frame0", "frames", "t"))
        case 1:
            edge.type.tensor_type.elem_type = rng.randrange(0, 24)
        case 2:
            shape.dim[rng.randrange(len(shape.dim))].dim_value = number(rng)
        case 3:
            del shape.dim[rng.randrange(len(shape.dim))]
        case 4:
            shape.dim.add().dim_param = strange_text(rng)
        case 5:
            rng.choice((model.graph.input, model.graph.output)).add().CopyFrom(edge)


def _metadata(rng: Random, model: ModelProto) -> None:
    entry = rng.choice(model.metadata_props)
    values = (strange_text(rng), str(number(rng)), "true", _BAD_TEXT, "\n" * 100, "9" * 5000)
    match rng.randrange(5):
        case 0:
            entry.key = rng.choice((_BAD_TEXT, entry.key.upper(), strange_text(rng)))
        case 1:
            model.metadata_props.add().CopyFrom(rng.choice(model.metadata_props))
        case _:
            entry.value = rng.choice(values)


def _versions(rng: Random, model: ModelProto) -> None:
    match rng.randrange(3):
        case 0:
            model.ir_version = number(rng)
        case 1:
            model.opset_import[0].version = rng.choice((0, 1, 7, 11, 16, 20, 22, 30, number(rng)))
        case 2:
            model.opset_import.add().domain = rng.choice(("", "com.microsoft", strange_text(rng)))


def _subgraph(rng: Random, model: ModelProto) -> None:
    """Lay a Loop that never ends, or an If, over one of the graph's outputs or inner values."""
    node = rng.choice((model.graph.node[-1], rng.choice(model.graph.node)))
    name = node.output[0]
    node.output[0] = "before"
    constant = helper.make_node("Constant", [], ["yes"], value=_scalar("yes", TensorProto.BOOL, 1))
    kind = rng.choice(("Loop", "If", "Scan"))
    inputs = {"Loop": ["", "yes", "before"], "If": ["yes"], "Scan": ["before"]}[kind]
    bodies = {"If": ("then_branch", "else_branch")}.get(kind, ("body",))
    attributes = {body: _body(kind) for body in bodies}
    made = helper.make_node(kind, inputs, [name], **attributes)
    at = list(model.graph.node).index(node)
    nodes = [*model.graph.node[: at + 1], constant, made, *model.graph.node[at + 1 :]]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _body(kind: str) -> GraphProto:
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("a", "b")]
    turn = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    go = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("c", "d")]
    if kind == "Loop":
        nodes = [helper.make_node("Identity", *ends) for ends in ((["c"], ["d"]), (["a"], ["b"]))]
        return helper.make_graph(nodes, "g", [turn, go[0], value[0]], [go[1], value[1]])
    source = "before" if kind == "If" else "a"
    inputs = [] if kind == "If" else [value[0]]
    return helper.make_graph(
        [helper.make_node("Identity", [source], ["b"])], "g", inputs, [value[1]]
    )


def _external(rng: Random, model: ModelProto) -> None:
    tensor = rng.choice(model.graph.initializer)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entries = {"location": rng.choice((*_LOCATIONS, strange_text(rng)))}
    entries |= {"offset": str(number(rng)), "length": str(number(rng))}
    for key, value in entries.items():
        if key == "location" or rng.random() < 0.7:
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value


def _names(rng: Random, model: ModelProto) -> None:
    node, tensor = rng.choice(model.graph.node), rng.choice(model.graph.initializer)
    name = strange_text(rng)
    match rng.randrange(4):
        case 0:
            node.name = name
        case 1:
            tensor.name = name
        case 2:
            node.output[0] = name
        case 3:
            model.producer_name = model.graph.name = model.doc_string = rng.choice(
                (name, _BAD_TEXT)
            )


def _scalar(name: str, kind: int, value: int) -> TensorProto:
    return helper.make_tensor(name, kind, [], [value])


_CHANGES: tuple[Callable[[Random, ModelProto], None], ...] = (
    *([_node] * 3 + [_wiring] * 2 + [_attribute] * 4 + [_constant] * 4 + [_metadata] * 2),
    *(_tensor, _edges, _versions, _subgraph, _external, _names),
)
