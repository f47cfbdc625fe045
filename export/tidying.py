"""The exporter's graph made fit to be published: accurate, named, and without traces."""

from __future__ import annotations

import ast
from collections.abc import Mapping

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import ClearMetadataAndDocStringPass


def tidied(model: ir.Model, properties: Mapping[str, str]) -> onnx.ModelProto:
    """Return what is published of a graph whose first output is the frames.

    Args:
        model: what the exporter made, changed in place; its other outputs are stages.
        properties: its metadata.
    """
    _write_out_sigmoid(model.graph)
    _name(model.graph)
    del model.graph.outputs[1:]  # the stages were outputs only to be given their names
    model.producer_name, model.producer_version = "rrin-deploy", None
    # The exporter leaves stack traces in there, with the paths of the machine it ran on.
    ClearMetadataAndDocStringPass()(model)
    model.metadata_props.update(properties)
    return ir.to_proto(model)


def _write_out_sigmoid(graph: ir.Graph) -> None:
    """Replace the mask's Sigmoid by 1 / (1 + exp(-x)).

    ONNX Runtime's Sigmoid is accurate absolutely, not relatively: it gives 0 where the truth is
    1e-9, and where both masks are that small the blend is their quotient.
    """
    (sigmoid,) = (node for node in graph if node.op_type == "Sigmoid")
    one = ir.Value(name="one", const_value=ir.tensor(1.0, ir.DataType.FLOAT, name="one"))
    graph.register_initializer(one)
    negative = ir.node("Neg", [sigmoid.inputs[0]])
    exponential = ir.node("Exp", negative.outputs)
    denominator = ir.node("Add", [exponential.outputs[0], one])
    mask = ir.node("Reciprocal", denominator.outputs)
    steps = [negative, exponential, denominator, mask]
    for step in steps:
        step.outputs[0].type, step.outputs[0].shape = (
            sigmoid.outputs[0].type,
            sigmoid.outputs[0].shape,
        )
    graph.insert_before(sigmoid, steps)
    ir.convenience.replace_all_uses_with(
        sigmoid.outputs[0], mask.outputs[0], replace_graph_outputs=True
    )
    name, sigmoid.outputs[0].name = sigmoid.outputs[0].name, None
    mask.outputs[0].name = name
    graph.remove(sigmoid, safe=True)


def _name(graph: ir.Graph) -> None:
    """Name weights as in the checkpoint, and nodes after the module that they came from."""
    for name, value in list(graph.initializers.items()):
        value.name = name.removeprefix("network.")
    for index, node in enumerate(graph):
        scopes = ast.literal_eval(node.metadata_props.get("pkg.torch.onnx.name_scopes", "[]"))
        modules = [scope for scope in scopes if scope.startswith("network.")] or ["RRIN"]
        node.name = f"{modules[-1].removeprefix('network.')}/{node.op_type}_{index}"
