"""`rrin-deploy export`"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rrin_deploy.console import say
from rrin_deploy.progress import ProgressAs, progress_as, waiting
from rrin_deploy.results import FORMAT, AsJson, document
from runtime.metadata import Io

if TYPE_CHECKING:
    from export import ExportReport


def command(
    checkpoint: Annotated[Path, typer.Argument(help="A PyTorch RRIN checkpoint.", metavar="CKPT")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The ONNX file.")] = Path(
        "rrin.onnx"
    ),
    io: Annotated[
        Io,
        typer.Option(help="Dtype of the frames: uint8, or float32 in [0, 1] for 10 bits and more."),
    ] = "uint8",
    align_corners: Annotated[
        bool | None,
        typer.Option(
            help="How the warp's grid maps to pixels, which is part of what was trained. By "
            "default what the checkpoint says, else yes, as in the authors' PyTorch 1.0."
        ),
    ] = None,
    as_json: AsJson = False,
    progress: ProgressAs = "bar",
) -> None:
    """Trace a checkpoint to ONNX and check it against PyTorch.

    Beside the ONNX file goes a golden file with outputs of the PyTorch reference, so that
    `parity` works on devices without torch. The authors of RRIN allow their weights for
    non-commercial research and education only.

    Example: `rrin-deploy export pretrained_model.pth.tar -o rrin.onnx`
    """
    with document(as_json) as give, progress_as(progress):
        give({"format": FORMAT})
        started = time.perf_counter()
        with waiting("tracing to ONNX and checking it against PyTorch (about half a minute)"):
            from export import export_onnx

            report = export_onnx(checkpoint, output, io=io, align_corners=align_corners)
        seconds = time.perf_counter() - started
        parity = report.parity.to_dict()
        give({"format": FORMAT, **asdict(report), "parity": parity, "seconds": seconds})
        _say(report, seconds)


def _say(report: ExportReport, seconds: float) -> None:
    about, cases = report.metadata, report.parity.cases
    assumed = " (assumed: the checkpoint does not say)" if report.align_corners_assumed else ""
    say(
        f": {report.model.stat().st_size / 1e6:.1f} MB, opset {about.opset}, base width "
        f"{about.base_width}, align_corners={about.align_corners}{assumed}, {about.io} frames; "
        f"{seconds:.0f} s",
        subject=report.model,
    )
    say(
        f": {len(cases)} reference outputs of PyTorch; the graph in {report.parity.backend} is "
        f"within {max(case.max_abs_error for case in cases):.1e} of them (full range 1)",
        subject=report.golden,
    )
