"""`rrin-deploy demo`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rrin_deploy.console import say
from rrin_deploy.options import Backend, Device, Providers, Threads, Trust
from rrin_deploy.progress import frame_progress


def command(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")] = Path(
        "rrin-demo"
    ),
    model: Annotated[
        Path | None,
        typer.Option(help="An artifact such as rrin.onnx; by default the bundled model."),
    ] = None,
    backend: Backend = None,
    device: Device = None,
    threads: Threads = None,
    providers: Providers = None,
    trusted: Trust = False,
) -> None:
    """Interpolate a small procedural scene whose true middle frames are known.

    Example: `rrin-deploy demo -o rrin-demo`
    """
    from rrin_deploy.demo import run_demo

    with frame_progress("scene x4") as progress:
        result = run_demo(
            output, model, progress=progress,
            backend=backend, device=device, threads=threads, providers=providers,
            trusted=trusted,
        )  # fmt: skip
    say(f": {result.frames} frames of a scene with known motion", subject=result.video)
    say(
        ": plain average, RRIN, truth; below, the errors of the first two and what moves, "
        "four times as bright",
        subject=result.picture,
    )
    say(
        f"PSNR against truth {result.psnr_db:.2f} dB, plain averaging {result.average_psnr_db:.2f} "
        f"dB; parity with PyTorch: {'pass' if result.parity.passed else 'FAIL'} "
        f"({result.parity.backend}, {result.parity.precision})"
    )
    raise typer.Exit(0 if result.parity.passed else 1)
