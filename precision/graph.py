"""The graph of an artifact, and the four U-Nets in it: nodes are named after their module."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from runtime.architecture import UNETS
from runtime.errors import ArtifactError, first_line
from runtime.graph_check import read_checked
from runtime.metadata import Metadata
from runtime.options import check_file, check_path

# In each U-Net, by its name.
CONVOLUTIONS = {name: unet.convolutions for name, unet in UNETS.items()}


def load_graph(path: str | Path) -> tuple[ir.Model, Metadata]:
    """Read an ONNX file that `rrin-deploy export` wrote.

    Raises:
        InputNotFoundError: there is no such file.
        ArtifactError: damaged, or not a graph as `rrin-deploy` writes it.
        OptionError: `path` is no path.
    """
    check_path("model", path, "rrin.onnx")
    check_file(Path(path), "export it from a checkpoint first")
    content, metadata = read_checked(path)
    try:
        proto = onnx.load_model_from_string(content)
        onnx.checker.check_model(proto, full_check=True)
        model = ir.from_proto(proto)
    except Exception as error:  # protobuf's DecodeError is of no public class
        raise ArtifactError(
            f"{path}: not a sound ONNX file ({first_line(error)}); export it again"
        ) from error
    _check_recognised(model.graph, str(path))
    return model, metadata


def check_float32(metadata: Metadata, source: str) -> None:
    """Raise ArtifactError unless a graph, which messages call `source`, is float32.

    All other precisions start from that.
    """
    if metadata.precision != "fp32":
        raise ArtifactError(
            f"{source}: is {metadata.precision} already; start from the fp32 file of export"
        )


def unet_of(node: ir.Node) -> str | None:
    """Return the name of the U-Net that a node belongs to, or None."""
    name = (node.name or "").split("/")[0].split(".")[0]
    return name if name in CONVOLUTIONS else None


def place_of(node: ir.Node) -> str:
    """Return a node's module and operator, as 'Mask.last/Conv': the same in every export."""
    return re.sub(r"_\d+$", "", node.name or "")


def is_pooling(node: ir.Node) -> bool:
    """True for a depthwise convolution that stands for average pooling, as INT8 files have."""
    return node.op_type == "Conv" and "/Pool_" in (node.name or "")


def hidden_tensors(graph: ir.Graph) -> Iterator[tuple[str, ir.Value]]:
    """Yield by place what hidden convolutions take: outputs of LeakyReLUs and of upward steps."""
    for node in graph:
        if unet_of(node) and (node.op_type == "LeakyRelu" or is_up_convolution(node)):
            yield place_of(node), node.outputs[0]


def is_up_convolution(node: ir.Node) -> bool:
    """True for the convolution behind an upsampling, the one hidden one without a LeakyReLU."""
    return node.op_type == "Conv" and place_of(node).endswith(".up.1/Conv")


def taken(node: ir.Node, index: int = 0) -> ir.Value:
    """Return a node's input; ArtifactError where there is none."""
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is None:
        raise ArtifactError(f"{node.name} has no input {index}; use a file as it was exported")
    return value


def maker_of(value: ir.Value) -> ir.Node:
    """Return the node that makes a value; ArtifactError where none does."""
    node = value.producer()
    if node is None:
        raise ArtifactError(f"nothing makes {value.name}; use a file as it was exported")
    return node


def content_of(value: ir.Value) -> NDArray[Any]:
    """Return a weight's content; ArtifactError where it is none."""
    if value.const_value is None:
        raise ArtifactError(f"{value.name} is no weight; use a file as it was exported")
    return value.const_value.numpy()


def _check_recognised(graph: ir.Graph, source: str) -> None:
    found = dict.fromkeys(CONVOLUTIONS, 0)
    for node in graph:
        unet = unet_of(node)
        if node.op_type == "Conv" and unet and not is_pooling(node):
            found[unet] += 1
    if found != CONVOLUTIONS:
        raise ArtifactError(
            f"{source}: its U-Nets hold {found} convolutions, expected {CONVOLUTIONS}; "
            "use a file as it was exported, with its node names"
        )
