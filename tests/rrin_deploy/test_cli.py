"""The command line as a person uses it: what is printed, what is written, the exit code."""

import dataclasses
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from PIL import Image

from media.colour import SourceFrame
from media.video import write_video
from precision import Ranges, load_graph, with_precision
from precision.blocks import int8_share
from rrin_deploy import __version__
from rrin_deploy.cli import main
from rrin_deploy.proof.double import write_engine
from runtime.errors import OutputError
from runtime.golden import Golden, golden_beside
from runtime.installation import install_hint
from runtime.manifest import manifest_path
from runtime.scene import render, render_bytes
from tests.conftest import ROOT, Exporter, write_png
from tests.media.test_sound import clicking
from tests.models import SMALL_MODEL
from tests.rrin_deploy.conftest import Run


def save_scene(path: Path, time: float, mode: str = "RGB") -> Path:
    rgb = np.rint(render(48, 80, time) * 255).astype(np.uint8)
    Image.fromarray(rgb).convert(mode).save(path)
    return path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return save_scene(tmp_path / "a.png", 0), save_scene(tmp_path / "b.png", 1)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    frames = [np.rint(render(48, 80, time) * 255).astype(np.uint8) for time in range(4)]
    write_video(tmp_path / "clip.mp4", frames, Fraction(25))
    return tmp_path / "clip.mp4"


