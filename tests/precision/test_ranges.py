"""The ranges file: kept, and refused when it is damaged or another model's."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from precision import Ranges
from precision.graph import load_graph
from precision.ranges import ranges_beside
from runtime import ArtifactError, InputNotFoundError
from tests.models import SMALL_MODEL


def test_kept_and_readable(ranges: Ranges, tmp_path: Path) -> None:
    path = ranges_beside(tmp_path / "rrin.onnx")
    ranges.save(path)
    assert path.name == "rrin.ranges.json"
    loaded = Ranges.load(path)
    assert dataclasses.replace(loaded, tensors={}) == dataclasses.replace(ranges, tensors={})
    assert loaded.tensors.keys() == ranges.tensors.keys()
    for name, value in ranges.tensors.items():
        np.testing.assert_allclose(loaded.tensors[name].low, value.low, rtol=1e-5)
        np.testing.assert_allclose(loaded.tensors[name].high, value.high, rtol=1e-5)
    content = json.loads(path.read_text())
    assert content["method"] == "max"
    assert content["samples"] == 3
    assert len(path.read_text().splitlines()) == len(ranges.tensors) + 11  # a line a tensor


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 9}, "has ranges file format 9; this version reads 1: calibrate"),
        ({"method": "entropy"}, "method is 'entropy'"),
        ({"align_corners": "no"}, "align_corners is 'no'"),
        ({"tensors": {"a": {"low": [1, 2], "high": [3]}}}, "a holds no finite ranges"),
        ({"tensors": {"a": {"low": [0], "high": [float("nan")]}}}, "NaN, expected finite"),
        ({"tensors": {"a": {"low": [2], "high": [1]}}}, "a has a low above its high"),
        ({"tensors": [1]}, "not a ranges file"),
        ({"tensors": {"a": {"low": [0], "high": [1e200]}}}, "a holds no finite ranges"),
        ({"samples": float("inf")}, "not a ranges file"),
        ({"checkpoint_sha256": 5}, "checkpoint_sha256 is 5, expected text"),
        ({"surprise": 1}, "not a ranges file.* unknown field 'surprise'"),
        ({"checkpoint_sha256": "ab"}, "checkpoint_sha256 is 'ab', expected 64 hexadecimal digits"),
        ({"data_sha256": "x" * 64}, "data_sha256 is 'x.*, expected 64 hexadecimal digits"),
        ({"samples": 0}, "samples is 0, expected 1 to"),
        ({"samples": 2.5}, "samples is 2.5, expected a whole number"),
        ({"seed": -1}, "seed is -1, expected 0 to inf"),
        ({"seed": True}, "seed is True, expected a whole number"),
        ({"tensors": {"a": {"low": ["0"], "high": [1]}}}, "a holds no finite ranges"),
        ({"tensors": {"a": {"low": [True], "high": [1]}}}, "a holds no finite ranges"),
        ({"tensors": {"a": {"low": [], "high": []}}}, "a holds no finite ranges"),
        ({"tensors": {"a": {"low": [10**400], "high": [1]}}}, "not a ranges file"),
        ({"tensors": {"a": {"low": [1]}}}, "tensors a lacks high"),
    ],
)
def test_damaged_files_are_refused(
    change: dict[str, object], message: str, ranges: Ranges, tmp_path: Path
) -> None:
    path = tmp_path / "rrin.ranges.json"
    ranges.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ArtifactError, match=message):
        Ranges.load(path)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(
        InputNotFoundError, match=r"int8 needs the ranges .* calibrate the model first"
    ):
        Ranges.load(tmp_path / "none.ranges.json")
    (tmp_path / "cut.ranges.json").write_text('{"format_version": 1, "tens')
    with pytest.raises(ArtifactError, match="not a ranges file, or a damaged one"):
        Ranges.load(tmp_path / "cut.ranges.json")
    (tmp_path / "deep.ranges.json").write_text("[" * 100_000)
    with pytest.raises(ArtifactError, match="not a ranges file, or a damaged one"):
        Ranges.load(tmp_path / "deep.ranges.json")
    (tmp_path / "vast.ranges.json").write_text(" " * (8 * 2**20 + 1))
    with pytest.raises(ArtifactError, match="more than 8388608 bytes"):
        Ranges.load(tmp_path / "vast.ranges.json")


def test_another_models_ranges_are_refused(ranges: Ranges) -> None:
    _, metadata = load_graph(SMALL_MODEL)
    ranges.check_model(metadata, "r")
    for field, value in (("checkpoint_sha256", "0" * 64), ("align_corners", True)):
        with pytest.raises(ArtifactError, match="but the model is"):
            dataclasses.replace(ranges, **{field: value}).check_model(metadata, "r")  # type: ignore[arg-type]
