"""What is here: the GPU, its driver, and the libraries that a proof may use."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from rrin_deploy.proof.report import NotRunError
from runtime.installation import is_installed
from runtime.tensorrt_library import MODULES

_LIBRARIES = ("torch", "onnxruntime", "onnxruntime-gpu", "openvino", "numpy", "onnx")
_SANITIZER = "compute-sanitizer"


def facts() -> dict[str, Any]:
    """Return facts of the GPU and of the libraries, by name.

    Raises:
        BackendError: there is no GPU, or no driver's package.
    """
    from runtime.device import DRIVER, Gpu, compute_capability, total_memory

    capability = compute_capability(0)
    found: dict[str, Any] = {
        "GPU": Gpu(0).name,
        "compute capability": f"SM{capability}",
        "memory": f"{total_memory(0) / 1e9:.1f} GB",
        "driver calls by": DRIVER,
        "NVIDIA driver": _driver_version(),
        **software(),
    }
    return found


def software() -> dict[str, Any]:
    """Return the versions of what is installed."""
    found = {"Python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    for module in MODULES.values():
        found[module] = "installed" if is_installed(module) else "not installed"
    return found


def _driver_version() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603 - our own words
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.split()[0]


def sanitized(module: str, seconds: int) -> tuple[int, str]:
    """Run a module of ours under compute-sanitizer; return its exit code and its last lines.

    Raises:
        NotRunError: it is not installed, or takes longer than so many seconds.
    """
    tool = shutil.which(_SANITIZER) or _in_toolkit()
    if tool is None:
        raise NotRunError(f"{_SANITIZER} is not installed; it comes with the CUDA toolkit")
    options = ["--tool", "memcheck", "--leak-check", "full", "--error-exitcode", "9"]
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [tool, *options, sys.executable, "-m", module]
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            command,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env={**os.environ, "PYTHONPATH": path},
        )
    except subprocess.TimeoutExpired:
        raise NotRunError(f"{_SANITIZER} took longer than {seconds} s") from None
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return done.returncode, "\n".join(lines[-40:])


def _in_toolkit() -> str | None:
    for folder in (os.environ.get("CUDA_HOME"), "/usr/local/cuda"):
        tool = Path(folder or ".") / "bin" / _SANITIZER
        if folder and tool.is_file():
            return str(tool)
    return None
