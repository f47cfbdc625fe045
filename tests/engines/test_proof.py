"""What a build measures, and what `parity` later makes of it."""

import dataclasses
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from engines import BuildOptions, build, build_onnx
from precision import Ranges
from precision.ranges import Range
from runtime import ArtifactError, InputNotFoundError, Interpolator, OptionError, check_parity
from runtime.frames import to_input
from runtime.golden import Golden, golden_beside
from runtime.limits import LEVEL
from runtime.manifest import Manifest
from runtime.metadata import Io
from runtime.parity import psnr_db
from tests.conftest import Exporter, unit
from tests.evaluator import evaluate
from tests.models import SMALL_MODEL

RTX = BuildOptions(target="rtx", compute_capabilities=(89,))


@pytest.fixture
def model(tmp_path: Path, ranges: Ranges) -> Path:
    """The bundled model with its golden file and ranges, in a folder of its own."""
    shutil.copy(SMALL_MODEL, tmp_path / "rrin.onnx")
    shutil.copy(golden_beside(SMALL_MODEL), tmp_path / "rrin.golden.npz")
    ranges.save(tmp_path / "rrin.ranges.json")
    return tmp_path / "rrin.onnx"


def without_last_layer(path: Path) -> None:
    """Zero what the last layer adds to the blend: bytes look alike, and 13 dB are gone."""
    graph = onnx.load(path)
    for tensor in graph.graph.initializer:
        if tensor.name.startswith("final.last."):
            zeros = np.zeros_like(numpy_helper.to_array(tensor))
            tensor.CopyFrom(numpy_helper.from_array(zeros, tensor.name))
    onnx.save(graph, path)


@pytest.mark.long
def test_int8_whose_last_layer_was_zeroed_fails(model: Path) -> None:
    path = build_onnx(model, target="openvino").path
    assert check_parity(path).passed
    without_last_layer(path)
    by_constants = check_parity(path, golden_beside(model))
    assert any(case.passed for case in by_constants.cases)  # by what any int8 artifact keeps
    with pytest.raises(ArtifactError, match="not the file that its golden file was measured with"):
        check_parity(path)
    unbound = dataclasses.replace(Golden.load(golden_beside(path)), artifact_sha256="")
    report = check_parity(path, unbound)
    assert not any(case.passed for case in report.cases)
    assert report.limits_from == "what the artifact measured when it was built"


@pytest.mark.long
def test_golden_file_of_another_build_of_the_model_is_refused(model: Path, ranges: Ranges) -> None:
    first = build_onnx(model, target="openvino").path
    kept = golden_beside(first).read_bytes()
    wider = {name: Range(2 * held.low, 2 * held.high) for name, held in ranges.tensors.items()}
    dataclasses.replace(ranges, tensors=wider).save(model.with_name("rrin.ranges.json"))
    build_onnx(model, target="openvino")
    assert check_parity(first).passed
    golden_beside(first).write_bytes(kept)
    with pytest.raises(ArtifactError, match="not the file that its golden file was measured with"):
        check_parity(first)
    assert check_parity(first, golden_beside(model)).artifact == str(first)


@pytest.mark.long
@pytest.mark.parametrize("target", ["onnxruntime", "openvino"])
def test_golden_file_of_a_build_holds_what_its_graph_loses(target: Any, model: Path) -> None:
    report = build_onnx(model, target=target)
    ours, theirs = Golden.load(golden_beside(report.path)), Golden.load(golden_beside(model))
    assert ours.measured_on == f"int8 {target}"
    with Interpolator(report.path, providers=["CPUExecutionProvider"]) as interpolate:
        assert interpolate.metadata.runtime == target
        for our, their in zip(ours.cases, theirs.cases, strict=True):
            np.testing.assert_equal(our.frames, their.frames)
            made = interpolate(unit(our.frame0), unit(our.frame1), our.t)
            errors = np.abs(made - their.frames).max(axis=(1, 2, 3))
            assert [measured.max_abs_error for measured in our.measured] == pytest.approx(errors)
    assert report.proof.artifact
    assert report.proof.artifact.passed
    limits = report.proof.artifact.cases[0].limits
    measured = ours.cases[0].measured[0]
    assert limits.max_abs_error == pytest.approx(2 * measured.max_abs_error + 1 / 255)
    assert measured.psnr_db - 3.2 < limits.min_psnr_db < measured.psnr_db - 3


def test_engine_carries_the_measurement_of_its_graph(model: Path) -> None:
    report = build(model, options=RTX)
    golden = Golden.load(model.with_name("rrin.rtx.fp16.golden.npz"))
    assert golden.measured_on == "fp16 tensorrt"
    assert all(80 < found.psnr_db < 130 for case in golden.cases for found in case.measured)
    assert Manifest.load(report.engine).metadata.runtime == "tensorrt"
    assert report.proof.artifact is None
    assert "its parity could not be checked here: " in report.proof.missing
    assert not Golden.load(golden_beside(model)).measured_on  # the model's own is left alone


