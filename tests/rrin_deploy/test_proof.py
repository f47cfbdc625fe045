"""The proof, where there is no GPU: on the fake driver, and on none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rrin_deploy.commands import prove
from rrin_deploy.proof import builds, proof
from rrin_deploy.proof.proof import PARTS
from rrin_deploy.proof.report import Finding, NotRunError, Report, verdict
from rrin_deploy.proof.roofline import Ceiling, least_seconds
from runtime.errors import BackendError
from runtime.manifest import Manifest
from tests.conftest import ROOT
from tests.models import SMALL_MODEL
from tests.simulation.libcuda import build_libcuda

# As on a card that TensorRT does not know: what builds engines without a GPU is hidden.
PROVE = """
import sys
sys.modules["tensorrt_rtx"] = sys.modules["pycuda"] = None
from pathlib import Path
from tests.simulation import host_engine, torch_cuda
torch_cuda.install()
from rrin_deploy.proof import engines, proof, pytorch, sessions, timing
engines.torch_rrin = host_engine.host_rrin
timing._SIDE, timing._COPIED, pytorch.BASE_WIDTH, sessions._LATE = 64, 2**16, 2, (50, 40)
extent = proof.Extent(
    clip=sessions.Clip((64, 64), 30, 10), sizes=((96, 64), (101, 70)), bench_sizes=((64, 64),)
)
report = proof.prove(Path(sys.argv[1]), Path(sys.argv[2]), extent, lambda finding: None)
"""


def python(code: str, *arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
def test_every_part_of_the_proof_runs_on_the_fake_driver(tmp_path: Path) -> None:
    libcuda = build_libcuda(tmp_path)
    (tmp_path / "scratch").mkdir()
    report = tmp_path / "left.json"
    done = python(
        PROVE, tmp_path, tmp_path / "scratch",
        LD_LIBRARY_PATH=str(libcuda), FAKE_LIBCUDA_REPORT=str(report), OMP_NUM_THREADS="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "gpu-proof.json").read_text())
    assert found["machine"]["GPU"] == "Fake GPU"
    verdicts = {each["name"]: each["status"] for each in found["findings"]}
    failed = [name for name, status in verdicts.items() if status == "failed"]
    # Only the control fails: where all is done at once, nothing goes wrong without a wait.
    assert failed == ["device arrays, double float32", "device arrays, double uint8"], found
    arrays = [each for each in found["findings"] if each["name"] in failed]
    assert all("frames right, producer still running" in each["text"] for each in arrays)
    assert {name for name, status in verdicts.items() if status == "passed"} >= {
        "parity, double float32",
        "parity, double uint8",
        "streams, double uint8",
        "cost of a session, float32",
        "cost of a session, uint8",
        "PyTorch, full width, one time, U-Nets in half",
    }
    assert verdicts["engines"] == verdicts["layers"] == "not run"
    assert verdicts["build, rtx int8"] == verdicts["build, tensorrt int8"] == "not run"
    assert not (tmp_path / "scratch" / "drawn.ranges.json").exists()  # for no engine
    assert "| parity, double uint8 | passed |" in (tmp_path / "gpu-proof.md").read_text()
    assert json.loads(report.read_text()) == {
        "left": 0, "without context": 0, "bad copies": 0,
    }  # fmt: skip


@pytest.mark.long
@pytest.mark.needs_no_gpu
@pytest.mark.usefixtures("simulated_gpu")
def test_every_precision_is_built_and_its_kernels_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setattr(builds, "BUNDLED_MODEL", SMALL_MODEL)
    monkeypatch.setattr(builds, "_DRAWN", (96, 64))
    (tmp_path / "scratch").mkdir()
    told: list[Finding] = []
    extent = proof.Extent(parts=("build", "layers", "engines"), sizes=((64, 64),))
    proof.prove(tmp_path, tmp_path / "scratch", extent, told.append)
    found = {each.name: each for each in told}
    built = {name: found[f"build, rtx {name}"] for name in builds.PRECISIONS}
    assert {each.status for each in built.values()} == {"passed"}
    assert found["build, tensorrt int8"].status == "not run"
    assert "its ranges are of 12 drawn pairs, for this proof alone" in built["int8"].text
    assert Manifest.load(tmp_path / "scratch" / "rtx.int8.engine").census == {"INT8": 75, "HALF": 6}
    assert found["kernels after fusion"].status == "told"
    rows = {row["engine"]: row for row in found["kernels after fusion"].figures["rows"]}
    assert len(rows) == 6
    types = {"fp32": "81 float to float", "fp16": "78 half to half", "int8": "75 int8 to float"}
    for precision, expected in types.items():
        any_size, one = (rows[f"rtx {precision}{also}"] for also in ("", ", 1280x720 alone"))
        for row in (any_size, one):
            assert (row["convolution"], row["quantization"]) == (81, 0)
            assert expected in row["types of convolutions"]
        assert any_size["GB read and written"] is None
        assert one["GB read and written"] > 2
    page = (tmp_path / "gpu-proof.md").read_text()
    assert "## kernels after fusion\n\n| engine | kernels | convolution |" in page
    # RTX loads none here, and each says so for itself.
    sessions = [each for each in told if each.name.startswith("engine, ")]
    assert [each.name for each in sessions] == [f"engine, rtx {name}" for name in builds.PRECISIONS]
    assert {each.status for each in sessions} == {"failed"}


def test_engine_that_cannot_be_built_costs_its_own_row_of_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(_target: object, precision: str, output: Path, **_: object) -> tuple[Path, None]:
        if precision == "fp16":
            raise BackendError("no tactic")
        return output, None

    counts = dict.fromkeys(("kernels", "quantization", "reformat"), 1)
    monkeypatch.setattr(builds, "_build", build)
    monkeypatch.setattr(builds, "_row", lambda _: counts)
    monkeypatch.setattr("engines.layers_of", lambda _: [])
    built = {f"rtx {precision}": tmp_path / precision for precision in builds.PRECISIONS}
    (found,) = builds.kernels(built, tmp_path)
    names = [row["engine"] for row in found.figures["rows"]]
    assert names == [*built, "rtx fp32, 1280x720 alone", "rtx int8, 1280x720 alone"]
    assert "rtx fp16, 1280x720 alone: no tactic" in found.text


def test_sanitized_session_gives_the_frames_that_are_known(tmp_path: Path) -> None:
    libcuda = build_libcuda(tmp_path)
    code = "import sys; from rrin_deploy.proof.memcheck import main; sys.exit(main())"
    done = python(code, LD_LIBRARY_PATH=str(libcuda))
    assert (done.returncode, done.stdout) == (0, "0 frames are wrong\n"), done.stderr


@pytest.mark.needs_no_gpu
def test_without_a_gpu_the_report_says_what_could_not_be_run(tmp_path: Path) -> None:
    code = "from rrin_deploy.cli import main; main(['prove', '-o', sys.argv[1]])"
    done = python(f"import sys; {code}", tmp_path / "out")
    assert done.returncode == 3, done.stderr
    found = json.loads((tmp_path / "out" / "gpu-proof.json").read_text())
    assert {each["status"] for each in found["findings"]} == {"not run"}
    assert len(found["findings"]) > 5


def test_parts_are_those_that_the_command_names() -> None:
    assert tuple(PARTS) == prove._PARTS


def test_part_that_fails_is_reported_and_the_others_still_run(tmp_path: Path) -> None:
    report = Report(tmp_path, {"GPU": "none"})

    def broken() -> list[Finding]:
        raise ValueError("it broke")

    def missing() -> list[Finding]:
        raise NotRunError("it is not here")

    parts = {
        "a": broken,
        "b": missing,
        "c": lambda: [verdict("c", True, "fine", {"rows": [{"x": float("nan")}]})],
    }
    for name, part in parts.items():
        assert [each.name for each in report.run(name, part)] == [name]
    assert report.failed
    found = json.loads((tmp_path / "gpu-proof.json").read_text())["findings"]
    assert [each["status"] for each in found] == ["failed", "not run", "passed"]
    assert found[0]["text"] == "ValueError: it broke"
    assert (tmp_path / "gpu-proof.md").read_text().startswith("# GPU proof\n\n1 passed, 1 failed")


def test_roofline_is_that_of_the_network() -> None:
    ceiling = Ceiling(multiply_adds=330e12 / 2, bytes=1008e9)
    compute, memory = least_seconds((448, 256), 32, 2, ceiling)
    assert compute == pytest.approx(0.6e-3, rel=0.05)  # 199 GFLOP
    assert memory == pytest.approx(448 * 256 * (8256 + 538) / 1008e9)
