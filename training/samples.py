"""What is trained on: triplets drawn or cut out of clips, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from runtime.architecture import PADDING_MULTIPLE
from runtime.errors import OptionError
from training.damage import compressed, lit, noisy
from training.drawing import Picture, Studio
from training.scene import displacement, exposed, pixels, visible

Clip = NDArray[np.uint8]  # (N, H, W, 3), frames of a clip in order, without a cut among them

_SPAN = 8  # frames of a clip between frame0 and frame1 at most


class Batch(NamedTuple):
    """Triplets; what follows `t` is known of drawn ones alone, and 0 where it is not.

    frame0, middle, frame1: [N, 3, S, S] in [0, 1].
    t: [N], when between the frames the middle one was.
    flow: [N, 4, S, S], pixels: from the middle to frame0, then to frame1.
    across: [N, 4, S, S], pixels: at frame0 to frame1, then at frame1 to frame0.
    visible: [N, 2, S, S], 1 where what the middle shows is seen in frame0, and in frame1.
    drawn: [N], 1 if these three are known.
    """

    frame0: Tensor
    middle: Tensor
    frame1: Tensor
    t: Tensor
    flow: Tensor
    across: Tensor
    visible: Tensor
    drawn: Tensor


class Samples:
    """Endless batches; number n is the same in every run on such a device.

    Args:
        stills: what scenes are cut from, (H, W, 3) uint8 each.
        runs: of clips, (N, H, W, 3) uint8 each, N from 3 on; none leaves scenes alone.
        size: of the square crops, pixels; a multiple of 32. Large motion needs large crops: what
            leaves the crop cannot be followed.
        drawn_share: of scenes among the samples, where there are clips; 0 to 1.
        seed: of all choices.
        device: of PyTorch, where samples are made and the network is trained.

    Attributes:
        settings: size, drawn_share and seed, which a run that goes on has to share.

    Raises:
        OptionError: `size` is no multiple of 32, a run is smaller, there are no stills,
            `drawn_share` is not from 0 to 1, or PyTorch does not have the device here.
    """

    def __init__(
        self,
        stills: Sequence[Picture],
        runs: Sequence[Clip],
        size: int,
        drawn_share: float,
        seed: int,
        device: str = "cpu",
    ) -> None:
        _check(stills, runs, size, drawn_share)
        _check_device(device)
        self.device, self._seed, self._share = device, seed, drawn_share if runs else 1.0
        self.settings = {"size": size, "drawn_share": self._share, "seed": seed}
        self._studio = Studio(stills, size, seed, device)
        self._runs = [torch.from_numpy(run).to(device) for run in runs]

    def batch(self, number: int, count: int) -> Batch:
        """Return `count` samples."""
        rng = np.random.default_rng((self._seed, number))
        # So many of them on average.
        scenes = int(self._share * count + rng.random())
        parts = []
        if scenes:
            parts.append(drawn(rng, self._studio, scenes))
        if scenes < count:
            parts.append(cut_out(rng, self._runs, self._studio.size, count - scenes))
        return Batch(*(torch.cat(each) for each in zip(*parts, strict=True)))


def drawn(rng: Generator, studio: Studio, count: int) -> Batch:
    """Draw scenes at three times each."""
    layers, points = studio.layers(rng, count), pixels(studio.size, studio.size, studio.device)
    times = np.where(rng.random(count) < 0.6, 0.5, rng.uniform(0.1, 0.9, count))
    open_for = np.where(rng.random(count) < 0.12, rng.uniform(0.1, 0.5, count), 0)
    t = torch.from_numpy(times).to(points, non_blocking=True)
    start, end = torch.zeros_like(t), torch.ones_like(t)
    first, middle, last = (exposed(layers, points, time, open_for) for time in (start, t, end))
    flow = [displacement(layers, points, middle.top, t, to) for to in (start, end)]
    across = [
        displacement(layers, points, first.top, start, end),
        displacement(layers, points, last.top, end, start),
    ]
    seen = [
        visible(layers, points + each.permute(0, 2, 3, 1), middle.top, to)
        for each, to in zip(flow, (start, end), strict=True)
    ]
    frames = lit(rng, torch.stack([first.frame, middle.frame, last.frame], 1), t)
    given = _as_seen(rng, frames[:, ::2])
    return Batch(
        given[:, 0], frames[:, 1], given[:, 1], t, torch.cat(flow, 1), torch.cat(across, 1),
        torch.stack(seen, 1).float(), torch.ones_like(t),
    )  # fmt: skip


def cut_out(rng: Generator, runs: Sequence[Tensor], size: int, count: int) -> Batch:
    """Cut triplets out of clips at any times, some mirrored or turned back in time."""
    triplets, times = [], []
    lengths = np.array([len(run) for run in runs])
    for chosen in rng.choice(len(runs), count, p=lengths / lengths.sum()):
        run = runs[chosen]
        span = int(rng.integers(2, min(_SPAN, len(run) - 1) + 1))
        first, at = int(rng.integers(0, len(run) - span)), int(rng.integers(1, span))
        order = [first, first + at, first + span]
        if rng.random() < 0.5:
            order, at = order[::-1], span - at
        triplets.append(_crop(rng, run, order, size))
        times.append(at / span)
    frames = torch.stack(triplets)
    t = torch.tensor(times).to(frames, non_blocking=True)
    unknown = frames.new_zeros(count, 4, size, size)
    return Batch(
        frames[:, 0], frames[:, 1], frames[:, 2], t, unknown, unknown, unknown[:, :2],
        torch.zeros_like(t),
    )  # fmt: skip


def _crop(rng: Generator, run: Tensor, order: Sequence[int], size: int) -> Tensor:
    """Cut a triplet at the place with the most motion of four, or one in ten times at any.

    Some are cut larger and made smaller: their motions are as of another lens.

    Returns:
        [3, 3, S, S] in [0, 1].
    """
    height, width = run.shape[1:3]
    scale = 2 if rng.random() < 0.3 and min(height, width) >= 2 * size else 1
    side = scale * size
    places = 1 if rng.random() < 0.1 else 4
    ys, xs = (rng.integers(0, length - side + 1, places) for length in (height, width))
    crops = torch.stack(
        [
            torch.stack([run[number, y : y + side, x : x + side] for number in order])
            for y, x in zip(ys.tolist(), xs.tolist(), strict=True)
        ]
    ).float()
    motion = (crops[:, 0] - crops[:, 2]).abs().mean((1, 2, 3))
    frames = crops.index_select(0, motion.argmax()[None])[0].permute(0, 3, 1, 2) / 255
    if scale > 1:
        frames = torch.nn.functional.avg_pool2d(frames, scale)
    flipped = [axis for axis in (-1, -2) if rng.random() < 0.5]
    return frames.flip(flipped) if flipped else frames


def _as_seen(rng: Generator, frames: Tensor) -> Tensor:
    """Let given frames, not the wanted one, have noise and compression; [N, 2, 3, S, S]."""
    frames = noisy(rng, frames)
    chosen = np.flatnonzero(rng.random(len(frames)) < 0.15)
    quality = rng.uniform(40, 95, len(chosen))
    if not len(chosen):
        return frames
    index = torch.from_numpy(chosen).to(frames.device, non_blocking=True)
    levels = torch.from_numpy(quality.repeat(2)).to(frames, non_blocking=True)
    small = compressed(frames[index].flatten(0, 1), levels)
    return frames.index_copy(0, index, small.reshape(-1, *frames.shape[1:]))


def _check(stills: Sequence[Picture], runs: Sequence[Clip], size: int, drawn_share: float) -> None:
    if size % PADDING_MULTIPLE or size <= 0:
        raise OptionError(f"size is {size}; expected a multiple of {PADDING_MULTIPLE}")
    if not 0 <= drawn_share <= 1:
        raise OptionError(f"drawn_share is {drawn_share}; expected 0 to 1")
    if not stills:
        raise OptionError("there are no stills; scenes are cut from them: see `free_stills`")
    for run in runs:
        if len(run) < 3 or min(run.shape[1:3]) < size:
            raise OptionError(
                f"a run has {len(run)} frames of {run.shape[2]}x{run.shape[1]}; expected 3 and "
                f"more, of {size} pixels and more on each side"
            )


def _check_device(name: str) -> None:
    try:
        torch.empty(1, device=name)
    except Exception as error:  # of several classes, by what is missing
        raise OptionError(
            f"device is {name}, which PyTorch does not have here; expected cpu, or cuda with a GPU"
        ) from error
