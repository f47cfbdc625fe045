"""What a device reaches: counted by hand, held to compiled plans, and said in one line."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import onnx
import pytest

from media.options import VideoOptions
from media.rehearsal import rehearse
from media.video import write_video
from rrin_deploy.cli import main
from rrin_deploy.estimate.bounds import Footage, Job, estimate
from rrin_deploy.estimate.devices import DEVICES, Device, find_device
from rrin_deploy.estimate.remedies import find_remedy
from rrin_deploy.estimate.workload import Workload, read_workload
from runtime import Interpolator
from runtime.architecture import multiply_adds
from runtime.bundled import BUNDLED_MODEL
from runtime.errors import OptionError
from runtime.scene import render_bytes
from tests.media.test_segments import clip as clip_of
from tests.models import SMALL_MODEL

Run = Callable[..., tuple[int, str, str]]
SLOW = Device("slow", {"fp32": 1e9, "int8": 1e12}, 1e15, None, None, "of this test")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, out, err

    return run


@pytest.fixture(scope="module")
def small() -> Workload:
    return read_workload(SMALL_MODEL)


def test_convolutions_are_those_that_onnx_infers(small: Workload) -> None:
    width, height, times = 96, 64, 3
    model = onnx.load(SMALL_MODEL)
    for value in model.graph.input:
        sizes = {"frame0": (1, height, width, 3), "t": (times,), "window": (4,)}
        wanted = sizes.get(value.name, sizes["frame0"])
        for dimension, size in zip(value.type.tensor_type.shape.dim, wanted, strict=True):
            dimension.dim_value = size
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    shapes = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in inferred.graph.value_info
    }
    kernels = {each.name: each.dims for each in model.graph.initializer}
    counted = [
        math.prod(shapes[node.output[0]]) * math.prod(kernels[node.input[1]][1:])
        for node in model.graph.node
        if node.op_type == "Conv"
    ]
    assert len(counted) == 81
    assert all(counted)
    assert small.multiply_adds((width, height), times) == sum(counted)


@pytest.mark.parametrize(("size", "times"), [((64, 32), 1), ((100, 52), 3)])
def test_multiply_adds_are_those_of_the_architecture(
    small: Workload, size: tuple[int, int], times: int
) -> None:
    width = small.metadata.base_width
    assert small.multiply_adds(size, times) == multiply_adds(width, size, times)
    assert small.of_width(24).multiply_adds(size, times) == pytest.approx(
        multiply_adds(24, size, times)
    )


def test_an_int8_file_has_the_work_of_its_float_one() -> None:
    whole = read_workload(BUNDLED_MODEL)
    int8 = read_workload(BUNDLED_MODEL.with_name("rrin-w16.ov.int8.onnx"))
    assert int8.metadata.kept_float
    assert int8.bytes((64, 64), 2, "fp32") == whole.bytes((64, 64), 2, "fp32")
    assert int8.weights == whole.weights
    share = [
        sum(layer.multiply_adds for layer in each.layers if layer.quantizes)
        / sum(layer.multiply_adds for layer in each.layers)
        for each in (int8, whole)
    ]
    assert share[0] < share[1] < 1


@pytest.mark.parametrize(("precision", "gigabytes"), [("fp32", 16.05), ("fp16", 8.23)])
def test_bytes_are_those_of_compiled_plans(
    small: Workload, precision: str, gigabytes: float
) -> None:
    # What TensorRT-RTX's kernels read and write for 1280x720 at full width: docs/targets.md.
    moved = small.of_width(32).bytes((1280, 720), 1, precision)  # type: ignore[arg-type]
    assert moved == pytest.approx(gigabytes * 1e9, rel=0.02)


@pytest.mark.parametrize(
    ("precision", "size", "width", "megabytes"),
    [
        ("fp32", (1280, 720), 32, 769),
        ("fp16", (1280, 720), 32, 415),
        ("fp16", (1920, 1088), 32, 919),
        ("int8", (1280, 720), 32, 302),
        ("int8", (1920, 1088), 32, 660),
        ("fp16", (1920, 1088), 8, 340),
    ],
)
def test_device_memory_is_that_of_compiled_plans(
    small: Workload, precision: str, size: tuple[int, int], width: int, megabytes: float
) -> None:
    work = small.of_width(width)
    found = estimate(work, find_device("RTX 4090"), Job(size, 2), precision)  # type: ignore[arg-type]
    assert found.context is not None
    itemsize = {"fp32": 4, "fp16": 2, "int8": 1}[precision]
    assert found.context - work.weights * itemsize == pytest.approx(megabytes * 1e6, rel=0.06)


def test_a_bound_is_the_larger_of_arithmetic_and_memory(small: Workload) -> None:
    job = Job((64, 32), 2)
    found = estimate(small, SLOW, job, "fp32")
    assert found.least == found.arithmetic
    assert found.least == pytest.approx(small.multiply_adds((64, 32), 1) / 1e9)
    assert found.limit == "arithmetic"
    starved = Device("starved", {"fp32": 1e15}, 1e6, None, None, "of this test")
    assert estimate(small, starved, job, "fp32").least == small.bytes((64, 32), 1, "fp32") / 1e6
    assert estimate(small, starved, job, "fp32").limit == "memory"
    tied = Device("tied", {"fp32": 1e15}, 1e15, 1e12, 1e3, "of this test")
    # Frames as they come and go: three bytes a pixel.
    assert estimate(small, tied, Job((64, 32), 4), "fp32").least == 3 * 64 * 32 * 3 / 1e3
    assert estimate(small, tied, job, "fp32").limit == "PCIe"


def test_verdicts_follow_bound_and_expectation(small: Workload) -> None:
    found = estimate(small, SLOW, Job((64, 32), 2), "fp32")
    best, slow = found.rate(found.least), found.rate(found.expected[1])
    assert found.expected[0] >= found.least
    assert found.verdict(slow * 0.99) == "reaches"
    assert found.verdict(slow * 1.01) == found.verdict(best * 0.99) == "may reach"
    assert found.verdict(best * 1.01) == "does not reach"
    small_memory = Device("tiny", {"fp16": 1e15}, 1e15, 1e3, 1e12, "of this test")
    assert estimate(small, small_memory, Job((64, 32), 2), "fp16").verdict(1) == "does not reach"


def test_the_first_change_that_reaches_is_named(small: Workload) -> None:
    job = Job((64, 32), 4)
    found = estimate(small, SLOW, job, "fp32")
    remedy = find_remedy(small, SLOW, found, found.rate(found.least) * 1.5)
    assert remedy is not None
    assert (remedy.change, remedy.estimate.precision) == ("int8", "int8")
    float_alone = Device("float", {"fp32": 1e9}, 1e15, None, None, "of this test")
    remedy = find_remedy(small, float_alone, found, found.rate(found.expected[1]) * 1.05)
    assert remedy is not None
    assert remedy.change == "factor 3"  # the least change that does
    remedy = find_remedy(small, float_alone, found, found.rate(found.least) * 50)
    assert remedy is None or remedy.change not in ("factor 2", "factor 3")


def test_a_video_is_bound_by_the_slowest_of_stages_that_run_at_once(small: Workload) -> None:
    job = Job((64, 32), 2)
    gpu = Device("gpu", {"fp32": 1e9}, 1e15, 1e12, 1e12, "of this test")
    alone = estimate(small, gpu, job, "fp32")
    # Two frames a pair; the network's time is hidden behind the cores', or the other way round.
    slow = Footage("a", 3 * alone.expected[1], processor_seconds=8 * alone.least, cores=8)
    found = estimate(small, gpu, job, "fp32", slow)
    assert (found.least, found.limit) == (2 * alone.least, "decoding and encoding")
    assert found.expected[1] == 6 * alone.expected[1]  # as measured, which is no bound
    quick = Footage("a", alone.least / 100, processor_seconds=alone.least / 50, cores=8)
    found = estimate(small, gpu, job, "fp32", quick)
    assert (found.least, found.expected) == (alone.least, alone.expected)


def test_a_video_shares_the_cores_with_the_network(small: Workload) -> None:
    job = Job((64, 32), 2)
    alone = estimate(small, replace(SLOW, threads=4), job, "fp32").least
    footage = Footage("a", alone / 100, processor_seconds=alone, cores=4)

    def least(threads: int) -> float:
        return estimate(small, replace(SLOW, threads=threads), job, "fp32", footage).least

    # Of four cores' time a pair has two frames' more; one thread leaves that to idle cores.
    assert least(4) == least(16) == pytest.approx(alone * (1 + 2 / 4))
    assert least(1) == alone


def test_a_smaller_factor_wants_fewer_frames_of_a_video(small: Workload) -> None:
    job, footage = Job((64, 32), 4), Footage("a", 1e-9, 1e-9, 1)
    float_alone = Device("float", {"fp32": 1e9}, 1e15, None, None, "of this test")
    found = estimate(small, float_alone, job, "fp32", footage)
    halved = estimate(small, float_alone, replace(job, factor=2), "fp32", footage)
    # So many pairs a second, that all of a pair's two frames are made in time, and of four are not.
    source_fps = 0.99 / halved.expected[1]
    remedy = find_remedy(small, float_alone, found, 4 * source_fps, footage, source_fps)
    assert remedy is not None
    assert (remedy.change, remedy.verdict) == ("factor 2", "reaches")
    # A rate that was asked for stays.
    remedy = find_remedy(small, float_alone, found, 4 * source_fps, footage)
    assert remedy is None or remedy.verdict != "reaches"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("estimate") / "clip.mp4"
    write_video(path, [render_bytes(96, 64, time / 4) for time in range(6)], 25)
    return path


def test_a_rehearsal_takes_the_way_of_a_video_and_leaves_nothing(clip: Path) -> None:
    before = {*clip.parent.iterdir()}
    found = rehearse(clip, VideoOptions(factor=3))
    # Five pairs of six frames, and the last one is shown as long as the others.
    assert (found.size, found.rate, found.frames) == ((96, 64), 75, 18)
    assert found.seconds > 0
    assert found.processor_seconds > 0
    assert {*clip.parent.iterdir()} == before


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_what_is_encoded_lies_between_its_neighbours(
    pix_fmt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = clip_of(tmp_path / "in.mkv", "libx265" if "10" in pix_fmt else "libx264", pix_fmt)
    honest, kept = TemporaryDirectory.cleanup, tmp_path / "kept.mp4"

    def cleanup(folder: TemporaryDirectory[str]) -> None:
        shutil.copy(Path(folder.name) / "rehearsal.mp4", kept)
        honest(folder)

    monkeypatch.setattr(TemporaryDirectory, "cleanup", cleanup)
    rehearse(source, VideoOptions(factor=4, end=1))
    with av.open(str(kept)) as reader:
        frames = [frame.to_ndarray(format="gray16le") / 65535 for frame in reader.decode(video=0)]
    for first in range(0, 80, 4):
        before, *made, after = frames[first : first + 5]
        for place, frame in enumerate(made, 1):
            expected = before + (after - before) * place / 4
            assert np.abs(frame - expected).mean() < 0.01


def test_one_frame_is_no_video(run: Run, tmp_path: Path) -> None:
    write_video(tmp_path / "one.mp4", [render_bytes(96, 64, 0)], 25)
    code, _, err = run("estimate", SMALL_MODEL, "--device", "L4", "--video", tmp_path / "one.mp4")
    assert (code, "holds one frame" in err) == (1, True)


def test_the_bundled_model_is_judged_that_is_run_here(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rrin_deploy.estimate.devices.this_machine", lambda _: SLOW)
    code, out, _ = run("estimate", "--size", "64x64", "--json")
    with Interpolator() as interpolate:
        assert (code, json.loads(out)["precision"]) == (0, interpolate.metadata.precision)


def test_what_interpolate_refuses_is_refused(run: Run, tmp_path: Path) -> None:
    alpha = tmp_path / "alpha.mov"
    with av.open(str(alpha), "w") as writer:
        encoder = writer.add_stream("qtrle", rate=25)
        encoder.width, encoder.height, encoder.pix_fmt = 64, 32, "argb"
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 64, 4), np.uint8), format="argb")
        writer.mux([*encoder.encode(frame), *encoder.encode(None)])
    code, _, err = run("estimate", SMALL_MODEL, "--device", "L4", "--video", alpha)
    assert (code, "alpha" in err) == (1, True)
    code, _, err = run("estimate", SMALL_MODEL, "--device", "L4", "--deinterlace", "fields")
    assert code == 2


def test_a_video_is_asked_for_at_the_rate_that_it_plays_at(run: Run, clip: Path) -> None:
    options = ("--device", "L4", "--video", clip, "--factor", "3")
    code, out, _ = run("estimate", SMALL_MODEL, *options, "--json")
    assert code == 0
    report = json.loads(out)
    assert (report["size"], report["fps"]) == ([96, 64], 75)
    own = next(each for each in report["estimates"] if each["precision"] == "fp32")
    video = report["video"]
    assert video["file"] == "clip.mp4"
    assert own["video_seconds"] == pytest.approx(3 * video["processor_seconds"] / video["cores"])
    assert own["least_seconds"] >= own["video_seconds"]
    assert own["expected_seconds"][1] >= 3 * video["seconds"]
    code, out, _ = run("estimate", SMALL_MODEL, *options, "--fps", "1e6")
    assert code == 0
    assert "decoding and encoding take" in out
    assert "L4 does not reach 1e+06 frames/s" in out


def test_the_table_is_consistent() -> None:
    assert len({device.name for device in DEVICES}) == len(DEVICES)
    for device in DEVICES:
        assert "https://" in device.source
        assert device.rates["fp32"] < device.rates["fp16"] < device.rates["int8"]
        # Dense tensor cores run INT8 at twice the rate of half, on all that are here.
        assert device.rates["int8"] / device.rates["fp16"] == pytest.approx(2, rel=0.03)


@pytest.mark.parametrize("name", ["RTX 4060", "rtx4060", "NVIDIA GeForce RTX 4060", "4060"])
def test_devices_are_found_by_any_spelling(name: str) -> None:
    assert find_device(name).name == "RTX 4060"


def test_near_names_are_listed() -> None:
    with pytest.raises(OptionError, match=r"'rtx 40'.*near to it are RTX 4090, RTX 4060$"):
        find_device("rtx 40")
    with pytest.raises(OptionError, match="RTX 4090"):
        find_device("RTX 4070")
    with pytest.raises(OptionError, match=r"one of RTX 4090, .*Jetson AGX Orin 64GB"):
        find_device("abacus")


def test_a_person_is_told_the_verdict(run: Run) -> None:
    code, out, _ = run("estimate", SMALL_MODEL, "--size", "320x180", "--device", "H100 SXM")
    assert code == 0
    assert "H100 SXM reaches 60 frames/s" in out.splitlines()[-1]
    code, out, _ = run("estimate", SMALL_MODEL, "--size", "1920x1080", "--device", "orin nano")
    assert code == 0
    assert "does not reach 60 frames/s, bound by" in out.splitlines()[-1]


def test_json_says_the_same(run: Run) -> None:
    code, out, _ = run("estimate", SMALL_MODEL, "--device", "L4", "--factor", "4", "--json")
    assert code == 0
    report = json.loads(out)
    assert report["format"] == 1
    assert report["padded_size"] == [1920, 1088]
    own = next(each for each in report["estimates"] if each["precision"] == "fp32")
    assert own["best_fps"] == pytest.approx(4 / own["least_seconds"])
    assert own["expected_fps"][0] < own["expected_fps"][1] <= own["best_fps"]
    assert sum(level["multiply_adds"] for level in report["levels"]) == multiply_adds(
        8, (1920, 1080), 3
    )
    assert report["verdict"] in ("reaches", "may reach", "does not reach")


def test_this_machine_is_measured(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rrin_deploy.bench.ceiling._ROUNDS", 1)
    monkeypatch.setattr("rrin_deploy.estimate.devices._ROUNDS", 1)
    code, out, _ = run("estimate", SMALL_MODEL, "--size", "64x64", "--threads", "1", "--json")
    assert code == 0
    report = json.loads(out)
    assert set(report["device"]["multiply_adds_per_second"]) == {"fp32", "int8"}
    assert report["device"]["bytes_per_second"] > 1e8


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--device", "abacus"), "not in the table"),
        (("--device", "L4", "--threads", "2"), "leave out --device"),
        (("--device", ""), "not in the table"),
        (("--device", "L4", "--fps", "inf"), "finite"),
        (("--device", "L4", "--video", "still.png"), "one image"),
        (("--size", "big"), "no size"),
        (("--size", "64x64", "--video", "clip.mp4"), "leave out --size"),
        (("--size", "99999x10", "--device", "L4"), "16384"),
    ],
)
def test_wrong_usage_is_said_in_a_line(run: Run, arguments: tuple[str, ...], said: str) -> None:
    code, _, err = run("estimate", SMALL_MODEL, *arguments)
    assert code == 2
    assert said in " ".join(err.split())


def test_what_is_no_onnx_file_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"{}")
    code, _, err = run("estimate", tmp_path / "a.onnx", "--device", "L4")
    assert (code, "is JSON" in err) == (1, True)
