"""Training: the loss falls, flows go where things went, and a run that was stopped goes on."""

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export import load_checkpoint
from export.network import RRIN
from media.images.stills import Still, write_still
from media.video import write_video
from runtime.errors import ArtifactError, InputNotFoundError, OptionError
from runtime.scene import render_bytes
from tests.layers import moving, opaque, picture_of
from training import (
    Samples,
    TrainOptions,
    free_stills,
    read_log,
    read_runs,
    read_stills,
    train,
)  # fmt: skip
from training.losses import Weights, as_read, endpoint_error
from training.samples import Batch
from training.scene import Layer, pixels, view
from training.trainer import DivergedError
from training.widening import widened

SIZE = 64
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def samples() -> Samples:
    return Samples(free_stills(), [], SIZE, 1.0, seed=1)


def options(**changes: Any) -> TrainOptions:
    defaults = {"steps": 6, "batch": 2, "learning_rate": 1e-3, "save_every": 3}
    return TrainOptions(**{**defaults, **changes})


def weights_of(path: Path) -> Mapping[str, torch.Tensor]:
    return load_checkpoint(path).state_dict()


class OneSample(Samples):
    """A picture that goes (-12, 6) pixels from frame to frame, to be learnt by heart."""

    def batch(self, number: int, count: int) -> Batch:
        del number, count
        picture = opaque(picture_of(free_stills()[0][:200, :200]))
        motion = moving((SIZE / 2, SIZE / 2), shift=(-12, 6))
        layers = [Layer(picture, motion, endless=True)]
        times = (torch.tensor([time]) for time in (0, 0.5, 1))
        frames = [view(layers, pixels(SIZE, SIZE), time).frame for time in times]
        there = torch.tensor([[-12.0, 6]])[..., None, None].expand(1, 2, SIZE, SIZE)
        flow, across = torch.cat([-there / 2, there / 2], 1), torch.cat([there, -there], 1)
        seen = torch.ones(1, 2, SIZE, SIZE)
        return Batch(*frames, torch.tensor([0.5]), flow, across, seen, torch.ones(1))


@pytest.mark.long
def test_the_loss_falls_and_flow_supervision_turns_the_flow_to_the_truth(tmp_path: Path) -> None:
    samples = OneSample(free_stills(), [], SIZE, 1.0, seed=1)
    batch, window = samples.batch(0, 1), torch.tensor([0.0, 0, SIZE, SIZE])
    apart = []
    for weight in (0.1, 0.0):
        run = train(
            tmp_path / f"{weight}.pth",
            samples,
            options(steps=45, batch=1, learning_rate=4e-3, weights=Weights(flow=weight)),
            width=4,
        )
        image = [entry["loss"]["image"] for entry in read_log(run.log)]
        assert image[-1] < 0.9 * image[0]
        with torch.inference_mode():
            pair = batch.frame0, batch.frame1, batch.t
            flow = load_checkpoint(run.checkpoint).stages(*pair, window).flow
        wanted = as_read(batch.flow, align_corners=False)
        apart.append(float((flow - wanted).square().mean().sqrt()))
    assert apart[0] < 0.6 * apart[1]


def test_a_stopped_run_goes_on_as_if_it_had_not(samples: Samples, tmp_path: Path) -> None:
    whole = train(tmp_path / "whole.pth", samples, options(), width=4)

    def stop(step: int, *_: object) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts.pth", samples, options(), width=4, progress=stop)
    with (tmp_path / "parts.log.jsonl").open("a") as log:
        log.write('{"step": 5, "lo')  # as a run leaves it that is killed
    steps: list[int] = []
    parts = train(
        tmp_path / "parts.pth", samples, options(), width=4,
        progress=lambda step, *_: steps.append(step),
    )  # fmt: skip
    assert steps == [6]  # a step that was taken is not lost
    ours, theirs = weights_of(parts.checkpoint), weights_of(whole.checkpoint)
    for name, weight in theirs.items():
        assert torch.equal(ours[name], weight), name
    logged = [json.loads(line) for line in parts.log.read_text().splitlines()]
    assert [entry["step"] for entry in logged] == [3, 6]
    assert train(tmp_path / "parts.pth", samples, options(), width=4) == parts  # all done: no step
    with pytest.raises(OptionError, match="has taken 6 steps, more than the 5 asked for"):
        train(tmp_path / "parts.pth", samples, options(steps=5), width=4)


def test_begins_from_a_checkpoint_and_is_judged_on_the_way(
    samples: Samples, small_checkpoint: Path, tmp_path: Path
) -> None:
    judged: list[RRIN] = []

    def validate(network: RRIN) -> Mapping[str, float]:
        judged.append(network)
        return {"dB": 30.0 + len(judged)}

    run = train(
        tmp_path / "x.pth", samples, options(steps=2, validate_every=1, learning_rate=1e-7),
        init=small_checkpoint, validate=validate,
    )  # fmt: skip
    ours, theirs = weights_of(run.checkpoint), weights_of(small_checkpoint)
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight, atol=1e-5, rtol=0)
    assert len(judged) == 2
    checks = [json.loads(line) for line in run.log.read_text().splitlines()]
    assert [c["validation"] for c in checks if "validation" in c] == [{"dB": 31}, {"dB": 32}]


def test_endpoint_error_is_in_pixels_and_of_what_is_known() -> None:
    flow, wanted = torch.zeros(2, 4, 32, 32), torch.zeros(2, 4, 32, 32)
    wanted[1, 0::2], wanted[1, 1::2] = 3, 4
    wanted[0] = 100
    known = torch.tensor([0.0, 1]).reshape(2, 1, 1, 1)
    assert float(endpoint_error(flow, wanted, known)) == pytest.approx(5, rel=1e-2)
    assert float(endpoint_error(flow, wanted, torch.zeros(2, 1, 1, 1))) == 0


