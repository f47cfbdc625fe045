"""Two image files, and the one between them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from media import MediaError, PairSummary, interpolate_pair
from runtime import InputNotFoundError, Interpolator, OptionError, OutputExistsError
from runtime.scene import render, render_bytes


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two frames of a scene, the first with an ICC profile."""
    paths = tmp_path / "a.png", tmp_path / "b.png"
    for time, path in enumerate(paths):
        profile = None if time else b"profile" * 50
        Image.fromarray(render_bytes(80, 48, time)).save(path, icc_profile=profile)
    return paths


def test_the_image_between_is_near_the_truth(
    pair: tuple[Path, Path], interpolate: Interpolator, tmp_path: Path
) -> None:
    done = interpolate_pair(interpolate, *pair, tmp_path / "mid.png")
    assert done == PairSummary(80, 48, 0.5, pair[:1])
    shown = [np.asarray(Image.open(path)) / 255 for path in (*pair, tmp_path / "mid.png")]
    truth = render(48, 80, 0.5)
    average = np.square((shown[0] + shown[1]) / 2 - truth).mean()
    assert np.square(shown[2] - truth).mean() < average / 1.5


def test_the_ends_are_the_images_themselves(
    pair: tuple[Path, Path], interpolate: Interpolator, tmp_path: Path
) -> None:
    for t, path in enumerate(pair):
        interpolate_pair(interpolate, *pair, tmp_path / "end.png", t, overwrite=True)
        np.testing.assert_array_equal(Image.open(tmp_path / "end.png"), Image.open(path))


@pytest.mark.parametrize(
    ("output", "options", "error", "message"),
    [
        ("mid.png", {"t": 1.5}, OptionError, "t is 1.5; expected a number from 0 to 1"),
        ("mid.png", {"t": float("nan")}, OptionError, "t is nan"),
        ("mid.gif", {}, MediaError, "expected the name of an image, in .png, .tif or .jpg"),
        ("a.png", {"overwrite": True}, OptionError, r"a\.png: is an input as well"),
        ("old.png", {}, OutputExistsError, r"old\.png: exists"),
        ("none/mid.png", {}, InputNotFoundError, "no such folder"),
        ("mid.png", {"max_pixels": 100}, MediaError, r"a\.png: has 80x48 pixels"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(
    output: str,
    options: dict[str, object],
    error: type[Exception],
    message: str,
    pair: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    (tmp_path / "old.png").touch()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def unused(*_: object) -> None:
        pytest.fail("the work has begun")

    with pytest.raises(error, match=message):
        interpolate_pair(unused, *pair, tmp_path / output, **options)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
