"""What an ONNX file says, read without running any of it and without the package onnx.

Only the fields that artifacts of ours have are known: no functions, no subgraphs, no external data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .errors import shown
from .protobuf import Field, read_message, text_of

# Numbers are those of onnx.proto.
_ENTRY = {1: Field("key", "text"), 2: Field("value", "bytes")}
_DIMENSION = {1: Field("size", "integer"), 2: Field("symbol", "text")}
_SHAPE = {1: Field("dimensions", _DIMENSION, 8)}
_TENSOR_TYPE = {1: Field("dtype", "integer"), 2: Field("shape", _SHAPE)}
_VALUE = {
    1: Field("name", "text"),
    2: Field("type", {1: Field("tensor", _TENSOR_TYPE)}),
    4: Field("notes", _ENTRY, 16),
}
_TENSOR = {
    1: Field("dims", "integer", 8),
    2: Field("dtype", "integer"),
    8: Field("name", "text"),
    9: Field("content", "content"),
    13: Field("external data", "refused"),
    14: Field("external data", "refused"),
}
_ATTRIBUTE = {
    1: Field("name", "text"),
    2: Field("f", "float"),
    3: Field("i", "integer"),
    4: Field("s", "bytes"),
    6: Field("a subgraph", "refused"),
    8: Field("ints", "integer", 8),
    11: Field("subgraphs", "refused"),
    20: Field("type", "integer"),
}
_NODE = {
    1: Field("inputs", "text", 8),
    2: Field("outputs", "text", 8),
    3: Field("name", "text"),
    4: Field("operator", "text"),
    5: Field("attributes", _ATTRIBUTE, 16),
    7: Field("domain", "text"),
}
_GRAPH = {
    1: Field("nodes", _NODE, 2000),
    2: Field("name", "text"),
    5: Field("weights", _TENSOR, 2000),
    11: Field("inputs", _VALUE, 8),
    12: Field("outputs", _VALUE, 16),
    13: Field("values", _VALUE, 4000),
    15: Field("sparse weights", "refused"),
}
_OPSET = {1: Field("domain", "text"), 2: Field("version", "integer")}
_MODEL = {
    1: Field("ir_version", "integer"),
    2: Field("producer", "text"),
    3: Field("producer version", "text"),
    4: Field("domain", "text"),
    5: Field("version", "integer"),
    6: Field("doc", "text"),
    7: Field("graph", _GRAPH),
    8: Field("opsets", _OPSET, 8),
    14: Field("metadata", _ENTRY, 64),
    20: Field("training information", "refused"),
    25: Field("functions", "refused"),
}
# By AttributeProto.AttributeType, the field that the value stands in.
_PLACES = {1: "f", 2: "i", 3: "s", 7: "ints"}


@dataclass(frozen=True)
class Value:
    """An input or output; a dimension is its size, or None where it may vary."""

    name: str
    dtype: int
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Weight:
    """An initializer; `content` is raw and little-endian."""

    name: str
    dtype: int
    dims: tuple[int, ...]
    content: memoryview


@dataclass(frozen=True)
class Node:
    """A node; attributes are int, float, bytes or a tuple of int, by name."""

    name: str
    operator: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class OnnxFile:
    """The parts of a file that decide what running it does; opsets are (domain, version)."""

    ir_version: int
    opsets: tuple[tuple[str, int], ...]
    metadata: dict[str, str]
    nodes: tuple[Node, ...]
    weights: tuple[Weight, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


def read_onnx(content: bytes) -> OnnxFile:
    """Read a file's content.

    Raises:
        ValueError: not protobuf, cut short, or it has what no artifact of ours has.
    """
    model = read_message(memoryview(content), _MODEL)
    graph = model.get("graph")
    if graph is None:
        raise ValueError("no graph in it")
    return OnnxFile(
        ir_version=model.get("ir_version", 0),
        opsets=tuple(
            (opset.get("domain", ""), opset.get("version", 0)) for opset in model["opsets"]
        ),
        metadata=_texts(model["metadata"]),
        nodes=tuple(_node(node) for node in graph["nodes"]),
        weights=tuple(_weight(weight) for weight in graph["weights"]),
        inputs=tuple(_value(value) for value in graph["inputs"]),
        outputs=tuple(_value(value) for value in graph["outputs"]),
    )


def _texts(entries: list[dict[str, Any]]) -> dict[str, str]:
    texts = {
        entry.get("key", ""): text_of(entry.get("value", b""), "metadata") for entry in entries
    }
    if len(texts) != len(entries):
        raise ValueError("metadata has a key twice")
    return texts


def _weight(weight: dict[str, Any]) -> Weight:
    return Weight(
        name=weight.get("name", ""),
        dtype=weight.get("dtype", 0),
        dims=tuple(weight["dims"]),
        content=weight.get("content", memoryview(b"")),
    )


def _value(value: dict[str, Any]) -> Value:
    tensor = value.get("type", {}).get("tensor", {})
    dimensions = tensor.get("shape", {"dimensions": []})["dimensions"]
    return Value(
        name=value.get("name", ""),
        dtype=tensor.get("dtype", 0),
        shape=tuple(dimension.get("size") for dimension in dimensions),
    )


def _node(node: dict[str, Any]) -> Node:
    attributes: dict[str, Any] = {}
    for attribute in node["attributes"]:
        name, place = attribute.get("name", ""), _PLACES.get(attribute.get("type", 0))
        filled = {each for each in _PLACES.values() if attribute.get(each, []) != []}
        if name in attributes or place is None or filled - {place}:
            owner = shown(node.get("name", ""))
            raise ValueError(f"{owner} has the attribute {shown(name)} twice, or mistyped")
        value = attribute.get(place, b"" if place == "s" else 0)
        attributes[name] = tuple(value) if place == "ints" else value
    return Node(
        name=node.get("name", ""),
        operator=node.get("operator", ""),
        domain=node.get("domain", ""),
        inputs=tuple(node["inputs"]),
        outputs=tuple(node["outputs"]),
        attributes=attributes,
    )
