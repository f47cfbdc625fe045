"""Quality: scores against what is known of them, buckets, pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from calibration import Triplet, triplet_folders
from media.errors import MediaError
from rrin_deploy.evaluation import AVERAGE, by_motion, evaluate, report, summarise, worst
from rrin_deploy.pictures import picture_folders
from runtime.scene import render_bytes
from tests.conftest import write_png


@pytest.fixture
def triplets(tmp_path: Path) -> list[Triplet]:
    """One still scene, one that moves."""
    for name, step in (("still", 0), ("moving", 1)):
        for index in (1, 2, 3):
            frame = render_bytes(64, 48, 5 + step * (index - 1) / 2)
            write_png(tmp_path / "set" / name / f"im{index}.png", frame)
    return triplet_folders(tmp_path / "set")


def off_by_two(frame0: np.ndarray, _frame1: np.ndarray) -> np.ndarray:
    """Two levels from the truth of the still scene, everywhere."""
    return np.where(frame0 < 128, frame0 + 2, frame0 - 2).astype(np.uint8)


def test_scores_are_those_of_the_definitions(triplets: list[Triplet]) -> None:
    cases = {case.name: case for case in evaluate({"off": off_by_two}, triplets)}
    still, moving = cases["still"], cases["moving"]
    assert still.scores["off"].psnr_db == pytest.approx(20 * np.log10(255 / 2), abs=1e-6)
    assert 0.9 < still.scores["off"].ssim < 1
    assert still.scores[AVERAGE].psnr_db == float("inf")
    assert still.scores[AVERAGE].ssim == 1
    assert still.motion == 0
    frame0, truth, frame1 = next(t for t in triplets if t.name == "moving").read()
    assert moving.motion == pytest.approx(np.abs(frame0.astype(float) - frame1).mean())
    average = np.rint((frame0.astype(float) + frame1) / 2).astype(np.uint8)
    assert moving.scores[AVERAGE].psnr_db == pytest.approx(
        peak_signal_noise_ratio(truth, average), abs=1e-6
    )


def test_summaries_buckets_and_worst(triplets: list[Triplet]) -> None:
    cases = evaluate({"off": off_by_two}, triplets)
    buckets = dict(by_motion(cases))
    assert [case.name for case in buckets["0 to 2"]] == ["still"]
    assert sum(map(len, buckets.values())) == 2
    mean = np.mean([case.scores["off"].psnr_db for case in cases])
    ours = summarise(cases, "off", "off")
    assert ours.psnr_db == pytest.approx(mean)
    assert (ours.exact, ours.psnr_to_first_db, ours.ssim_to_first) == (0, 0, 0)
    moving = next(case for case in cases if case.name == "moving").scores
    average = summarise(cases, AVERAGE, "off")  # exact on the still one, which is left out
    assert average.exact == 1
    gain = moving[AVERAGE].psnr_db - moving["off"].psnr_db
    assert average.psnr_to_first_db == pytest.approx(gain)
    assert summarise(buckets["0 to 2"], AVERAGE, "off").psnr_to_first_db is None
    assert [case.name for case in worst(cases, "off", 1)] == ["moving"]
    content = json.loads(json.dumps(report(cases, ["off"]), allow_nan=False))
    assert content["contenders"]["off"]["worst"][0] == "moving"
    assert content["cases"][1]["scores"][AVERAGE]["psnr_db"] is None
    assert content["contenders"][AVERAGE]["by_motion"]["0 to 2"]["psnr_db"] is None


def test_pictures_stay_in_their_folder(triplets: list[Triplet], tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "pictures"
    with picture_folders(folder, ["/../off"]) as drawn:
        evaluate({"/../off": off_by_two}, triplets, pictures=drawn)
    pictures = sorted(folder.glob("1-off/*.png"))
    assert pictures == sorted(tmp_path.rglob("deep/**/*.png"))
    assert [picture.name for picture in pictures] == ["moving.png", "still.png"]
    tiles = np.hsplit(np.asarray(Image.open(pictures[1])), 4)
    frame0, truth, _ = next(t for t in triplets if t.name == "still").read()
    np.testing.assert_array_equal(tiles[1], truth)
    np.testing.assert_array_equal(tiles[2], off_by_two(frame0, frame0))
    assert (tiles[3] == 8).all()  # four times the error


def test_images_below_the_window_of_ssim_are_named(tmp_path: Path) -> None:
    for index in (1, 2, 3):
        write_png(tmp_path / "tiny" / f"im{index}.png", np.zeros((10, 20, 3), np.uint8))
    with pytest.raises(MediaError, match=r"tiny/im2\.png: is 20x10; SSIM needs 11 pixels"):
        evaluate({}, triplet_folders(tmp_path))
