"""Drawn scenes: what they say of motion is what is seen in them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from export.network import warp
from training.losses import as_read
from training.material import free_stills
from training.motion import Motion
from training.samples import Samples, drawn
from training.scene import Layer, displacement, exposed, pixels, view, visible

SIZE = 128


def smooth(seed: int, size: int) -> torch.Tensor:
    noise = torch.rand(1, 3, size // 8, size // 8, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, size=(size, size), mode="bicubic").clamp(0, 1)[0]


def board(size: int = 40) -> torch.Tensor:
    return torch.cat([smooth(1, size), torch.ones(1, size, size)])


BACKGROUND = Layer(
    torch.cat([smooth(0, 256), torch.ones(1, 256, 256)]), Motion((64, 64)), endless=True
)


def test_a_layer_goes_as_far_as_its_shift() -> None:
    layers = [BACKGROUND, Layer(board(), Motion((60, 60), shift=(20, -8)))]
    points = pixels(SIZE, SIZE)
    centres = []
    for time in (0, 0.25, 1):
        covered = points[view(layers, points, time).top == 1]
        centres.append(covered.mean(0))
        assert covered.shape[0] == pytest.approx(40 * 40, rel=0.05)
    assert centres[1] - centres[0] == pytest.approx([5, -2], abs=0.3)
    assert centres[2] - centres[0] == pytest.approx([20, -8], abs=0.3)


def test_turned_layers_turn_and_come_back() -> None:
    motion = Motion((30, 50), (3, 4), angle=(0.3, 0.2), log_scale=(0.1, 0.1), shear=(0.1, -0.2))
    points = pixels(50, 60)
    for time in (0, 0.4, 1):
        there = motion.forward(motion.backward(points, time), time)
        torch.testing.assert_close(there, points, atol=1e-3, rtol=0)
    quarter = Motion((0, 0), angle=(0, np.pi))
    turned = quarter.forward(torch.tensor([1.0, 0]), 1)  # a quarter turn from the middle on
    torch.testing.assert_close(turned, torch.tensor([0.0, 1]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("number", range(4))
def test_what_is_visible_is_found_where_the_flow_leads(number: int, align_corners: bool) -> None:
    rng = np.random.default_rng((3, number))
    motions = [
        Motion(tuple(rng.uniform(30, 90, 2)), tuple(rng.uniform(-30, 30, 2)), (0, 0.1), (0, 0.05))
        for _ in range(3)
    ]
    layers = [Layer(BACKGROUND.picture, motions[0], endless=True)]
    layers += [Layer(board(), motion) for motion in motions[1:]]
    points, t = pixels(SIZE, SIZE), 0.4
    middle = view(layers, points, t)
    window = torch.tensor([0.0, 0, SIZE, SIZE])
    for to in (0, 1):
        flow = displacement(layers, points, middle.top, t, to)
        seen = visible(layers, points + flow.permute(1, 2, 0), middle.top, to)
        frame = view(layers, points, to).frame
        both = torch.cat([flow, flow])[None]
        read = as_read(both, align_corners=align_corners)[:, :2]
        found = warp(frame[None], read, window, align_corners=align_corners)[0]
        # Half a pixel of an edge is of two layers, so that the rim of what is seen is left out.
        inner = F.max_pool2d(1 - seen[None].float(), 5, 1, 2)[0] == 0
        assert 0.2 < inner.float().mean() < 1
        apart = (found - middle.frame).abs().amax(0)[inner]
        assert apart.median() < 0.004
        assert apart.quantile(0.98) < 0.03
        hidden = (found - middle.frame).abs().amax(0)[~seen]
        assert hidden.median() > 0.05  # and not where another layer is in front of it


def test_samples_are_functions_of_their_number() -> None:
    samples = Samples(free_stills(), [], 64, 1.0, seed=5)
    for one, other in zip(samples[17], samples[17], strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(samples[17].middle, samples[18].middle)


def test_scenes_move_near_and_far_and_are_pictures() -> None:
    stills, reached = free_stills(), []
    for number in range(40):
        sample = drawn(np.random.default_rng(number), stills, 64)
        for frame in (sample.frame0, sample.middle, sample.frame1):
            assert frame.shape == (3, 64, 64)
            assert 0 <= frame.min() <= frame.max() <= 1
        assert sample.visible.unique().tolist() in ([0, 1], [1])
        reached.append(float(sample.across.abs().max()))
    assert np.mean(np.array(reached) < 5) > 0.05
    assert np.mean(np.array(reached) > 20) > 0.2


def test_mirrors_and_time_turned_back_keep_what_is_true() -> None:
    stills = free_stills()
    for number in range(6):
        samples = Samples(stills, [], 96, 1.0, seed=number)
        sample = samples[number]
        window = torch.tensor([0.0, 0, 96, 96])
        for frame, flow, seen in zip(
            (sample.frame0, sample.frame1), sample.flow.split(2), sample.visible, strict=True
        ):
            found = warp(frame[None], flow[None] + 0.5, window, align_corners=False)[0]
            inner = F.max_pool2d(1 - seen[None], 7, 1, 3)[0] == 0
            if inner.float().mean() > 0.1:
                light = frame.mean() / sample.middle.mean()
                apart = (found - light * sample.middle).abs().mean(0)[inner]
                assert apart.median() < 0.05, number


@pytest.mark.parametrize(("shift", "widest"), [(0, 7), (40, 24), (60, 32)])
def test_an_open_shutter_blurs_what_moves_and_nothing_else(shift: int, widest: int) -> None:
    bar = torch.zeros(4, 60, 6)
    bar[3] = 1  # black and opaque
    white = Layer(torch.ones(4, 256, 256), Motion((64, 64)), endless=True)
    layers = [white, Layer(bar, Motion((60, 60), shift=(shift, 0)))]
    row = exposed(layers, pixels(SIZE, SIZE), 0.5, 0.4).frame[0, 60]
    dark = (row < 0.97).nonzero()[:, 0]
    assert widest - 5 <= len(dark) <= widest
    assert dark.max() - dark.min() + 1 == len(dark)  # one bar, however long, and not several
    assert dark.float().mean() == pytest.approx(60, abs=1)
