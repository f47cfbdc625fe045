"""The bindings of classic TensorRT over TensorRT-RTX's libraries: its branch of the builder, run.

In a process of its own, which loads the shim instead of TensorRT. What differs from a machine with
TensorRT: the kernels are RTX's, and the GPU that is built for is said instead of found.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from runtime.metadata import Precision
from tests.simulation.bindings import folder_of

ROOT = Path(__file__).parents[2]
BINDINGS = "11.4.0.106"
_SOURCE = Path(__file__).with_suffix(".c")
_OPTIONS = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]


def environment_of(folder: Path) -> dict[str, str]:
    """Compile the shim into a folder; skip the test where that, or the bindings, cannot be had."""
    bindings = folder_of(BINDINGS)
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed, which makes the shim over TensorRT-RTX")
    import tensorrt_rtx

    libraries = find_spec("tensorrt_rtx_libs")
    assert libraries is not None
    assert libraries.origin is not None
    major, minor, patch = map(int, re.findall(r"\d+", tensorrt_rtx.__version__)[:3])
    defined = {
        "BUILDER": f'"{next(Path(libraries.origin).parent.glob("libtensorrt_rtx.so*"))}"',
        "PARSER": f'"{next(Path(libraries.origin).parent.glob("libtensorrt_onnxparser_rtx.so*"))}"',
        "RTX_VERSION": str(10000 * major + 100 * minor + patch),
    }
    options = [*_OPTIONS, *(f"-D{name}={value}" for name, value in defined.items())]
    for name in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
        soname = f"lib{name}.so.{BINDINGS.partition('.')[0]}"
        command = ["gcc", *options, f"-Wl,-soname,{soname}", "-o", folder / soname, _SOURCE, "-ldl"]
        subprocess.run(command, check=True)
    return {"LD_LIBRARY_PATH": str(folder), "PYTHONPATH": f"{bindings}:{ROOT}"}


def _builds(model: str, ranges: str, folder: str) -> list[dict[str, Any]]:
    """Build with each option that classic TensorRT has, and return what became of each."""
    import tensorrt_bindings

    import engines
    import engines.flavours
    from runtime.errors import RrinError

    sys.modules["tensorrt"] = tensorrt_bindings
    engines.flavours._here = lambda: 89
    cache = Path(folder) / "timing.cache"
    asked: list[tuple[Precision, dict[str, Any]]] = [
        ("fp32", {}),
        ("fp16", {}),
        ("int8", {}),
        ("fp16", {"timing_cache": cache}),
        ("fp16", {"timing_cache": cache}),
        ("fp16", {"hardware_compatible": True}),
        ("fp16", {"workspace_mib": 512, "optimization_level": 1}),
        ("fp16", {"version_compatible": True}),
    ]
    made: list[dict[str, Any]] = []
    for precision, options in asked:
        steps: list[int] = []
        try:
            report = engines.build(
                model, Path(folder) / "x.engine", precision=precision,
                ranges=ranges if precision == "int8" else None,
                options=engines.BuildOptions(target="tensorrt", max_size=(1280, 736), **options),
                progress=lambda _phase, step, _steps, told=steps: told.append(step),
            )  # fmt: skip
        except RrinError as error:
            made.append({"error": str(error)})
            continue
        made.append(
            {
                "census": report.manifest.census,
                "version": report.manifest.version,
                "steps": len(steps),
                "bytes": report.size_bytes,
                "cache": cache.stat().st_size if cache.exists() else 0,
            }
        )
    return made


if __name__ == "__main__":
    print(json.dumps(_builds(*sys.argv[1:])))
