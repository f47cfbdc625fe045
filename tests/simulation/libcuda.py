"""The fake libcuda, compiled where a compiler is."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_suffix(".c")


def build_libcuda(folder: Path) -> Path:
    """Compile it into a folder, for LD_LIBRARY_PATH; skip the test where that cannot be done."""
    if sys.platform != "linux":
        pytest.skip("libcuda.so.1 is Linux's name of the driver")
    if not shutil.which("gcc") or not shutil.which("nm"):
        pytest.skip("gcc and nm are not installed, which make the fake libcuda")
    rest = folder / "rest.c"
    rest.write_text("".join(f"int {name}(void) {{ return 801; }}\n" for name in _pycuda_links()))
    library = folder / "libcuda.so.1"
    options = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1"]
    sources = [_SOURCE, rest, "-lpthread", "-ldl"]
    subprocess.run(["gcc", *options, "-o", library, *sources], check=True)
    return folder


def _pycuda_links() -> list[str]:
    """Return what PyCUDA's library wants of libcuda to be loaded at all, beside what we have."""
    package = importlib.util.find_spec("pycuda")
    if package is None or package.origin is None:
        return []
    (library,) = Path(package.origin).parent.glob("_driver.*.so")
    command = ["nm", "--dynamic", "--undefined-only", library]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    wanted = set(re.findall(r" U (cu[A-Z]\w+)", listed))
    return sorted(wanted - set(re.findall(r"\b(cu[A-Z]\w+)\(", _SOURCE.read_text())))
