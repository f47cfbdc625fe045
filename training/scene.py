"""Layers over one another, drawn at any time, with exact flow and visibility."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from training.motion import Motion

_MOST_VIEWS = 24


@dataclass(frozen=True)
class Layer:
    """A picture that moves.

    Attributes:
        picture: [4, h, w], red, green, blue and alpha in [0, 1]; its middle is the motion's origin.
        motion: of the picture.
        endless: reflected at its edges, as backgrounds are; else transparent beyond them.
    """

    picture: Tensor
    motion: Motion
    endless: bool = False

    def at(self, points: Tensor, time: float) -> Tensor:
        """Sample the picture where points of the frame, [H, W, 2], are; [4, H, W]."""
        height, width = self.picture.shape[1:]
        size = torch.tensor([width, height])
        grid = 2 * self.motion.backward(points, time) / size
        mode = "reflection" if self.endless else "zeros"
        return F.grid_sample(
            self.picture[None], grid[None], padding_mode=mode, align_corners=False
        )[0]

    def moved(self, points: Tensor, time: float, to: float) -> Tensor:
        """Return where what is at points at one time is at another; [..., 2]."""
        return self.motion.forward(self.motion.backward(points, time), to)


@dataclass(frozen=True)
class View:
    """A scene at one time.

    Attributes:
        frame: [3, H, W] in [0, 1].
        top: [H, W] int64, the uppermost layer that covers more than half of a pixel.
    """

    frame: Tensor
    top: Tensor


def pixels(height: int, width: int) -> Tensor:
    """Return the middles of a frame's pixels, [H, W, 2], (x, y) with (0, 0) for the first."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y], dim=-1).float()


def view(layers: Sequence[Layer], points: Tensor, time: float) -> View:
    """Draw layers, the lowest first, which has to be endless."""
    frame = layers[0].at(points, time)[:3]
    top = torch.zeros(points.shape[:2], dtype=torch.long)
    for index, layer in enumerate(layers[1:], start=1):
        drawn = layer.at(points, time)
        frame = frame + drawn[3] * (drawn[:3] - frame)
        top[drawn[3] > 0.5] = index
    return View(frame.clamp(0, 1), top)


def exposed(layers: Sequence[Layer], points: Tensor, time: float, shutter: float) -> View:
    """Draw layers as a shutter sees them that is open for a share of the frames' interval."""
    middle = view(layers, points, time)
    if not shutter:
        return middle
    far = float(displacement(layers, points, middle.top, time, time + shutter).abs().max())
    count = max(1, min(math.ceil(far), _MOST_VIEWS))  # about a pixel apart, or bars become many
    parts = [(index + 0.5) / count - 0.5 for index in range(count)]
    shown = [view(layers, points, time + part * shutter).frame for part in parts]
    return View(torch.stack(shown).mean(0), middle.top)


def displacement(
    layers: Sequence[Layer], points: Tensor, top: Tensor, time: float, to: float
) -> Tensor:
    """Return how far what each pixel shows goes until another time; [2, H, W], (u, v) in pixels."""
    moved = points.clone()
    for index, layer in enumerate(layers):
        of_layer = top == index
        moved[of_layer] = layer.moved(points[of_layer], time, to)
    return (moved - points).permute(2, 0, 1)


def visible(layers: Sequence[Layer], moved: Tensor, top: Tensor, to: float) -> Tensor:
    """Return whether what each pixel shows is seen at another time: uncovered, and in the frame.

    Args:
        moved: [H, W, 2], where it is then.

    Returns:
        [H, W] bool.
    """
    height, width = top.shape
    last = torch.tensor([width - 1, height - 1])
    seen = ((moved >= 0) & (moved <= last)).all(-1)
    for index, layer in enumerate(layers[1:], start=1):
        seen &= (top >= index) | (layer.at(moved, to)[3] <= 0.5)
    return seen
