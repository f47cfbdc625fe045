"""Compiling an ONNX file into a TensorRT engine, for TensorRT 10, 11 and TensorRT-RTX alike."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import onnx_ir as ir

from engines.compilation import Task, compile_plan, manifest_of
from engines.configuration import BuildOptions, Progress, check_for_target, profile_of
from engines.flavours import load_flavour
from engines.proof import Proof, find_golden, measure, output_of
from precision.conversion import load_with_precision
from runtime.errors import OptionError
from runtime.golden import Golden
from runtime.manifest import ENGINE_SUFFIX, Manifest, Target, manifest_path
from runtime.metadata import Precision
from runtime.options import check_choice, check_path
from runtime.publishing import Publication

_ENDINGS: dict[Target, str] = {
    "tensorrt": f".%s{ENGINE_SUFFIX}",
    "rtx": f".rtx.%s{ENGINE_SUFFIX}",
}


@dataclass(frozen=True)
class BuildReport:
    """What `build` wrote, and how far it is from PyTorch."""

    engine: Path
    size_bytes: int
    manifest: Manifest
    kept_onnx: Path | None
    proof: Proof


def build(
    model: str | Path = "rrin.onnx",
    output: str | Path | None = None,
    *,
    precision: Precision = "fp16",
    ranges: str | Path | None = None,
    kept_float: Collection[str] = (),
    golden: str | Path | None = None,
    options: BuildOptions | None = None,
    keep_onnx: bool = False,
    progress: Progress | None = None,
) -> BuildReport:
    """Compile an ONNX file into an engine with its manifest and its golden file beside it.

    Args:
        model: a float32 file that `rrin-deploy export` wrote.
        output: the engine; None puts it beside the model, as rrin.fp16.engine, or for TensorRT-RTX
            as rrin.rtx.fp16.engine.
        precision: of the U-Nets; all else stays float32. With int8, their convolutions.
        ranges: for int8, the ranges file; None takes the one beside the model.
        kept_float: for int8, blocks that are not quantized, such as Flow_L.down_path.0; see
            `calibration.fit_budget`.
        golden: the model's golden file; None takes the one beside it, where there is one.
        keep_onnx: also write the graph as it was compiled, as rrin.fp16.engine.onnx.
        progress: called with the builder's phase, its step and number of steps.

    Raises:
        InputNotFoundError, ArtifactError: the model, its ranges file or golden file is missing,
            damaged, not one of ours, or one of them is of another model.
        OutputError: see `Publication`.
        BackendError: no such TensorRT here, or it cannot build for that target.
        BuildError, CensusError: TensorRT refused the graph or read it otherwise.
        OptionError: another precision, block or name, or ranges or blocks without int8.
    """
    started = time.perf_counter()
    check_path("model", model, "rrin.onnx")
    check_choice("precision", precision, get_args(Precision))
    options = options or BuildOptions()
    job = _job(Path(model), output, precision, ranges, kept_float, golden, options)
    kept = job.engine.with_name(f"{job.engine.name}.onnx") if keep_onnx else None
    others = [manifest_path(job.engine), *([kept] if kept else [])]
    # Now, so that what could not be written is refused before the work.
    target = output_of(job.engine, *others, golden=job.golden)
    timings = Publication(options.timing_cache) if options.timing_cache else None

    measurement = measure(job.task.proto, job.task.metadata, job.golden, job.task.model)
    compiled = compile_plan(job.task, options, progress)
    manifest = manifest_of(job.task, compiled, options, time.perf_counter() - started)
    rest = [job.task.proto] if kept else []
    measurement.publish(target, compiled.plan, manifest.to_bytes(), *rest)
    if timings:
        timings.write(compiled.timings)
    proof = measurement.prove(job.engine)
    return BuildReport(job.engine, len(compiled.plan), manifest, kept, proof)


@dataclass(frozen=True)
class _Job:
    """What is to be compiled, to what, and what it will be held against."""

    task: Task
    engine: Path
    golden: Golden | None


def _job(
    model: Path,
    output: str | Path | None,
    precision: Precision,
    ranges: str | Path | None,
    kept_float: Collection[str],
    golden: str | Path | None,
    options: BuildOptions,
) -> _Job:
    """Read what a build needs and check all that can be before the work."""
    flavour = load_flavour(options.target)
    check_for_target(flavour, options)
    engine = Path(output or model.with_name(model.stem + _ENDINGS[flavour.target] % precision))
    if engine.suffix != ENGINE_SUFFIX:
        raise OptionError(f"{engine}: an engine is named *{ENGINE_SUFFIX}")
    graph, metadata = load_with_precision(
        model, precision, Path(ranges) if ranges else None, kept_float=kept_float
    )
    task = Task(
        model=model,
        onnx_sha256=hashlib.sha256(model.read_bytes()).hexdigest(),
        proto=ir.to_proto(graph).SerializeToString(),
        metadata=metadata,
        flavour=flavour,
        capabilities=flavour.capabilities(options.compute_capabilities),
        profile=profile_of(options),
    )
    return _Job(
        task, engine, find_golden(model, Path(golden) if golden else None, engine, metadata)
    )
