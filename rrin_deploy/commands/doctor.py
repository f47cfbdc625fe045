"""`rrin-deploy doctor`"""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from rrin_deploy import __version__
from rrin_deploy.console import out, say, table
from rrin_deploy.progress import ProgressAs, progress_as, waiting
from rrin_deploy.results import FORMAT, AsJson, document
from runtime.bundled import BUNDLED_MODEL
from runtime.errors import BackendError
from runtime.installation import install_hint, is_installed
from runtime.interpolator import Interpolator
from runtime.tensorrt_library import MODULES

if TYPE_CHECKING:
    from runtime.session import Backend

# By the name that is imported, for several packages may provide it: onnxruntime and
# onnxruntime-gpu, or JetPack's own tensorrt.
_MODULES = {
    "onnxruntime": "ONNX files",
    "openvino": "ONNX files, faster on CPUs",
    "tensorrt": "TensorRT engines",
    "tensorrt_rtx": "TensorRT-RTX engines",
    "pycuda": "running engines",
    "cuda.bindings": "running engines without pycuda",
    "onnx": "export, build, calibrate, bench",
    "onnx_ir": "export, build, calibrate, bench --peers",
    "onnxscript": "export",
    "torch": "export, parity --checkpoint",
    "av": "images and video",
    "skimage": "eval, report",
    "jinja2": "report",
    "matplotlib": "bench --chart",
    "ncnn": "bench --peers",
    "pnnx": "bench --peers",
}
_CUDA = "CUDAExecutionProvider"  # the one on a GPU that an ONNX file runs on without being told


def command(as_json: AsJson = False, progress: ProgressAs = "bar") -> None:
    """Show what is installed, what could run here, what is missing and how to install it.

    Exit code 3 if no backend runs.

    Examples:

    - `rrin-deploy doctor`
    - `rrin-deploy doctor --json`
    """
    with document(as_json) as give, progress_as(progress):
        facts: dict[str, Any] = {
            "format": FORMAT,
            "version": __version__,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
        }
        give(facts)
        say(f"rrin-deploy {__version__}, Python {facts['python']}, {facts['system']}")
        providers_of = importlib.metadata.packages_distributions()
        facts["modules"] = {module: _installed(module, providers_of) for module in _MODULES}
        _show_modules(facts["modules"])
        rivals = sorted(set(providers_of.get("onnxruntime", ())))
        if len(rivals) > 1:
            both = " and ".join(rivals)
            say(f"{both} overwrite each other's files: uninstall all, then install one")
        loads = facts["providers"] = _loadable()
        for provider, loaded in loads.items():
            say(f": {'loads' if loaded else 'does not load'}", subject=provider)
        gpu = facts["gpu"] = _gpu()
        if loads and not loads.get(_CUDA) and (gpu or shutil.which("nvidia-smi")):
            say(
                f"ONNX files run on the CPU here, beside an NVIDIA GPU: {_CUDA} does not load; "
                f"{install_hint('onnxruntime')}"
            )
        backend = _backend_of_onnx_files()
        facts["onnx_files"] = asdict(backend) if backend else None
        facts["bf16"] = _bf16() if backend else None
        facts["engines"] = gpu is not None and _tensorrt_is_here()
        facts["runs"] = runs = backend is not None or facts["engines"]
        say("rrin-deploy can interpolate here" if runs else "no backend runs here")
        raise typer.Exit(0 if runs else 3)


def _show_modules(modules: Mapping[str, Sequence[str]]) -> None:
    rows = table("module", "installed", "for")
    missing: dict[str, list[str]] = {}
    for module, found in modules.items():
        rows.add_row(module, ", ".join(found) or "-", _MODULES[module])
        if not found:
            missing.setdefault(str(install_hint(module)), []).append(module)
    out.print(rows)
    for command_line, names in missing.items():
        say(f": missing; {command_line}", subject=", ".join(names))


def _backend_of_onnx_files() -> Backend | None:
    """Say what runs ONNX files here, and why that."""
    try:
        with waiting("opening an ONNX file"), Interpolator() as interpolate:
            backend = interpolate.backend
    except BackendError as error:
        say(f"ONNX files do not run here: {error}")
        return None
    if backend.library == "openvino":
        why = "which is installed, and no CUDA provider loads"
    elif backend.device == _CUDA:
        why = "whose CUDA provider loads"
    else:
        why = f"as OpenVINO, mostly faster on CPUs, is missing: {install_hint('openvino')}"
    say(f"ONNX files run in {backend}, {why}")
    return backend


def _bf16() -> bool | None:
    """Say whether this CPU has bf16; None where that cannot be told."""
    try:
        from runtime.openvino_model import has_bf16
    except BackendError:  # which is said already where it matters
        return None
    has = has_bf16()
    say(f"this CPU has {'bf16: files of build --bf16 run here' if has else 'no bf16 arithmetic'}")
    return has


def _gpu() -> dict[str, Any] | None:
    """Say what GPU is here that engines could run on, and by what."""
    try:
        from runtime.device import DRIVER, compute_capability

        capability = compute_capability(0)
    except BackendError as error:
        say(f"engines do not run here: {error}")
        return None
    say(f": SM{capability}, for engines, by {DRIVER}", subject="GPU 0")
    return {"compute_capability": capability, "driver": DRIVER}


def _tensorrt_is_here() -> bool:
    here = any(map(is_installed, MODULES.values()))
    if not here:
        say(f"engines do not run here: neither {' nor '.join(MODULES.values())} is installed")
    return here


def _installed(module: str, providers_of: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the packages that provide a module, with their versions; none where it is missing."""
    if not is_installed(module):
        return []
    packages = sorted(set(providers_of.get(module, ())))
    if "." in module:  # of a namespace that several packages share
        packages = [module.replace(".", "-")]
    # What a system's own package manager installed may have no metadata.
    return [f"{name} {importlib.metadata.version(name)}" for name in packages] or ["yes"]


def _loadable() -> dict[str, bool]:
    try:
        from runtime.onnxruntime_session import loadable_providers

        with waiting("loading ONNX Runtime's providers"):
            return loadable_providers(BUNDLED_MODEL)
    except BackendError as error:
        say(str(error))
        return {}
