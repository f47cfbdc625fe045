"""`rrin-deploy inspect`"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from rrin_deploy.console import out, say, table
from rrin_deploy.options import Trust
from runtime.golden import SUFFIX, Golden
from runtime.manifest import Manifest, is_engine, read_plan
from runtime.options import check_file


def command(
    file: Annotated[Path, typer.Argument(help="An ONNX file, an engine or a golden file.")],
    layers: Annotated[
        bool,
        typer.Option(
            "--layers",
            help="The kernels of an engine after fusion: what they compute, their types and bytes.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    trusted: Trust = False,
) -> None:
    """Print all that is known of an ONNX file, an engine or a golden file; no GPU is needed.

    But for `--layers` of a TensorRT engine, which TensorRT has to load. Bytes are those that a
    kernel reads and writes; they are known of engines for one size (`build --shape`).

    Example: `rrin-deploy inspect rrin.rtx.fp16.engine --layers`
    """
    check_file(file, "expected an ONNX file, an engine or a golden file")
    if layers:
        if not is_engine(file):
            raise typer.BadParameter(f"--layers is for engines, and {file} is none")
        _show_layers(file, as_json, trusted=trusted)
        return
    if file.name.endswith(SUFFIX):
        facts = _golden(file)
    else:
        facts = _engine(file) if is_engine(file) else _onnx(file)
    if as_json:
        print(json.dumps(facts, indent=2, allow_nan=False))
        return
    rows = table("what", str(file))
    for name, value in _flat(facts):
        rows.add_row(name, value)
    out.print(rows)


def _engine(file: Path) -> dict[str, Any]:
    manifest = Manifest.load(file)
    plan = read_plan(file, manifest)
    return {"kind": "TensorRT engine", "bytes": len(plan), **asdict(manifest)}


def _show_layers(file: Path, as_json: bool, *, trusted: bool) -> None:
    from engines import layers_of
    from engines.layers import moved_bytes

    found = layers_of(file, trusted=trusted)
    if as_json:
        print(json.dumps([asdict(layer) for layer in found], indent=2, allow_nan=False))
        return
    rows = table("kernel", "computes", "takes", "gives", "MB")
    for layer in found:
        size = "-" if layer.bytes is None else f"{layer.bytes / 1e6:.1f}"
        types = ", ".join(layer.takes), ", ".join(layer.gives)
        rows.add_row(layer.kind, layer.computes, *types, size)
    out.print(rows)
    kinds = Counter(layer.kind for layer in found)
    moved = moved_bytes(found)
    say(
        f": {len(found)} kernels: {kinds['convolution']} convolutions, "
        f"{sum(layer.activates for layer in found)} of them with their activation; "
        f"{kinds['quantization']} quantizations and {kinds['reformat']} reformats of their own"
        + ("" if moved is None else f"; {moved / 1e9:.2f} GB read and written"),
        subject=file,
    )


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
        "nodes": dict(Counter(node.op_type for node in model.graph).most_common()),
        "weights": sum(
            value.const_value.size
            for value in model.graph.initializers.values()
            if value.const_value is not None
        ),
    }


def _flat(facts: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for name, value in facts.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, str(value)))
    return rows