@pytest.mark.parametrize("io", ["float32", "uint8"])
def test_fp16_limits_leave_room_for_real_half_rounding(
    io: Io, exported: Exporter, tmp_path: Path
) -> None:
    # ONNX Runtime, which measured, computes half in float; here every result is rounded to half.
    source = SMALL_MODEL if io == "float32" else exported(io=io)
    built = build_onnx(source, tmp_path / "half.onnx", precision="fp16")
    assert built.proof.artifact
    graph, results = onnx.load(built.path), iter(built.proof.artifact.cases)
    for case in Golden.load(golden_beside(source)).cases:
        frame0, frame1 = (to_input(frame, io) for frame in (case.frame0, case.frame1))
        window = np.array([0, 0, frame0.shape[2], frame0.shape[1]], np.float32)
        inputs = {"frame0": frame0, "frame1": frame1, "t": case.t, "window": window}
        for ours, theirs in zip(evaluate(graph, inputs)["frames"], case.frames, strict=True):
            result = next(results)
            height, width = theirs.shape[:2]
            found = ours[:height, :width]
            error = np.abs((unit(found) if io == "uint8" else found) - theirs)
            if io == "uint8":
                error = np.maximum(error - LEVEL / 2, 0)  # of rounding
            assert error.max() < result.limits.max_abs_error / 2
            assert psnr_db(error, np.zeros_like(error)) > result.limits.min_psnr_db + 6
            assert result.limits.min_psnr_db > 70


def test_build_that_gives_nan_says_so_and_is_kept(model: Path) -> None:
    graph = onnx.load(model)
    (bias,) = (x for x in graph.graph.initializer if x.name == "final.last.bias")
    bias.CopyFrom(numpy_helper.from_array(np.full(3, np.nan, np.float32), bias.name))
    onnx.save(graph, model)
    report = build_onnx(model, target="openvino")
    assert report.proof.failed
    assert report.path.is_file()


def test_model_without_a_golden_file_builds_and_says_so(model: Path) -> None:
    build_onnx(model, precision="fp16")
    golden_beside(model).rename(model.with_name("elsewhere.npz"))
    report = build_onnx(model, precision="fp16")
    assert report.proof.golden is None
    assert "the model has no golden file" in report.proof.missing
    assert not golden_beside(report.path).exists()  # that of the first build would judge this one
    assert not report.proof.failed
    report = build_onnx(model, precision="fp16", golden=model.with_name("elsewhere.npz"))
    assert report.proof.artifact
    with pytest.raises(InputNotFoundError, match="no such file; expected a golden file"):
        build_onnx(model, precision="fp16", golden=model.with_name("none.npz"))


def test_weights_that_cannot_be_judged_are_named_by_their_model(model: Path) -> None:
    golden = Golden.load(golden_beside(model))
    cases = tuple(dataclasses.replace(case, reference_error=0.01) for case in golden.cases)
    changed = dataclasses.replace(golden, cases=cases)
    golden_beside(model).write_bytes(changed.to_bytes())
    with pytest.raises(ArtifactError, match=rf"^{model}: on case 0 the PyTorch reference itself"):
        build_onnx(model, precision="fp16")


def test_machine_without_onnxruntime_builds_and_says_so(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for module in ("onnxruntime_session", "onnxruntime_library"):
        monkeypatch.delitem(sys.modules, f"runtime.{module}", raising=False)
    report = build(model, options=RTX)
    assert "parity not measured (onnxruntime cannot be imported" in report.proof.missing
    golden = Golden.load(golden_beside(report.engine))
    assert golden.measured_on == ""
    assert not golden.cases[0].measured


def test_goldens_that_do_not_belong_stop_the_build(model: Path) -> None:
    golden = Golden.load(golden_beside(model))
    other = dataclasses.replace(golden, checkpoint_sha256="0" * 64)
    golden_beside(model).write_bytes(other.to_bytes())
    for make in (build, build_onnx):
        with pytest.raises(ArtifactError, match="outputs of another checkpoint"):
            make(model, precision="fp16")  # type: ignore[operator]
    with pytest.raises(OptionError, match=r"would replace the model's; .* rrin\.fp16\.engine"):
        build(model, model.with_suffix(".engine"), options=RTX)
    own = model.with_name("mine.golden.npz")
    own.write_bytes(golden.to_bytes())
    before = own.read_bytes()
    with pytest.raises(OptionError, match="its golden file would replace the model's"):
        build_onnx(model, model.with_name("mine.onnx"), precision="fp16", golden=own)
    assert own.read_bytes() == before
    own.unlink()
    left = {"rrin.onnx", "rrin.golden.npz", "rrin.ranges.json"}
    assert {path.name for path in model.parent.iterdir()} == left
