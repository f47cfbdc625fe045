"""Nothing is written but what was asked for: not by us, and not by the libraries underneath."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from precision import Ranges
from runtime.golden import golden_beside
from runtime.scene import render_bytes
from tests.conftest import write_png
from tests.models import SMALL_MODEL

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
        kept = {
            name: value
            for name, value in os.environ.items()
            # CI turns ONNX Runtime's telemetry off; the others would lead out of the empty home.
            if name not in ("CI", "ORT_DISABLE_TELEMETRY", "MPLCONFIGDIR")
            and not name.startswith("XDG_")
        }
        empty = {"HOME": str(elsewhere / "home"), "TMPDIR": str(elsewhere / "tmp")}
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=desk,
            env={**kept, **empty, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        new = {path.name for path in set(desk.iterdir()) - before}
        return new, {path.name for path in elsewhere.rglob("*") if path.is_file()}

    return run


@pytest.fixture
def desk(tmp_path: Path, vimeo: Path, ranges: Ranges, small_checkpoint: Path) -> Path:
    desk = tmp_path / "desk"
    desk.mkdir()
    shutil.copy(SMALL_MODEL, desk / "rrin.onnx")
    shutil.copy(golden_beside(SMALL_MODEL), desk / "rrin.golden.npz")
    shutil.copy(small_checkpoint, desk / "ckpt.pth")
    shutil.copytree(vimeo, desk / "vimeo")
    ranges.save(desk / "rrin.ranges.json")
    for name in ("a", "b"):
        write_png(desk / f"{name}.png", render_bytes(64, 48, ord(name) - ord("a")))
    return desk


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize(
    ("command", "outputs"),
    [
        ("interpolate a.png b.png -o mid.png", {"mid.png"}),
        ("parity rrin.onnx", set()),
        ("export ckpt.pth -o x.onnx", {"x.onnx", "x.golden.npz"}),
        (
            "build --target rtx --sm 89 --shape 64x64 -o x.engine",
            {"x.engine", "x.engine.json", "x.golden.npz"},
        ),
        ("build --int8 --target onnxruntime -o x.onnx", {"x.onnx", "x.golden.npz"}),
        ("calibrate --vimeo90k vimeo --samples 1 -o x.json", {"x.json"}),
        ("eval rrin.onnx --vimeo90k vimeo", set()),
        ("bench --size 64x48 --rounds 1 --chart x.png", {"x.png"}),
        (
            "train -o x.pth --steps 1 --batch 1 --size 64 --width 2",
            {"x.pth", "x.state.pth", "x.log.jsonl", "x.png"},
        ),
    ],
)
def test_a_command_writes_its_outputs_and_nothing_else(
    command: str, outputs: set[str], written: Written
) -> None:
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