@pytest.fixture
def quick_ceilings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `bench` measure the machine once, where nothing is told by how fast it is."""
    monkeypatch.setattr("rrin_deploy.bench.ceiling._ROUNDS", 1)


def test_version_and_help(run: Run) -> None:
    assert run("--version") == (0, f"rrin-deploy {__version__}\n", "")
    assert run("-h") == run("--help")
    assert run("-h")[0] == 0
    names = ("train", "export", "calibrate", "build", "inspect", "interpolate", "parity", "eval",
             "bench", "report", "demo", "doctor", "estimate", "run",
             "live")  # fmt: skip
    for name in names:
        code, out, _ = run(name, "--help")
        assert code == 0
        assert run(name, "-h") == (0, out, "")
        assert f"rrin-deploy {name}" in out.split("Example")[1]  # every help has an example


@pytest.mark.long
def test_parity_with_a_checkpoint_is_live_and_by_stage(
    run: Run, small_checkpoint: Path, exported: Exporter
) -> None:
    path = exported()
    code, out, _ = run("parity", path, "--checkpoint", small_checkpoint, "--size", "100x52")
    # The checkpoint read back out of the model is another file than the small model's.
    assert code == 0, out
    for stage in ("flow", "warped0", "warped1", "mask", "blend"):
        assert stage in out
    assert "100x52" in out
    code, out, _ = run(
        "parity", path, "--checkpoint", small_checkpoint, "--size", "64x32", "--json"
    )
    report = json.loads(out)
    assert report["passed"] is True
    assert {stage["stage"] for stage in report["stages"]} >= {"flow", "blend"}


def test_parity_says_where_the_checkpoint_differs(
    run: Run, small_checkpoint: Path, tmp_path: Path
) -> None:
    # The bundled model's own weights, in another file, and claiming other corners.
    import torch

    state = torch.load(small_checkpoint, weights_only=True)["state_dict"]
    torch.save({"state_dict": state, "align_corners": True}, tmp_path / "other.pth")
    code, out, _ = run("parity", SMALL_MODEL, "--checkpoint", "other.pth", "--size", "64x32")
    assert code == 0
    assert "note: the artifact was exported from another checkpoint file" in out
    assert "note: the artifact has align_corners=False, against what the checkpoint says" in out


@pytest.mark.usefixtures("one_thread")
def test_train_goes_on_where_it_stopped(run: Run, clip: Path, vimeo: Path) -> None:
    folder = clip.parent / "videos"
    folder.mkdir()
    clip.rename(folder / clip.name)
    size = ("--batch", "1", "--width", "2", "--size", "32")
    tiny = (*size, "--clips", "videos", "--vimeo90k", vimeo)
    code, out, err = run("train", "-o", "x.pth", "--steps", "2", *tiny)
    assert code == 0, err
    assert re.match(r"x\.pth: 2 steps; loss 0\.\d+ at the start, 0\.\d+ at the end\n", out)
    assert "x.log.jsonl: its losses; x.png shows them" in out
    logged = [json.loads(line) for line in Path("x.log.jsonl").read_text().splitlines()]
    assert logged[-1]["validation"]["vimeo90k, dB"] > 5
    assert run("train", "-o", "x.pth", "--steps", "2", *tiny)[1] == out  # all done before
    code, _, err = run("train", "-o", "y.pth", *tiny, "--clips", "none")
    assert (code, err) == (1, "error: none: no such folder; expected one with videos in it\n")
    code, _, err = run("train", "-o", "y.pth", "--size", "100")
    assert code == 2
    assert "--size is 100; expected a multiple of 32" in err
    from export import load_checkpoint

    network = load_checkpoint("x.pth")
    assert (network.base_width, network.align_corners) == (2, False)


def test_build_and_inspect(run: Run, tmp_path: Path) -> None:
    (tmp_path / "rrin.onnx").write_bytes(SMALL_MODEL.read_bytes())
    (tmp_path / "rrin.golden.npz").write_bytes(golden_beside(SMALL_MODEL).read_bytes())
    code, out, err = run("build", "--fp16", "--target", "rtx", "--sm", "89", "--shape", "640x360")
    assert code == 0, err
    assert "rrin.rtx.fp16.engine: " in out
    assert "rrin.rtx.fp16.golden.npz: its graph is within" in out
    assert "note: its parity could not be checked here: " in out
    assert "for SM89; U-Net convolutions 81 in HALF; 640x384 alone, one time a run; " in out
    assert "note: TensorRT-RTX fuses no INT8" not in out
    built = out
    code, out, _ = run("inspect", "rrin.rtx.fp16.engine", "--json")
    facts = json.loads(out)
    assert facts["census"] == {"HALF": 81}
    assert facts["context_bytes"] > 0
    assert f"; {facts['context_bytes'] / 1e9:.2f} GB a context; " in built
    assert "GB of GPU memory" not in built
    assert facts["metadata"]["base_width"] == 8
    assert facts["metadata"]["runtime"] == "tensorrt"
    shown = run("inspect", "rrin.rtx.fp16.engine")[1]
    assert "census.HALF" in shown
    assert re.search(rf"context_bytes +{facts['context_bytes']} ", shown)
    shown = run("inspect", "rrin.rtx.fp16.engine", "--layers")[1]
    assert re.search(r"\nrrin\.rtx\.fp16\.engine: \d+ kernels: 81 convolutions, 51 of them", shown)
    assert re.search(r"; 0\.\d\d GB read and written\n", shown)
    layers = json.loads(run("inspect", "rrin.rtx.fp16.engine", "--layers", "--json")[1])
    assert sum(layer["kind"] == "convolution" for layer in layers) == 81
    assert run("inspect", "rrin.onnx", "--layers")[0] == 2
    facts = json.loads(run("inspect", "rrin.onnx", "--json")[1])
    assert facts["nodes"]["GridSample"] == 2
    assert facts["weights"] > 1_204_381
    (tmp_path / "rrin.rtx.fp16.engine").write_bytes(b"cut")
    code, _, err = run("inspect", "rrin.rtx.fp16.engine")
    assert code == 1
    assert "is not the plan that its manifest describes" in err


@pytest.mark.parametrize(
    ("sm", "noted"), [((89,), "SM89"), ((86, 80, 120), "SM86, SM120"), ((80,), "")]
)
def test_build_says_where_cards_may_be_too_small(run: Run, sm: tuple[int, ...], noted: str) -> None:
    for_cards = [word for capability in sm for word in ("--sm", capability)]
    out = build_large(run, "3840x2160", *for_cards)
    note = f"GB of GPU memory, and many cards of {noted} have 8 GB: build for less with --max-times"
    assert (note in out) == bool(noted)
    assert ("GB of GPU memory" in out) == bool(noted)


@pytest.mark.long
@pytest.mark.parametrize(("sm", "shape", "noted"), [
    (89, "1920x1088", True), (89, "640x360", False), (86, "1920x1088", False),
])  # fmt: skip
@pytest.mark.usefixtures("simulated_gpu")
def test_build_says_where_the_gpu_here_is_too_small(
    run: Run, sm: int, shape: str, noted: bool
) -> None:
    out = build_large(run, shape, "--sm", sm)
    assert ("GB of GPU memory, and the GPU here has 1.1 GB: build" in out) == noted
    assert ("GB of GPU memory" in out) == noted


def build_large(run: Run, shape: str, *more: object) -> str:
    """Build the small model for seven times and return what is printed."""
    size = ("--max-shape", shape, "--max-times", "7")
    output = ("-o", "x.engine", "--target", "rtx")
    code, out, err = run("build", SMALL_MODEL, *output, *size, *more)
    assert code == 0, err
    return out


@pytest.mark.parametrize(
    "command",
    [
        ("parity", "x.engine", "--golden", golden_beside(SMALL_MODEL)),
        ("interpolate", "a.png", "b.png", "-o", "c.png", "--model", "x.engine"),
        *(
            pytest.param(command, marks=pytest.mark.long)
            for command in (
                ("eval", "x.engine", "--triplets", "triplets"),
                ("bench", "x.engine", "--rounds", "1"),
                ("demo", "--model", "x.engine"),
            )
        ),
    ],
)
@pytest.mark.needs_no_gpu
@pytest.mark.usefixtures("pair", "quick_ceilings")
def test_engines_that_hold_code_want_trust(
    command: tuple[object, ...], run: Run, tmp_path: Path
) -> None:
    for name in ("im1", "im2", "im3"):
        (tmp_path / "triplets" / "one").mkdir(parents=True, exist_ok=True)
        save_scene(tmp_path / "triplets" / "one" / f"{name}.png", 0)
    path = write_engine(tmp_path, "uint8", 89)
    path.rename(tmp_path / "x.engine")
    about = json.loads(manifest_path(path).read_text())
    manifest_path("x.engine").write_text(json.dumps(about | {"version_compatible": True}))
    _, _, err = run(*command)
    assert re.search("is version-compatible, and so holds code, .* who built it", err), err
    code, _, err = run(*command, "--trust")
    assert code == 3
    assert re.search(r"is a tensorrt 0\.0\.0 engine, and tensorrt is not installed", err), err


@pytest.mark.needs_no_gpu
def test_engines_do_not_run_here(run: Run, tmp_path: Path) -> None:
    shutil.copy(golden_beside(SMALL_MODEL), tmp_path / "rrin.golden.npz")
    run(
        "build",
        SMALL_MODEL,
        "-o",
        "rrin.engine",
        "--target",
        "rtx",
        "--sm",
        89,
        "--shape",
        "64x64",
    )
    code, _, err = run("parity", "rrin.engine")
    assert code == 3
    assert "no GPU can be used here" in err or "cuda-bindings is installed" in err
    assert "engines do not run here: " in run("doctor")[1]


def test_parity_fails_with_exit_code_1(run: Run, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(SMALL_MODEL.read_bytes())
    golden = Golden.load(golden_beside(SMALL_MODEL))
    cases = tuple(dataclasses.replace(c, frames=c.frames * 0.9) for c in golden.cases)
    changed = dataclasses.replace(golden, cases=cases)
    (tmp_path / "m.golden.npz").write_bytes(changed.to_bytes())
    code, out, _ = run("parity", "m.onnx")
    assert code == 1
    assert "parity: FAIL" in out
    code, out, _ = run("parity", "m.onnx", "--json")
    assert code == 1
    assert json.loads(out)["passed"] is False


def test_parity_never_passes_by_skipping(run: Run, tmp_path: Path) -> None:
    code, _, err = run("parity", SMALL_MODEL, "--provider", "DmlExecutionProvider")  # Windows'
    assert code == 3
    assert "DmlExecutionProvider" in err
    (tmp_path / "m.onnx").write_bytes(SMALL_MODEL.read_bytes())
    code, _, err = run("parity", "m.onnx")
    assert code == 1
    assert "no such file; expected a golden file" in err


def test_parity_by_a_golden_file_and_limits_of_ones_own(run: Run, tmp_path: Path) -> None:
    shutil.copy(SMALL_MODEL, tmp_path / "m.onnx")
    golden = golden_beside(SMALL_MODEL)
    assert run("parity", "m.onnx", "--golden", golden)[0] == 0
    code, out, _ = run("parity", "m.onnx", "--golden", golden, "--min-psnr", "199", "--json")
    report = json.loads(out)
    assert code == 1
    assert report["cases"][0]["limits"] == {"max_abs_error": 1e-4, "min_psnr_db": 199}
    assert run("parity", "m.onnx", "--golden", golden, "--max-error", "0")[0] == 1


def test_json_holds_the_limits_and_what_is_rounding(run: Run, exported: Exporter) -> None:
    code, out, _ = run("parity", exported(io="uint8"), "--json")
    assert code == 0
    report = json.loads(out)
    assert report["cases"][0]["limits"]["max_abs_error"] == pytest.approx(1e-4)
    assert report["limits_from"].endswith("; half a level is rounding")


def test_verdicts_are_json_even_where_there_is_only_an_error(run: Run, tmp_path: Path) -> None:
    shutil.copy(SMALL_MODEL, tmp_path / "m.onnx")
    for arguments, expected, message in (
        (("m.onnx",), 1, "no such file; expected a golden file"),
        (("none.onnx",), 1, "none.onnx: no such file"),
        (("m.onnx", "--golden", "m.onnx"), 1, "not a golden file"),
        ((SMALL_MODEL, "--provider", "CUDAExecutionProvider"), 3, "CUDAExecutionProvider"),
        (("m.onnx", "--checkpoint", "none.pth"), 1, "none.pth"),
    ):
        code, out, err = run("parity", *arguments, "--json")
        verdict = json.loads(out)
        assert (code, verdict["passed"]) == (expected, False), arguments
        assert message in verdict["error"]
        assert err.startswith("error: ")


def test_json_of_an_error_holds_the_remedy_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.partition(".")[0] == "export"]:
        monkeypatch.delitem(sys.modules, name)
    code, out, err = run("parity", SMALL_MODEL, "--checkpoint", "c.pth", "--json")
    assert code == 3
    assert json.loads(out)["error"] in " ".join(err.split())
    assert "torch is not installed, and this needs it" in json.loads(out)["error"]


def test_parity_of_stages_with_nan_is_json(
    run: Run, small_checkpoint: Path, tmp_path: Path
) -> None:
    graph = onnx.load(SMALL_MODEL)
    (bias,) = (x for x in graph.graph.initializer if x.name == "final.last.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(3, np.nan, np.float32), bias.name))
    onnx.save(graph, tmp_path / "nan.onnx")
    options = ["--checkpoint", small_checkpoint, "--size", "64x32"]
    code, out, _ = run("parity", "nan.onnx", *options, "--json")
    assert code == 1
    report = json.loads(out, parse_constant=pytest.fail)
    assert report["stages"][-1]["stage"] == "blend"
    assert report["cases"][0]["not_finite"] == 64 * 32 * 3


def test_inspect_shows_a_golden_file(run: Run) -> None:
    code, out, _ = run("inspect", golden_beside(SMALL_MODEL), "--json")
    facts = json.loads(out)
    assert (code, facts["kind"]) == (0, "golden file")
    assert facts["cases"][0]["size"] == [128, 96]


def test_threads_that_no_machine_has_are_wrong_usage(run: Run) -> None:
    for command in ("parity", "bench"):
        code, _, err = run(command, SMALL_MODEL, "--threads", "2000000")
        assert code == 2
        assert "1024" in err


def test_build_exits_with_1_where_the_result_gives_nan(
    run: Run, ranges: Ranges, tmp_path: Path
) -> None:
    ranges.save(tmp_path / "rrin.ranges.json")
    shutil.copy(golden_beside(SMALL_MODEL), tmp_path / "rrin.golden.npz")
    graph = onnx.load(SMALL_MODEL)
    (bias,) = (x for x in graph.graph.initializer if x.name == "final.last.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(3, np.nan, np.float32), bias.name))
    onnx.save(graph, tmp_path / "rrin.onnx")
    code, out, _ = run("build", "--int8", "--target", "openvino")
    assert code == 1
    assert "parity in openvino" in out
    assert "FAIL" in out
    assert (tmp_path / "rrin.ov.int8.onnx").is_file()


def test_pair(run: Run, tmp_path: Path) -> None:
    for time, name in enumerate(("a.png", "b.png")):
        Image.fromarray(render_bytes(192, 128, time)).save(tmp_path / name)
    code, out, _ = run("interpolate", "a.png", "b.png", "-o", "mid.png")
    assert code == 0
    assert out.startswith("mid.png: 192x128, t = 0.5;")
    first, middle, last = (
        np.asarray(Image.open(tmp_path / name)) / 255 for name in ("a.png", "mid.png", "b.png")
    )
    truth = render(128, 192, 0.5)
    assert np.square(middle - truth).mean() < np.square((first + last) / 2 - truth).mean() / 1.5


def test_pair_at_another_time_and_of_grey_images(run: Run, tmp_path: Path) -> None:
    a, b = (save_scene(tmp_path / f"{time}.png", time, "L") for time in (0, 1))
    assert run("interpolate", a, b, "-o", "mid.png", "--t", "0.25")[0] == 0
    assert Image.open(tmp_path / "mid.png").mode == "L"


def test_video(run: Run, clip: Path, tmp_path: Path) -> None:
    code, out, err = run("interpolate", clip, "-o", "out.mp4", "--factor", "4")
    assert code == 0, err
    assert "out.mp4: 16 frames from 4, 80x48 at 100 fps; 9 made, 3 shown again, 0 cuts" in out
    with av.open(str(tmp_path / "out.mp4")) as reader:
        assert len(list(reader.decode(video=0))) == 16
    code, _, err = run("interpolate", clip, "-o", "out.mp4")
    assert code == 1
    assert "--overwrite" in err
    assert run("interpolate", clip, "-o", "out.mp4", "--overwrite")[0] == 0


def test_a_preview_of_a_video(run: Run, clip: Path, tmp_path: Path) -> None:
    code, out, err = run("interpolate", clip, "-o", "look.mp4", "--preview")
    assert (code, err) == (0, "")
    assert "clip.mp4: is shown from 0 s on, 10 s at most" in out
    assert "look.mp4: 8 frames from 4, 80x48" in out
    assert "look.beside.mp4: 8 frames, the source's on the left" in out
    with av.open(str(tmp_path / "look.beside.mp4")) as reader:
        assert {(frame.width, frame.height) for frame in reader.decode(video=0)} == {(160, 48)}
    (tmp_path / "look.mp4").unlink()
    code, _, err = run("interpolate", clip, "-o", "look.mp4", "--preview")
    assert code == 1
    assert "look.beside.mp4: exists" in err
    assert not (tmp_path / "look.mp4").exists()  # before any work
    for wrong in (("--start", "1"), ("--share", "1/2"), ("--ray", "local"), (clip,)):
        code, _, err = run("interpolate", clip, *wrong, "-o", "x.mp4", "--preview")
        assert code == 2
        assert "--preview" in err
    for output in ("x.gif", "x.webp", "x", "x/%05d.png", "x.mxf"):
        code, _, err = run("interpolate", clip, "-o", output, "--preview")
        assert code == 2
        assert "--preview makes videos; expected one of .mp4, .mkv" in err
    assert not list(tmp_path.glob("x*"))
    source = (tmp_path / "look.beside.mp4").read_bytes()
    both = ("look.beside.mp4", "-o", "look.mp4", "--preview", "--overwrite")
    code, _, err = run("interpolate", *both)
    assert code == 2
    assert "look.beside.mp4 is the source as well" in err
    assert (tmp_path / "look.beside.mp4").read_bytes() == source


def test_images_become_no_y4m(run: Run, tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "%d.png"):
        code, _, err = run("interpolate", source, "-o", "out.y4m", "--rate", "24")
        assert code == 2
        assert "images become one of .mp4" in err


@pytest.mark.parametrize(
    ("start", "frames"), [("0.04", 4), ("0:00.04", 4), ("00:00:00.040", 4), ("0.041", 2)]
)
def test_a_part_of_a_video(start: str, frames: int, run: Run, clip: Path, tmp_path: Path) -> None:
    times = ("--start", start, "--end", "0.12")
    code, out, err = run("interpolate", clip, "-o", tmp_path / "out.mp4", *times)
    assert (code, err) == (0, "")
    assert f": {frames} frames from {frames // 2}," in out


@pytest.mark.parametrize("text", ["x", "-1", "1:60", "1:2:3:4", "60:00", "1:", "1e9", ".5", "٣"])
def test_what_is_no_time_is_wrong_usage(text: str, run: Run, clip: Path) -> None:
    code, _, err = run("interpolate", clip, "-o", "out.mp4", f"--start={text}")
    assert code == 2
    assert "is no time; expected seconds, as in 75.5" in err


def test_two_inputs_are_two_images_or_else_videos(
    run: Run, pair: tuple[Path, Path], clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.mkv").write_bytes(clip.read_bytes())
    code, _, err = run("interpolate", clip, "other.mkv", "-o", "out")
    assert (code, err) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["clip.mp4", "other.mkv"]
    code, _, err = run("interpolate", *pair, "-o", "out")
    assert code == 1
    assert "out: has no suffix; expected the name of an image" in err
    code, _, err = run("interpolate", clip, pair[0], "-o", "new")
    assert code == 2
    assert "is one image" in " ".join(err.replace("│", " ").split())
    assert run("interpolate", clip, "other.mkv", "-o", "new.mkv")[0] == 2
    assert not list(tmp_path.glob("new*"))


def cut_short(clip: Path) -> None:
    """Write cut.mkv beside a video, without its end."""
    path = clip.with_name("cut.mkv")
    with av.open(str(clip)) as reader, av.open(str(path), "w") as writer:
        copied = writer.add_stream_from_template(reader.streams.video[0])
        for packet in reader.demux(video=0):
            if packet.dts is not None:
                packet.stream = copied
                writer.mux(packet)
    path.write_bytes(path.read_bytes()[:-600])


def test_a_damaged_one_of_several_videos_is_made_but_not_without_fault(
    run: Run, clip: Path, tmp_path: Path
) -> None:
    cut_short(clip)
    line = ("interpolate", clip, "cut.mkv", "-o", "out")
    code, out, err = run(*line)
    assert code == 1
    assert "out: 2 of 2 videos\n" in out
    assert "made, but of sources that are damaged, as said above: cut.mkv; --allow-damaged" in err
    assert "missing" not in err
    assert err.count("\n") == 1
    made = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert set(made) == {"clip.mp4", "cut.mkv"}
    code, out, err = run(*line)
    assert (code, err) == (0, "")
    assert "out: 2 of 2 videos, 2 of them from before\n" in out
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == made
    assert run(*line, "--overwrite", "--allow-damaged")[0] == 0


def test_a_video_that_another_has_made_meanwhile_is_a_failure(
    run: Run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = SourceFrame.of

    def meanwhile(*given: Any, **named: Any) -> SourceFrame:
        (tmp_path / "out" / "clip.mp4").write_bytes(b"of another run")
        return of(*given, **named)

    monkeypatch.setattr("media.filling.SourceFrame.of", meanwhile)
    (tmp_path / "other.mkv").write_bytes(clip.read_bytes())
    code, out, err = run("interpolate", clip, "other.mkv", "-o", "out")
    assert code == 1
    assert "out: 1 of 2 videos\n" in out
    assert "changed meanwhile, and stays; what was made is whole, in " in err
    assert err.endswith("out: not all could be made; missing: clip.mp4\n")


def test_the_share_that_was_inferred_is_said(run: Run, tmp_path: Path) -> None:
    for index in (0, 1):
        rgb = np.zeros((320, 320, 3), np.uint8)
        rgb[:32, :32] = np.rint(render(32, 32, index) * 255)
        Image.fromarray(rgb).save(tmp_path / f"{index}.png")
    pair = ("interpolate", "0.png", "1.png", "--model", SMALL_MODEL)
    code, out, err = run(*pair, "-o", "parts.png")
    assert code == 0, err
    assert "; 9 % of the pixels inferred, as the others are still; " in out  # 96x96 of 320x320
    code, out, err = run(*pair, "-o", "whole.png", "--no-skip-still")
    assert code == 0, err
    assert "inferred" not in out
    parts, whole = (np.asarray(Image.open(tmp_path / name)) for name in ("parts.png", "whole.png"))
    assert not parts[32:].any()
    assert not parts[:, 32:].any()
    assert np.abs(parts[:32, :32].astype(int) - whole[:32, :32]).max() <= 2


@pytest.mark.parametrize(
    "options",
    [("--t", "0.5"), ("--factor", "1"), ("--fps", "50", "--factor", "2"), ("--share", "3/2")],
)
def test_wrong_usage_with_several_videos_is_said_once_and_first(
    options: tuple[str, ...], run: Run, clip: Path, tmp_path: Path
) -> None:
    line = ("interpolate", clip, "other.mkv", "third.mkv", "-o", "out", "--model", "none.onnx")
    code, out, err = run(*line, *options)
    assert (code, out) == (2, "")
    assert err.lower().count("error") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_damaged_video_fails_and_keeps_what_was_made(
    run: Run, clip: Path, tmp_path: Path
) -> None:
    cut_short(clip)
    code, out, err = run("interpolate", "cut.mkv", "-o", "out.mkv")
    assert code == 1
    assert "cut short" in out
    assert "what could be made is kept in out.mkv" in err
    made = (tmp_path / "out.mkv").read_bytes()
    assert made
    again = ("interpolate", "cut.mkv", "-o", "out.mkv", "--overwrite", "--allow-damaged")
    code, out, err = run(*again)
    assert (code, err) == (0, "")
    assert "cut short" in out


def test_slow_motion_at_a_rate(run: Run, clip: Path) -> None:
    code, out, err = run("interpolate", clip, "-o", "out.mp4", "--slow", "2", "--fps", "60")
    assert code == 0, err
    assert "out.mp4: 20 frames from 4, 80x48 at 60 fps" in out
    assert run("interpolate", clip, "-o", "x.mp4", "--factor", "2", "--fps", "60")[0] == 2


def test_sound_that_is_encoded_anew_is_said(run: Run, tmp_path: Path) -> None:
    clicking(tmp_path / "in.mkv")
    line = ("interpolate", "in.mkv", "-o", "out.webm", "--end", "0.1")
    code, _, err = run(*line, "--no-transcode")
    assert code == 1
    assert ".webm does not hold audio (pcm_s16le)" in err
    code, out, err = run(*line)
    assert (code, err) == (0, "")
    assert "in.mkv: encoded anew: audio (pcm_s16le) as libopus, for .webm does not hold it" in out


def test_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for time in range(3):
        save_scene(tmp_path / "frames" / f"{time}.png", time)
    code, out, _ = run("interpolate", "frames", "-o", "more", "--factor", "2")
    assert code == 0
    assert "more: 5 images from 3, 0 cuts" in out
    assert len(list((tmp_path / "more").iterdir())) == 5


def test_repeats_are_taken_out_and_counted(run: Run, tmp_path: Path) -> None:
    frames = [render_bytes(80, 48, index // 2) for index in range(8)]
    write_video(tmp_path / "twos.mkv", frames, 25)
    code, out, err = run("interpolate", "twos.mkv", "-o", "out.mkv", "--dedup")
    assert code == 0, err
    assert "16 frames from 8, 80x48 at 50 fps; " in out
    assert ", 0 cuts, 2 repeats taken out; decoding " in out
    (tmp_path / "twos").mkdir()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "twos" / f"{index}.png")
    code, out, err = run("interpolate", "twos", "-o", "more", "--dedup")
    assert code == 0, err
    assert "more: 15 images from 8, 0 cuts, 2 repeats taken out" in out


def test_folder_to_a_video(run: Run, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for time in range(3):
        save_scene(tmp_path / "frames" / f"{time}.png", time)
    line = ("interpolate", "frames", "-o", "clip.mkv")
    code, _, err = run(*line)
    assert (code, "has no frame rate of its own; give --rate" in err) == (2, True)
    code, _, err = run(*line, "--rate", "24", "--start", "1")
    assert (code, "--start is for videos" in err) == (2, True)
    code, out, err = run(*line, "--rate", "24000/1001", "--factor", "2", "--codec", "ffv1")
    assert (code, err) == (0, "")
    assert "clip.mkv: 6 frames from 3," in out
    assert "at 47.952 fps; 2 made" in out
    with av.open(str(tmp_path / "clip.mkv")) as reader:
        first = next(reader.decode(video=0)).to_ndarray(format="rgb24")
    assert np.array_equal(first, np.asarray(Image.open(tmp_path / "frames" / "0.png")))


@pytest.mark.long
def test_video_to_images_and_animations(run: Run, clip: Path, tmp_path: Path) -> None:
    code, out, err = run("interpolate", clip, "-o", "frames/", "--end", "0.08")
    assert (code, err) == (0, "")
    assert "frames: 4 frames from 2," in out
    assert len(list((tmp_path / "frames").iterdir())) == 4
    code, _, err = run("interpolate", clip, "-o", "out.gif", "--factor", "4")
    assert (code, err.strip()[-8:]) == (1, "--fps 50")
    for name in ("out.gif", "out.webp", "out.y4m", "out.ts"):
        code, out, err = run("interpolate", clip, "-o", name)
        assert (code, err) == (0, "")
        assert f"{name}: 8 frames from 4," in out
    assert [Image.open(tmp_path / f"out.{kind}").format for kind in ("gif", "webp")] == [
        "GIF",
        "WEBP",
    ]
    assert run("interpolate", clip, "-o", "out.y4m", "--segment", "1")[0] == 2


def test_wrong_usage_exits_with_2(run: Run, pair: tuple[Path, Path], clip: Path) -> None:
    a, b = pair
    for arguments in (
        ("interpolate", a, b, "-o", "x.png", "--factor", "2"),
        ("interpolate", clip, "-o", "x.mp4", "--t", "0.5"),
        ("interpolate", a, b, "-o", "x.png", "--t", "2"),
        ("interpolate", a, b, "-o", "x.png", "--t", "nan"),
        ("interpolate", clip, "-o", "x.mp4", "--factor", "1"),
        ("interpolate", clip, "-o", "x.mp4", "--factor", "2", "--fps", "50"),
        ("interpolate", clip, "-o", "x.mp4", "--no-cuts", "--cut-threshold", "0.2"),
        ("export", "c.pth", "-o", "x.engine"),
        ("interpolate", Path.cwd(), "-o", "x.mp4"),
        ("interpolate", Path.cwd(), "-o", "more", "--factor", "2.5"),
        ("interpolate", Path.cwd(), "-o", "more", "--crf", "20"),
        ("interpolate", Path.cwd(), "-o", "more", "--no-cuts", "--cut-threshold", "0.2"),
        ("interpolate", Path.cwd(), "-o", "more", "--rate", "24"),
        ("interpolate", clip, "-o", "x.mp4", "--rate", "24"),
        ("interpolate", a, "-o", "x.png"),
        ("interpolate", a, b, a, "-o", "x.png"),
        ("interpolate", a, b),
        ("interpolate", clip, clip, "-o", "x.png"),
        ("interpolate", clip, "-o", "x.mp4", "--max-pixels", "100"),
        ("interpolate", a, b, "-o", "x.png", "--dedup"),
        ("live", clip, "-o", "x.mp4", "--fps", "50", "--dedup"),
        ("live", clip, "-o", "x.mp4"),
        ("live", clip, "-o", "x.mp4", "--fps", "0"),
        ("live", clip, "-o", "x.mp4", "--fps", "50", "--latency", "2h"),
        ("live", clip, "-o", "x.mp4", "--fps", "50", "--latency", "61s"),
        ("live", clip, "-o", "x.mp4", "--fps", "50", "--source-option", "framerate"),
        ("eval", "a.pth", "--triplets", ".", "--device", "0"),
        ("eval", "a.pth", "b.engine", "--triplets", ".", "--provider", "CPUExecutionProvider"),
        ("eval", "b.engine", "--triplets", ".", "--threads", "2"),
        ("parity", SMALL_MODEL, "--size", "64x32"),
        ("parity", SMALL_MODEL, "--golden", "x", "--checkpoint", "x"),
        ("parity", SMALL_MODEL, "--checkpoint", "x", "--size", "64by32"),
        ("parity", SMALL_MODEL, "--checkpoint", "x", "--size", "00x64"),
        ("build", SMALL_MODEL, "--fp16", "--fp32"),
        ("export",),
        ("export", "c.pth", "--io", "int4"),
        ("nonsense",),
    ):
        code, _, err = run(*arguments)
        assert code == 2, arguments
        assert err


def test_refusals_name_the_option_that_helps(run: Run, pair: tuple[Path, Path]) -> None:
    code, _, err = run("interpolate", *pair, "-o", "x.png", "--max-pixels", "100")
    assert (code, err.strip()[-17:]) == (1, "--max-pixels 3840")
    with av.open("clear.mov", "w") as writer:
        stream = writer.add_stream("qtrle", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "argb"
        writer.mux([*stream.encode(av.VideoFrame(32, 32, "argb")), *stream.encode(None)])
    code, _, err = run("interpolate", "clear.mov", "-o", "x.mp4")
    assert (code, err.strip()[-17:]) == (1, "--pix-fmt yuv420p")
    assert run("interpolate", "clear.mov", "-o", "x.mp4", "--pix-fmt", "yuv420p")[0] == 0


def test_missing_numbers_of_a_folder_are_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in (1, 2, 5):
        save_scene(tmp_path / f"in/g{number}.png", number)
    _, out, _ = run("interpolate", "in", "-o", "out")
    assert "in: 2 numbers are missing, between 2 and 5; the images beside are taken for" in out


def test_errors_are_one_line(run: Run, pair: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = pair
    (tmp_path / "broken.png").write_bytes(b"no image")
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    before = sorted(path.name for path in tmp_path.iterdir())
    for arguments in (
        ("interpolate", a, "broken.png", "-o", "x.png"),
        ("interpolate", a, "none.png", "-o", "x.png"),
        ("interpolate", a, b, "-o", "x.png", "--model", "broken.onnx"),
        ("interpolate", a, b, "-o", "none/x.png"),
        ("interpolate", a, "none.png", "-o", "x.gif"),
        ("interpolate", a, b, "-o", "x.png", "--max-pixels", "100"),
        ("interpolate", "none.mp4", "-o", "x.mp4"),
        ("live", "none.mp4", "-o", "x.mp4", "--fps", "50"),
        ("live", "foo://x", "-o", "x.mp4", "--fps", "50"),
        ("export", "none.pth"),
        ("export", "broken.png"),
        ("parity", "none.onnx"),
    ):
        code, _, err = run(*arguments)
        assert code == 1, arguments
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_traceback_on_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError):
        main(["parity", "none.onnx", "--traceback"])


def test_missing_extra_names_its_installation(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "export")
    for name in [name for name in sys.modules if name.startswith("export.")]:
        monkeypatch.delitem(sys.modules, name)
    code, _, err = run("export", "c.pth")
    assert code == 3
    assert err.endswith(f"torch is not installed, and this needs it: {install_hint('torch')}\n")


@pytest.mark.parametrize(
    ("source", "command"),
    [
        (None, "pip install 'rrin-deploy[video]'"),
        ({"url": "file:///home/me/rrin-deploy", "dir_info": {}}, "pip install '.[video]' in the"),
    ],
)
def test_the_hint_is_for_how_it_was_installed(
    source: object, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    about = tmp_path / "rrin_deploy-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: rrin-deploy\nVersion: 1.0\n")
    if source:
        (about / "direct_url.json").write_text(json.dumps(source))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert str(install_hint("av")).startswith(command)


def test_interrupted(run: Run, monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("media.filling.SourceFrame.of", interrupt)
    code, _, err = run("interpolate", clip, "-o", "x.mp4")
    assert (code, err) == (130, "")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.long
def test_demo(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("demo")
    assert code == 0
    assert "49 frames" in out
    assert "parity with PyTorch: pass" in out
    ours, average = (float(out.split(text)[1].split(" dB")[0]) for text in ("truth ", "averaging "))
    assert ours > average + 4
    with av.open(str(tmp_path / "rrin-demo" / "scene_x4.mp4")) as reader:
        assert len(list(reader.decode(video=0))) == 49
    assert Image.open(tmp_path / "rrin-demo" / "comparison.png").size == (3 * 448, 2 * 256)


def test_doctor(run: Run) -> None:
    code, out, _ = run("doctor")
    assert code == 0
    assert "CPUExecutionProvider: loads" in out
    for module in ("onnxruntime", "tensorrt_rtx", "openvino", "av", "skimage", "matplotlib"):
        assert f" {module} " in out
    assert f"openvino {importlib.metadata.version('openvino')}" in out
    assert "rrin-deploy can interpolate here" in out


def test_doctor_takes_onnxruntime_by_another_name(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = importlib.metadata.packages_distributions()

    def provided_by(*names: str) -> None:
        providers = {**installed, "onnxruntime": list(names)}
        monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: providers)
        monkeypatch.setattr(importlib.metadata, "version", lambda name: f"1.24-{name[-2:]}")

    provided_by("onnxruntime-gpu")
    out = run("doctor")[1]
    assert "onnxruntime-gpu 1.24-pu" in out
    assert "onnxruntime: missing" not in out
    assert "overwrite" not in out
    provided_by("onnxruntime-gpu", "onnxruntime")
    out = run("doctor")[1]
    assert "onnxruntime and onnxruntime-gpu overwrite each other's files" in out


def test_doctor_names_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("av", "onnx", "onnx_ir"):
        monkeypatch.setitem(sys.modules, module, None)
    out = run("doctor")[1]
    assert f"av: missing; {install_hint('av')}" in out
    assert f"onnx, onnx_ir: missing; {install_hint('onnx')}" in out


def test_doctor_says_what_runs_onnx_files(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version("openvino")
    assert f"ONNX files run in openvino {version} CPU, which is installed" in run("doctor")[1]
    monkeypatch.setitem(sys.modules, "openvino", None)
    code, out, _ = run("doctor")
    assert code == 0
    assert "ONNX files run in onnxruntime " in out
    assert f"OpenVINO, mostly faster on CPUs, is missing: {install_hint('openvino')}" in out


@pytest.mark.parametrize(
    ("has", "said"), [(True, "has bf16: files of build --bf16 run here"), (False, "has no bf16")]
)
def test_doctor_says_whether_the_cpu_has_bf16(
    has: bool, said: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.openvino_model.has_bf16", lambda: has)
    assert f"this CPU {said}" in run("doctor")[1]


def test_bf16_is_built_anywhere_and_refused_where_it_cannot_run(
    run: Run, pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.openvino_session.has_bf16", lambda *_: False)
    shutil.copy(SMALL_MODEL, tmp_path / "rrin.onnx")
    code, out, _ = run("build", "rrin.onnx", "--bf16", "--target", "openvino")
    assert code == 0
    assert "rrin.ov.bf16.onnx: 2.5 MB for OpenVINO" in out
    assert "77 in BF16, 4 in FLOAT" in out
    arguments = ["interpolate", *pair, "-o", "m.png", "--model", "rrin.ov.bf16.onnx"]
    code, _, err = run(*arguments)
    assert code == 3
    assert "has no bf16 arithmetic; run the fp32 file" in " ".join(err.split())


@pytest.mark.parametrize("module", ["onnx", "onnx_ir"])
def test_doctor_and_errors_name_one_installation(
    module: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    for name in [
        name for name in sys.modules if name.partition(".")[0] in ("engines", "precision")
    ]:
        monkeypatch.delitem(sys.modules, name)
    _, out, _ = run("doctor")
    code, _, err = run("build", SMALL_MODEL)
    command = err.strip().partition("needs it: ")[2]
    assert (code, command.partition("[")[2][:11]) == (3, "calibration")  # not torch besides
    assert f"{module}: missing; {command}" in out


def test_doctor_where_nothing_runs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("onnxruntime", "openvino"):
        monkeypatch.setitem(sys.modules, library, None)
        for module in (f"runtime.{library}_library", f"runtime.{library}_session"):
            monkeypatch.delitem(sys.modules, module, raising=False)
    code, out, _ = run("doctor")
    assert code == 3
    assert "onnxruntime cannot be imported" in out
    assert "no backend runs here" in out


ON_THE_CPU = "ONNX files run on the CPU here, beside an NVIDIA GPU"


@pytest.mark.needs_no_gpu
def test_doctor_says_where_a_driver_is_and_onnx_files_run_on_the_cpu(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ON_THE_CPU not in run("doctor")[1]
    tool = tmp_path / "nvidia-smi"  # as a driver brings it, without a package for it
    tool.touch(mode=0o755)
    assert f"{ON_THE_CPU}: CUDAExecutionProvider does not load; " in run("doctor")[1]


@pytest.mark.usefixtures("simulated_gpu")
def test_doctor_says_so_where_a_gpu_answers(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run("doctor")
    assert (code, "GPU 0: SM89" in out) == (0, True)
    assert (
        f"{ON_THE_CPU}: CUDAExecutionProvider does not load; {install_hint('onnxruntime')}" in out
    )
    loads = {"CUDAExecutionProvider": True, "CPUExecutionProvider": True}
    monkeypatch.setattr("runtime.onnxruntime_session.loadable_providers", lambda _: loads)
    assert ON_THE_CPU not in run("doctor")[1]


def test_the_command_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rrin_deploy", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"rrin-deploy {__version__}\n"


def test_calibrate_build_and_evaluate_int8(run: Run, vimeo: Path, tmp_path: Path) -> None:
    shutil.copy(SMALL_MODEL, tmp_path / "rrin.onnx")
    shutil.copy(golden_beside(SMALL_MODEL), tmp_path / "rrin.golden.npz")
    code, out, _ = run("calibrate", "--vimeo90k", vimeo)
    assert code == 0
    assert "rrin.ranges.json: ranges of 77 tensors by max, 3 triplets (all that there are; " in out
    code, out, _ = run("build", "--int8", "--target", "onnxruntime")
    assert code == 0
    assert (
        "rrin.ort.int8.onnx: 1.5 MB for ONNX Runtime; U-Net convolutions 75 in INT8, 6 in FLOAT"
        in out
    )
    assert "rrin.ort.int8.golden.npz: its graph is within" in out
    assert "parity in onnxruntime" in out
    code, out, _ = run("build", "--int8", "--target", "rtx", "--sm", "89", "--shape", "64x64")
    assert code == 0
    assert "note: TensorRT-RTX fuses no INT8 convolution with what follows" in out
    code, out, _ = run("parity", "rrin.ort.int8.onnx")
    assert code == 0
    assert "parity: pass (limits: what the artifact measured when it was built)" in out
    code, out, _ = run(
        "eval", "rrin.onnx", "rrin.ort.int8.onnx", "--vimeo90k", vimeo, "--save", "shown"
    )
    assert code == 0
    assert "1 triplets, against their true middle frames" in out
    assert "plain average" in out
    assert len(list((tmp_path / "shown").rglob("*.png"))) == 2
    code, out, _ = run("eval", "rrin.onnx", "rrin.ort.int8.onnx", "--vimeo90k", vimeo, "--json")
    scores = json.loads(out)["contenders"]
    assert scores["rrin.onnx"]["psnr_db"] > scores["plain average"]["psnr_db"] + 1
    assert abs(scores["rrin.onnx"]["psnr_db"] - scores["rrin.ort.int8.onnx"]["psnr_db"]) < 0.2


@pytest.mark.long
def test_build_int8_by_a_budget(run: Run, ranges: Ranges, tmp_path: Path) -> None:
    shutil.copy(SMALL_MODEL, tmp_path / "rrin.onnx")
    ranges.save(tmp_path / "rrin.ranges.json")
    for index, number in product(range(2), (1, 2, 3)):
        frame = render_bytes(64, 32, 3 * index + (number - 1) / 2)
        write_png(tmp_path / "true" / f"{index}" / f"im{number}.png", frame)
    build = "build", "--int8", "--target", "onnxruntime"
    assert run(*build, "-o", "plain.onnx")[0] == 0
    code, out, _ = run(*build, "-o", "fitted.onnx", "--max-drop", 50, "--triplets", "true")
    assert code == 0
    assert f"INT8 for {int8_share(8, ()):.1%} of the multiply-adds, 34 of 34 blocks" in out
    assert re.search(r"Mask\.midconv +[+-]0\.\d{4} +\d\.\d% +INT8", out)
    for half in ("PSNR within 50 dB on those chosen by", "and on the others, which check"):
        assert re.search(rf"{half}: [+-]\d\.\d{{4}} dB \(1 triplets\)", out)
    assert "U-Net convolutions 75 in INT8, 6 in FLOAT" in out
    assert (tmp_path / "fitted.onnx").read_bytes() == (tmp_path / "plain.onnx").read_bytes()


def test_inspect_names_the_blocks_that_stayed_in_float(
    run: Run, ranges: Ranges, tmp_path: Path
) -> None:
    kept = ("Flow_L.down_path.0", "Mask.midconv")
    model, _ = with_precision(*load_graph(SMALL_MODEL), "int8", ranges, kept_float=kept)
    onnx.save(ir.to_proto(model), tmp_path / "rrin.onnx")
    assert "('Flow_L.down_path.0', 'Mask.midconv')" in run("inspect", "rrin.onnx")[1]
    facts = json.loads(run("inspect", "rrin.onnx", "--json")[1])
    assert facts["metadata"]["kept_float"] == [*kept]


def test_calibrate_on_ones_own_frames(run: Run, vimeo: Path, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    frames = [render_bytes(96, 64, time) for time in range(4)]
    frames += [255 - frame for frame in frames]  # another scene
    write_video(tmp_path / "videos" / "a.mp4", frames, Fraction(25))
    code, out, err = run("calibrate", SMALL_MODEL, "--clips", "videos", "-o", "clips.json")
    assert code == 0, err
    assert "ranges of 77 tensors by max, 4 triplets, 2 more left out for the scene cuts" in out
    assert "(all that there are; 500 asked for)" in out
    folders = vimeo / "sequences"
    code, out, err = run("calibrate", SMALL_MODEL, "--triplets", folders, "-o", "own.json")
    assert code == 0, err
    assert "own.json: ranges of 77 tensors by max, 4 triplets" in out


def test_an_image_is_not_replaced_by_what_is_made_of_it(run: Run) -> None:
    for name in ("a.png", "b.png"):
        write_png(Path(name), render_bytes(64, 48, 0))
    before = Path("a.png").read_bytes()
    code, _, err = run("interpolate", "a.png", "b.png", "-o", "a.png", "--overwrite")
    assert code == 2
    assert "a.png: is an input as well" in err
    assert Path("a.png").read_bytes() == before


def test_images_with_an_icc_profile_are_read_and_its_loss_is_said(tmp_path: Path) -> None:
    """In a process of its own, which PyAV would bring down."""
    for name, time in (("in/a.png", 0), ("in/b.png", 1)):
        (tmp_path / "in").mkdir(exist_ok=True)
        image = Image.fromarray(render_bytes(64, 48, time))
        image.save(tmp_path / name, icc_profile=b"profile" * 50)
    for arguments, line in (
        (("in/a.png", "in/b.png", "-o", "mid.png"), "in/a.png: not kept: ICC profile\n"),
        (("in", "-o", "out"), "in: not kept: ICC profile of 2 images\n"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "rrin_deploy", "interpolate", *arguments],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert line in done.stdout


def test_export_says_what_it_assumed(
    run: Run, small_checkpoint: Path, skip_tracing: Callable[..., None]
) -> None:
    import torch

    skip_tracing(align_corners=True)
    content = torch.load(small_checkpoint, weights_only=True)
    del content["align_corners"]
    torch.save(content, "silent.pth")
    code, out, err = run("export", "silent.pth", "-o", "x.onnx", "--io", "float32")
    assert code == 0, err
    assert "align_corners=True (assumed: the checkpoint does not say), float32 frames" in out


def test_align_corners_of_a_checkpoint_can_be_found(
    run: Run, small_checkpoint: Path, vimeo: Path
) -> None:
    code, out, _ = run(
        "eval", small_checkpoint, "--vimeo90k", vimeo, "--both-align-corners", "--json"
    )
    assert code == 0
    scores = json.loads(out)["contenders"]
    right, wrong = (
        scores[f"{small_checkpoint.name} align_corners={corners}"]["psnr_db"]
        for corners in (False, True)
    )
    assert right > wrong + 0.1


def test_names_that_differ_at_their_end_are_shown_whole(
    run: Run, small_checkpoint: Path, vimeo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rrin_deploy.console.out._width", 80)
    _, out, _ = run("eval", small_checkpoint, "--vimeo90k", vimeo, "--both-align-corners")
    assert "…" not in out
    width = out.index("PSNR") - out.index(" file")
    files = "".join(line[:width].strip() for line in out.splitlines())
    assert {"True", "False"} <= {*re.findall("align_corners=(True|False)", files)}


def test_scores_are_not_lost_with_the_pictures(
    run: Run, vimeo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: object, **__: object) -> None:
        raise OutputError(f"{path}: not written: No space left on device")

    monkeypatch.setattr("rrin_deploy.pictures.write_still", full)
    asked = "eval", SMALL_MODEL, "--vimeo90k", vimeo, "--save", "deep/ev"
    code, out, err = run(*asked)
    assert code == 1
    assert "rrin-w8.onnx" in out
    assert " dB" in out
    assert "pictures" not in out
    assert err.count("\n") == 1
    assert "00001/0004.png: not written: No space left on device" in err
    code, out, _ = run(*asked, "--json")
    assert (code, json.loads(out)["triplets"]) == (1, 1)
    assert not [*tmp_path.iterdir()]


def test_folders_that_cannot_be_made_are_said_before_the_work(
    run: Run, vimeo: Path, tmp_path: Path
) -> None:
    (tmp_path / "ev").mkdir()
    (tmp_path / "ev" / "1-rrin-w8.onnx").touch()
    for arguments in (
        ("eval", SMALL_MODEL, "--vimeo90k", vimeo, "--save", "ev"),
        ("demo", "-o", "ev/1-rrin-w8.onnx"),
    ):
        code, out, err = run(*arguments)
        assert (code, out) == (1, "")
        why = "this folder cannot be made: File exists; choose another"
        assert err == f"error: ev/1-rrin-w8.onnx: {why}\n"


def test_demo_that_fails_leaves_no_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: object, **__: object) -> None:
        raise OutputError(f"{path}: not written: No space left on device")

    monkeypatch.setattr("rrin_deploy.demo.write_video", full)
    assert run("demo", "-o", "deep/demo")[0] == 1
    assert not [*tmp_path.iterdir()]


@pytest.mark.usefixtures("quick_ceilings")
def test_bench_prints_and_draws(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("bench", "--size", "64x48", "--rounds", 2, "--chart", "bench.png")
    assert code == 0
    assert "1.00x" in out
    assert "ceilings, G multiply-adds/s: FP32" in out
    assert (tmp_path / "bench.png").exists()


@pytest.mark.long
def test_bench_compares_backends_at_several_sizes(run: Run) -> None:
    code, out, _ = run(
        "bench", SMALL_MODEL, "--backend", "onnxruntime", "--backend", "openvino",
        "--size", "64x48", "--size", "96x32", "--rounds", 2, "--json",
    )  # fmt: skip
    assert code == 0
    reports = json.loads(out)
    assert [report["size"] for report in reports] == [[64, 48], [96, 32]]
    for report in reports:
        ours, theirs = report["contenders"]
        assert (ours["backend"]["library"], theirs["backend"]["library"]) == (
            "onnxruntime",
            "openvino",
        )
        assert len(theirs["seconds"]) == 2
        assert 0 < ours["share_of_ceiling"] < 1.2
        assert 0 < theirs["share_of_ceiling"] < 1.2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["eval", "none.onnx", "--triplets", "."],
            1,
            "names no triplets; expected folders with im1",
        ),
        (["eval", "none.onnx"], 2, "give one data set"),
        (["calibrate"], 2, "give one data set"),
        (["calibrate", "--clips", ".", "--triplets", "."], 2, "give one data set"),
        (["calibrate", "--clips", "."], 1, "holds no video of three frames"),
        (["calibrate", "--triplets", "."], 1, "names no triplets"),
        (["calibrate", "--vimeo90k", "."], 1, "holds no tri_trainlist.txt"),
        (["build", "--int8", "--fp16"], 2, "exclude each other"),
        (["calibrate", "--vimeo90k", ".", "-o", "rrin.onnx"], 2, "name that ends in .json"),
        (["calibrate", "--vimeo90k", ".", "-o", "none/r.json"], 1, "no such folder"),
        (["bench", "--chart", "none/b.png"], 1, "no such folder"),
        (["bench", "--chart", "b.jpg"], 2, "name that ends in .png"),
        (["eval", "a.onnx", "a.onnx", "--triplets", "."], 2, "a file is given twice"),
        (["eval", "a.onnx", "--both-align-corners", "--triplets", "."], 2, "is for checkpoints"),
        (
            ["build", "--int8", "--target", "onnxruntime", "--sm", "89"],
            2,
            "no more options than precision",
        ),
        (["build", "--ranges", "r.json"], 2, "--ranges is for --int8"),
        (["build", "--max-drop", "0.1"], 2, "--max-drop is for --int8"),
        (["build", "--int8", "--triplets", "."], 2, "triplets are for --max-drop"),
        (["build", "--int8", "--max-drop", "0.1"], 2, "give one data set"),
        (["build", "--fp32", "--target", "onnxruntime"], 2, "is fp32 already"),
        (["build", "--bf16"], 2, "--bf16 is for --target openvino"),
        (["build", "--int8", "--target", "vs-mlrt"], 2, "vs-mlrt takes --fp32 or --fp16, not"),
        (["build", "--target", "vs-mlrt", "--max-times", "2"], 2, "no more options than precision"),
        (["build", "--target", "rtx", "--factor", "4"], 2, "--factor is for --target vs-mlrt"),
        (["build", "--int8", "--target", "vs-mlrt-rtx"], 2, "vs-mlrt takes --fp32 or --fp16, not"),
        (["build", "--target", "vs-mlrt-rtx", "--keep-onnx"], 2, "vs-mlrt writes that graph"),
        (["build", "--bf16", "--int8"], 2, "--bf16 and --int8 exclude each other"),
        (["bench", "none.onnx"], 1, "none.onnx: no such file"),
    ],
)
def test_int8_and_judging_say_what_is_wrong(
    arguments: list[str], code: int, message: str, run: Run
) -> None:
    found, _, err = run(*arguments)
    assert found == code
    assert message in " ".join(err.replace("│", " ").split())
