"""What programs are told: one document on standard output, and progress line by line."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import onnx
import pytest
from PIL import Image

from media.video import write_video
from precision import Ranges
from rrin_deploy import __version__, progress
from rrin_deploy.progress import frame_progress, progress_as
from runtime.golden import golden_beside
from runtime.scene import render_bytes
from tests.conftest import ROOT, write_png
from tests.models import SMALL_MODEL
from tests.rrin_deploy import conftest

PAGE = (ROOT / "docs" / "automation.md").read_text()
Run = Callable[..., tuple[int, Any, str]]
SMALL = ("--model", SMALL_MODEL, "--backend", "onnxruntime", "--json")


@pytest.fixture
def run(run: conftest.Run) -> Run:
    """Run the command in a folder of its own; return exit code, document and stderr."""
    command = run

    def run(*arguments: object) -> tuple[int, Any, str]:
        code, out, err = command(*arguments)
        found = json.loads(out)
        for name in {*found, *(name for each in found.get("outputs", ()) for name in each)}:
            assert f"`{name}`" in PAGE, name
        return code, found, err

    return run


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    frames = (render_bytes(80, 48, time) for time in range(4))
    write_video(tmp_path / "clip.mp4", frames, Fraction(24000, 1001))
    return tmp_path / "clip.mp4"


def frames_of(path: Path) -> int:
    with av.open(str(path)) as reader:
        return len(list(reader.decode(video=0)))


def test_a_video(run: Run, clip: Path, tmp_path: Path) -> None:
    code, found, err = run("interpolate", "clip.mp4", "-o", "out.mkv", "--factor", "3", *SMALL)
    (video,) = found["outputs"]
    assert (code, found["format"], video["status"]) == (0, 1, "made")
    assert (video["inputs"], video["output"]) == (["clip.mp4"], "out.mkv")
    with av.open("out.mkv") as reader:
        stream = reader.streams.video[0]
        assert (video["width"], video["height"]) == (stream.width, stream.height)
        assert stream.average_rate is not None
        assert Fraction(video["rate"]) == Fraction(72000, 1001)
        assert float(stream.average_rate) == pytest.approx(72000 / 1001, rel=1e-3)
    assert video["frames_written"] == frames_of(tmp_path / "out.mkv") == 12
    assert video["frames_read"] == frames_of(clip)
    assert video["backend"]["version"] == importlib.metadata.version("onnxruntime")
    assert video["precision"] == "fp32"
    assert "out.mkv: 12 frames from 4" in err  # what a person is told goes on being told


def test_two_images_and_a_folder(run: Run, tmp_path: Path) -> None:
    for time in range(3):
        write_png(tmp_path / "in" / f"{time}.png", render_bytes(64, 32, time))
    code, found, _ = run("interpolate", "in/0.png", "in/1.png", "-o", "mid.png", *SMALL)
    (image,) = found["outputs"]
    assert (code, image["inputs"], image["output"]) == (0, ["in/0.png", "in/1.png"], "mid.png")
    assert ((image["width"], image["height"]), image["t"]) == (Image.open("mid.png").size, 0.5)
    code, found, _ = run("interpolate", "in", "-o", "more", *SMALL)
    (folder,) = found["outputs"]
    assert (code, folder["output"], folder["images_read"]) == (0, "more", 3)
    assert folder["images_written"] == len(list((tmp_path / "more").iterdir()))


def test_several_videos_of_which_one_fails(run: Run, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "b.mp4").write_text("no video")
    line = ("interpolate", "clip.mp4", "b.mp4", "-o", "out", *SMALL)
    code, found, err = run(*line)
    made, failed = found["outputs"]
    assert (code, made["status"], made["output"]) == (1, "made", "out/clip.mp4")
    assert (failed["status"], failed["inputs"]) == ("failed", ["b.mp4"])
    assert f"error: {failed['error']}\n" in err
    assert found["error"].endswith("missing: b.mp4")
    shutil.copy(clip, tmp_path / "b.mp4")
    code, found, _ = run(*line)
    assert code == 0
    assert [each["status"] for each in found["outputs"]] == ["there", "made"]
    assert "error" not in found


def test_a_damaged_video_is_made_and_its_damage_said(run: Run, clip: Path, tmp_path: Path) -> None:
    with av.open(str(clip)) as reader, av.open("cut.mkv", "w") as writer:
        copied = writer.add_stream_from_template(reader.streams.video[0])
        for packet in reader.demux(video=0):
            if packet.dts is not None:
                packet.stream = copied
                writer.mux(packet)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(cut.read_bytes()[:-600])
    code, found, _ = run("interpolate", "cut.mkv", "-o", "out.mkv", *SMALL)
    assert code == 1
    assert "cut short" in found["outputs"][0]["damage"][0]
    assert found["outputs"][0]["frames_written"] == frames_of(tmp_path / "out.mkv")
    assert "cut.mkv: is damaged" in found["error"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("interpolate", "none.mp4", "-o", "x.mp4"), 1, "none.mp4: no such file"),
        (("interpolate", "clip.mp4", "-o", "x.mp4", "--factor", "1"), 2, "factor is 1"),
        (("interpolate", "clip.mp4", "-o", "x.mp4", "--t", "0.5"), 2, "--t is not for a video"),
        (("interpolate", "clip.mp4", "-o", "x.mp4", "--provider", "NoneExecutionProvider",
          "--backend", "onnxruntime"), 3, "NoneExecutionProvider"),
        (("export", "none.pth"), 1, "none.pth: no such file"),
        (("build", "none.onnx"), 1, "none.onnx: no such file"),
        (("build", "none.onnx", "--fp16", "--int8"), 2, "exclude each other"),
        (("calibrate", "none.onnx"), 2, "give one data set"),
        (("run", "none.toml"), 1, "none.toml: no such file"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("clip")
def test_errors_are_documents(
    arguments: tuple[str, ...], code: int, message: str, run: Run, tmp_path: Path
) -> None:
    found, told, err = run(*arguments, "--json")
    assert (found, told["format"]) == (code, 1)
    assert message in told["error"]
    assert message in " ".join(err.replace("│", " ").split())
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_missing_package_is_a_document(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.partition(".")[0] == "export"]:
        monkeypatch.delitem(sys.modules, name)
    code, found, err = run("export", "c.pth", "--json")
    assert (code, err) == (3, f"error: {found['error']}\n")
    assert found["error"].startswith("torch is not installed, and this needs it: pip install")


def command(*arguments: object, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "rrin_deploy", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_video_on_standard_output_leaves_no_place_for_a_document(
    clip: Path, tmp_path: Path
) -> None:
    done = command("interpolate", clip, "-o", "-", *SMALL, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--json prints to standard output" in " ".join(done.stderr.replace("│", " ").split())


NOISE = """
import os, sys
from rrin_deploy.results import document
try:
    with document(True) as give:
        give({"n": 1, "frame rate": __import__("fractions").Fraction(30000, 1001)})
        print("from Python")
        os.write(1, b"from a library")
        sys.stdout.write("without an end of line")
        if "fail" in sys.argv:
            raise OSError("no room")
