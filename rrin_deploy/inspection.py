"""What a file says of itself, as JSON types: an ONNX file, an engine, a golden file."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.golden import SUFFIX, Golden
from runtime.manifest import Manifest, is_engine, read_plan

if TYPE_CHECKING:
    import onnx_ir as ir


_AS_TENSORRT = {"FLOAT16": "HALF", "BFLOAT16": "BF16"}


def facts_of(file: Path) -> dict[str, Any]:
    """Return all that is known of a file without running it, its `kind` first.

    Raises:
        ArtifactError: it is damaged, or not one of ours.
    """
    if file.name.endswith(SUFFIX):
        return _golden(file)
    return _engine(file) if is_engine(file) else _onnx(file)


def _engine(file: Path) -> dict[str, Any]:
    manifest = Manifest.load(file)
    plan = read_plan(file, manifest)
    return {"kind": "TensorRT engine", "bytes": len(plan), **asdict(manifest)}


def _golden(file: Path) -> dict[str, Any]:
    golden = Golden.load(file)
    return {
        "kind": "golden file",
        "bytes": file.stat().st_size,
        "checkpoint_sha256": golden.checkpoint_sha256,
        "align_corners": golden.align_corners,
        "measured_on": golden.measured_on,
        "artifact_sha256": golden.artifact_sha256,
        "cases": [
            {
                "size": list(case.frame0.shape[1::-1]),
                "t": case.t.tolist(),
                "reference_error": case.reference_error,
                "measured": [asdict(measured) for measured in case.measured],
            }
            for case in golden.cases
        ],
    }


def _onnx(file: Path) -> dict[str, Any]:
    from precision.graph import load_graph

    model, metadata = load_graph(file)
    inputs, outputs = model.graph.inputs, model.graph.outputs
    return {
        "kind": "ONNX graph",
        "bytes": file.stat().st_size,
        "metadata": asdict(metadata),
        "inputs": {str(value.name): f"{value.dtype} {value.shape}" for value in inputs},
        "outputs": {str(value.name): f"{value.dtype} {value.shape}" for value in outputs},
        "census": _census(model.graph),
        "nodes": dict(Counter(node.op_type for node in model.graph).most_common()),
        "weights": sum(
            value.const_value.size
            for value in model.graph.initializers.values()
            if value.const_value is not None
        ),
    }


def _census(graph: ir.Graph) -> dict[str, int]:
    """Count the U-Nets' convolutions by type, as a manifest has it; INT8 is what a DQ feeds."""
    from precision.graph import is_pooling, taken, unet_of

    types: Counter[str] = Counter()
    for node in graph:
        if node.op_type == "Conv" and unet_of(node) and not is_pooling(node):
            data = taken(node)
            maker = data.producer()
            quantized = maker is not None and maker.op_type == "DequantizeLinear"
            name = data.dtype.name if data.dtype else "FLOAT"
            types["INT8" if quantized else _AS_TENSORRT.get(name, name)] += 1
    return dict(types)
