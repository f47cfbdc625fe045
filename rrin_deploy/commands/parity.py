"""`rrin-deploy parity`"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from rrin_deploy.console import out, parse_size, say, table
from rrin_deploy.options import Backend, Device, Providers, Threads, Trust
from rrin_deploy.progress import waiting
from rrin_deploy.results import AsJson, document
from runtime.parity import check_parity
from runtime.verdicts import ParityReport


def command(
    file: Annotated[Path, typer.Argument(help="An artifact such as rrin.onnx.")],
    golden: Annotated[
        Path | None,
        typer.Option(help="The golden file to judge by; by default the one beside the artifact."),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Compare live with PyTorch on this checkpoint, stage by stage."),
    ] = None,
    sizes: Annotated[
        list[str] | None,
        typer.Option(
            "--size", help="Frame size for --checkpoint; repeatable; default 448x256 and 500x300."
        ),
    ] = None,
    min_psnr: Annotated[
        float | None,
        typer.Option(help="Least PSNR of a frame, dB, instead of the limit derived.", min=0),
    ] = None,
    max_error: Annotated[
        float | None,
        typer.Option(
            help="Largest error of a value, of the full range 1, instead of the limit derived.",
            min=0,
        ),
    ] = None,
    as_json: AsJson = False,
    backend: Backend = None,
    device: Device = None,
    threads: Threads = None,
    providers: Providers = None,
    trusted: Trust = False,
) -> None:
    """Check an artifact against the PyTorch reference; exit code 1 if it is too far away.

    Without a checkpoint the expected outputs come from the golden file beside the artifact, and
    torch is not needed. The limits follow from PyTorch's own float32 error, for fp16 and int8 from
    what the artifact measured when it was built. Exit code 3 means that this machine cannot run the
    artifact. With --json every verdict is JSON, also where there is none but an error.

    Example: `rrin-deploy parity rrin.onnx --checkpoint pretrained_model.pth.tar --size 640x360`
    """
    with document(as_json) as give:
        give({"passed": False})
        if sizes and checkpoint is None:
            raise typer.BadParameter("--size needs --checkpoint; a golden file has its own sizes")
        if golden and checkpoint:
            raise typer.BadParameter("--golden and --checkpoint are two references; give one")
        chosen = [parse_size(size) for size in sizes or ("448x256", "500x300")]
        limits: dict[str, Any] = {"max_error": max_error, "min_psnr": min_psnr}
        where: dict[str, Any] = {
            "backend": backend, "device": device, "threads": threads, "providers": providers,
            "trusted": trusted,
        }  # fmt: skip
        stages: list[dict[str, Any]] = []
        notes: list[str] = []
        if checkpoint is None:
            report = check_parity(file, golden, **limits, **where)
        else:
            with waiting("running PyTorch"):
                from export import compare

                live = compare(file, checkpoint, chosen, **limits, **where)
                report, notes = live.report, live.notes
                stages = [asdict(stage) for stage in live.stages]
        give({**report.to_dict(), "stages": stages, "notes": notes})
        _print(report, stages)
        for note in notes:
            say(f"note: {note}")
        raise typer.Exit(0 if report.passed else 1)


def _print(report: ParityReport, stages: list[dict[str, Any]]) -> None:
    say(f" ({report.precision}, {report.io}) in {report.backend}", subject=report.artifact)
    say(f"against {report.reference}; errors in units of the full range")
    rows = table("size", "t", "max error", "limit", "PSNR", "limit", "equal", "verdict")
    for case in report.cases:
        rows.add_row(
            f"{case.width}x{case.height}",
            f"{case.t:.3g}",
            f"{case.max_abs_error:.1e}" if not case.not_finite else "NaN",
            f"{case.limits.max_abs_error:.1e}",
            "equal" if case.psnr_db is None else f"{case.psnr_db:.1f} dB",
            f"{case.limits.min_psnr_db:.1f} dB",
            f"{case.equal_share:.3%}",
            "pass" if case.passed else Text("FAIL", "bold red"),
        )
    out.print(rows)
    if stages:
        rows = table("stage", "size", "max error", "mean error", "largest value", "unit")
        for stage in stages:
            rows.add_row(
                stage["stage"],
                f"{stage['width']}x{stage['height']}",
                f"{stage['max_abs_error']:.2e}" if not stage["not_finite"] else "NaN",
                f"{stage['mean_abs_error']:.2e}",
                f"{stage['largest']:.3g}",
                "pixels" if stage["stage"] == "flow" else "full range",
            )
        out.print(rows)
    say(f"parity: {'pass' if report.passed else 'FAIL'} (limits: {report.limits_from})")
