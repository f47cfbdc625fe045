"""Layers over one another, drawn at any time, with exact flow and visibility; N scenes at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from training.motion import Motion

_VIEWS = 24  # of a frame that motion blurs


class Layer(NamedTuple):
    """A picture of each scene, that moves.

    picture: [N, 4, h, w], red, green, blue and alpha in [0, 1]; its middle is the motion's origin.
    motion: of the pictures.
    endless: reflected at its edges, as backgrounds are; else transparent beyond them.
    """

    picture: Tensor
    motion: Motion
    endless: bool = False

    def at(self, points: Tensor, time: Tensor) -> Tensor:
        """Sample the picture where points of the frame, [N, H, W, 2], are; [N, 4, H, W]."""
        return self._sampled(self.picture, points, time)

    def covers(self, points: Tensor, time: Tensor) -> Tensor:
        """Say where the picture hides what is below it; [N, H, W] bool."""
        return self._sampled(self.picture[:, 3:], points, time)[:, 0] > 0.5

    def of(self, scenes: Tensor) -> Layer:
        """Return the layer of some of the scenes, by their indices."""
        motion = Motion(*(each[scenes] for each in self.motion))
        return Layer(self.picture[scenes], motion, self.endless)

    def _sampled(self, picture: Tensor, points: Tensor, time: Tensor) -> Tensor:
        height, width = picture.shape[2:]
        grid = self.motion.backward(points, time)
        grid[..., 0] *= 2 / width
        grid[..., 1] *= 2 / height
        mode = "reflection" if self.endless else "zeros"
        return F.grid_sample(picture, grid, padding_mode=mode, align_corners=False)


class View(NamedTuple):
    """Scenes at one time each.

    frame: [N, 3, H, W] in [0, 1].
    top: [N, H, W] int64, the uppermost layer that covers more than half of a pixel.
    """

    frame: Tensor
    top: Tensor


def pixels(height: int, width: int, device: str = "cpu") -> Tensor:
    """Return the middles of a frame's pixels, [1, H, W, 2], (x, y) with (0, 0) for the first."""
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y], dim=-1).float()[None]


def view(layers: Sequence[Layer], points: Tensor, time: Tensor) -> View:
    """Draw layers, the lowest first, which has to be endless, at times [N]."""
    frame = layers[0].at(points, time)[:, :3]
    top = torch.zeros_like(frame[:, 0], dtype=torch.long)
    for index, layer in enumerate(layers[1:], start=1):
        drawn = layer.at(points, time)
        frame = torch.lerp(frame, drawn[:, :3], drawn[:, 3:])
        top = top.masked_fill(drawn[:, 3] > 0.5, index)
    return View(frame.clamp(0, 1), top)


def exposed(
    layers: Sequence[Layer], points: Tensor, time: Tensor, shutter: NDArray[np.float64]
) -> View:
    """Draw layers as shutters see them, [N], that are open for a share of the frames' interval."""
    middle, open_ = view(layers, points, time), np.flatnonzero(shutter)
    if not len(open_):
        return middle
    scenes = torch.from_numpy(open_).to(time.device, non_blocking=True)
    # A pixel or two apart even where things go far, or bars become many.
    parts = (np.arange(_VIEWS) + 0.5) / _VIEWS - 0.5
    times = torch.from_numpy(shutter[open_, None] * parts).to(time, non_blocking=True)
    times = (time[scenes, None] + times).flatten()
    some = [layer.of(scenes.repeat_interleave(_VIEWS)) for layer in layers]
    views = view(some, points, times).frame
    blurred = views.reshape(len(open_), _VIEWS, *views.shape[1:]).mean(1)
    return View(middle.frame.index_copy(0, scenes, blurred), middle.top)


def displacement(
    layers: Sequence[Layer], points: Tensor, top: Tensor, time: Tensor, to: Tensor
) -> Tensor:
    """Return how far what each pixel shows goes until other times; [N, 2, H, W], (u, v) pixels."""
    moved = points
    for index, layer in enumerate(layers):
        of_layer = (top == index)[..., None]
        moved = torch.where(of_layer, layer.motion.moved(points, time, to), moved)
    return (moved - points).permute(0, 3, 1, 2)


def visible(layers: Sequence[Layer], moved: Tensor, top: Tensor, to: Tensor) -> Tensor:
    """Return whether what each pixel shows is seen at other times: uncovered, and in the frame.

    Args:
        moved: [N, H, W, 2], where it is then.

    Returns:
        [N, H, W] bool.
    """
    height, width = top.shape[1:]
    x, y = moved[..., 0], moved[..., 1]
    seen = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    for index, layer in enumerate(layers[1:], start=1):
        seen &= (top >= index) | ~layer.covers(moved, to)
    return seen
