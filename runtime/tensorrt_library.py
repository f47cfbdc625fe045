"""TensorRT itself, of either kind, imported here alone; and which engine it may load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .errors import ArtifactError, BackendError
from .installation import install_hint, is_installed
from .manifest import Manifest, Target

# By what it is imported as.
MODULES: dict[Target, str] = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}
_AMPERE = 80
_CROSSES = (10, 11)  # what of one major is version-compatible with the other; no other two are


def load_tensorrt(target: Target) -> Any:
    """Return the module of a target; the Python API of both is one and the same.

    Raises:
        ImportError: it is not installed, or does not start; the message says which module.
    """
    if not is_installed(MODULES[target]):
        raise ImportError(f"{MODULES[target]} is not installed")
    try:
        if target == "rtx":
            import tensorrt_rtx

            return tensorrt_rtx
        import tensorrt
    except ImportError as error:
        raise ImportError(f"{MODULES[target]} cannot be imported ({error})") from error
    return tensorrt


def import_for(manifest: Manifest, path: Path) -> Any:
    """Import the TensorRT that an engine needs.

    Raises:
        BackendError: it is not installed.
        ArtifactError: it is of another version than the one that built the engine.
    """
    name = MODULES[manifest.target]
    try:
        trt = load_tensorrt(manifest.target)
    except ImportError as error:
        raise BackendError(
            f"{path}: is a {name} {manifest.version} engine, and {error}; install it "
            f"({install_hint(name)}), or build for a target that is here"
        ) from error
    theirs, ours = manifest.version, str(trt.__version__)
    majors = _numbers(theirs)[0], _numbers(ours)[0]
    known = majors[0] == majors[1] or (manifest.target == "tensorrt" and majors == _CROSSES)
    newer = known and _numbers(ours) >= _numbers(theirs)
    if theirs != ours and not (manifest.version_compatible and newer):
        raise ArtifactError(
            f"{path}: was built by {name} {theirs}, here is {ours}; build it again with this "
            "version" + ("" if manifest.target == "rtx" else ", or once as version-compatible")
        )
    return trt


def load_engine(trt: Any, plan: bytes, log: Any, *, host_code: bool) -> tuple[Any, Any]:
    """Load a plan.

    Args:
        trt: its TensorRT.
        plan: an engine's bytes.
        log: a logger of that TensorRT.
        host_code: whether the code for the host in a version-compatible plan may run.

    Returns:
        A runtime, to be kept as long as what it made; and the engine, None where it does not load.

    Raises:
        BackendError: TensorRT does not start here.
    """
    try:
        runtime = trt.Runtime(log)
    except (RuntimeError, TypeError) as error:
        raise BackendError(f"{trt.__name__} {trt.__version__} does not start: {error}") from error
    if host_code:
        runtime.engine_host_code_allowed = True
    return runtime, runtime.deserialize_cuda_engine(plan)


def check_trust(manifest: Manifest, path: Path, *, trusted: bool) -> None:
    """Raise ArtifactError for an engine that holds code for the host, unless it is trusted."""
    if manifest.version_compatible and not trusted:
        raise ArtifactError(
            f"{path}: is version-compatible, and so holds code, TensorRT's lean runtime, that "
            "would run here with your rights; expected trusted=True, if you trust who built it",
            remedy=("trust", True),
        )


def check_gpu(manifest: Manifest, here: int, path: Path) -> None:
    """Raise ArtifactError unless the engine was built for this compute capability."""
    built_for = manifest.compute_capabilities
    fits = here in built_for or (manifest.hardware_compatible and here >= _AMPERE)
    if not fits:
        listed = ", ".join(f"SM{capability}" for capability in built_for)
        raise ArtifactError(
            f"{path}: was built for {listed}, this GPU is SM{here}; build it again here, or "
            f"anywhere for TensorRT-RTX and SM{here}"
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
