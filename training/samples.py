"""What is trained on: triplets drawn or cut out of clips, each a function of its number alone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from training.drawing import Picture, draw_layers
from training.scene import displacement, exposed, pixels, visible

Clip = NDArray[np.uint8]  # (N, H, W, 3), frames of a clip in order, without a cut among them

_SPAN = 8  # frames of a clip between frame0 and frame1 at most


class Sample(NamedTuple):
    """A triplet; what follows `t` is known of drawn ones alone, and 0 where it is not.

    frame0, middle, frame1: [3, S, S] in [0, 1].
    t: [], when between the frames the middle one was.
    flow: [4, S, S], pixels: from the middle to frame0, then to frame1.
    across: [4, S, S], pixels: at frame0 to frame1, then at frame1 to frame0.
    visible: [2, S, S], 1 where what the middle shows is seen in frame0, and in frame1.
    drawn: [], 1 if these three are known.
    """

    frame0: Tensor
    middle: Tensor
    frame1: Tensor
    t: Tensor
    flow: Tensor
    across: Tensor
    visible: Tensor
    drawn: Tensor


@dataclass(frozen=True)
class Samples(Dataset[Sample]):
    """Endless samples; number n is the same in every run with the same seed and material.

    Attributes:
        stills: what scenes are cut from.
        runs: of clips; none leaves scenes alone.
        size: of the square crops, pixels; a multiple of 32.
        drawn_share: of scenes among the samples, where there are clips.
        seed: of all choices.
    """

    stills: Sequence[Picture]
    runs: Sequence[Clip]
    size: int
    drawn_share: float
    seed: int

    def __getitem__(self, number: int) -> Sample:
        rng = np.random.default_rng((self.seed, number))
        if not self.runs or rng.random() < self.drawn_share:
            return _flipped(rng, drawn(rng, self.stills, self.size))
        return _flipped(rng, cut_out(rng, self.runs, self.size))


def drawn(rng: Generator, stills: Sequence[Picture], size: int) -> Sample:
    """Draw a scene at three times."""
    t = 0.5 if rng.random() < 0.6 else float(rng.uniform(0.1, 0.9))
    layers, points = draw_layers(rng, stills, size), pixels(size, size)
    shutter = float(rng.uniform(0.1, 0.5)) if rng.random() < 0.12 else 0.0
    first, middle, last = (exposed(layers, points, time, shutter) for time in (0, t, 1))
    flow = [displacement(layers, points, middle.top, t, to) for to in (0, 1)]
    across = [
        displacement(layers, points, first.top, 0, 1),
        displacement(layers, points, last.top, 1, 0),
    ]
    seen = [
        visible(layers, points + each.permute(1, 2, 0), middle.top, to)
        for each, to in zip(flow, (0, 1), strict=True)
    ]
    frames = _lit(rng, [first.frame, middle.frame, last.frame], t)
    frame0, frame1 = _as_seen(rng, [frames[0], frames[2]])
    return Sample(
        frame0, frames[1], frame1, torch.tensor(t),
        torch.cat(flow), torch.cat(across), torch.stack(seen).float(), torch.ones(()),
    )  # fmt: skip


def cut_out(rng: Generator, runs: Sequence[Clip], size: int) -> Sample:
    """Cut a triplet out of a clip: of four places the one with the most motion, at times any."""
    run = runs[int(rng.integers(len(runs)))]
    span = int(rng.integers(2, min(_SPAN, len(run) - 1) + 1))
    first, at = int(rng.integers(0, len(run) - span)), int(rng.integers(1, span))
    triplet = run[[first, first + at, first + span]]
    height, width = run.shape[1:3]
    places = [
        (int(rng.integers(0, height - size + 1)), int(rng.integers(0, width - size + 1)))
        for _ in range(1 if rng.random() < 0.1 else 4)
    ]
    crops = [triplet[:, y : y + size, x : x + size] for y, x in places]
    best = max(crops, key=lambda crop: np.abs(crop[0].astype(np.int16) - crop[2]).mean())
    frames = torch.from_numpy(np.ascontiguousarray(best)).permute(0, 3, 1, 2).float() / 255
    unknown = torch.zeros(4, size, size)
    return Sample(
        frames[0], frames[1], frames[2], torch.tensor(at / span),
        unknown, unknown, unknown[:2], torch.zeros(()),
    )  # fmt: skip


def _lit(rng: Generator, frames: list[Tensor], t: float) -> list[Tensor]:
    """Let the light change over the time: fades, and exposure that follows the picture."""
    if rng.random() < 0.85:
        return frames
    before, after = rng.uniform(0.5, 1.2, 2)
    lights = (before, before + t * (after - before), after)
    return [(frame * light).clamp(0, 1) for frame, light in zip(frames, lights, strict=True)]


def _as_seen(rng: Generator, frames: list[Tensor]) -> list[Tensor]:
    """Let the given frames, not the wanted one, have noise and compression, as videos have."""
    if rng.random() < 0.25:
        level = float(rng.uniform(0, 0.02))
        frames = [
            frame + torch.from_numpy(rng.normal(0, level, frame.shape)).float() for frame in frames
        ]
    if rng.random() < 0.15:
        quality = int(rng.integers(40, 95))
        frames = [_compressed(frame.clamp(0, 1), quality) for frame in frames]
    return [frame.clamp(0, 1) for frame in frames]


def _compressed(frame: Tensor, quality: int) -> Tensor:
    levels = (frame * 255).round().byte().permute(1, 2, 0).numpy()
    stored = io.BytesIO()
    Image.fromarray(levels).save(stored, "JPEG", quality=quality)
    decoded = np.array(Image.open(stored))
    return torch.from_numpy(decoded).permute(2, 0, 1).float() / 255


def _flipped(rng: Generator, sample: Sample) -> Sample:
    """Mirror and turn back time: what moves so is as likely."""
    for axis in (-1, -2):
        if rng.random() < 0.5:
            sample = _mirrored(sample, axis)
    if rng.random() < 0.5:
        sample = _backwards(sample)
    return sample


def _mirrored(sample: Sample, axis: int) -> Sample:
    sign = torch.tensor([-1.0, 1, -1, 1] if axis == -1 else [1.0, -1, 1, -1])[:, None, None]
    turned = [each.flip(axis) if each.ndim else each for each in sample]
    mirrored = Sample(*turned)
    return mirrored._replace(flow=sign * mirrored.flow, across=sign * mirrored.across)


def _backwards(sample: Sample) -> Sample:
    return Sample(
        sample.frame1, sample.middle, sample.frame0, 1 - sample.t,
        sample.flow.roll(2, 0), sample.across.roll(2, 0), sample.visible.flip(0), sample.drawn,
    )  # fmt: skip
