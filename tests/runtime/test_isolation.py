"""The runtime folder stands alone: copied to a device it needs numpy and onnxruntime."""

import shutil
import subprocess
import sys
from pathlib import Path

RUNTIME = Path(__file__).parents[2] / "runtime"

BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ImportError(f"{name} is blocked")
BLOCKED = {"torch", "onnx", "onnx_ir", "onnxscript", "typer", "rich", "av", "PIL",
           "export", "calibration", "engines", "media", "precision", "rrin_deploy"}
sys.meta_path.insert(0, Block())
"""


def run(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_copied_folder_interpolates_with_numpy_and_onnxruntime_only(tmp_path: Path) -> None:
    shutil.copytree(RUNTIME, tmp_path / "runtime", ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        BLOCKED
        + """
import numpy as np, runtime
from runtime import Interpolator, check_parity
with Interpolator() as interpolate:
    frame = np.full((20, 30, 3), 90, np.uint8)
    made = interpolate(frame, frame, t=[1/3, 2/3])
print(runtime.__file__, made.shape, check_parity().passed)
"""
    )
    assert run(code, tmp_path).split(maxsplit=1) == [
        str(tmp_path / "runtime" / "__init__.py"),
        "(2, 20, 30, 3) True\n",
    ]


def test_import_is_light() -> None:
    code = """
import sys
import runtime
heavy = {"torch", "onnx", "typer", "rich", "av", "onnxruntime"} & set(sys.modules)
print(heavy or "light")
"""
    assert run(code, RUNTIME.parent) == "light\n"
