"""Files for vs-mlrt give the frames of the artifact that they were made from."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import tensorrt_rtx as trt

from engines import BuildOptions, build_onnx, build_vs_mlrt, compilation
from engines.vs_mlrt import VsPrecision
from runtime import ArtifactError, Interpolator, OptionError
from runtime.golden import golden_beside
from runtime.manifest import Manifest, Profile, read_plan
from runtime.metadata import Io
from runtime.scene import render
from runtime.tensorrt_session import TensorRTSession
from tests.conftest import Exporter
from tests.harsh import harsh_network, set_weights
from tests.models import SMALL_MODEL

RTX = BuildOptions(
    target="rtx", compute_capabilities=(89,), min_size=(100, 60), opt_size=(500, 270),
    max_size=(500, 270),
)  # fmt: skip
SIZES = ((83, 117), (64, 96), (33, 65))  # height, width: to be padded both ways, not, nearly whole


def made_by(path: Path, frame0: np.ndarray, frame1: np.ndarray, *t: float) -> np.ndarray:
    """Run a file as vs-mlrt does: one array of planes in, one out; return frames (T, H, W, 3)."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert {given.type, made.type} == {"tensor(float)"}
    assert given.shape[0] == made.shape[0] == 1
    planes = [*np.moveaxis(frame0, 2, 0), *np.moveaxis(frame1, 2, 0)]
    planes += [np.full_like(planes[0], time) for time in t]
    assert given.shape[1] == len(planes)
    (result,) = session.run(None, {given.name: np.array(planes)[None]})
    assert result.shape[1] == made.shape[1]
    return np.moveaxis(result.reshape(-1, 3, *result.shape[2:]), 1, 3)


def artifact_in(precision: VsPrecision, source: Path, folder: Path) -> Path:
    """An artifact of our runtime's in the precision asked for."""
    if precision == "fp32":
        return source
    return build_onnx(source, folder / "half.onnx", precision="fp16").path


@pytest.mark.parametrize("precision", ["fp32", pytest.param("fp16", marks=pytest.mark.long)])
@pytest.mark.parametrize("io", ["float32", "uint8"])
def test_both_forms_give_the_interpolators_frames(
    precision: VsPrecision, io: Io, exported: Exporter, tmp_path: Path
) -> None:
    # Planes are float32 whatever the artifact's frames are, which in bytes would be rounded.
    source = SMALL_MODEL if io == "float32" else exported(io=io)
    one = build_vs_mlrt(source, tmp_path / "one.onnx", precision=precision)
    all_three = build_vs_mlrt(source, tmp_path / "three.onnx", precision=precision, factor=4)
    assert one.census == {"HALF" if precision == "fp16" else "FLOAT": 81}
    with Interpolator(artifact_in(precision, SMALL_MODEL, tmp_path), backend="onnxruntime") as ours:
        for height, width in SIZES:
            pair = render(height, width, 0), render(height, width, 1)
            expected = ours(*pair, [0.25, 0.5, 0.75])
            assert np.abs(made_by(all_three.path, *pair) - expected).max() <= 1e-6
            assert np.abs(made_by(one.path, *pair, 0.3) - ours(*pair, [0.3])).max() <= 1e-6


def test_large_flows_are_sampled_in_the_whole_padded_frame(
    exported: Exporter, tmp_path: Path
) -> None:
    # With align_corners the warp normalises by the window, which these files make themselves.
    model = onnx.load(exported(align_corners=True))
    set_weights(model, harsh_network(8, align_corners=True))
    onnx.save(model, tmp_path / "harsh.onnx")
    pair = render(83, 117, 0), render(83, 117, 1)
    with Interpolator(tmp_path / "harsh.onnx", backend="onnxruntime") as ours:
        expected = ours(*pair, [0.5])
    for factor, t in ((2, []), (None, [0.5])):
        report = build_vs_mlrt(tmp_path / "harsh.onnx", precision="fp32", factor=factor)
        assert "no golden file" in report.missing
        assert np.abs(made_by(report.path, *pair, *t) - expected).max() <= 1e-5


