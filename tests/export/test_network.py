import pytest
import torch

from export import RRIN
from export.network import warp
from runtime import OptionError
from runtime.scene import render


def whole(height: int, width: int) -> torch.Tensor:
    return torch.tensor([0.0, 0.0, width, height])


def scene(height: int, width: int, time: float) -> torch.Tensor:
    return torch.from_numpy(render(height, width, time)).permute(2, 0, 1)[None]


@pytest.mark.parametrize("width", [0, 4097, 8.0, "8"])
def test_widths_that_are_none(width: int) -> None:
    with pytest.raises(OptionError, match=r"base_width is .* from 1 to 4096"):
        RRIN(width)


def test_size_is_that_of_the_paper() -> None:
    with torch.device("meta"):
        state = RRIN().state_dict()
    assert len(state) == 162
    assert sum(tensor.numel() for tensor in state.values()) == 19_194_445


def test_warp_without_align_corners_shifts_by_flow_less_half_a_pixel() -> None:
    # A linear image sampled anywhere is the line itself: value = position.
    image = torch.arange(64.0).expand(1, 1, 32, 64)
    flow = torch.zeros(1, 2, 32, 64)
    flow[:, 0] = 3.25
    out = warp(image, flow, whole(32, 64), align_corners=False)
    expected = torch.arange(64.0) + 3.25 - 0.5
    torch.testing.assert_close(out[0, 0, 7, 5:55], expected[5:55], atol=1e-4, rtol=0)


def test_warp_with_align_corners_reads_pixel_p_less_p_over_width() -> None:
    image = torch.arange(64.0).expand(1, 1, 32, 64)
    flow = torch.zeros(1, 2, 32, 64)
    flow[:, 0] = -2.0
    out = warp(image, flow, whole(32, 64), align_corners=True)
    position = torch.arange(64.0) - 2
    expected = position - position / 64
    torch.testing.assert_close(out[0, 0, 7, 5:55], expected[5:55], atol=1e-4, rtol=0)


def test_warp_gives_zeros_outside() -> None:
    flow = torch.full((1, 2, 32, 64), 100.0)
    assert warp(torch.ones(1, 3, 32, 64), flow, whole(32, 64), align_corners=True).abs().max() == 0


@pytest.mark.parametrize("align_corners", [True, False])
def test_tile_given_its_window_is_the_whole_frame_there(align_corners: bool) -> None:
    whole_frame = scene(256, 512, 0)
    flow = torch.stack([scene(256, 512, 3)[0, 0] * 4 - 2, scene(256, 512, 5)[0, 1] * 2])[None]
    left, top = 256, 64
    expected = warp(whole_frame, flow, whole(256, 512), align_corners=align_corners)
    tile = warp(
        whole_frame[..., top : top + 128, left : left + 224],
        flow[..., top : top + 128, left : left + 224],
        torch.tensor([left, top, 512.0, 256.0]),
        align_corners=align_corners,
    )
    expected = expected[..., top : top + 128, left : left + 224]
    error = (tile - expected)[..., 8:-8, 8:-8].abs().max()
    assert error < 1e-4


def test_flow_runs_once_for_all_times(small_network: RRIN) -> None:
    batches = []
    hook = small_network.Flow_L.register_forward_hook(lambda _, args, __: batches.append(args[0]))
    small_network(scene(32, 64, 0), scene(32, 64, 1), torch.tensor([0.2, 0.5, 0.9]))
    hook.remove()
    assert [batch.shape[0] for batch in batches] == [1]


def test_times_of_one_call_are_independent(small_network: RRIN) -> None:
    frame0, frame1 = scene(64, 96, 0), scene(64, 96, 1)
    together = small_network(frame0, frame1, torch.tensor([0.25, 0.75]))
    alone = small_network(frame0, frame1, torch.tensor([0.75]))
    torch.testing.assert_close(together[1:], alone, atol=1e-5, rtol=0)


def test_time_reversal_is_understood(small_network: RRIN) -> None:
    # Nothing in the graph says so: it is learnt, and only a sound flow and blend give it.
    frame0, frame1 = scene(128, 160, 0), scene(128, 160, 1)
    forth = small_network(frame0, frame1, torch.tensor([0.3]))
    back = small_network(frame1, frame0, torch.tensor([0.7]))
    assert (forth - back).abs().mean() < 0.01


def test_scene_moves_enough_to_prove_something(small_network: RRIN) -> None:
    frame0, frame1 = scene(96, 128, 0), scene(96, 128, 1)
    stages = small_network.stages(frame0, frame1, torch.tensor([0.5]), whole(96, 128))
    assert stages.flow.abs().quantile(0.95) > 1
    truth = scene(96, 128, 0.5)
    ours = (stages.frames - truth).square().mean()
    average = ((frame0 + frame1) / 2 - truth).square().mean()
    assert ours < average / 2
