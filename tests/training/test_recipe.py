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
from media.video import write_video
from runtime.errors import ArtifactError, InputNotFoundError, OptionError
from runtime.scene import render_bytes
from training import Samples, TrainOptions, free_stills, read_runs, train
from training.losses import Weights, as_read, endpoint_error
from training.motion import Motion
from training.samples import Sample
from training.scene import Layer, pixels, view
from training.trainer import DivergedError

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

    def __getitem__(self, number: int) -> Sample:
        del number
        picture = torch.from_numpy(self.stills[0][:200, :200]).permute(2, 0, 1).float() / 255
        opaque = torch.cat([picture, torch.ones(1, 200, 200)])
        layers = [Layer(opaque, Motion((SIZE / 2, SIZE / 2), shift=(-12, 6)), endless=True)]
        points = pixels(SIZE, SIZE)
        frames = [view(layers, points, time).frame for time in (0, 0.5, 1)]
        there = torch.tensor([-12.0, 6])[:, None, None].expand(2, SIZE, SIZE)
        flow, across = torch.cat([-there / 2, there / 2]), torch.cat([there, -there])
        seen = torch.ones(2, SIZE, SIZE)
        return Sample(*frames, torch.tensor(0.5), flow, across, seen, torch.ones(()))


def test_the_loss_falls_and_flow_supervision_turns_the_flow_to_the_truth(tmp_path: Path) -> None:
    samples = OneSample(free_stills(), [], SIZE, 1.0, seed=1)
    sample, window = samples[0], torch.tensor([0.0, 0, SIZE, SIZE])
    apart = []
    for weight in (0.1, 0.0):
        lost: list[float] = []
        run = train(
            tmp_path / f"{weight}.pth",
            samples,
            options(
                steps=60, batch=1, learning_rate=4e-3, flow_first=0, weights=Weights(flow=weight)
            ),
            width=4,
            progress=lambda _step, _of, parts: lost.append(sum(parts.values())),  # noqa: B023
        )
        assert np.mean(lost[-5:]) < 0.8 * np.mean(lost[:5])
        with torch.inference_mode():
            pair = sample.frame0[None], sample.frame1[None], sample.t[None]
            flow = load_checkpoint(run.checkpoint).stages(*pair, window).flow
        wanted = as_read(sample.flow[None], align_corners=False)
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
    assert [entry["step"] for entry in logged] == [6]
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
    samples = Samples(free_stills(), runs, 64, 0.0, seed=2)
    for number in range(5):
        sample = samples[number]
        assert not sample.drawn
        assert 0 < sample.t < 1
        assert not sample.flow.any()


def test_what_cannot_be_is_said(samples: Samples, small_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"named \*\.pth"):
        train(tmp_path / "x.onnx", samples, options())
    with pytest.raises(OptionError, match="to begin from as well"):
        train(small_checkpoint, samples, options(), init=small_checkpoint)
    (tmp_path / "x.state.pth").write_bytes(b"no state")
    with pytest.raises(ArtifactError, match=r"x\.state\.pth: not the state of such a training run"):
        train(tmp_path / "x.pth", samples, options())
    with pytest.raises(OptionError, match="device is nowhere, which PyTorch does not have here"):
        train(tmp_path / "y.pth", samples, options(device="nowhere"))
    with pytest.raises(InputNotFoundError, match="no such folder"):
        train(tmp_path / "none" / "y.pth", samples, options(), width=4)
    with pytest.raises(DivergedError, match="no number any more at step"):
        train(tmp_path / "y.pth", samples, options(steps=3, learning_rate=1e30), width=4)
    with pytest.raises(InputNotFoundError, match="no such folder"):
        read_runs(tmp_path / "none", smallest=64, most_bytes=2**30)