except OSError:
    pass
"""


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_else_is_on_standard_output(fails: bool) -> None:
    line = [sys.executable, "-c", NOISE, *(["fail"] if fails else [])]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    error = {"error": "no room"} if fails else {}
    assert found == {"n": 1, "frame rate": "30000/1001", **error}
    for noise in ("from Python", "from a library", "without an end of line"):
        assert noise in done.stderr


def test_export(
    run: Run, small_checkpoint: Path, skip_tracing: Callable[..., None], tmp_path: Path
) -> None:
    skip_tracing("uint8")
    code, found, _ = run("export", small_checkpoint, "-o", "x.onnx", "--json")
    assert (code, found["format"], found["model"]) == (0, 1, "x.onnx")
    assert found["parity"]["passed"] is True
    assert max(case["max_abs_error"] for case in found["parity"]["cases"]) < 1e-3
    properties = {each.key: each.value for each in onnx.load(tmp_path / "x.onnx").metadata_props}
    for name in ("checkpoint_sha256", "opset", "io", "base_width"):
        assert str(found["metadata"][name]) == properties[f"rrin.{name}"]
    assert Path(found["golden"]).is_file()


def test_build(run: Run, ranges: Ranges, tmp_path: Path) -> None:
    shutil.copy(SMALL_MODEL, tmp_path / "rrin.onnx")
    shutil.copy(golden_beside(SMALL_MODEL), tmp_path / "rrin.golden.npz")
    ranges.save(tmp_path / "rrin.ranges.json")
    code, found, _ = run("build", "--int8", "--target", "onnxruntime", "--json")
    assert (code, found["format"], found["output"]) == (0, 1, "rrin.ort.int8.onnx")
    assert (found["target"], found["precision"]) == ("onnxruntime", "int8")
    assert found["size_bytes"] == Path("rrin.ort.int8.onnx").stat().st_size
    assert found["census"] == {"INT8": 75, "FLOAT": 6}
    proof = found["proof"]
    assert proof["artifact"]["passed"] is True
    assert proof["golden"] == "rrin.ort.int8.golden.npz"
    code, found, _ = run("build", "--fp16", "--target", "vs-mlrt", "--factor", "3", "--json")
    assert (code, found["target"], found["factor"]) == (0, "vs-mlrt", 3)
    assert found["size_bytes"] == Path(found["output"]).stat().st_size


def test_build_of_an_engine(run: Run, tmp_path: Path) -> None:
    shutil.copy(SMALL_MODEL, tmp_path / "rrin.onnx")
    size = ("--sm", "89", "--shape", "64x64")
    line = ("build", "--fp16", "--target", "rtx", *size, "--json", "--progress", "json")
    code, found, err = run(*line)
    assert (code, found["target"], found["census"]) == (0, "rtx", {"HALF": 81})
    manifest = json.loads(Path("rrin.rtx.fp16.engine.json").read_text())
    assert found["manifest"]["plan_sha256"] == manifest["plan_sha256"]
    assert found["size_bytes"] == Path("rrin.rtx.fp16.engine").stat().st_size
    assert "golden file" in found["proof"]["missing"]
    assert lines_of(err)[0]["what"] == "importing TensorRT"


def test_build_that_is_not_what_its_graph_is(run: Run, ranges: Ranges, tmp_path: Path) -> None:
    ranges.save(tmp_path / "rrin.ranges.json")
    shutil.copy(golden_beside(SMALL_MODEL), tmp_path / "rrin.golden.npz")
    graph = onnx.load(SMALL_MODEL)
    (bias,) = (x for x in graph.graph.initializer if x.name == "final.last.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(3, np.nan, np.float32), bias.name))
    onnx.save(graph, tmp_path / "rrin.onnx")
    code, found, _ = run("build", "--int8", "--target", "openvino", "--json")
    assert (code, found["proof"]["artifact"]["passed"]) == (1, False)


def test_calibrate(run: Run, vimeo: Path, tmp_path: Path) -> None:
    shutil.copy(SMALL_MODEL, tmp_path / "rrin.onnx")
    line = ("calibrate", "--vimeo90k", vimeo, "--json", "--progress", "json")
    code, found, err = run(*line)
    written = json.loads(Path("rrin.ranges.json").read_text())
    assert (code, found["format"], found["output"]) == (0, 1, "rrin.ranges.json")
    assert found["tensors"] == len(written["tensors"])
    assert found["checkpoint_sha256"] == written["checkpoint_sha256"]
    assert (found["triplets"], found["triplets_left_out"]) == (3, 0)
    assert (lines_of(err)[-1]["done"], lines_of(err)[-1]["total"]) == (3, 3)


def test_doctor(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, found, _ = run("doctor", "--json", "--progress", "json")
    assert (code, found["runs"], found["version"]) == (0, True, __version__)
    assert f"av {importlib.metadata.version('av')}" in found["modules"]["av"]
    assert found["providers"]["CPUExecutionProvider"] is True
    assert found["onnx_files"]["library"] in ("onnxruntime", "openvino")
    for library in ("onnxruntime", "openvino"):
        monkeypatch.setitem(sys.modules, library, None)
        for module in (f"runtime.{library}_library", f"runtime.{library}_session"):
            monkeypatch.delitem(sys.modules, module, raising=False)
    code, found, _ = run("doctor", "--json")
    assert (code, found["runs"], found["onnx_files"]) == (3, False, None)


@pytest.mark.usefixtures("simulated_gpu")
def test_doctor_where_a_gpu_answers(run: Run) -> None:
    code, found, _ = run("doctor", "--json")
    assert (code, found["gpu"]["compute_capability"]) == (0, 89)


def lines_of(err: str) -> list[dict[str, Any]]:
    """The lines of progress among those for people."""
    return [json.loads(line) for line in err.splitlines() if line.startswith('{"what": ')]


@pytest.mark.usefixtures("clip")
def test_progress_of_a_video(run: Run, tmp_path: Path) -> None:
    line = ("interpolate", "clip.mp4", "-o", "out.mkv", *SMALL, "--progress", "json")
    code, _, err = run(*line)
    told = lines_of(err)
    assert code == 0
    assert {tuple(each) for each in told} == {("what", "done", "total", "rate", "eta_s")}
    assert {each["what"] for each in told} == {"clip.mp4"}
    done = [each["done"] for each in told]
    assert done == sorted(set(done))
    assert done[-1] == told[-1]["total"] == frames_of(tmp_path / "out.mkv")
    assert run("interpolate", "clip.mp4", "-o", "b.mkv", *SMALL)[2].count("{") == 0


def test_progress_is_told_twice_a_second_and_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(progress.errors, "get_time", lambda: now)
    with progress_as("json"), frame_progress("x\n\x1b[2J.mp4") as update:
        for frame in range(1, 63):  # ten a second, for six of them and a bit
            now += 0.1
            update(frame, 100)
    told = lines_of(capsys.readouterr().err)
    assert told[0] == {
        "what": "x\n\\x1b[2J.mp4", "done": 0, "total": None, "rate": None, "eta_s": None,
    }  # fmt: skip
    assert 13 <= len(told) <= 15
    assert told[-1]["done"] == 62
    assert told[-1]["rate"] == pytest.approx(10, rel=0.01)
    assert told[-1]["eta_s"] == pytest.approx(4, abs=1)


def test_what_is_done_is_never_more_than_all(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_as("json"), frame_progress("x") as update:
        update(12, 10)  # a source that is longer than it says
    last = lines_of(capsys.readouterr().err)[-1]
    assert (last["done"], last["total"]) == (12, 12)


def test_progress_for_programs_ends_with_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress_as("json"):
        pass
    with frame_progress("x") as update:
        update(1, 2)
    assert capsys.readouterr().err == ""
