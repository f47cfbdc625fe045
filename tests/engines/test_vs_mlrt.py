"""Files for vs-mlrt give the frames of the artifact that they were made from."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from engines import build_onnx, build_vs_mlrt
from engines.vs_mlrt import VsPrecision
from runtime import ArtifactError, Interpolator, OptionError
from runtime.golden import golden_beside
from runtime.metadata import Io
from runtime.scene import render
from tests.conftest import Exporter
from tests.harsh import harsh_network, set_weights
from tests.models import SMALL_MODEL

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


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
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


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"precision": "int8"}, "precision is 'int8'; expected fp32 or fp16"),
        ({"factor": 1}, "factor is 1; expected a whole number from 2 to 1000"),
        ({"output": "x.engine"}, "give the new file another name, ending in .onnx"),
        ({"output": SMALL_MODEL}, "give the new file another name"),
    ],
)
def test_what_cannot_be_built_is_said(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        build_vs_mlrt(SMALL_MODEL, **asked)
