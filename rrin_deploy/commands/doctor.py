"""`rrin-deploy doctor`"""

from __future__ import annotations

import importlib.metadata
import platform

import typer

from rrin_deploy import __version__
from rrin_deploy.console import out, say, table
from runtime.errors import BackendError
from runtime.interpolator import BUNDLED_MODEL

_PACKAGES = (
    ("onnxruntime", "run on the CPU", "pip install 'rrin-deploy[cpu]'"),
    ("onnxruntime-gpu", "run on NVIDIA GPUs", "pip install 'rrin-deploy[gpu]'"),
    ("tensorrt", "TensorRT engines", "pip install 'rrin-deploy[gpu]', or JetPack's own"),
    ("tensorrt-rtx-cu13", "TensorRT-RTX engines", "pip install 'rrin-deploy[rtx]'"),
    ("pycuda", "device memory for TensorRT", "pip install 'rrin-deploy[gpu]'"),
    ("torch", "export, parity --checkpoint", "pip install 'rrin-deploy[export]'"),
    ("onnx", "export, build", "pip install 'rrin-deploy[export]'"),
    ("onnx-ir", "export, build", "pip install 'rrin-deploy[export]'"),
    ("onnxscript", "export", "pip install 'rrin-deploy[export]'"),
    ("av", "images and video", "pip install 'rrin-deploy[video]'"),
)


def command() -> None:
    """Show what is installed, what could run here, what is missing and how to install it.

    Exit code 3 if no backend runs.

    Example: `rrin-deploy doctor`
    """
    python = f"Python {platform.python_version()}"
    say(f"rrin-deploy {__version__}, {python}, {platform.system()} {platform.machine()}")
    rows = table("package", "version", "for", "if missing")
    for package, purpose, remedy in _PACKAGES:
        version = _version(package)
        rows.add_row(package, version or "-", purpose, "" if version else remedy)
    out.print(rows)
    if _version("onnxruntime") and _version("onnxruntime-gpu"):
        say(
            "onnxruntime and onnxruntime-gpu overwrite each other's files: uninstall both, then "
            "install one"
        )
    try:
        from runtime.onnxruntime_session import loadable_providers

        providers = loadable_providers(BUNDLED_MODEL)
    except BackendError as error:
        say(str(error))
        providers = {}
    for provider, loads in providers.items():
        say(f": {'loads' if loads else 'does not load'}", subject=provider)
    try:
        from runtime.device import compute_capability

        say(f": SM{compute_capability(0)}, for engines", subject="GPU 0")
    except BackendError as error:
        say(f"engines do not run here: {error}")
    runs = any(providers.values())
    say("rrin-deploy can interpolate here" if runs else "no backend runs here")
    raise typer.Exit(0 if runs else 3)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
