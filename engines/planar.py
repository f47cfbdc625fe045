"""The graph in the form that vs-mlrt runs in VapourSynth: planes in, planes out, padding inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from precision.graph import maker_of, taken
from runtime.architecture import PADDING_MULTIPLE
from runtime.errors import ArtifactError
from runtime.metadata import Io, Metadata

# From a frame of the graph to its planes, float32 [1, 3, H, W] in [0, 1].
_TO_PLANES: dict[Io, tuple[str, ...]] = {
    "float32": ("Transpose",),
    "uint8": ("Cast", "Transpose", "Div"),
}


def planes_of(factor: int | None) -> tuple[int, int]:
    """Return how many planes a form takes and gives: (7, 3), or (6, 9) for factor 4."""
    return (6, 3 * (factor - 1)) if factor else (7, 3)


def to_planar(model: ir.Model, metadata: Metadata, factor: int | None) -> None:
    """Put a graph in vs-mlrt's form, in place: see `build_vs_mlrt`."""
    graph = model.graph
    step = _Steps(graph)
    channels, made_channels = planes_of(factor)
    given = ir.Value(
        name="input",
        type=ir.TensorType(ir.DataType.FLOAT),
        shape=ir.Shape([1, channels, "H", "W"]),
    )
    size = step("Shape", [given], start=2, end=4)
    padded = step("Pad", [given, _padding(step, size)], mode="edge")
    frame0, frame1, t, window = (
        next(value for value in graph.inputs if value.name == name)
        for name in ("frame0", "frame1", "t", "window")
    )
    for index, frame in enumerate((frame0, frame1)):
        cut = [step.constant([bound]) for bound in (3 * index, 3 * index + 3, 1)]
        _replace_planes(frame, step("Slice", [padded, *cut]), metadata.io)
    if factor:
        times = step.constant(np.arange(1, factor, dtype=np.float32) / np.float32(factor))
    else:
        corner = [step.constant(ends) for ends in ([6, 0, 0], [7, 1, 1], [1, 2, 3])]
        times = step("Reshape", [step("Slice", [padded, *corner]), step.constant([1])])
    t.replace_all_uses_with(times)
    if window.uses():
        window.replace_all_uses_with(_whole(step, padded))
    made = taken(maker_of(graph.outputs[0]))
    while maker_of(made).op_type != "Clip":
        made = taken(maker_of(made))
    cropped = step("Slice", [made, step.constant([0, 0]), size, step.constant([2, 3])])
    if factor:
        shape = step("Concat", [step.constant([1, made_channels]), size], axis=0)
        cropped = step("Reshape", [cropped, shape])
    cropped.name, cropped.type = "output", ir.TensorType(ir.DataType.FLOAT)
    cropped.shape = ir.Shape([1, made_channels, "H", "W"])
    graph.inputs[:], graph.outputs[:] = [given], [cropped]
    graph.sort()
    RemoveUnusedNodesPass()(model)
    model.metadata_props.update(metadata.to_properties())


class _Steps:
    """Appends nodes and constants to a graph, under names that nothing else in it has."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph, self._count = graph, 0

    def __call__(self, operator: str, inputs: Sequence[ir.Value], **attributes: Any) -> ir.Value:
        name = self._name(operator)
        node = ir.node(operator, inputs, attributes, name=name)
        node.outputs[0].name = name
        self._graph.append(node)
        return node.outputs[0]

    def constant(self, content: Any) -> ir.Value:
        name = self._name("constant")
        array = np.asarray(content)
        tensor = ir.tensor(array, name=name)
        value = ir.Value(
            name=name,
            type=ir.TensorType(tensor.dtype),
            shape=ir.Shape(array.shape),
            const_value=tensor,
        )
        self._graph.register_initializer(value)
        return value

    def _name(self, what: str) -> str:
        self._count += 1
        return f"vs-mlrt/{what}_{self._count}"


def _padding(step: _Steps, size: ir.Value) -> ir.Value:
    """Return the pads that bring a size, (H, W), to multiples: below and on the right alone."""
    multiple = step.constant([PADDING_MULTIPLE])
    raised = step("Add", [size, step.constant([PADDING_MULTIPLE - 1])])
    whole = step("Mul", [step("Div", [raised, multiple]), multiple])
    missing = step("Sub", [whole, size])
    return step("Concat", [step.constant([0] * 6), missing], axis=0)


def _whole(step: _Steps, padded: ir.Value) -> ir.Value:
    """Return the window of the whole padded frame, float32 (0, 0, W, H)."""
    sides = [step("Shape", [padded], start=axis, end=axis + 1) for axis in (3, 2)]
    whole = step("Concat", [step.constant([0, 0]), *sides], axis=0)
    return step("Cast", [whole], to=ir.DataType.FLOAT.value)


def _replace_planes(frame: ir.Value, planes: ir.Value, io: Io) -> None:
    """Have the graph take planes where it made them of a frame, and its sizes of them, too."""
    value = frame
    for operator in _TO_PLANES[io]:
        readers = [use.node for use in value.uses() if use.node.op_type == operator]
        if len(readers) != 1:
            raise ArtifactError(
                f"{frame.name} is read by {len(readers)} {operator} nodes, expected one; use a "
                "file as it was exported"
            )
        value = readers[0].outputs[0]
    for shape in [use.node for use in frame.uses() if use.node.op_type == "Shape"]:
        start = shape.attributes["start"].as_int()  # of H or W, behind the batch
        shape.attributes["start"] = ir.AttrInt64("start", start + 1)
        shape.attributes["end"] = ir.AttrInt64("end", start + 2)
        shape.replace_input_with(0, planes)
    value.replace_all_uses_with(planes)
