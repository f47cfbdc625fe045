"""A graph compiled into a TensorRT plan, and what the plan's manifest says of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.census import take_census
from engines.configuration import BuildOptions, Progress, asked_of, configure, timings_of
from engines.flavours import Flavour
from engines.memory import context_bytes
from runtime.errors import BackendError, RrinError
from runtime.manifest import Manifest, Planes, Profile
from runtime.metadata import Metadata
from runtime.signals import signals_held


class BuildError(RrinError, RuntimeError):
    """TensorRT did not build the engine; the message holds what it said."""


@dataclass(frozen=True)
class Task:
    """What is to be compiled, and for what.

    Attributes:
        model: the file that the graph was made of.
        onnx_sha256: of that file.
        proto: the graph, an ONNX file.
        metadata: of the graph.
        flavour, capabilities: the TensorRT, and the GPUs that the plan is for.
        profile: what frames it will take.
        planes: None for a graph of our own runtime's; else see `Manifest.planes`.
    """

    model: Path
    onnx_sha256: str
    proto: bytes
    metadata: Metadata
    flavour: Flavour
    capabilities: tuple[int, ...]
    profile: Profile
    planes: Planes | None = None


@dataclass(frozen=True)
class Compiled:
    """What TensorRT made of a task.

    Attributes:
        plan: the engine file's content.
        census: for each type, how many U-Net convolutions asked for it.
        context_bytes: see `Manifest`.
        timings: the timing cache's content; empty where none was asked for.
    """

    plan: bytes
    census: dict[str, int]
    context_bytes: int | None
    timings: bytes


def compile_plan(task: Task, options: BuildOptions, progress: Progress | None) -> Compiled:
    """Compile a graph.

    Raises:
        BackendError: this TensorRT cannot build here.
        BuildError, CensusError: it refused the graph or read it otherwise.
        ArtifactError: the timing cache is of another GPU or TensorRT.
    """
    flavour = task.flavour
    log = _logger(flavour.trt)
    with signals_held() as stopped:

        def go_on(phase: str, step: int, steps: int) -> bool:
            if progress:
                progress(phase, step, steps)
            return not stopped()

        builder, network = _parse(flavour, log, task.proto)
        census = take_census(flavour.trt, network, task.metadata)
        shapes = shapes_of(task.profile, task.planes)
        config = configure(flavour, builder, options, task.capabilities, shapes, go_on)
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        limit = options.workspace_mib
        hint = f"; allowed were {limit} MiB, workspace_mib allows more" if limit else ""
        raise BuildError(
            f"{task.model}: {flavour.target} {flavour.version} built nothing: {log.last}{hint}"
        )
    plan = bytes(plan)
    timings = timings_of(config) if options.timing_cache else b""
    return Compiled(plan, census, context_bytes(flavour, plan, log), timings)


def manifest_of(task: Task, compiled: Compiled, options: BuildOptions, seconds: float) -> Manifest:
    """Return what lies beside an engine that took so many seconds to build."""
    return Manifest(
        metadata=task.metadata,
        profile=task.profile,
        planes=task.planes,
        census=compiled.census,
        compute_capabilities=task.capabilities,
        plan_sha256=hashlib.sha256(compiled.plan).hexdigest(),
        onnx_sha256=task.onnx_sha256,
        context_bytes=compiled.context_bytes,
        seconds=round(seconds, 3),
        **asked_of(task.flavour, options),
    )


def shapes_of(profile: Profile, planes: Planes | None) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Return of each input the smallest shape, the one to be fastest on, and the largest."""
    sizes = profile.min_size, profile.opt_size, profile.max_size
    if planes:
        return {"input": tuple((1, planes[0], height, width) for width, height in sizes)}
    frames = tuple((1, height, width, 3) for width, height in sizes)
    return {"frame0": frames, "frame1": frames, "t": ((1,), (1,), (profile.max_times,))}


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
