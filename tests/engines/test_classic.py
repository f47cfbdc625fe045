"""The builder for classic TensorRT, run: its real bindings over TensorRT-RTX's libraries."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from precision import Ranges
from tests.models import SMALL_MODEL
from tests.simulation.rtx_as_classic import BINDINGS, ROOT, environment_of

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"),
    reason="TensorRT's bindings are unpacked for Linux on x86-64 only",
)
PROGRAM = ROOT / "tests" / "simulation" / "rtx_as_classic.py"


def run(ranges: Ranges, folder: Path, program: Path = PROGRAM) -> Any:
    environment = {**os.environ, **environment_of(folder)}
    (folder / "rrin.onnx").write_bytes(SMALL_MODEL.read_bytes())  # without its golden file
    ranges.save(folder / "ranges.json")
    arguments = [folder / "rrin.onnx", folder / "ranges.json", folder]
    return subprocess.run(
        [sys.executable, program, *arguments],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.long
def test_every_precision_and_option_is_built_by_the_real_bindings(
    ranges: Ranges, tmp_path: Path
) -> None:
    done = run(ranges, tmp_path)
    assert done.returncode == 0, done.stderr
    fp32, fp16, int8, cached, again, hardware, limited, version = json.loads(done.stdout)
    assert fp32["census"] == {"FLOAT": 81}
    assert int8["census"] == {"INT8": 75, "HALF": 6}
    for made in (fp16, cached, again, hardware, limited):
        assert made["census"] == {"HALF": 81}
        assert made["version"] == BINDINGS
        assert made["bytes"] > 1_000_000
        assert made["steps"] > 100
    assert fp16["cache"] == 0
    assert again["cache"] >= cached["cache"] > 0
    # TensorRT-RTX has no such engines: that it says so shows that the flag reached it.
    assert "libnvinfer_lean" in version["error"]


def test_a_call_that_classic_tensorrt_has_not_is_found(ranges: Ranges, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    rest = PROGRAM.read_text().replace(
        "import engines\n",
        "import engines, engines.configuration as configuration\n"
        "    configuration._load_timings = lambda config, _: config.load_timings()\n",
    )
    program.write_text(rest)
    assert program.read_text() != PROGRAM.read_text()
    done = run(ranges, tmp_path, program)
    assert done.returncode == 1
    assert "has no attribute 'load_timings'" in done.stderr