def test_a_build_says_what_its_graph_loses_and_its_file_is_told_from_ours(tmp_path: Path) -> None:
    shutil.copy(SMALL_MODEL, tmp_path / "rrin.onnx")
    shutil.copy(golden_beside(SMALL_MODEL), tmp_path / "rrin.golden.npz")
    report = build_vs_mlrt(tmp_path / "rrin.onnx", factor=3)
    assert report.path == tmp_path / "rrin.vs.x3.fp16.onnx"
    assert report.graph
    assert report.graph.passed
    assert 1e-6 < report.graph.worst.max_abs_error < 1e-2
    with pytest.raises(ArtifactError, match="its inputs are not frame0, frame1"):
        Interpolator(report.path)
    assert {each.name for each in tmp_path.iterdir()} == {
        "rrin.onnx", "rrin.golden.npz", report.path.name
    }  # fmt: skip


@pytest.mark.parametrize(("factor", "taken", "made"), [(None, 7, 3), (4, 6, 9)])
def test_an_engine_is_what_the_plugin_asks_of_one(
    factor: int | None, taken: int, made: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = []
    census = compilation.take_census

    def seen(trt: Any, network: Any, metadata: Any) -> dict[str, int]:
        tensors = network.get_input(0), network.get_output(0)
        networks.append(
            [(network.num_inputs, network.num_outputs)]
            + [(each.name, tuple(each.shape), each.dtype, each.is_shape_tensor) for each in tensors]
        )
        return census(trt, network, metadata)

    monkeypatch.setattr(compilation, "take_census", seen)
    output = tmp_path / "rrin.engine"
    report = build_vs_mlrt(SMALL_MODEL, output, factor=factor, options=RTX)
    # What vstrt's checkEngine refuses otherwise; that sizes are open it tells by -1.
    assert networks == [
        [
            (1, 1),
            ("input", (1, taken, -1, -1), trt.float32, False),
            ("output", (1, made, -1, -1), trt.float32, False),
        ]
    ]
    manifest = Manifest.load(output)
    assert manifest == report.manifest
    assert manifest.planes == (taken, made)
    assert manifest.census == {"HALF": 81}
    # Clips are not padded before they are given to it, so that its sizes are theirs.
    assert manifest.profile == Profile((100, 60), (500, 270), (500, 270), made // 3)
    assert len(read_plan(output, manifest)) == report.size_bytes > 1_000_000
    with pytest.raises(ArtifactError, match="is for vs-mlrt's plugins in VapourSynth"):
        TensorRTSession(output)


def test_engines_are_named_after_what_they_are(tmp_path: Path) -> None:
    shutil.copy(SMALL_MODEL, tmp_path / "rrin.onnx")
    report = build_vs_mlrt(tmp_path / "rrin.onnx", precision="fp32", factor=3, options=RTX)
    assert report.path == tmp_path / "rrin.vs.x3.rtx.fp32.engine"
    assert report.census == {"FLOAT": 81}
    assert "no golden file" in report.missing


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"precision": "int8"}, "precision is 'int8'; expected fp32 or fp16"),
        ({"factor": 1}, "factor is 1; expected a whole number from 2 to 1000"),
        ({"output": "x.engine"}, "give the new file another name, ending in .onnx"),
        ({"output": SMALL_MODEL}, "give the new file another name"),
        ({"options": RTX, "output": "x.onnx"}, "another name, ending in .engine"),
        ({"options": replace(RTX, max_times=3)}, "max_times is 3; leave it out"),
        ({"options": replace(RTX, hardware_compatible=True)}, "no timing cache and no version-"),
    ],
)
def test_what_cannot_be_built_is_said(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        build_vs_mlrt(SMALL_MODEL, **asked)
