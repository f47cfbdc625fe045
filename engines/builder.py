"""Compiling an ONNX file into a TensorRT engine, for TensorRT 10, 11 and TensorRT-RTX alike."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import onnx_ir as ir

from engines.census import take_census
from engines.configuration import (
    BuildOptions,
    Progress,
    asked_of,
    check_for_target,
    configure,
    profile_of,
    timings_of,
)
from engines.flavours import Flavour, load_flavour
from engines.memory import context_bytes
from engines.proof import Proof, find_golden, measure, output_of
from precision.conversion import load_with_precision
from runtime.errors import BackendError, OptionError, RrinError
from runtime.golden import Golden
from runtime.manifest import ENGINE_SUFFIX, Manifest, Profile, Target, manifest_path
from runtime.metadata import Metadata, Precision
from runtime.options import check_choice, check_path
from runtime.publishing import Publication
from runtime.signals import signals_held

_ENDINGS: dict[Target, str] = {
    "tensorrt": f".%s{ENGINE_SUFFIX}",
    "rtx": f".rtx.%s{ENGINE_SUFFIX}",
}


class BuildError(RrinError, RuntimeError):
    """TensorRT did not build the engine; the message holds what it said."""


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

    measurement = measure(job.proto, job.metadata, job.golden, job.model)
    compiled = _compile(job, options, progress)
    manifest = Manifest(
        metadata=job.metadata,
        profile=job.profile,
        census=compiled.census,
        compute_capabilities=job.capabilities,
        plan_sha256=hashlib.sha256(compiled.plan).hexdigest(),
        onnx_sha256=job.onnx_sha256,
        context_bytes=compiled.context_bytes,
        seconds=round(time.perf_counter() - started, 3),
        **asked_of(job.flavour, options),
    )
    rest = [job.proto] if kept else []
    measurement.publish(target, compiled.plan, manifest.to_bytes(), *rest)
    if timings:
        timings.write(compiled.timings)
    proof = measurement.prove(job.engine)
    return BuildReport(job.engine, len(compiled.plan), manifest, kept, proof)


@dataclass(frozen=True)
class _Job:
    """What is to be compiled, from what and to what."""

    model: Path
    onnx_sha256: str
    engine: Path
    flavour: Flavour
    capabilities: tuple[int, ...]
    profile: Profile
    metadata: Metadata
    proto: bytes
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
    return _Job(
        model=model,
        onnx_sha256=hashlib.sha256(model.read_bytes()).hexdigest(),
        engine=engine,
        flavour=flavour,
        capabilities=flavour.capabilities(options.compute_capabilities) or _here(),
        profile=profile_of(options),
        metadata=metadata,
        proto=ir.to_proto(graph).SerializeToString(),
        golden=find_golden(model, Path(golden) if golden else None, engine, metadata),
    )


@dataclass(frozen=True)
class _Compiled:
    plan: bytes
    census: dict[str, int]
    context_bytes: int | None
    timings: bytes


def _compile(job: _Job, options: BuildOptions, progress: Progress | None) -> _Compiled:
    flavour = job.flavour
    log = _logger(flavour.trt)
    with signals_held() as stopped:

        def go_on(phase: str, step: int, steps: int) -> bool:
            if progress:
                progress(phase, step, steps)
            return not stopped()

        builder, network = _parse(flavour, log, job.proto)
        census = take_census(flavour.trt, network, job.metadata)
        config = configure(flavour, builder, options, job.capabilities, job.profile, go_on)
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        limit = options.workspace_mib
        hint = f"; allowed were {limit} MiB, workspace_mib allows more" if limit else ""
        raise BuildError(
            f"{job.model}: {flavour.target} {flavour.version} built nothing: {log.last}{hint}"
        )
    plan = bytes(plan)
    timings = timings_of(config) if options.timing_cache else b""
    return _Compiled(plan, census, context_bytes(flavour, plan, log), timings)


def _logger(trt: Any) -> Any:
    class Log(trt.ILogger):  # type: ignore[misc]
        """Keeps the last error for the message; the rest is noise to a person."""

        def __init__(self) -> None:
            super().__init__()
            self.last = "it gave no reason"

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.last = message

    return Log()


def _parse(flavour: Flavour, log: Any, proto: bytes) -> tuple[Any, Any]:
    trt = flavour.trt
    try:
        builder = trt.Builder(log)
    except (RuntimeError, TypeError) as error:
        raise BackendError(
            f"{flavour.target} {flavour.version} cannot build here ({log.last}); it needs a "
            "working NVIDIA GPU and driver; TensorRT-RTX builds without one",
            remedy=("target", "rtx"),
        ) from error
    network = builder.create_network(flavour.network_flags)
    parser = trt.OnnxParser(network, log)
    if not parser.parse(proto):
        reason = parser.get_error(0).desc() if parser.num_errors else log.last
        raise BuildError(f"{flavour.target} {flavour.version} cannot parse the graph: {reason}")
    return builder, network


def _here() -> tuple[int, ...]:
    """Return the compute capability of the GPU here, which TensorRT builds on."""
    from runtime.device import compute_capability

    return (compute_capability(0),)
