"""Finding the four U-Nets in a graph of `export`: its nodes are named after their module."""

from __future__ import annotations

import onnx_ir as ir

from runtime.errors import ArtifactError

# Convolutions in each; by name, as in the checkpoint.
CONVOLUTIONS = {"Flow_L": 24, "refine_flow": 19, "Mask": 19, "final": 19}


def unet_of(node: ir.Node) -> str | None:
    """Return the name of the U-Net that a node belongs to, or None."""
    name = (node.name or "").split("/")[0].split(".")[0]
    return name if name in CONVOLUTIONS else None


def check_recognised(graph: ir.Graph, source: str) -> None:
    """Raise ArtifactError unless the graph holds RRIN's U-Nets whole, under `export`'s names."""
    found = dict.fromkeys(CONVOLUTIONS, 0)
    for node in graph:
        unet = unet_of(node)
        if node.op_type == "Conv" and unet:
            found[unet] += 1
    if found != CONVOLUTIONS:
        raise ArtifactError(
            f"{source}: its U-Nets hold {found} convolutions, expected {CONVOLUTIONS}; "
            "use a file as rrin-deploy export wrote it, with its node names"
        )
