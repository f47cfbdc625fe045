"""What vs-mlrt's plugins run in VapourSynth: an ONNX file, or an engine compiled of it."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import onnx
import onnx_ir as ir

from engines.compilation import Task, compile_plan, manifest_of
from engines.configuration import BuildOptions, Progress, asked_profile, check_for_target
from engines.flavours import Flavour, load_flavour
from engines.planar import planes_of, to_planar
from engines.portable import census_of
from engines.proof import find_golden, measure
from precision.conversion import load_with_precision
from runtime.errors import OptionError
from runtime.frames import MAX_TIMES
from runtime.manifest import ENGINE_SUFFIX, Manifest, manifest_path
from runtime.metadata import Metadata
from runtime.options import check_choice, check_path, check_whole
from runtime.publishing import Publication
from runtime.verdicts import ParityReport

VsPrecision = Literal["fp32", "fp16"]


@dataclass(frozen=True)
class VsReport:
    """What `build_vs_mlrt` wrote.

    Attributes:
        path, size_bytes: the ONNX file or engine.
        factor: as it was asked for.
        census: the U-Nets' convolutions by type.
        manifest: of an engine; None for an ONNX file.
        graph: what the graph, before it was put in this form, is beside PyTorch; None where it
            could not be measured.
        missing: why not; empty if it was.
    """

    path: Path
    size_bytes: int
    factor: int | None
    census: dict[str, int]
    manifest: Manifest | None
    graph: ParityReport | None
    missing: str


def build_vs_mlrt(
    model: str | Path = "rrin.onnx",
    output: str | Path | None = None,
    *,
    precision: VsPrecision = "fp16",
    factor: int | None = None,
    golden: str | Path | None = None,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
) -> VsReport:
    """Write what vs-mlrt's `Model` takes: an ONNX file, or an engine with its manifest beside it.

    Both forms have one input and one output, float32 [1, C, H, W] in [0, 1] of any size, and are
    typed inside, so that vs-mlrt is not to convert them (`fp16=False`, its default).

    Args:
        model: a float32 file that `rrin-deploy export` wrote.
        output: None puts it beside the model, as rrin.vs.fp16.onnx, rrin.vs.x4.fp16.onnx or
            rrin.vs.x4.rtx.fp16.engine.
        precision: of the U-Nets; all else stays float32.
        factor: None makes 7 channels, R0 G0 B0 R1 G1 B1 t, into the 3 of one frame, as RIFE's are:
            any time, and the flow anew for each. A factor makes 6 channels, without t, into 3 for
            each of the factor - 1 frames between: the flow is computed once for all of them.
        golden: the model's golden file; None takes the one beside it, where there is one.
        options: None writes an ONNX file, for ort and ov; else an engine is built as `build` does,
            for trt_rtx where the target is 'rtx'. Its sizes are those of clips, not rounded up, and
            the plugin has to have the TensorRT-RTX that built it.
        progress: called with the builder's phase, its step and number of steps.

    Raises:
        InputNotFoundError, ArtifactError: the model or its golden file is missing, damaged, not one
            of ours, or one of them is of another model.
        OutputError: see `Publication`.
        BackendError, BuildError, CensusError: no engine can be built, as `build` says.
        OptionError: another precision, a factor that is not from 2 to 1000, or `max_times`, which
            the factor says.
    """
    started = time.perf_counter()
    check_path("model", model, "rrin.onnx")
    check_choice("precision", precision, get_args(VsPrecision))
    if factor is not None:
        check_whole("factor", factor, 2, MAX_TIMES)
    model, flavour = Path(model), None
    if options:
        flavour = load_flavour(options.target)
        check_for_target(flavour, options)
        if options.max_times != 1:
            raise OptionError(
                f"max_times is {options.max_times}; leave it out, for here the factor says it"
            )
    output = _named(output, model, precision, factor, flavour)
    graph, metadata = load_with_precision(model, precision, None, "onnxruntime")
    metadata = replace(metadata, runtime="any")
    reference = find_golden(model, Path(golden) if golden else None, output, metadata)
    published = Publication(output, *([manifest_path(output)] if flavour else []))
    measured = measure(ir.to_proto(graph).SerializeToString(), metadata, reference, model)
    to_planar(graph, metadata, factor)
    proto = ir.to_proto(graph)
    onnx.checker.check_model(proto, full_check=True)
    content, manifest = proto.SerializeToString(), None
    if options and flavour:
        task = _task(model, content, metadata, factor, flavour, options)
        compiled = compile_plan(task, options, progress)
        manifest = manifest_of(task, compiled, options, time.perf_counter() - started)
        content = compiled.plan
    published.write(content, *([manifest.to_bytes()] if manifest else []))
    census = census_of(graph.graph)
    return VsReport(
        output, len(content), factor, census, manifest, measured.graph, measured.missing
    )


def _named(
    output: str | Path | None,
    model: Path,
    precision: VsPrecision,
    factor: int | None,
    flavour: Flavour | None,
) -> Path:
    """Return the file to write; OptionError where it would not be known by its name, or replace."""
    times = f".x{factor}" if factor else ""
    kind = ".rtx" if flavour and flavour.target == "rtx" else ""
    suffix = ENGINE_SUFFIX if flavour else ".onnx"
    file = Path(output or model.with_name(f"{model.stem}.vs{times}{kind}.{precision}{suffix}"))
    if file.suffix != suffix or file.resolve() == model.resolve():
        raise OptionError(f"{file}: give the new file another name, ending in {suffix}")
    return file


def _task(
    model: Path,
    content: bytes,
    metadata: Metadata,
    factor: int | None,
    flavour: Flavour,
    options: BuildOptions,
) -> Task:
    planes = planes_of(factor)
    return Task(
        model=model,
        onnx_sha256=hashlib.sha256(model.read_bytes()).hexdigest(),
        proto=content,
        metadata=metadata,
        flavour=flavour,
        capabilities=flavour.capabilities(options.compute_capabilities),
        profile=replace(asked_profile(options), max_times=planes[1] // 3),
        planes=planes,
    )
