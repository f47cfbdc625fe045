"""Compiling an ONNX file into a TensorRT engine, for TensorRT 10, 11 and TensorRT-RTX alike."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from engines.census import take_census
from engines.flavours import Flavour, Target, load_flavour
from engines.precision import load_graph, with_precision
from runtime.errors import (
    ArtifactError,
    BackendError,
    InputNotFoundError,
    OptionError,
    RrinError,
)
from runtime.files import replacing
from runtime.manifest import ENGINE_SUFFIX, Manifest, Profile
from runtime.metadata import Precision

Progress = Callable[[str, int, int], None]
Size = tuple[int, int]


class BuildError(RrinError, RuntimeError):
    """TensorRT did not build the engine; the message holds what it said."""


@dataclass(frozen=True)
class BuildOptions:
    """How to build.

    Attributes:
        target: 'tensorrt' or 'rtx'; None takes TensorRT where it is installed, else RTX.
        compute_capabilities: RTX only: the GPUs to compile for, such as (86, 89); empty takes
            `RTX_CAPABILITIES`. TensorRT builds for the GPU here.
        min_size, opt_size, max_size: frame sizes (width, height), pixels; rounded up to the
            padding multiple.
        max_times: the most times that one call may have.
        workspace_mib: limit of the builder's scratch memory; None leaves it open.
        optimization_level: 0 to 5; None leaves TensorRT's own.
        timing_cache: TensorRT only: a file of kernel timings, kept and extended between builds.
        version_compatible: TensorRT only: later versions of the same major may load the engine.
        hardware_compatible: TensorRT only: any GPU from Ampere on may load it.
    """

    target: Target | None = None
    compute_capabilities: tuple[int, ...] = ()
    min_size: Size = (32, 32)
    opt_size: Size = (1280, 720)
    max_size: Size = (1920, 1088)
    max_times: int = 7
    workspace_mib: int | None = None
    optimization_level: int | None = None
    timing_cache: Path | None = None
    version_compatible: bool = False
    hardware_compatible: bool = False


@dataclass(frozen=True)
class BuildReport:
    """What `build` wrote."""

    engine: Path
    size_bytes: int
    manifest: Manifest
    kept_onnx: Path | None


def build(
    model: str | Path = "rrin.onnx",
    output: str | Path | None = None,
    *,
    precision: Precision = "fp16",
    options: BuildOptions | None = None,
    keep_onnx: bool = False,
    progress: Progress | None = None,
) -> BuildReport:
    """Compile an ONNX file into an engine with its manifest beside it.

    Args:
        model: a float32 file that `rrin-deploy export` wrote.
        output: the engine; None puts it beside the model, as rrin.fp16.engine.
        precision: of the U-Nets; all else stays float32.
        keep_onnx: also write the graph as it was compiled, as rrin.fp16.onnx.
        progress: called with the builder's phase, its step and number of steps.

    Raises:
        InputNotFoundError, ArtifactError: the model is missing, damaged or not one of ours.
        BackendError: no such TensorRT here, or it cannot build for that target.
        BuildError, CensusError: TensorRT refused the graph or read it otherwise.
    """
    started = time.perf_counter()
    options = options or BuildOptions()
    model = Path(model)
    output = Path(output or model.with_name(f"{model.stem}.{precision}{ENGINE_SUFFIX}"))
    if output.suffix != ENGINE_SUFFIX:
        raise ArtifactError(f"{output}: an engine is named *{ENGINE_SUFFIX}")
    kept = output.with_suffix(".onnx") if keep_onnx else None
    if kept and kept.resolve() == model.resolve():
        raise OptionError(f"{kept}: is the model as well; give the engine another name")
    if not output.resolve().parent.is_dir():
        raise InputNotFoundError(f"{output.parent}: no such folder; make it first")
    graph, metadata = with_precision(*load_graph(model), precision)
    profile = _profile(options, metadata.padding_multiple)
    flavour = load_flavour(options.target)
    capabilities = flavour.capabilities(options.compute_capabilities) or _here()
    _check_for_target(flavour, options)
    proto = ir.to_proto(graph).SerializeToString()

    log = _logger(flavour.trt)
    builder, network = _parse(flavour, log, proto)
    census = take_census(flavour.trt, network, metadata)
    config = _config(flavour, builder, options, capabilities, progress)
    config.add_optimization_profile(_optimization_profile(builder, profile))
    _load_timings(config, options)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BuildError(f"{model}: {flavour.target} {flavour.version} built nothing: {log.last}")
    content = bytes(plan)
    manifest = Manifest(
        target=flavour.target,
        version=flavour.version,
        compute_capabilities=capabilities,
        version_compatible=options.version_compatible,
        hardware_compatible=options.hardware_compatible,
        profile=profile,
        census=census,
        metadata=metadata,
        plan_sha256=hashlib.sha256(content).hexdigest(),
        onnx_sha256=hashlib.sha256(model.read_bytes()).hexdigest(),
        options={key: _plain(value) for key, value in asdict(options).items()},
        seconds=round(time.perf_counter() - started, 3),
    )
    if kept:
        with replacing(kept) as partial:
            partial.write_bytes(proto)
    with replacing(output) as partial:
        partial.write_bytes(content)
        manifest.save(output)
    _save_timings(config, options)
    return BuildReport(output, len(content), manifest, kept)


def _profile(options: BuildOptions, multiple: int) -> Profile:
    sizes = options.min_size, options.opt_size, options.max_size
    if not all(a <= b <= c for a, b, c in zip(*sizes, strict=True)) or min(options.min_size) < 1:
        shown = ", ".join(f"{width}x{height}" for width, height in sizes)
        raise OptionError(f"shapes {shown}; expected min, opt and max in growing order")
    if options.max_times < 1:
        raise OptionError(f"max times is {options.max_times}; expected 1 or more")
    lower, best, upper = (
        (-(-width // multiple) * multiple, -(-height // multiple) * multiple)
        for width, height in sizes
    )
    return Profile(lower, best, upper, options.max_times)


def _check_for_target(flavour: Flavour, options: BuildOptions) -> None:
    classic = options.version_compatible or options.hardware_compatible or options.timing_cache
    if flavour.target == "rtx" and classic:
        raise OptionError(
            "TensorRT-RTX has no timing cache and no version- or hardware-compatible engines; "
            "leave these options out, and name the GPUs with --sm"
        )


def _logger(trt: Any) -> Any:
    class Log(trt.ILogger):  # type: ignore[misc]
        """Keeps the last error for the message; the rest is noise to a person."""

        def __init__(self) -> None:
            super().__init__()
            self.last = "it gave no reason"

        def log(self, severity: Any, message: str) -> None:
            if severity in (self.ERROR, self.INTERNAL_ERROR):
                self.last = message

    return Log()


def _parse(flavour: Flavour, log: Any, proto: bytes) -> tuple[Any, Any]:
    trt = flavour.trt
    try:
        builder = trt.Builder(log)
    except (RuntimeError, TypeError) as error:
        raise BackendError(
            f"{flavour.target} {flavour.version} cannot build here ({log.last}); it needs a "
            "working NVIDIA GPU and driver; --target rtx builds without one"
        ) from error
    network = builder.create_network(flavour.network_flags)
    parser = trt.OnnxParser(network, log)
    if not parser.parse(proto):
        reason = parser.get_error(0).desc() if parser.num_errors else log.last
        raise BuildError(f"{flavour.target} {flavour.version} cannot parse the graph: {reason}")
    return builder, network


def _config(
    flavour: Flavour,
    builder: Any,
    options: BuildOptions,
    capabilities: tuple[int, ...],
    progress: Progress | None,
) -> Any:
    trt = flavour.trt
    config = builder.create_builder_config()
    # On from the start in every TensorRT: convolutions of 10 bits of mantissa are not float32.
    config.clear_flag(trt.BuilderFlag.TF32)
    if flavour.target == "rtx":
        config.num_compute_capabilities = len(capabilities)
        for index, capability in enumerate(capabilities):
            config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{capability}"), index)
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if options.workspace_mib is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib * 2**20)
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    if progress is not None:
        config.progress_monitor = _monitor(trt, progress)
    return config


def _monitor(trt: Any, progress: Progress) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, _parent: str, num_steps: int) -> None:
            self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            progress(phase_name, step + 1, self._steps.get(phase_name, 0))
            return True

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Monitor()


def _optimization_profile(builder: Any, profile: Profile) -> Any:
    shapes = builder.create_optimization_profile()
    sizes = profile.min_size, profile.opt_size, profile.max_size
    for name in ("frame0", "frame1"):
        shapes.set_shape(name, *((1, height, width, 3) for width, height in sizes))
    shapes.set_shape("t", (1,), (1,), (profile.max_times,))
    return shapes


def _load_timings(config: Any, options: BuildOptions) -> None:
    if options.timing_cache is None:
        return
    known = options.timing_cache.read_bytes() if options.timing_cache.is_file() else b""
    cache = config.create_timing_cache(known)
    if not config.set_timing_cache(cache, ignore_mismatch=False):
        raise ArtifactError(
            f"{options.timing_cache}: not a timing cache of this GPU and TensorRT; "
            "delete it, or name another"
        )


def _save_timings(config: Any, options: BuildOptions) -> None:
    if options.timing_cache is not None:
        with replacing(options.timing_cache) as partial:
            partial.write_bytes(bytes(config.get_timing_cache().serialize()))


def _here() -> tuple[int, ...]:
    """Return the compute capability of the GPU here, which TensorRT builds on."""
    from runtime.device import compute_capability

    return (compute_capability(0),)


def _plain(value: Any) -> Any:
    """Return an option as JSON would give it back."""
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
