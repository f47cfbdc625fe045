"""Nothing is written but what was asked for: not by us, and not by the libraries underneath."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.models import SMALL_MODEL
from tests.readme import clean_environment

ROOT = Path(__file__).parents[1]
Written = Callable[..., tuple[set[str], set[str]]]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Run Python where home and temporary folder are empty; return what is new in its own folder
    and what there is in the others."""

    def run(*arguments: object) -> tuple[set[str], set[str]]:
        desk, elsewhere = tmp_path / "desk", tmp_path / "elsewhere"
        before = set(desk.iterdir())
        for name in ("home", "tmp"):
            (elsewhere / name).mkdir(parents=True)
        environment = clean_environment(elsewhere / "home", elsewhere / "tmp")
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=desk,
            env={**environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        new = {path.name for path in set(desk.iterdir()) - before}
        return new, {path.name for path in elsewhere.rglob("*") if path.is_file()}

    return run


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    desk = tmp_path / "desk"
    desk.mkdir()
    shutil.copy(SMALL_MODEL, desk / "rrin.onnx")
    return desk


@pytest.mark.usefixtures("desk")
def test_training_writes_its_outputs_and_nothing_else(written: Written) -> None:
    # The README's commands, in its own test, are held to the same.
    command = "train -o x.pth --steps 1 --batch 1 --size 64 --width 2"
    outputs = {"x.pth", "x.state.pth", "x.log.jsonl", "x.png"}
    assert written("-m", "rrin_deploy", *command.split()) == (outputs, set())


@pytest.mark.usefixtures("desk")
def test_openvino_reports_nothing(written: Written) -> None:
    code = """
from pathlib import Path
from rrin_deploy.bench.peers import Contender, open_contender
open_contender(Contender("OpenVINO", "openvino f32", Path("rrin.onnx")), 1)
"""
    assert written("-c", code) == (set(), set())


def test_who_asks_for_telemetry_keeps_it() -> None:
    # Whether this ONNX Runtime has any is its own affair; that we do not overrule its user is ours.
    probe = "from runtime.onnxruntime_library import ort; import os"
    for asked, expected in (("0", "0"), (None, "1")):
        environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
        if asked:
            environment["ORT_DISABLE_TELEMETRY"] = asked
        done = subprocess.run(
            [sys.executable, "-c", f"{probe}; print(os.environ['ORT_DISABLE_TELEMETRY'])"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == expected
