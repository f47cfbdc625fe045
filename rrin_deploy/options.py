"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from runtime.options import MAX_THREADS

Device = Annotated[
    int | None,
    typer.Option(help="Index of the GPU, for backends that use one; by default the first.", min=0),
]
Threads = Annotated[
    int | None,
    typer.Option(help="CPU threads; by default the backend chooses.", min=1, max=MAX_THREADS),
]
Providers = Annotated[
    list[str] | None,
    typer.Option(
        "--provider",
        help="ONNX Runtime execution provider, such as CPUExecutionProvider; may be repeated, and "
        "all have to load. By default CUDA where it loads, else the CPU.",
    ),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Open version-compatible engines: they hold code, which runs with your rights. For "
        "those whose builder you trust.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
