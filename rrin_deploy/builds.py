"""What `rrin-deploy build` says of what it made, to people and to programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rrin_deploy.console import say
from rrin_deploy.results import FORMAT

if TYPE_CHECKING:
    from calibration import Budget
    from engines import BuildReport, OnnxReport, Proof, VsReport
    from runtime import ParityReport
    from runtime.manifest import Manifest
    from runtime.metadata import Precision


def facts_of(
    report: BuildReport | OnnxReport | VsReport, precision: Precision, budget: Budget | None = None
) -> dict[str, Any]:
    """Return what was made, for programs."""
    from engines import BuildReport, VsReport

    facts: dict[str, Any] = {
        "format": FORMAT,
        "precision": precision,
        "size_bytes": report.size_bytes,
    }
    if isinstance(report, BuildReport):
        about = report.manifest
        facts |= {
            "output": report.engine,
            "target": about.target,
            "census": about.census,
            "proof": _proof(report.proof),
            "manifest": asdict(about),
            "kept_onnx": report.kept_onnx,
        }
    else:
        facts |= {"output": report.path, "census": report.census}
        if isinstance(report, VsReport):
            proof = {"graph": _verdict(report.graph), "missing": report.missing}
            facts |= {
                "target": "vs-mlrt-rtx" if report.manifest else "vs-mlrt",
                "factor": report.factor,
                "proof": proof,
                "manifest": asdict(report.manifest) if report.manifest else None,
            }
        else:
            facts |= {"target": report.target, "proof": _proof(report.proof)}
    return facts | ({"budget": asdict(budget)} if budget else {})


def _proof(proof: Proof) -> dict[str, Any]:
    return {
        "golden": proof.golden,
        "graph": _verdict(proof.graph),
        "artifact": _verdict(proof.artifact),
        "missing": proof.missing,
    }


def _verdict(report: ParityReport | None) -> dict[str, Any] | None:
    return report.to_dict() if report else None


def tell_engine(report: BuildReport) -> None:
    """Print what an engine is, and a note where it may be too large for the GPUs it is for."""
    _tell_plan(report.engine, report.size_bytes, report.manifest)
    if report.kept_onnx:
        say(": the graph as it was compiled", subject=report.kept_onnx)
    if report.manifest.target == "rtx" and report.manifest.metadata.precision == "int8":
        say(
            "note: TensorRT-RTX fuses no INT8 convolution with what follows, so that INT8 reads "
            "and writes half as much again as FP16: --fp16 is recommended for it"
        )


def _tell_plan(engine: Path, size_bytes: int, about: Manifest) -> None:
    from engines.memory import too_small

    gpus = ", ".join(f"SM{capability}" for capability in about.compute_capabilities)
    say(
        f": {size_bytes / 1e6:.1f} MB, {about.target} {about.version} for {gpus}; "
        f"U-Net convolutions {_listed(about.census)}; "
        f"{about.profile.sizes}, {_at_once(about.profile.max_times)}; "
        + (f"{about.context_bytes / 1e9:.2f} GB a context; " if about.context_bytes else "")
        + f"{about.seconds:.1f} s",
        subject=engine,
    )
    needed = size_bytes + (about.context_bytes or 0)
    if small := too_small(about.compute_capabilities, needed):
        less = "--max-shape" if about.planes else "--max-times or --max-shape"
        say(
            f"note: a call or stream takes {needed / 1e9:.1f} GB of GPU memory, and {small}: build "
            f"for less with {less}"
        )


def tell_onnx(report: OnnxReport) -> None:
    """Print what an ONNX file is."""
    runtime = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}[report.target]
    say(
        f": {report.size_bytes / 1e6:.1f} MB for {runtime}; U-Net convolutions "
        f"{_listed(report.census)}",
        subject=report.path,
    )


def tell_vs_mlrt(report: VsReport) -> None:
    """Print what vs-mlrt is given, and how far its graph is from PyTorch."""
    form = (
        f"6 channels in, the {report.factor - 1} frames between out"
        if report.factor
        else "7 channels in, the frame at any time out"
    )
    if report.manifest:
        _tell_plan(report.path, report.size_bytes, report.manifest)
        say(f": for vs-mlrt, {form}", subject=report.path)
    else:
        say(
            f": {report.size_bytes / 1e6:.1f} MB for vs-mlrt, {form}; U-Net convolutions "
            f"{_listed(report.census)}",
            subject=report.path,
        )
    if report.graph:
        tell_graph(report.graph, report.path)
    if report.missing:
        say(f"note: {report.missing}")


def tell_proof(proof: Proof) -> None:
    """Print how far the artifact is from PyTorch; exit if it is not what it should be."""
    if proof.graph and proof.golden:
        tell_graph(proof.graph, proof.golden)
    if proof.missing:
        say(f"note: {proof.missing}")
    if proof.artifact:
        say(f"parity in {proof.artifact.backend}: {'FAIL' if proof.failed else 'pass'}")
    if proof.failed:
        raise typer.Exit(1)


def tell_graph(report: ParityReport, subject: Path) -> None:
    """Print how far a graph is from PyTorch, and a note where that is much for its precision."""
    psnrs = [case.psnr_db for case in report.cases if case.psnr_db is not None]
    say(
        f": its graph is within {max(case.max_abs_error for case in report.cases):.1e} of PyTorch, "
        + (f"{min(psnrs):.1f} dB at least" if psnrs else "equal to it"),
        subject=subject,
    )
    if not report.passed:
        worst = report.worst.limits
        say(
            f"note: that is more than {report.precision} costs usual weights "
            f"({worst.max_abs_error:.1e}, {worst.min_psnr_db:.1f} dB): look at its frames; "
            "calibration on too little can be why"
        )


def _at_once(times: int) -> str:
    return "one time a run" if times == 1 else f"up to {times} times a run"


def _listed(census: Mapping[str, int]) -> str:
    return ", ".join(f"{count} in {kind}" for kind, count in census.items())
