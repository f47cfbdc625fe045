"""Speed: what is counted, how it is compared, and that all contenders do the same work."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from export import RRIN, Reference
from rrin_deploy.bench import ceiling
from rrin_deploy.bench.benchmark import Load, Report, Timing, run_benchmark
from rrin_deploy.bench.chart import draw
from rrin_deploy.bench.peers import FP32_PEERS, Contender, open_contender, write_peers
from rrin_deploy.bench.worker import Worker
from runtime import Interpolator
from runtime.architecture import multiply_adds
from runtime.errors import ArtifactError, BackendError
from runtime.metadata import Metadata
from runtime.parity import psnr_db
from runtime.publishing import Publication
from runtime.scene import render_bytes
from runtime.session import Backend
from tests.models import SMALL_MODEL

SMALL = Load(size=(64, 40), times=2, threads=1, rounds=2)


def test_multiply_adds_are_those_of_the_network(small_network: RRIN) -> None:
    counted = 0

    def count(module: torch.nn.Module, _inputs: object, output: torch.Tensor) -> None:
        nonlocal counted
        assert isinstance(module, torch.nn.Conv2d)
        counted += output.numel() * module.weight[0].numel()

    convolutions = [m for m in small_network.modules() if isinstance(m, torch.nn.Conv2d)]
    handles = [module.register_forward_hook(count) for module in convolutions]
    Reference(small_network)(*(render_bytes(64, 40, time) for time in (0, 1)), [0.3, 0.6, 0.9])
    for handle in handles:
        handle.remove()
    assert multiply_adds(8, (64, 40), 3) == counted


def test_rounds_memory_and_a_contender_that_cannot_run(tmp_path: Path) -> None:
    bundled = Contender("bundled", "artifact", SMALL_MODEL)
    missing = Contender("missing", "artifact", tmp_path / "none.onnx")
    seen: list[tuple[int, int]] = []
    timings = run_benchmark(
        [bundled, missing], SMALL, lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 2), (2, 2)]
    first, second = timings
    assert len(first.seconds) == 2
    assert 0 < first.median < first.first_frame_seconds
    assert first.peak_bytes is None or 20e6 < first.peak_bytes < 1e9
    assert first.ratio_to(first) == 1
    assert "none.onnx: no such file" in str(second.failure)
    assert second.to_dict(first) == {
        "name": "missing",
        "kind": "artifact",
        "failure": second.failure,
    }
    with Interpolator(SMALL_MODEL) as interpolate:
        assert (first.backend, first.metadata) == (interpolate.backend, interpolate.metadata)
    with pytest.raises(BackendError, match=r"missing does not run here: .*no such file"):
        run_benchmark([missing, bundled], SMALL)


def test_rounds_are_interleaved_and_a_death_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    class Recorded(Worker):
        def __init__(self, contender: Contender, *rest: Any) -> None:
            super().__init__(contender, *rest)
            self._called = contender.name

        def call(self) -> float | None:
            calls.append(self._called)
            if calls == ["a", "b", "a", "b"]:
                self._process.kill()
            return super().call()

    monkeypatch.setattr("rrin_deploy.bench.benchmark.Worker", Recorded)
    pair = [Contender(name, "artifact", SMALL_MODEL) for name in ("a", "b")]
    a, b = run_benchmark(pair, replace(SMALL, rounds=3))
    assert calls == ["a", "b"] * 3
    assert len(a.seconds) == 3
    assert b.failure == "its process ended with code -9"


@pytest.mark.parametrize(
    ("library", "device", "precision", "ceiling"),
    [
        ("onnxruntime", "CPUExecutionProvider", "fp32", 2),
        ("onnxruntime", "CPUExecutionProvider", "int8", 3),
        ("onnxruntime", "CPUExecutionProvider", "fp16", None),
        ("openvino", "CPU", "int8", 3),
        ("openvino", "GPU, Intel Arc", "int8", None),
        ("onnxruntime", "CUDAExecutionProvider", "fp16", 5),
        ("tensorrt_rtx", "NVIDIA GeForce RTX 4090", "fp16", 5),
        ("tensorrt_rtx", "NVIDIA GeForce RTX 4090", "int8", None),
    ],
)
def test_only_what_was_measured_is_a_ceiling(
    library: str, device: str, precision: str, ceiling: float | None
) -> None:
    timing = timed("x", Backend(library, "1.0", device), precision)
    report = Report(SMALL, [timing], {"FP32": 2, "INT8": 3, "GPU half": 5})
    work = report.to_dict()["multiply_adds"]
    expected = None if ceiling is None else pytest.approx(work / 2 / ceiling)
    assert report.share_of_ceiling(timing) == expected
    assert report.to_dict()["contenders"][0]["share_of_ceiling"] == expected


def timed(name: str, backend: Backend, precision: Any = "fp32") -> Timing:
    metadata = Metadata("ab" * 32, 8, False, 32, "uint8", precision, 19, "rrin-deploy export")
    return Timing(name, "artifact", seconds=(2.0,), backend=backend, metadata=metadata)


def test_peers_in_float32_have_the_ceiling_of_float32() -> None:
    first = timed("first", Backend("openvino", "1.0", "GPU"))
    peers = [
        Timing(kind, kind, seconds=(1.0,))  # type: ignore[arg-type]
        for kind in (*FP32_PEERS, "openvino bf16", "ncnn bf16")
    ]
    report = Report(SMALL, [first, *peers], {"FP32": 2, "INT8": 3})
    work = report.to_dict()["multiply_adds"]
    assert report.share_of_ceiling(first) is None
    assert [report.share_of_ceiling(peer) for peer in peers] == [work / 2] * 5 + [None] * 2


def test_ratios_are_of_rounds_and_not_of_means() -> None:
    first = Timing("first", "artifact", seconds=(1.0, 10.0, 4.0))
    other = Timing("other", "pytorch", seconds=(0.5, 5.0, 4.0))
    assert other.ratio_to(first) == 2  # the medians alone say 1
    assert other.median == 4
    assert other.quartiles == (2.25, 4.5)


def test_peers_make_the_same_frames(tmp_path: Path, interpolate: Interpolator) -> None:
    frames = [render_bytes(64, 40, time) for time in (0, 1)]
    t = np.array([1 / 3, 2 / 3], np.float32)
    expected = interpolate(*frames, t).astype(int)
    peers = write_peers(SMALL_MODEL, tmp_path, SMALL.size, SMALL.times)
    assert [peer.name for peer in peers] == [
        "PyTorch", "torch.compile", "plain ONNX", "OpenVINO f32", "OpenVINO bf16",
        "ncnn f32", "ncnn bf16",
    ]  # fmt: skip
    for peer in peers:
        if peer.kind in ("torch.compile", "openvino bf16"):
            continue  # needs a compiler, or bf16 arithmetic
        if peer.kind.startswith("ncnn"):
            pytest.importorskip("pnnx")
        made = open_contender(peer, threads=1)(*frames, t)
        assert made.dtype == np.uint8
        assert made.shape == expected.shape
        if peer.kind == "ncnn bf16":  # flow as well, so that it is far from the truth
            assert 30 < psnr_db(made / 255, expected / 255) < 60
        else:
            assert np.abs(made - expected).max() <= 1, peer.name


@pytest.mark.parametrize("missing", ["ncnn", "pnnx"])
def test_peers_that_are_not_installed_say_so_in_a_line(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rrin_deploy.bench.peers.is_installed", lambda module: module != missing)
    peer = Contender("ncnn f32", "ncnn f32", tmp_path / "none.param")
    with pytest.raises(BackendError, match=rf"{missing} is not installed: pip install .*\[ncnn\]"):
        open_contender(peer, threads=1)


def test_peers_need_float32_weights(tmp_path: Path) -> None:
    from engines import build_onnx

    half = build_onnx(SMALL_MODEL, tmp_path / "half.onnx", precision="fp16")
    with pytest.raises(ArtifactError, match="fp16 already"):
        write_peers(half.path, tmp_path, SMALL.size, SMALL.times)


@pytest.mark.parametrize(
    ("here", "measured"),
    [({"onnxruntime", "openvino"}, 5), ({"onnxruntime"}, 3), ({"openvino"}, 2)],
)
def test_ceilings_count_the_multiply_adds_of_their_convolution(
    here: set[str], measured: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = []

    def in_a_second(call: Callable[[], Any]) -> float:
        (made,) = getattr(made := call(), "values", lambda: made)()
        shapes.append(made.shape)
        return 1

    monkeypatch.setattr(ceiling, "_fastest", in_a_second)
    monkeypatch.setattr(ceiling, "is_installed", here.__contains__)
    work = 256 * 256 * 3 * 3 * 64 * 112  # all channels to all, 3x3, for each pixel
    assert ceiling.cpu_ceilings(1) == {"FP32": work, "INT8": work}
    assert shapes == [(1, 256, 64, 112)] * measured


def test_chart_shows_artifacts_and_peers_in_colours_of_their_own(tmp_path: Path) -> None:
    timings = [
        Timing("rrin.onnx", "artifact", seconds=(0.2, 0.3)),
        Timing("broken", "artifact", failure="no"),
        Timing("PyTorch", "pytorch", seconds=(0.5, 0.6)),
    ]
    draw(Publication(tmp_path / "bench.png"), [Report(SMALL, timings, {})])
    picture = np.asarray(Image.open(tmp_path / "bench.png").convert("RGB"))
    blue, grey = ((picture == colour).all(2) for colour in ((43, 108, 176), (160, 174, 192)))
    assert blue.sum() > 10_000
    assert grey.sum() > 2 * blue.sum()  # as it takes twice as long
    assert np.argwhere(grey)[:, 0].min() > np.argwhere(blue)[:, 0].max()  # the faster one on top
