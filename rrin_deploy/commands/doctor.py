"""`rrin-deploy doctor`"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from collections.abc import Mapping, Sequence

import typer

from rrin_deploy import __version__
from rrin_deploy.console import out, say, table
from runtime.errors import BackendError
from runtime.installation import install_hint
from runtime.interpolator import BUNDLED_MODEL


def command() -> None:
    """Show what is installed, what could run here, what is missing and how to install it.

    Exit code 3 if no backend runs.

    Example: `rrin-deploy doctor`
    """
    python = f"Python {platform.python_version()}"
    say(f"rrin-deploy {__version__}, {python}, {platform.system()} {platform.machine()}")
    providers_of = importlib.metadata.packages_distributions()
    rows = table("module", "installed", "for")
    missing: dict[str, list[str]] = {}
    for module, (purpose, remedy) in _modules().items():
        found = _installed(module, providers_of)
        rows.add_row(module, ", ".join(found) or "-", purpose)
        if not found:
            missing.setdefault(remedy, []).append(module)
    out.print(rows)
    for remedy, modules in missing.items():
        say(f": missing; {remedy}", subject=", ".join(modules))
    rivals = sorted(set(providers_of.get("onnxruntime", ())))
    if len(rivals) > 1:
        say(f"{' and '.join(rivals)} overwrite each other's files: uninstall all, then install one")
    loads = _loadable()
    for provider, loaded in loads.items():
        say(f": {'loads' if loaded else 'does not load'}", subject=provider)
    try:
        from runtime.device import compute_capability

        say(f": SM{compute_capability(0)}, for engines", subject="GPU 0")
    except BackendError as error:
        say(f"engines do not run here: {error}")
    runs = any(loads.values())
    say("rrin-deploy can interpolate here" if runs else "no backend runs here")
    raise typer.Exit(0 if runs else 3)


def _installed(module: str, providers_of: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the packages that provide a module, with their versions; none where it is missing."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:  # a bare folder of that name has no origin
        return []
    packages = sorted(set(providers_of.get(module, ())))
    # What a system's own package manager installed may have no metadata.
    return [f"{name} {importlib.metadata.version(name)}" for name in packages] or ["yes"]


def _loadable() -> dict[str, bool]:
    try:
        from runtime.onnxruntime_session import loadable_providers

        return loadable_providers(BUNDLED_MODEL)
    except BackendError as error:
        say(str(error))
        return {}


def _modules() -> dict[str, tuple[str, str]]:
    """Return what each module is for, and how to install it.

    By the name that is imported, for several packages may provide it: onnxruntime, onnxruntime-gpu
    and onnxruntime-openvino, or JetPack's own tensorrt.
    """
    export = install_hint("export")
    return {
        "onnxruntime": ("ONNX files", install_hint("cpu")),
        # Not by the extra, which brings an onnxruntime of its own.
        "tensorrt": ("TensorRT engines", "pip install tensorrt, or JetPack's own"),
        "tensorrt_rtx": ("TensorRT-RTX engines", install_hint("rtx")),
        "pycuda": ("running engines", "pip install pycuda"),
        "onnx": ("export, build, calibrate, eval", export),
        "onnx_ir": ("export, build, calibrate, eval", export),
        "onnxscript": ("export", export),
        "torch": ("export, parity --checkpoint", export),
        "av": ("images and video", install_hint("video")),
        "skimage": ("eval", install_hint("eval")),
        "matplotlib": ("bench --chart", install_hint("bench")),
        "openvino": ("bench --peers", install_hint("bench")),
    }
