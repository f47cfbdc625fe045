"""Cuts, on scenes whose cuts are known."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from runtime.cuts import CutDetector
from runtime.errors import FrameError, OptionError
from runtime.scene import render_bytes
from tests.cut_material import CLIPS, Material, found, frames_of, from_photographs
from training.material import free_stills


def cuts_in(frames: Iterable[np.ndarray]) -> list[int]:
    is_cut = CutDetector()
    return [index for index, frame in enumerate(frames) if is_cut(frame)]


def test_two_scenes_and_not_the_motion_in_them() -> None:
    frames = [render_bytes(128, 96, time) for time in range(8)]
    other = [255 - render_bytes(128, 96, time)[::-1] for time in range(8)]
    assert cuts_in(frames) == []
    assert cuts_in([*frames, *other, *frames]) == [8, 16]
    assert cuts_in([frame.astype(np.float32) / 255 for frame in [*frames, *other]]) == [8]


def test_a_fade_and_fast_motion_are_no_cuts() -> None:
    picture = render_bytes(128, 96, 3)
    assert cuts_in((picture * (1 - step / 8)).astype(np.uint8) for step in range(9)) == []
    noise = np.random.default_rng(0).integers(0, 255, (96, 640, 3)).astype(np.uint8)
    blurred = np.stack([np.convolve(noise[0, :, 0], np.ones(40) / 40, "same")] * 96)
    wide = np.repeat(blurred[..., np.newaxis], 3, axis=2).astype(np.uint8)
    assert cuts_in(wide[:, 16 * step : 16 * step + 128] for step in range(20)) == []


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (65, 37)])
def test_any_size(size: tuple[int, int]) -> None:
    width, height = size
    dark, light = (np.full((height, width, 3), level, np.uint8) for level in (10, 240))
    assert cuts_in([dark, dark, light, light]) == [2]


@pytest.mark.parametrize("threshold", ["x", None, float("nan"), -1, 7])
def test_thresholds_that_are_none(threshold: object) -> None:
    with pytest.raises(OptionError, match=r"threshold is .*; expected a number from 0 to 1"):
        CutDetector(threshold)  # type: ignore[arg-type]


def test_refuses_what_is_no_frame_and_a_change_of_size() -> None:
    with pytest.raises(FrameError, match="frame is float64; expected uint8, or float32"):
        cuts_in([np.zeros((8, 8, 3))])
    for first, second in (((8, 8), (9, 8)), ((96, 128), (128, 96))):
        with pytest.raises(FrameError, match="frames of two sizes"):
            cuts_in([np.zeros((*first, 3), np.uint8), np.zeros((*second, 3), np.uint8)])


@pytest.fixture(scope="module")
def materials() -> list[Material]:
    return list(from_photographs(free_stills()))


KINDS = (
    "slideshow, each picture once",
    "slideshow, each picture twice",
    "slideshow, dark",
    "slideshow, as through fog",
    "two cuts in a row",
    "cuts to another part of one picture",
    "white for 1 to 3 frames",
    "overexposed for 1 to 3 frames",
    "black for 1 to 3 frames",
    "strobe, white",
    "strobe, black",
    "fade to black and back",
    "fade to white and back",
    "dissolve, 6 frames",
    "dissolve, 12 and 25 frames",
    "light that comes and goes",
    "explosion, that grows",
    "pan by 5 % of the width",
    "pan by 10 % of the width",
    "pan by 15 % of the width",
    "tilt by 8 % of the height",
    "whip pan, up to 13 %, blurred",
    "zoom and roll",
    "subtitles that come and go",
    "credits that crawl",
)


@pytest.mark.parametrize("kind", KINDS)
def test_of_photographs_each_cut_is_found_and_no_other(
    kind: str, materials: list[Material]
) -> None:
    of_kind = [each for each in materials if each.kind == kind]
    assert of_kind
    for material in of_kind:
        assert found(material) == material.cuts


def test_no_kind_of_material_is_left_out(materials: list[Material]) -> None:
    assert {material.kind for material in materials} == set(KINDS)


def test_what_comes_before_changes_nothing(materials: list[Material]) -> None:
    runs = next(each for each in materials if each.kind == "two cuts in a row")
    backwards = Material("", runs.frames[::-1], set())
    assert found(backwards) == {len(runs.frames) - cut for cut in runs.cuts}


def test_a_larger_picture_is_judged_as_a_small_one() -> None:
    pans = [render_bytes(90, 160, time) for time in range(3)]
    pans += [255 - frame[::-1] for frame in pans]
    for scale in (1, 3, 9):
        large = [frame.repeat(scale, 0).repeat(scale, 1) for frame in pans]
        assert cuts_in(large) == [3]
        assert cuts_in([frame.swapaxes(0, 1) for frame in large]) == [3]


@pytest.mark.long
@pytest.mark.parametrize("clip", CLIPS)
def test_real_clips(clip: str, data: Path) -> None:
    cuts, either = CLIPS[clip]
    frames = frames_of(data / "clips" / f"{clip}.mp4")
    assert set(cuts_in(frames)) - either == cuts
