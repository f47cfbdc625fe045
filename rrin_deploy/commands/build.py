"""`rrin-deploy build`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from rrin_deploy.budget import fit
from rrin_deploy.builds import facts_of, tell_engine, tell_onnx, tell_proof, tell_vs_mlrt
from rrin_deploy.console import parse_size
from rrin_deploy.progress import ProgressAs, progress_as, step_progress, waiting
from rrin_deploy.results import FORMAT, AsJson, document
from rrin_deploy.triplets import Middlebury, Triplets, Ucf101, Vimeo90K, chosen_triplets
from runtime.metadata import Precision
from runtime.publishing import Publication

_MAX_TIMES = 1
_SAMPLES = 100


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
    bf16: Annotated[
        bool,
        typer.Option(
            "--bf16",
            help="The U-Nets in bfloat16, for --target openvino; runs on CPUs alone that have it: "
            "see rrin-deploy doctor.",
        ),
    ] = False,
    ranges: Annotated[
        Path | None,
        typer.Option(help="INT8: the file of rrin-deploy calibrate; by default beside the model."),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            help="INT8: dB of PSNR that frames may lose, as 0.02. What each block costs is "
            "measured on one of the data sets below, and as few as need be stay in float.",
            min=0,
        ),
    ] = None,
    vimeo90k: Vimeo90K = None,
    ucf101: Ucf101 = None,
    middlebury: Middlebury = None,
    triplets: Triplets = None,
    samples: Annotated[
        int | None,
        typer.Option(
            help=f"For --max-drop: so many triplets, evenly spread over the list; by default "
            f"{_SAMPLES}. Each is run 40 to 100 times.",
            min=2,
        ),
    ] = None,
    golden: Annotated[
        Path | None,
        typer.Option(help="The model's golden file, of export; by default beside the model."),
    ] = None,
    target: Annotated[
        Literal["tensorrt", "rtx", "onnxruntime", "openvino", "vs-mlrt", "vs-mlrt-rtx"] | None,
        typer.Option(
            help="TensorRT builds for the GPU here, TensorRT-RTX for any, without one; onnxruntime "
            "and openvino write an ONNX file for ONNX Runtime's CPU or OpenVINO provider, vs-mlrt "
            "one for VapourSynth's plugins ort and ov, vs-mlrt-rtx an engine for its trt_rtx. By "
            "default TensorRT where it is installed, else RTX."
        ),
    ] = None,
    factor: Annotated[
        int | None,
        typer.Option(
            help="vs-mlrt: make all frames between two at once, for this factor alone; by default "
            "one, at any time.",
            min=2,
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
    as_json: AsJson = False,
    progress: ProgressAs = "bar",
) -> None:
    """Compile an ONNX file into a TensorRT engine, with its manifest beside it.

    Sizes are those of frames; they are rounded up to multiples of 32. With `--target onnxruntime`
    or `openvino` an ONNX file in the precision asked for is written instead, for any size; with
    `--target vs-mlrt` one in the form that VapourSynth's plugins take, and with `vs-mlrt-rtx` an
    engine of that form, whose sizes are not rounded; `parity` cannot run these two. Beside each of
    the others goes its own golden file: how far its graph is from PyTorch, measured on the CPU, to
    which `parity` holds it. Exit code 1 if it runs here and does not keep to that.

    Examples:

    - `rrin-deploy build rrin.onnx --int8 --max-drop 0.02 --triplets DIR`
    - `rrin-deploy build rrin.onnx --fp16 --target rtx --sm 89 --shape 1280x720`
    """
    with document(as_json) as give, progress_as(progress):
        give({"format": FORMAT})
        if fp16 + fp32 + bf16 + int8 > 1:
            raise typer.BadParameter("--fp16, --fp32, --bf16 and --int8 exclude each other")
        if bf16 and target != "openvino":
            raise typer.BadParameter("--bf16 is for --target openvino")
        if ranges and not int8:
            raise typer.BadParameter("--ranges is for --int8")
        if max_drop is not None and not int8:
            raise typer.BadParameter("--max-drop is for --int8")
        if max_drop is None and any((vimeo90k, ucf101, middlebury, triplets, samples)):
            raise typer.BadParameter("triplets are for --max-drop, which is not given")
        precision: Precision = "fp32" if fp32 else "bf16" if bf16 else "int8" if int8 else "fp16"
        if factor and target not in ("vs-mlrt", "vs-mlrt-rtx"):
            raise typer.BadParameter("--factor is for --target vs-mlrt and vs-mlrt-rtx")
        onnx_target = engine_target = None
        if target == "onnxruntime" or target == "openvino":
            onnx_target = target
        elif target == "vs-mlrt-rtx":
            engine_target = "rtx"
        elif target != "vs-mlrt":
            engine_target = target
        of_engines = (sm, shape, min_shape, opt_shape, max_shape, workspace, optimization_level,
                      timing_cache, version_compatible, hardware_compatible, keep_onnx)  # fmt: skip
        if (onnx_target or target == "vs-mlrt") and (any(of_engines) or max_times != _MAX_TIMES):
            raise typer.BadParameter("an ONNX file takes no more options than precision and ranges")
        smallest, best, largest = _sizes(shape, min_shape, opt_shape, max_shape)
        asked: dict[str, Any] = {
            "target": engine_target,
            "compute_capabilities": tuple(sm or ()),
            "min_size": smallest,
            "opt_size": best,
            "max_size": largest,
            "max_times": max_times,
            "workspace_mib": workspace,
            "optimization_level": optimization_level,
            "timing_cache": timing_cache,
            "version_compatible": version_compatible,
            "hardware_compatible": hardware_compatible,
        }
        if target == "vs-mlrt" or target == "vs-mlrt-rtx":
            if keep_onnx:
                raise typer.BadParameter("--keep-onnx: --target vs-mlrt writes that graph")
            engine = None if target == "vs-mlrt" else asked
            give(_written_for_vs_mlrt(model, output, precision, factor, golden, engine))
            return
        budget = None
        if max_drop is not None:
            chosen = chosen_triplets(
                vimeo90k, ucf101, middlebury, triplets, samples=samples or _SAMPLES
            )
            if output:
                Publication(output)  # what could not be written is refused before the work
            budget = fit(max_drop, model, chosen, onnx_target or "tensorrt", ranges)
        kept_float = budget.kept_float if budget else ()
        if onnx_target:
            from engines import build_onnx

            with waiting("writing the graph, and measuring it"):
                file = build_onnx(
                    model,
                    output,
                    precision=precision,
                    target=onnx_target,
                    ranges=ranges,
                    kept_float=kept_float,
                    golden=golden,
                )
            give(facts_of(file, precision, budget))
            tell_onnx(file)
            tell_proof(file.proof)
            return
        with step_progress("importing TensorRT") as shown:
            from engines import BuildOptions, build

            report = build(
                model,
                output,
                precision=precision,
                ranges=ranges,
                kept_float=kept_float,
                golden=golden,
                options=BuildOptions(**asked),
                keep_onnx=keep_onnx,
                progress=shown,
            )
        give(facts_of(report, precision, budget))
        tell_engine(report)
        tell_proof(report.proof)


def _written_for_vs_mlrt(
    model: Path,
    output: Path | None,
    precision: Precision,
    factor: int | None,
    golden: Path | None,
    engine: dict[str, Any] | None,
) -> dict[str, Any]:
    if precision != "fp32" and precision != "fp16":
        raise typer.BadParameter(f"--target vs-mlrt takes --fp32 or --fp16, not --{precision}")
    with step_progress("writing the graph, and measuring it") as shown:
        from engines import BuildOptions, build_vs_mlrt

        made = build_vs_mlrt(
            model,
            output,
            precision=precision,
            factor=factor,
            golden=golden,
            options=BuildOptions(**engine) if engine else None,
            progress=shown,
        )
    tell_vs_mlrt(made)
    return facts_of(made, precision)


def _sizes(
    shape: str | None, least: str | None, best: str | None, most: str | None
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Return the smallest frames, those to be fastest on, and the largest, by what is asked for."""
    if shape and (least or best or most):
        raise typer.BadParameter("--shape is the one size; leave out --min-, --opt-, --max-shape")
    largest = parse_size(shape or most or "1920x1088")
    width, height = parse_size(shape or best or "1280x720")
    fastest = (width, height) if best else (min(width, largest[0]), min(height, largest[1]))
    return parse_size(shape or least or "32x32"), fastest, largest
