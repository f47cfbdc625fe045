"""Random scenes: pieces of pictures, shapes, bars, text and overlays, that move near and far."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from training.motion import Motion
from training.scene import Layer
from training.shapes import outlines, tickers

Picture = NDArray[np.uint8]  # (H, W, 3) RGB
Values = NDArray[np.float64]

# Shares of scenes, and how far what moves in them goes between the frames, pixels: what neighbours
# show, what fast action does, and what is seldom seen but looks worst where it is not followed.
_SHARES = (0.3, 0.35, 0.3, 0.05)
_REACHES = np.array([(0.0, 4.0), (2.0, 14.0), (10.0, 60.0), (60.0, 100.0)])
_STEADY = np.array((0.0, 2.0))  # reach of a background before which things move

_OBJECTS = 3  # at most
_OUTLINES, _TICKERS, _TICKER_HEIGHT = 512, 64, 48


class Studio:
    """Draws scenes for square frames, out of stills; on a device.

    Args:
        stills: what layers are cut from.
        size: of the frames, pixels.
        seed: of the outlines that layers are cut along.
        device: of PyTorch.
    """

    def __init__(self, stills: Sequence[Picture], size: int, seed: int, device: str) -> None:
        rng = np.random.default_rng((seed, size))
        self.size, self.device = size, device
        tiles = [tile for still in stills for tile in _tiles(still, 2 * size)]
        self._textures = torch.from_numpy(np.stack(tiles)).to(device)
        shapes, fine = outlines(rng, _OUTLINES, 7 * size // 10)
        self._outlines, self._fine = torch.from_numpy(shapes).to(device), fine
        lines = tickers(rng, _TICKERS, 3 * size, _TICKER_HEIGHT)
        self._tickers = torch.from_numpy(lines).to(device)

    def layers(self, rng: Generator, count: int) -> list[Layer]:
        """Return `count` scenes, the lowest layer first; a scene that lacks one has it empty."""
        reach = _REACHES[rng.choice(len(_REACHES), count, p=_SHARES)]
        steady = rng.random((count, 1)) < 0.3
        layers = [self._background(rng, np.where(steady, _STEADY, reach))]
        objects = rng.integers(0, _OBJECTS + 1, count)
        layers += [self._object(rng, objects > index, reach) for index in range(_OBJECTS)]
        return [*layers, self._ticker(rng, count), self._letterbox(rng, count)]

    def _background(self, rng: Generator, reach: Values) -> Layer:
        count, side = len(reach), self._textures.shape[1]
        picture = self._cut(rng, count, side)
        opaque = torch.cat([picture, torch.ones_like(picture[:, :1])], 1)
        return Layer(opaque, self._motion(rng, reach), endless=True)

    def _object(self, rng: Generator, there: NDArray[np.bool_], reach: Values) -> Layer:
        count, chosen = len(there), rng.integers(0, len(self._outlines), len(there))
        colours = self._cut(rng, count, self._outlines.shape[1])
        # Thin things and letters are often of one colour.
        plain = self._fine[chosen] & (rng.random(count) < 0.7)
        one = self._on_device(rng.random((count, 3, 1, 1)))
        colours = torch.where(self._mask(plain) > 0, one, colours)
        alpha = self._outlines[self._index(chosen)][:, None] / 255
        motion = self._motion(rng, reach)
        still = self._on_device(rng.random((count, 1)) >= 0.2)
        held = [each * torch.cat([torch.ones_like(still), still], 1) for each in motion[2:]]
        motion = Motion(motion.centre, still * motion.shift, *held)
        return Layer(torch.cat([colours, alpha * self._mask(there)], 1), motion)

    def _ticker(self, rng: Generator, count: int) -> Layer:
        """A line of text that crawls along an edge, over what goes on behind it."""
        there, chosen = rng.random(count) < 0.15, rng.integers(0, len(self._tickers), count)
        alpha = self._tickers[self._index(chosen)][:, None] / 255
        alpha = alpha * self._mask(there)
        colour = self._on_device(rng.random((count, 3, 1, 1))).expand(-1, -1, *alpha.shape[2:])
        edge = _TICKER_HEIGHT / 2
        y = rng.choice([edge, self.size - edge], count)
        speed = rng.uniform(2, 40, count) * rng.choice([-1, 1], count)
        centre, shift = (np.full(count, self.size / 2), y), (speed, np.zeros(count))
        motion = self._held(np.stack(centre, 1), np.stack(shift, 1))
        return Layer(torch.cat([colour, alpha], 1), motion)

    def _letterbox(self, rng: Generator, count: int) -> Layer:
        there = rng.random(count) < 0.1
        bar = self._on_device((rng.uniform(0.05, 0.2, count) * self.size).round())[:, None]
        row = torch.arange(self.size, device=self.device)[None]
        dark = ((row < bar) | (row >= self.size - bar)).float()[:, None, :, None]
        alpha = (dark * self._mask(there)).expand(-1, -1, -1, self.size)
        middle = np.full((count, 2), (self.size - 1) / 2)
        picture = torch.cat([torch.zeros_like(alpha).expand(-1, 3, -1, -1), alpha], 1)
        return Layer(picture, self._held(middle, np.zeros((count, 2))))

    def _cut(self, rng: Generator, count: int, side: int) -> Tensor:
        """Cut squares out of textures, some mirrored, with light of their own; [N, 3, s, s]."""
        room = self._textures.shape[1] - side
        chosen = rng.integers(0, len(self._textures), count)
        y, x = rng.integers(0, room + 1, (2, count, 1))
        columns = np.arange(side)[None]
        columns = np.where(rng.random((count, 1)) < 0.5, columns, side - 1 - columns)
        where = (chosen[:, None, None], (y + np.arange(side))[:, :, None], (x + columns)[:, None])
        index = tuple(map(self._index, where))
        light = self._on_device(rng.uniform(0.5, 1.1, (count, 1, 1, 1)))
        return (light * self._textures[index].permute(0, 3, 1, 2) / 255).clamp(0, 1)

    def _motion(self, rng: Generator, reach: Values) -> Motion:
        count = len(reach)
        direction, distance = rng.uniform(0, 2 * math.pi, count), rng.uniform(*reach.T)
        shift = distance * np.stack([np.cos(direction), np.sin(direction)])

        def changing(spread: float, change: float) -> Tensor:
            changes = rng.normal(0, change, count) * rng.integers(0, 2, count)
            return self._on_device(np.stack([rng.uniform(-spread, spread, count), changes], 1))

        return Motion(
            self._on_device(rng.uniform(0.15, 0.85, (count, 2)) * self.size),
            self._on_device(shift.T),
            changing(0.5, 0.05),
            changing(0.35, 0.04),
            changing(0.15, 0.02),
        )

    def _held(self, centre: Values, shift: Values) -> Motion:
        none = torch.zeros(len(centre), 2, device=self.device)
        return Motion(self._on_device(centre), self._on_device(shift), none, none, none)

    def _mask(self, chosen: NDArray[np.bool_]) -> Tensor:
        return self._on_device(chosen)[:, None, None, None]

    def _index(self, values: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(values).to(self.device, non_blocking=True)

    def _on_device(self, values: NDArray[np.generic]) -> Tensor:
        values = np.ascontiguousarray(values, np.float32)
        return torch.from_numpy(values).to(self.device, non_blocking=True)


def _tiles(still: Picture, side: int) -> list[Picture]:
    """Cover a still by square tiles, side by side or overlapping; a small one is reflected."""
    height, width = still.shape[:2]
    lacking = [(0, max(0, side - length)) for length in (height, width)]
    still = np.pad(still, (*lacking, (0, 0)), "symmetric")
    height, width = still.shape[:2]
    return [
        still[y : y + side, x : x + side]
        for y in _starts(height, side)
        for x in _starts(width, side)
    ]


def _starts(length: int, side: int) -> list[int]:
    count = -(-length // side)
    return [round(number * (length - side) / max(1, count - 1)) for number in range(count)]
