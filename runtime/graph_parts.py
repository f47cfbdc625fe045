"""A checked graph in two parts: what depends on the pair of frames alone, and what on the times.

Both are put together of the file's own bytes, message by message: what runs is what was checked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .protobuf import field_bytes, raw_fields

# Fields of a model, a graph, a node, and the names of weights and values, by onnx.proto.
_IR_VERSION, _GRAPH, _OPSETS, _METADATA = 1, 7, 8, 14
# What a library is handed, in this order: it shall have nothing to take for another kind of file.
_HANDED_OVER = (_IR_VERSION, _OPSETS, _METADATA, _GRAPH)
_NODES, _GRAPH_NAME, _WEIGHTS, _INPUTS, _OUTPUTS, _VALUES = 1, 2, 5, 11, 12, 13
_NODE_INPUTS, _NODE_OUTPUTS, _NODE_OPERATOR = 1, 2, 4
_WEIGHT_NAME, _VALUE_NAME, _VALUE_TYPE = 8, 1, 2


@dataclass(frozen=True)
class Parts:
    """Two ONNX files that do together what one does.

    Attributes:
        pair: makes the flow of the frames; None where nothing can be made without the times, or
            the file does not say what types it would hand over, as some tools leave it.
        times: makes the outputs of the whole, of its inputs and what `pair` makes.
    """

    pair: bytes | None
    times: bytes


@dataclass(frozen=True)
class _Node:
    inputs: list[str]
    outputs: list[str]
    operator: str
    content: memoryview


@dataclass(frozen=True)
class _Graph:
    """A graph in the bytes of its messages, most of them by name."""

    name: list[memoryview]
    nodes: list[_Node]
    weights: dict[str, memoryview]
    inputs: dict[str, memoryview]
    outputs: dict[str, memoryview]
    values: dict[str, memoryview]


def parts_of(content: bytes) -> Parts:
    """Cut the content of a checked ONNX file in two.

    The first part hands over what does not depend on `t` and comes out of convolutions: the flow,
    16 bytes a pixel. All else that does not depend on `t`, such as the frames as floats, the grids
    and the unpacked weights, each part makes for itself, as that costs less time than it would
    memory.
    """
    model = list(raw_fields(memoryview(content)))
    graph = _read(next(raw for number, raw in model if number == _GRAPH))
    flow = _flow(graph)
    typed = {
        name: value
        for name, value in {**graph.values, **graph.outputs}.items()
        if any(number == _VALUE_TYPE for number, _ in raw_fields(value))
    }
    if not flow or flow - typed.keys():
        return Parts(None, _file(model, graph))
    shared = {name: typed[name] for name in sorted(flow)}
    untimed = {name: value for name, value in graph.inputs.items() if name != "t"}
    pair = _needed(replace(graph, inputs=untimed, outputs=shared), given=set())
    times = _needed(replace(graph, inputs={**graph.inputs, **shared}), given=flow)
    return Parts(_file(model, pair), _file(model, times))


def _read(content: memoryview) -> _Graph:
    messages: dict[int, list[memoryview]] = {}
    for number, message in raw_fields(content):
        messages.setdefault(number, []).append(message)

    def named(number: int, name: int = _VALUE_NAME) -> dict[str, memoryview]:
        return {"".join(_texts(each, name)): each for each in messages.get(number, [])}

    return _Graph(
        name=messages.get(_GRAPH_NAME, []),
        nodes=[
            _Node(
                inputs=_texts(node, _NODE_INPUTS),
                outputs=_texts(node, _NODE_OUTPUTS),
                operator="".join(_texts(node, _NODE_OPERATOR)),
                content=node,
            )
            for node in messages.get(_NODES, [])
        ],
        weights=named(_WEIGHTS, _WEIGHT_NAME),
        inputs=named(_INPUTS),
        outputs=named(_OUTPUTS),
        values=named(_VALUES),
    )


def _texts(message: memoryview, field: int) -> list[str]:
    return [bytes(content).decode() for number, content in raw_fields(message) if number == field]


def _flow(graph: _Graph) -> set[str]:
    """Name the tensors that come out of convolutions without `t`, and are used together with it."""
    timed, made, used = {"t"}, set[str](), set(graph.outputs)
    for node in graph.nodes:  # in order, as in every checked file
        if not timed.isdisjoint(node.inputs):
            timed.update(node.outputs)
            used.update(node.inputs)
        elif node.operator == "Conv" or not made.isdisjoint(node.inputs):
            made.update(node.outputs)
    return made & used


def _needed(graph: _Graph, given: set[str]) -> _Graph:
    """Keep what it takes to make the outputs where some tensors are given."""
    needed, made = graph.outputs.keys() - given, set[str]()
    nodes = []
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(node.outputs):
            nodes.append(node)
            made.update(node.outputs)
            needed |= set(node.inputs) - given
    ends = graph.inputs.keys() | graph.outputs.keys()
    return replace(
        graph,
        nodes=nodes[::-1],
        weights={name: weight for name, weight in graph.weights.items() if name in needed},
        values={name: value for name, value in graph.values.items() if name in made - ends},
    )


def _file(model: list[tuple[int, Any]], graph: _Graph) -> bytes:
    """Write a model with another graph."""
    messages = [
        *((_GRAPH_NAME, name) for name in graph.name),
        *((_NODES, node.content) for node in graph.nodes),
        *((_WEIGHTS, weight) for weight in graph.weights.values()),
        *((_INPUTS, value) for value in graph.inputs.values()),
        *((_OUTPUTS, value) for value in graph.outputs.values()),
        *((_VALUES, value) for value in graph.values.values()),
    ]
    whole = b"".join(field_bytes(*message) for message in messages)
    ordered = sorted(
        (field for field in model if field[0] in _HANDED_OVER),
        key=lambda field: _HANDED_OVER.index(field[0]),
    )
    return b"".join(
        field_bytes(number, whole if number == _GRAPH else content) for number, content in ordered
    )