def test_runs_are_cut_at_cuts_and_fit_in_memory(tmp_path: Path) -> None:
    frames = [render_bytes(96, 64, time / 4) for time in range(20)]
    other = [np.full_like(frames[0], 255) - frame for frame in frames]
    write_video(tmp_path / "x.mkv", [*frames, *other], Fraction(25))
    runs = read_runs(tmp_path, smallest=64, most_bytes=2**30)
    assert sum(map(len, runs)) == 40
    assert all(len(run) <= 17 for run in runs)
    bright = [run[..., 1].mean(axis=(1, 2)) for run in runs]
    assert all(np.ptp(each) < 20 for each in bright)  # none goes over the cut
    for number in range(5):
        write_video(tmp_path / f"{number}.mkv", frames, Fraction(25))
    one = 17 * 96 * 64 * 3
    for room in (1, 3):
        few = read_runs(tmp_path, smallest=64, most_bytes=room * one)
        assert (room - 1) * one < sum(run.nbytes for run in few) <= room * one
    with pytest.raises(InputNotFoundError, match="no video with sides of 65 pixels"):
        read_runs(tmp_path, smallest=65, most_bytes=2**30)
    batch = Samples(free_stills(), runs, 64, 0.0, seed=2).batch(0, 3)
    assert not batch.drawn.any()


def test_what_cannot_be_is_said(samples: Samples, small_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"named \*\.pth"):
        train(tmp_path / "x.onnx", samples, options())
    with pytest.raises(OptionError, match="to begin from as well"):
        train(small_checkpoint, samples, options(), init=small_checkpoint)
    (tmp_path / "x.state.pth").write_bytes(b"no state")
    with pytest.raises(ArtifactError, match=r"x\.state\.pth: not the state of such a training run"):
        train(tmp_path / "x.pth", samples, options())
    with pytest.raises(InputNotFoundError, match="no such folder"):
        train(tmp_path / "none" / "y.pth", samples, options(), width=4)
    with pytest.raises(DivergedError, match="no number any more at step"):
        train(tmp_path / "y.pth", samples, options(steps=3, learning_rate=1e30), width=4)
    with pytest.raises(InputNotFoundError, match="no such folder"):
        read_runs(tmp_path / "none", smallest=64, most_bytes=2**30)


def test_samples_say_what_they_cannot_be_made_of() -> None:
    stills, run = free_stills(), np.zeros((3, 64, 64, 3), np.uint8)
    with pytest.raises(OptionError, match="device is nowhere, which PyTorch does not have here"):
        Samples(stills, [], SIZE, 1.0, seed=1, device="nowhere")
    with pytest.raises(OptionError, match="size is 48; expected a multiple of 32"):
        Samples(stills, [], 48, 1.0, seed=1)
    with pytest.raises(OptionError, match=r"drawn_share is 1\.5; expected 0 to 1"):
        Samples(stills, [], SIZE, 1.5, seed=1)
    with pytest.raises(OptionError, match="there are no stills"):
        Samples([], [run], SIZE, 0.5, seed=1)
    with pytest.raises(OptionError, match="3 frames of 64x64; expected 3 and more, of 96 pixels"):
        Samples(stills, [run], 96, 0.5, seed=1)


def test_a_wider_network_computes_what_the_narrow_one_did(
    small_checkpoint: Path, tmp_path: Path, samples: Samples
) -> None:
    narrow, batch = load_checkpoint(small_checkpoint), samples.batch(0, 1)
    width = narrow.base_width + 3
    window = torch.tensor([0.0, 0, SIZE, SIZE])
    with torch.inference_mode():
        ours, theirs = (
            network.stages(batch.frame0, batch.frame1, batch.t, window)
            for network in (widened(narrow, width), narrow)
        )
    for mine, stage in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, stage, atol=2e-4, rtol=1e-4)
    run = train(
        tmp_path / "wide.pth", samples, options(steps=2, learning_rate=1e-3),
        init=small_checkpoint, width=width,
    )  # fmt: skip
    learnt = load_checkpoint(run.checkpoint)
    assert learnt.base_width == width
    # What was silent begins to be heard.
    assert learnt.Flow_L.last.weight[:, narrow.base_width :].abs().min() > 0
    with pytest.raises(OptionError, match="expected as much or more"):
        train(tmp_path / "less.pth", samples, options(), init=small_checkpoint, width=2)


def test_goes_on_with_more_steps_and_with_nothing_else_changed(
    samples: Samples, tmp_path: Path
) -> None:
    train(tmp_path / "x.pth", samples, options(steps=3), width=4)
    with pytest.raises(OptionError, match="was trained with batch 2, not 3"):
        train(tmp_path / "x.pth", samples, options(batch=3), width=4)
    other = Samples(free_stills(), [], SIZE, 1.0, seed=2)
    with pytest.raises(OptionError, match="was trained with samples' seed 1, not 2"):
        train(tmp_path / "x.pth", other, options(), width=4)
    run = train(tmp_path / "x.pth", samples, options(steps=4), width=4)
    assert read_log(run.log)[-1]["step"] == 4


def test_stills_are_read_from_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="no such folder; expected one with pictures"):
        read_stills(tmp_path / "none")
    with pytest.raises(InputNotFoundError, match="no picture in it"):
        read_stills(tmp_path)
    picture = free_stills()[0]
    (tmp_path / "a").mkdir()
    write_still(tmp_path / "a" / "x.png", Still(picture, None, grey=False))
    assert np.array_equal(read_stills(tmp_path)[0], picture)
