"""Drawn scenes: what they say of motion is what is seen in them."""

import io
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from export.network import warp
from tests.layers import moving, opaque, picture_of
from training.damage import compressed
from training.drawing import Studio
from training.losses import as_read
from training.material import free_stills
from training.motion import Motion
from training.samples import Batch, Samples, cut_out, drawn
from training.scene import Layer, displacement, exposed, pixels, view, visible

SIZE = 128
SHUT = np.zeros(1)
pytestmark = pytest.mark.usefixtures("one_thread")


def times(*values: float) -> Tensor:
    return torch.tensor(values)


def smooth(seed: int, size: int) -> Tensor:
    noise = torch.rand(1, 3, size // 8, size // 8, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, size=(size, size), mode="bicubic").clamp(0, 1)


BOARD = opaque(smooth(1, 40))
BACKGROUND = Layer(opaque(smooth(0, 256)), moving((64, 64)), endless=True)


def test_a_layer_goes_as_far_as_its_shift() -> None:
    layers = [BACKGROUND, Layer(BOARD, moving((60, 60), shift=(20, -8)))]
    points = pixels(SIZE, SIZE)
    centres = []
    for time in (0, 0.25, 1):
        covered = points[view(layers, points, times(time)).top == 1]
        centres.append(covered.mean(0))
        assert covered.shape[0] == pytest.approx(40 * 40, rel=0.05)
    assert centres[1] - centres[0] == pytest.approx([5, -2], abs=0.3)
    assert centres[2] - centres[0] == pytest.approx([20, -8], abs=0.3)


def test_turned_layers_turn_and_come_back() -> None:
    motion = moving((30, 50), (3, 4), (0.3, 0.2), (0.1, 0.1), (0.1, -0.2))
    points = pixels(50, 60)
    for time in (0, 0.4, 1):
        there = motion.forward(motion.backward(points, times(time)), times(time))
        torch.testing.assert_close(there, points, atol=1e-3, rtol=0)
        moved = motion.moved(points, times(0.3), times(time))
        by_layer = motion.forward(motion.backward(points, times(0.3)), times(time))
        torch.testing.assert_close(moved, by_layer, atol=1e-3, rtol=0)
    quarter = moving((0, 0), angle=(0, math.pi))
    turned = quarter.forward(torch.tensor([[[[1.0, 0]]]]), times(1))  # a quarter from 0.5 on
    torch.testing.assert_close(turned[0, 0, 0], torch.tensor([0.0, 1]), atol=1e-6, rtol=0)
    sheared = moving((0, 0), shear=(2, 0)).forward(torch.tensor([[[[1.0, 1]]]]), times(0))
    torch.testing.assert_close(sheared[0, 0, 0], torch.tensor([3.0, 1]))


@pytest.mark.parametrize("align_corners", [False, True])
def test_what_is_visible_is_found_where_the_flow_leads(align_corners: bool) -> None:
    rng, count = np.random.default_rng(3), 4
    t = torch.tensor([0.4, 0.5, 0.6, 0.25])

    def random() -> Motion:
        shift = rng.uniform(-30, 30, (count, 2))
        changes = [np.stack([np.zeros(count), rng.normal(0, s, count)], 1) for s in (0.1, 0.05, 0)]
        parts = (rng.uniform(30, 90, (count, 2)), shift, *changes)
        return Motion(*(torch.from_numpy(part).float() for part in parts))

    layers = [Layer(BACKGROUND.picture.expand(count, -1, -1, -1), random(), endless=True)]
    layers += [Layer(BOARD.expand(count, -1, -1, -1), random()) for _ in range(2)]
    points = pixels(SIZE, SIZE)
    middle = view(layers, points, t)
    window = torch.tensor([0.0, 0, SIZE, SIZE])
    for to in (torch.zeros(count), torch.ones(count)):
        flow = displacement(layers, points, middle.top, t, to)
        seen = visible(layers, points + flow.permute(0, 2, 3, 1), middle.top, to)
        frame = view(layers, points, to).frame
        read = as_read(torch.cat([flow, flow], 1), align_corners=align_corners)[:, :2]
        found = warp(frame, read, window, align_corners=align_corners)
        # Half a pixel of an edge is of two layers, so that the rim of what is seen is left out.
        inner = F.max_pool2d(1 - seen.float(), 5, 1, 2) == 0
        apart = (found - middle.frame).abs().amax(1)
        for number in range(count):
            assert 0.2 < inner[number].float().mean() < 1
            there = apart[number][inner[number]]
            assert there.median() < 0.004
            assert there.quantile(0.95) < 0.03
            # And not where another layer is in front of it.
            assert apart[number][~seen[number]].median() > 0.05


def test_samples_are_functions_of_their_number() -> None:
    one, other = (Samples(free_stills(), [], 64, 1.0, seed=5) for _ in range(2))
    for mine, theirs in zip(one.batch(17, 3), other.batch(17, 3), strict=True):
        assert torch.equal(mine, theirs)
    assert not torch.equal(one.batch(17, 3).middle, one.batch(18, 3).middle)


def test_scenes_move_near_and_far_and_are_pictures() -> None:
    batch = drawn(np.random.default_rng(0), Studio(free_stills(), 64, 0, "cpu"), 60)
    for frame in (batch.frame0, batch.middle, batch.frame1):
        assert frame.shape == (60, 3, 64, 64)
        assert 0 <= frame.min() <= frame.max() <= 1
    assert batch.visible.unique().tolist() == [0, 1]
    reached = batch.across.abs().amax((1, 2, 3))
    assert (reached < 5).float().mean() > 0.05
    assert (reached > 20).float().mean() > 0.2
    assert 0.4 < (batch.t == 0.5).float().mean() < 0.8


def test_frames_show_the_motion_that_comes_with_them() -> None:
    batch = drawn(np.random.default_rng(1), Studio(free_stills(), 96, 0, "cpu"), 12)
    window = torch.tensor([0.0, 0, 96, 96])
    agreed = 0
    for frame, flow, seen in (
        (batch.frame0, batch.flow[:, :2], batch.visible[:, :1]),
        (batch.frame1, batch.flow[:, 2:], batch.visible[:, 1:]),
    ):
        found = warp(frame, flow + 0.5, window, align_corners=False)
        inner = (F.max_pool2d(1 - seen, 7, 1, 3) == 0)[:, 0]
        for number in range(12):
            if inner[number].float().mean() > 0.1:
                light = frame[number].mean() / batch.middle[number].mean()
                apart = (found[number] - light * batch.middle[number]).abs().mean(0)
                assert apart[inner[number]].median() < 0.05, number
                agreed += 1
    assert agreed > 12


@pytest.mark.parametrize(("shift", "widest"), [(0, 7), (40, 24), (60, 32)])
def test_an_open_shutter_blurs_what_moves_and_nothing_else(shift: int, widest: int) -> None:
    bar = torch.zeros(1, 4, 60, 6)
    bar[:, 3] = 1  # black and opaque
    white = Layer(torch.ones(1, 4, 256, 256), moving((64, 64)), endless=True)
    layers = [white, Layer(bar, moving((60, 60), shift=(shift, 0)))]
    points, half = pixels(SIZE, SIZE), times(0.5)
    row = exposed(layers, points, half, np.array([0.4])).frame[0, 0, 60]
    dark = (row < 0.97).nonzero()[:, 0]
    assert widest - 5 <= len(dark) <= widest
    assert dark.max() - dark.min() + 1 == len(dark)  # one bar, however long, and not several
    assert dark.float().mean() == pytest.approx(60, abs=1)
    sharp = exposed(layers, points, half, SHUT)
    assert torch.equal(sharp.frame, view(layers, points, half).frame)


def ramp_run() -> Tensor:
    """Frames whose every pixel says where and when it is: red x, green y, blue the time."""
    run = np.zeros((9, 96, 128, 3), np.uint8)
    run[..., 0], run[..., 1] = np.arange(128), np.arange(96)[:, None]
    run[..., 2] = 20 * np.arange(9)[:, None, None]
    return torch.from_numpy(run)


def test_crops_of_clips_are_of_one_place_and_in_the_order_of_time() -> None:
    batch = cut_out(np.random.default_rng(2), [ramp_run()], 64, 40)
    frames = 255 * torch.stack([batch.frame0, batch.middle, batch.frame1], 1)
    assert torch.equal(frames[:, 0, :2], frames[:, 1, :2])  # the same pixels
    assert torch.equal(frames[:, 0, :2], frames[:, 2, :2])
    when = frames[:, :, 2].mean((2, 3)) / 20
    expected = (when[:, 1] - when[:, 0]) / (when[:, 2] - when[:, 0])
    torch.testing.assert_close(batch.t, expected, atol=1e-4, rtol=0)
    assert (when[:, 2] - when[:, 0]).abs().max() <= 8
    for direction in (
        when[:, 2] - when[:, 0],  # backwards in time as often
        frames[:, 0, 0, 0, 1] - frames[:, 0, 0, 0, 0],  # and mirrored
        frames[:, 0, 1, 1, 0] - frames[:, 0, 1, 0, 0],
    ):
        assert 0.2 < (direction > 0).float().mean() < 0.8
    assert not batch.drawn.any()
    assert not batch.flow.any()


def test_most_crops_are_where_things_move() -> None:
    run = torch.full((9, 256, 256, 3), 100, dtype=torch.uint8)
    for number in range(9):
        run[number, 20:60, 20 + 10 * number : 60 + 10 * number] = 255
    batch = cut_out(np.random.default_rng(0), [run], 64, 60)
    moves = (batch.frame0 != batch.frame1).flatten(1).any(1).float().mean()
    assert moves > 0.6  # of all places, one in three


def test_compression_is_that_of_jpeg() -> None:
    picture = np.ascontiguousarray(free_stills()[0][100:228, 150:278])
    frame = picture_of(picture)
    for quality, share in ((40, 0.3), (90, 0.5)):  # JPEG rounds colours to bytes as well
        stored = io.BytesIO()
        Image.fromarray(picture).save(stored, "JPEG", quality=quality, subsampling=0)
        theirs = picture_of(np.array(Image.open(stored)))
        ours = compressed(frame, times(quality))
        changed = (theirs - frame).abs().mean()
        assert (ours - theirs).abs().mean() < share * changed


def test_batches_have_the_share_of_drawn_samples_that_is_asked_for() -> None:
    samples = Samples(free_stills(), [ramp_run().numpy()], 64, 0.6, seed=2)
    batches: list[Batch] = [samples.batch(number, 4) for number in range(20)]
    assert all(len(batch.t) == 4 for batch in batches)
    share = torch.stack([batch.drawn.mean() for batch in batches]).mean()
    assert share == pytest.approx(0.6, abs=0.1)
