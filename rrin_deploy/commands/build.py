"""`rrin-deploy build`"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rrin_deploy.console import errors, parse_size, say, step_progress
from runtime.metadata import Precision

if TYPE_CHECKING:
    from engines import BuildReport
    from engines.portable import OnnxTarget
    from engines.proof import Proof

_MAX_TIMES = 1


def command(
    model: Annotated[Path, typer.Argument(help="A file of rrin-deploy export.")] = Path(
        "rrin.onnx"
    ),
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The file; by default rrin.fp16.engine, rrin.rtx.fp16.engine or so.",
        ),
    ] = None,
    fp16: Annotated[
        bool, typer.Option("--fp16", help="The U-Nets in half, all else in float32; the default.")
    ] = False,
    fp32: Annotated[bool, typer.Option("--fp32", help="Everything in float32.")] = False,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8", help="The U-Nets' convolutions in INT8; needs rrin-deploy calibrate."
        ),
    ] = False,
    ranges: Annotated[
        Path | None,
        typer.Option(help="INT8: the file of rrin-deploy calibrate; by default beside the model."),
    ] = None,
    golden: Annotated[
        Path | None,
        typer.Option(help="The model's golden file, of export; by default beside the model."),
    ] = None,
    target: Annotated[
        Literal["tensorrt", "rtx", "onnxruntime", "openvino"] | None,
        typer.Option(
            help="TensorRT builds for the GPU here, TensorRT-RTX for any, without one; onnxruntime "
            "and openvino write an ONNX file for ONNX Runtime's CPU or OpenVINO provider. By "
            "default TensorRT where it is installed, else RTX."
        ),
    ] = None,
    sm: Annotated[
        list[int] | None,
        typer.Option(
            help="RTX: compute capability to compile for; repeatable; by default 86 89 120."
        ),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(
            help="The one frame size that the engine will take, 1280x720: its kernels are chosen "
            "for it when it is built, and it takes no memory for larger frames. For a stream."
        ),
    ] = None,
    min_shape: Annotated[
        str | None, typer.Option(help="Smallest frames; by default 32x32.")
    ] = None,
    opt_shape: Annotated[
        str | None,
        typer.Option(help="Frames to be fastest on; by default 1280x720, or the largest."),
    ] = None,
    max_shape: Annotated[
        str | None, typer.Option(help="Largest frames; by default 1920x1088.")
    ] = None,
    max_times: Annotated[
        int, typer.Option(help="Most times in one run; GPU memory grows with them.", min=1)
    ] = _MAX_TIMES,
    workspace: Annotated[
        int | None,
        typer.Option(
            help="MiB of scratch memory for a kernel; RTX: of a context, or the build fails.", min=1
        ),
    ] = None,
    optimization_level: Annotated[
        int | None, typer.Option(help="How hard TensorRT tries.", min=0, max=5)
    ] = None,
    timing_cache: Annotated[
        Path | None, typer.Option(help="TensorRT: kernel timings, kept between builds.")
    ] = None,
    version_compatible: Annotated[
        bool,
        typer.Option(
            "--version-compatible",
            help="TensorRT: for later versions too; it then holds code, see --trust.",
        ),
    ] = False,
    hardware_compatible: Annotated[
        bool, typer.Option("--hardware-compatible", help="TensorRT: for any GPU from Ampere on.")
    ] = False,
    keep_onnx: Annotated[
        bool, typer.Option("--keep-onnx", help="Also write the graph as it was compiled.")
    ] = False,
) -> None:
    """Compile an ONNX file into a TensorRT engine, with its manifest beside it.

    Sizes are those of frames; they are rounded up to multiples of 32. With `--target onnxruntime`
    or `openvino` an ONNX file in the precision asked for is written instead, for any size.
    Beside either goes its own golden file: how far its graph is from PyTorch, measured on the CPU,
    to which `parity` holds it. Exit code 1 if it runs here and does not keep to that.

    Example: `rrin-deploy build rrin.onnx --fp16 --target rtx --sm 89 --shape 1280x720`
    """
    if fp16 + fp32 + int8 > 1:
        raise typer.BadParameter("--fp16, --fp32 and --int8 exclude each other")
    if ranges and not int8:
        raise typer.BadParameter("--ranges is for --int8")
    precision: Precision = "fp32" if fp32 else "int8" if int8 else "fp16"
    if target == "onnxruntime" or target == "openvino":
        of_engines = (sm, shape, min_shape, opt_shape, max_shape, workspace, optimization_level,
                      timing_cache, version_compatible, hardware_compatible, keep_onnx)  # fmt: skip
        if any(of_engines) or max_times != _MAX_TIMES:
            raise typer.BadParameter("an ONNX file takes no more options than precision and ranges")
        _build_onnx(model, output, precision, target, ranges, golden)
        return
    if shape and (min_shape or opt_shape or max_shape):
        raise typer.BadParameter("--shape is the one size; leave out --min-, --opt-, --max-shape")
    smallest = parse_size(shape or min_shape or "32x32")
    largest = parse_size(shape or max_shape or "1920x1088")
    width, height = parse_size(shape or opt_shape or "1280x720")
    best = (width, height) if opt_shape else (min(width, largest[0]), min(height, largest[1]))
    with step_progress("importing TensorRT") as progress:
        from engines import BuildOptions, build

        report = build(
            model,
            output,
            precision=precision,
            ranges=ranges,
            golden=golden,
            options=BuildOptions(
                target=target,
                compute_capabilities=tuple(sm or ()),
                min_size=smallest,
                opt_size=best,
                max_size=largest,
                max_times=max_times,
                workspace_mib=workspace,
                optimization_level=optimization_level,
                timing_cache=timing_cache,
                version_compatible=version_compatible,
                hardware_compatible=hardware_compatible,
            ),
            keep_onnx=keep_onnx,
            progress=progress,
        )
    _tell_engine(report)
    _tell(report.proof)


def _tell_engine(report: BuildReport) -> None:
    """Print what an engine is, and a note where it may be too large for the GPUs it is for."""
    from engines.memory import too_small

    about = report.manifest
    gpus = ", ".join(f"SM{capability}" for capability in about.compute_capabilities)
    say(
        f": {report.size_bytes / 1e6:.1f} MB, {about.target} {about.version} for {gpus}; "
        f"U-Net convolutions {_listed(about.census)}; "
        f"{about.profile.sizes}, {_at_once(about.profile.max_times)}; "
        + (f"{about.context_bytes / 1e9:.2f} GB a context; " if about.context_bytes else "")
        + f"{about.seconds:.1f} s",
        subject=report.engine,
    )
    if report.kept_onnx:
        say(": the graph as it was compiled", subject=report.kept_onnx)
    if about.target == "rtx" and about.metadata.precision == "int8":
        say(
            "note: TensorRT-RTX fuses no INT8 convolution with what follows, so that INT8 reads "
            "and writes half as much again as FP16: --fp16 is recommended for it"
        )
    needed = report.size_bytes + (about.context_bytes or 0)
    if small := too_small(about.compute_capabilities, needed):
        say(
            f"note: a call or stream takes {needed / 1e9:.1f} GB of GPU memory, and {small}: build "
            "for less with --max-times or --max-shape"
        )


def _build_onnx(
    model: Path,
    output: Path | None,
    precision: Precision,
    target: OnnxTarget,
    ranges: Path | None,
    golden: Path | None,
) -> None:
    from engines import build_onnx

    with errors.status("writing the graph, and measuring it"):
        report = build_onnx(
            model, output, precision=precision, target=target, ranges=ranges, golden=golden
        )
    runtime = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}[report.target]
    say(
        f": {report.size_bytes / 1e6:.1f} MB for {runtime}; U-Net convolutions "
        f"{_listed(report.census)}",
        subject=report.path,
    )
    _tell(report.proof)


def _tell(proof: Proof) -> None:
    """Print how far the artifact is from PyTorch; exit if it is not what it should be."""
    if proof.graph:
        cases = proof.graph.cases
        psnrs = [case.psnr_db for case in cases if case.psnr_db is not None]
        say(
            f": its graph is within {max(case.max_abs_error for case in cases):.1e} of PyTorch, "
            + (f"{min(psnrs):.1f} dB at least" if psnrs else "equal to it"),
            subject=proof.golden,
        )
        if not proof.graph.passed:
            worst = proof.graph.worst.limits
            say(
                f"note: that is more than {proof.graph.precision} costs usual weights "
                f"({worst.max_abs_error:.1e}, {worst.min_psnr_db:.1f} dB): look at its frames; "
                "calibration on too little can be why"
            )
    if proof.missing:
        say(f"note: {proof.missing}")
    if proof.artifact:
        say(f"parity in {proof.artifact.backend}: {'FAIL' if proof.failed else 'pass'}")
    if proof.failed:
        raise typer.Exit(1)


def _at_once(times: int) -> str:
    return "one time a run" if times == 1 else f"up to {times} times a run"


def _listed(census: Mapping[str, int]) -> str:
    return ", ".join(f"{count} in {kind}" for kind, count in census.items())
