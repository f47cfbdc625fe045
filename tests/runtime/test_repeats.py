"""Repeats, in frames of which it is known what they show."""

from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
import pytest

from runtime.errors import FrameError
from runtime.repeats import LONGEST, MOST, RUN_UP, RepeatFinder
from runtime.scene import render_bytes
from tests.repeated import HOLDS, fading, panned, repeats_in, shown, talking

RATE = Fraction(24)
Frames = Iterable[np.ndarray]


def found(frames: Frames, rate: Fraction = RATE, cuts: Sequence[int] = ()) -> list[int]:
    finder: RepeatFinder[int] = RepeatFinder()
    decided = [
        each
        for index, frame in enumerate(frames)
        for each in finder.add(index, frame, index / rate, index in cuts)
    ]
    decided += finder.rest()
    assert [index for index, _ in decided] == list(range(len(decided)))  # each once, in order
    return [index for index, repeat in decided if repeat]


def flat(levels: Sequence[float]) -> list[np.ndarray]:
    return [np.full((8, 8, 3), level, np.float32) / 255 for level in levels]


def noisy(frame: np.ndarray, number: int) -> np.ndarray:
    """A frame with noise of its own, of 3 levels."""
    noise = 3 * np.random.default_rng(number).standard_normal(frame.shape)
    return np.clip(np.rint(frame + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("holds", HOLDS)
@pytest.mark.parametrize("deep", [False, True])
def test_pictures_that_are_shown_again(holds: str, deep: bool) -> None:
    pictures = shown(HOLDS[holds], 24)
    drawn = {picture: render_bytes(96, 64, picture) for picture in set(pictures)}
    frames = [noisy(drawn[picture], index) for index, picture in enumerate(pictures)]
    scale = np.float32(255) if deep else np.uint8(1)
    assert found(frame / scale if deep else frame for frame in frames) == sorted(
        repeats_in(pictures)
    )


def test_a_small_part_that_moves_in_a_still_picture() -> None:
    pictures = shown(HOLDS["mixed"], 24)
    assert found(talking(picture) for picture in pictures) == sorted(repeats_in(pictures))


def test_fades_pans_stills_and_a_shaking_camera_have_none() -> None:
    assert found(fading(time) for time in range(30)) == []
    assert found(panned(0.1)(time) for time in range(30)) == []
    still = render_bytes(96, 64, 0)
    assert found([still] * 30) == []
    assert found(noisy(still, number) for number in range(30)) == []
    shaking = np.random.default_rng(5).uniform(0.3, 3, 40).cumsum()
    assert found(render_bytes(96, 64, time) for time in shaking) == []


@pytest.mark.parametrize(
    ("rate", "held", "is_spread"), [(24, 4, True), (24, 5, False), (25, 5, True), (60, 13, False)]
)
def test_what_is_held_for_longer_is_a_still(rate: int, held: int, is_spread: bool) -> None:
    assert (Fraction(held, rate) <= LONGEST) == is_spread
    before = [render_bytes(96, 64, time) for time in range(4)]
    after = [render_bytes(96, 64, time) for time in range(4, 8)]
    frames = [*before, *[before[-1]] * (held - 1), *after]
    expected = list(range(4, 3 + held)) if is_spread else []
    assert found(frames, Fraction(rate)) == expected


def test_no_more_are_held_back_than_fit() -> None:
    before, after = (flat([20 * step for step in range(3)]), flat([60]))
    for repeats in (MOST, MOST + 1):
        frames = [*before, *before[-1:] * repeats, *after]
        assert len(found(frames, Fraction(1000))) == (repeats if repeats == MOST else 0)


def test_those_before_a_cut_stay() -> None:
    one, other = ([render_bytes(96, 64, time) for time in range(n, n + 4)] for n in (0, 50))
    frames = [one[0], one[1], one[1], one[2], one[2], other[0], other[0], other[1], other[2]]
    assert found(frames, cuts=[5]) == [2, 6]


def test_motion_that_comes_to_rest_is_not_taken_for_repeats() -> None:
    # Each change is small beside those around, and all of them together are not.
    eased = [0, 8, 9.9, 11.8, 13.7, 21.7, 29.7]
    assert found(flat(eased)) == []
    assert found(flat([0, 8, 8.5, 8.0, 8.4, 16.4, 25])) == [2, 3, 4]


def test_what_is_told_depends_on_few_frames_before() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        sizes = rng.choice([0, 0.1, 0.4, 1, 1.6, 4, 8, 30], 60, p=[0.3, *[0.1] * 7])
        walked = 128 + np.cumsum(sizes * rng.choice([-1, 1], 60))
        frames = flat(255 - np.abs(walked % 510 - 255))
        whole = found(frames)
        begin = int(rng.integers(0, 40))
        part = [begin + index for index in found(frames[begin:])]
        certain = begin + RUN_UP
        assert [index for index in part if index >= certain] == [
            index for index in whole if index >= certain
        ]


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (65, 37)])
def test_any_size(size: tuple[int, int]) -> None:
    width, height = size
    levels = [10, 50, 50, 90, 90, 130]
    assert found(np.full((height, width, 3), level, np.uint8) for level in levels) == [2, 4]


def test_frames_are_checked() -> None:
    frames = [render_bytes(96, 64, 0), render_bytes(97, 64, 0)]  # as many blocks
    with pytest.raises(FrameError, match="two sizes, 96x64 and 97x64"):
        found(frames)
    with pytest.raises(FrameError, match="frame"):
        found([np.zeros((8, 8))])
