import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from runtime import ArtifactError, InputNotFoundError, check_parity
from runtime.golden import Golden, golden_beside
from runtime.interpolator import BUNDLED_MODEL
from runtime.parity import psnr_db
from tests.conftest import Exporter

GOLDEN = golden_beside(BUNDLED_MODEL)


def shifted(by: float) -> Golden:
    """The bundled golden file with its expected outputs moved."""
    golden = Golden.load(GOLDEN)
    cases = [dataclasses.replace(case, frames=case.frames * (1 - by)) for case in golden.cases]
    return dataclasses.replace(golden, cases=tuple(cases))


def test_bundled_model_passes() -> None:
    report = check_parity()
    assert report.passed
    assert len(report.cases) == 4
    assert max(case.max_abs_error for case in report.cases) < 2e-5


def test_a_difference_of_a_thousandth_fails() -> None:
    report = check_parity(golden=shifted(1e-3))
    assert not report.passed
    assert 5e-4 < max(case.max_abs_error for case in report.cases) < 2e-3


def test_uint8_artifact_may_be_off_by_rounding_but_no_more(exported: Exporter) -> None:
    path = exported(io="uint8")
    assert check_parity(path).passed
    golden = Golden.load(golden_beside(path))
    cases = tuple(
        dataclasses.replace(case, frames=np.clip(case.frames + 1 / 255, 0, 1))
        for case in golden.cases
    )
    report = check_parity(path, dataclasses.replace(golden, cases=cases))
    assert not report.passed  # every pixel off by one level is no rounding


def test_a_golden_file_without_cases_does_not_pass() -> None:
    assert not check_parity(golden=dataclasses.replace(Golden.load(GOLDEN), cases=())).passed


def test_report_is_json() -> None:
    report = json.loads(json.dumps(check_parity().to_dict()))
    assert report["passed"] is True
    assert report["cases"][0]["width"] == 128


@pytest.mark.parametrize("change", [{"checkpoint_sha256": "0" * 64}, {"align_corners": True}])
def test_golden_file_of_another_model_is_refused(change: dict[str, object]) -> None:
    golden = dataclasses.replace(Golden.load(GOLDEN), **change)  # type: ignore[arg-type]
    with pytest.raises(ArtifactError, match="use the golden file that was exported with it"):
        check_parity(golden=golden)


def test_golden_file_survives_its_file(tmp_path: Path) -> None:
    golden = Golden.load(GOLDEN)
    golden.save(tmp_path / "copy.golden.npz")
    copy = Golden.load(tmp_path / "copy.golden.npz")
    for ours, theirs in zip(copy.cases, golden.cases, strict=True):
        np.testing.assert_equal(vars(ours), vars(theirs))


@pytest.mark.parametrize("kind", ["text", "truncated", "foreign", "objects"])
def test_damaged_golden_files(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.golden.npz"
    if kind == "text":
        path.write_text("golden")
    elif kind == "truncated":
        path.write_bytes(GOLDEN.read_bytes()[:50_000])
    elif kind == "foreign":
        np.savez(path, a=np.zeros(3))
    else:
        np.savez(path, about=np.array([{"a": object()}], dtype=object))
    with pytest.raises(ArtifactError, match="not a golden file, or a damaged one"):
        Golden.load(path)


def test_golden_file_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.golden.npz"
    np.savez_compressed(path, frames_0=np.zeros(2**27, np.uint8))
    assert path.stat().st_size < 2**20
    with pytest.raises(ArtifactError, match="unpacks to"):
        Golden.load(path)


def test_missing_golden_file(tmp_path: Path) -> None:
    model = tmp_path / "rrin.onnx"
    model.write_bytes(BUNDLED_MODEL.read_bytes())
    with pytest.raises(InputNotFoundError, match=r"rrin\.golden\.npz: no such golden file"):
        check_parity(model)


def test_engines_share_the_golden_file_of_their_model() -> None:
    assert golden_beside("a/rrin.fp16.engine") == golden_beside("a/rrin.onnx")


def test_psnr_of_a_known_error() -> None:
    assert psnr_db(np.zeros(10), np.full(10, 0.1)) == pytest.approx(20)
    assert psnr_db(np.ones(3), np.ones(3)) == float("inf")


def test_models_with_dots_in_their_names_have_their_own() -> None:
    assert golden_beside("v1.0.onnx") != golden_beside("v1.1.onnx")
    assert golden_beside("v1.0.fp16.engine") == golden_beside("v1.0.onnx")


def one_wrong_pixel(by: float) -> Golden:
    golden = Golden.load(GOLDEN)
    frames = golden.cases[0].frames.copy()
    frames[0, 5, 5, 0] += by if frames[0, 5, 5, 0] < 0.5 else -by
    case = dataclasses.replace(golden.cases[0], frames=frames)
    return dataclasses.replace(golden, cases=(case,))


def test_each_limit_fails_alone() -> None:
    assert not check_parity(golden=one_wrong_pixel(5e-3)).passed  # 86 dB, but one pixel is off
    report = check_parity(golden=one_wrong_pixel(5e-3))
    assert report.cases[0].psnr_db is not None
    assert report.cases[0].psnr_db > report.limits.min_psnr_db
    assert (report.cases[0].width, report.cases[0].height) == (128, 96)


def test_golden_files_that_prove_nothing_are_refused(tmp_path: Path) -> None:
    golden = Golden.load(GOLDEN)
    case = golden.cases[0]
    for change in (
        {"t": np.zeros_like(case.t)},
        {"frame1": case.frame1[:5]},
        {"frames": case.frames.astype(np.float64)},
    ):
        dataclasses.replace(golden, cases=(dataclasses.replace(case, **change),)).save(
            tmp_path / "x.golden.npz"
        )
        with pytest.raises(ArtifactError, match="not a golden file"):
            Golden.load(tmp_path / "x.golden.npz")
