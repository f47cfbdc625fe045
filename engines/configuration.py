"""What a person may set for a build, and the builder's configuration made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

from engines.flavours import Flavour
from runtime.architecture import padded
from runtime.errors import ArtifactError, OptionError, shown
from runtime.manifest import Profile, Size, Target
from runtime.options import check_choice, check_whole
from runtime.records import Between, typed

Progress = Callable[[str, int, int], None]
GoOn = Callable[[str, int, int], bool]
Shapes = Mapping[str, tuple[tuple[int, ...], ...]]
_NUMBERS = {"workspace_mib": Between(1, 2**24), "optimization_level": Between(0, 5)}


@dataclass(frozen=True)
class BuildOptions:
    """How to build.

    Attributes:
        target: 'tensorrt' or 'rtx'; None takes TensorRT where it is installed, else RTX.
        compute_capabilities: RTX only: the GPUs to compile for, such as (86, 89); empty takes
            `RTX_CAPABILITIES`. TensorRT builds for the GPU here.
        min_size, opt_size, max_size: frame sizes (width, height), 1 to 65536 pixels; rounded up
            to multiples of 32. Where all are one, kernels are chosen for it when the engine is
            built, and no sizes are computed when it runs.
        max_times: the most times that one run may have, 1 to 10000; memory grows with them. A
            pair at more times is given to the GPU once, and run several times.
        workspace_mib: 1 or more; None leaves it open. To TensorRT, the limit of a kernel's scratch
            memory: less excludes fast kernels. To RTX, that of all that a context of the engine
            takes: less makes no smaller engine, but a build that fails.
        optimization_level: 0 to 5; None leaves TensorRT's own.
        timing_cache: TensorRT only: a file of kernel timings, kept and extended between builds.
        version_compatible: TensorRT only: later versions of the same major may load the engine, and
            TensorRT 11 one of 10. It then holds code, and is opened with `trusted=True`.
        hardware_compatible: TensorRT only: any GPU from Ampere on may load it.

    Raises:
        OptionError: one that is not as above, or sizes that are not in growing order.
    """

    target: Target | None = None
    compute_capabilities: tuple[int, ...] = ()
    min_size: Size = (32, 32)
    opt_size: Size = (1280, 720)
    max_size: Size = (1920, 1088)
    max_times: int = 1
    workspace_mib: int | None = None
    optimization_level: int | None = None
    timing_cache: Path | None = None
    version_compatible: bool = False
    hardware_compatible: bool = False

    def __post_init__(self) -> None:
        if self.target is not None:
            check_choice("target", self.target, get_args(Target))
        for name, allowed in _NUMBERS.items():
            value = getattr(self, name)
            if value is not None and not (type(value) is int and allowed(value)):
                raise OptionError(f"{name} is {shown(value)}; expected a whole number, {allowed}")
        for name in ("compute_capabilities", "min_size", "opt_size", "max_size"):
            if not isinstance(getattr(self, name), (tuple, list)):
                raise OptionError(
                    f"{name} is {shown(getattr(self, name))}; expected a tuple of numbers"
                )
        for capability in self.compute_capabilities:
            check_whole("a compute capability", capability, 50, 999)
        profile_of(self)


def profile_of(options: BuildOptions) -> Profile:
    """Return the sizes asked for, rounded up; OptionError where no manifest could hold them."""
    asked = asked_profile(options)
    sizes = asked.min_size, asked.opt_size, asked.max_size
    lower, best, upper = ((padded(width), padded(height)) for width, height in sizes)
    return replace(asked, min_size=lower, opt_size=best, max_size=upper)


def asked_profile(options: BuildOptions) -> Profile:
    """Return the sizes as asked for, for a graph that pads; OptionError as `profile_of`."""
    names = "min_size", "opt_size", "max_size", "max_times"
    try:
        asked: Profile = typed(Profile, {name: getattr(options, name) for name in names})
    except ValueError as error:
        raise OptionError(f"the engine's profile: {error}") from None
    return asked


def check_for_target(flavour: Flavour, options: BuildOptions) -> None:
    """Raise OptionError for options that the flavour does not have."""
    classic = options.version_compatible or options.hardware_compatible or options.timing_cache
    if flavour.target == "rtx" and classic:
        raise OptionError(
            "TensorRT-RTX has no timing cache and no version- or hardware-compatible engines; "
            "leave these options out"
        )


def configure(
    flavour: Flavour,
    builder: Any,
    options: BuildOptions,
    capabilities: tuple[int, ...],
    shapes: Shapes,
    go_on: GoOn,
) -> Any:
    """Return the IBuilderConfig of a build.

    Args:
        flavour, builder: of the TensorRT that builds.
        options: as asked for.
        capabilities: of the GPUs, for RTX.
        shapes: of each input the smallest, the one to be fastest on, and the largest.
        go_on: called with the builder's phase, its step and number of steps; cancels the build by
            returning False.

    Raises:
        ArtifactError: the timing cache is of another GPU or TensorRT.
    """
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
    # `layers_of` reads them; RTX's plans, which hold them anyway, are not a byte larger.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.progress_monitor = _monitor(trt, go_on)
    config.add_optimization_profile(_optimization_profile(builder, shapes))
    _load_timings(config, options)
    return config


def _monitor(trt: Any, go_on: GoOn) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, _parent: str, num_steps: int) -> None:
            self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            return go_on(phase_name, step + 1, self._steps.get(phase_name, 0))

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Monitor()


def _optimization_profile(builder: Any, shapes: Shapes) -> Any:
    profile = builder.create_optimization_profile()
    for name, three in shapes.items():
        profile.set_shape(name, *three)
    return profile


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


def timings_of(config: Any) -> bytes:
    """Return a timing cache's content, with what a build has added to it."""
    return bytes(config.get_timing_cache().serialize())


def asked_of(flavour: Flavour, options: BuildOptions) -> dict[str, Any]:
    """Return what a manifest says of the builder and of its options."""
    return {
        "target": flavour.target,
        "version": flavour.version,
        "version_compatible": options.version_compatible,
        "hardware_compatible": options.hardware_compatible,
        "options": {key: _plain(value) for key, value in asdict(options).items()},
    }


def _plain(value: Any) -> Any:
    """Return an option as JSON would give it back."""
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
