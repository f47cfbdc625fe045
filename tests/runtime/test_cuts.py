"""Cuts, on scenes whose cuts are known."""

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import pytest

from runtime.cuts import CutDetector
from runtime.errors import FrameError, OptionError
from runtime.scene import render_bytes


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
    assert cuts_in(wide[:, 20 * step : 20 * step + 128] for step in range(20)) == []


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


@pytest.mark.parametrize(
    ("clip", "cuts"),
    [
        ("bikes.mp4", [30, 76, 137, 187, 242]),
        # Two leaps of a hand-held camera over dropped frames, and the end of a damaged stretch.
        ("arm_wrestling.mp4", [206, 208, 268]),
        ("bigbuckbunny.mp4", []),
        ("carphone_pristine.mp4", []),
        ("bt709_full_range.mp4", []),
        ("h264_10bits.mp4", []),
    ],
)
def test_real_clips(clip: str, cuts: list[int], data: Path) -> None:
    with av.open(str(data / "clips" / clip)) as reader:
        frames = (frame.to_ndarray(format="rgb24") for frame in reader.decode(video=0))
        assert cuts_in(frames) == cuts
