"""The golden file: how far PyTorch itself is from the truth, and where artifacts differ most."""

import copy

import numpy as np
import pytest
import torch

from export import RRIN, Reference, compare, compare_stages, make_golden
from export.reference import planes_of
from runtime import FrameError, Golden, Interpolator, OptionError
from runtime.scene import render_bytes
from tests.conftest import unit
from tests.harsh import harsh_network


@pytest.fixture(scope="module")
def network() -> RRIN:
    return harsh_network(8, align_corners=False)


@pytest.fixture(scope="module")
def golden(network: RRIN) -> Golden:
    return make_golden(network, "ab" * 32, [(70, 40), (64, 32)])


def test_error_of_the_reference_is_its_distance_from_float64(network: RRIN, golden: Golden) -> None:
    exact = Reference(copy.deepcopy(network).double())
    for case in golden.cases:
        error = np.abs(case.frames - exact(unit(case.frame0), unit(case.frame1), case.t)).max()
        assert 1e-8 < error < 1e-4
        assert case.reference_error == pytest.approx(error, rel=0.1)


GOOD = np.zeros((8, 12, 3), np.uint8)


@pytest.mark.parametrize(
    ("frame0", "frame1", "t", "message"),
    [
        (GOOD, GOOD, 2, "t is 2; expected a number in"),
        (GOOD, GOOD[:4], 0.5, "two sizes, 12x8 and 12x4"),
        (unit(GOOD), GOOD, 0.5, "one dtype"),
        (GOOD.astype(np.float64), GOOD.astype(np.float64), 0.5, "frame0 is float64"),
        (unit(GOOD), unit(GOOD) + 255, 0.5, "frame1 has values from 255 to 255"),
    ],
)
def test_reference_refuses_what_an_interpolator_refuses(
    frame0: np.ndarray, frame1: np.ndarray, t: float, message: str, network: RRIN
) -> None:
    for call in (Reference(network), Interpolator()):
        with pytest.raises(FrameError, match=message):
            call(frame0, frame1, t)


def test_reference_gives_the_frames_themselves_at_0_and_1(network: RRIN) -> None:
    made = Reference(network)(GOOD, GOOD + 9, [0, 0.5, 1])
    assert made.dtype == np.uint8
    assert (made[0] == GOOD).all()
    assert (made[2] == GOOD + 9).all()
    assert Reference(network)(GOOD, GOOD, []).shape == (0, *GOOD.shape)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [([], "expected one .* or more"), (["64x64"], "'64x64'; expected"), ([(0, 3)], "is 0; exp")],
)
def test_sizes_that_are_none(sizes: list[tuple[int, int]], message: str, network: RRIN) -> None:
    for call in (
        lambda: make_golden(network, "0" * 64, sizes),
        lambda: compare("rrin.onnx", "c.pth", sizes),
        lambda: compare_stages("rrin.onnx", network, sizes),
    ):
        with pytest.raises(OptionError, match=message):
            call()


def test_last_pair_is_the_one_of_which_least_is_seen(network: RRIN, golden: Golden) -> None:
    def least_seen(frame0: np.ndarray, frame1: np.ndarray, t: float) -> float:
        planes = planes_of(frame0), planes_of(frame1)
        window = torch.tensor([0, 0, *planes[0].shape[:1:-1]])
        with torch.inference_mode():
            mask = network.stages(*planes, torch.tensor([t]), window).mask
        return float(mask.amax(1).min())

    pairs = [[render_bytes(96, 64, start + time) for time in (0, 1)] for start in (0, 4, 8, 12)]
    seen = [least_seen(*pair, t) for pair in pairs for t in (0.2, 0.5, 0.8)]
    last = golden.cases[-1]
    assert max(seen) > 2 * min(seen)
    assert least_seen(last.frame0, last.frame1, *last.t) == pytest.approx(min(seen), rel=0.1, abs=0)
