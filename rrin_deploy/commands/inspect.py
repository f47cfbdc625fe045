"""`rrin-deploy inspect`"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from rrin_deploy.console import out, say, table
from rrin_deploy.inspection import facts_of
from rrin_deploy.options import Trust
from rrin_deploy.results import AsJson, document
from runtime.manifest import is_engine
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
    as_json: AsJson = False,
    trusted: Trust = False,
) -> None:
    """Print all that is known of an ONNX file, an engine or a golden file; no GPU is needed.

    But for `--layers` of a TensorRT engine, which TensorRT has to load. Bytes are those that a
    kernel reads and writes; they are known of engines for one size (`build --shape`).

    Example: `rrin-deploy inspect rrin.rtx.fp16.engine --layers`
    """
    with document(as_json) as give:
        check_file(file, "expected an ONNX file, an engine or a golden file")
        if layers:
            if not is_engine(file):
                raise typer.BadParameter(f"--layers is for engines, and {file} is none")
            give(_shown_layers(file, trusted=trusted))
            return
        facts = facts_of(file)
        give(facts)
        rows = table("what", str(file))
        for name, value in _flat(facts):
            rows.add_row(name, value)
        out.print(rows)


def _shown_layers(file: Path, *, trusted: bool) -> list[dict[str, Any]]:
    """Print what an engine runs, and return it."""
    from engines import layers_of
    from engines.layers import moved_bytes

    found = layers_of(file, trusted=trusted)
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
    return [asdict(layer) for layer in found]


def _flat(facts: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for name, value in facts.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, str(value)))
    return rows
