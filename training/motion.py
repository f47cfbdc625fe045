"""How a layer of a scene moves between two frames."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Motion:
    """A shift, rotation, scale and shear, each of which changes evenly from frame0 to frame1.

    Times are 0 at frame0 and 1 at frame1. Points are [..., 2], (x, y) in pixels: `p` in the frame,
    `q` in the layer's own coordinates, whose origin is what it turns about.

    Attributes:
        centre: where the origin is in the frame at time 0.5, pixels.
        shift: how far it goes between the frames, pixels.
        angle, log_scale, shear: (at time 0.5, change between the frames); radians, natural
            logarithm, and dx/dy.
    """

    centre: tuple[float, float]
    shift: tuple[float, float] = (0.0, 0.0)
    angle: tuple[float, float] = (0.0, 0.0)
    log_scale: tuple[float, float] = (0.0, 0.0)
    shear: tuple[float, float] = (0.0, 0.0)

    def forward(self, q: Tensor, time: float) -> Tensor:
        """Return where points of the layer are in the frame at a time."""
        p: Tensor = q @ self._matrix(time).T + self._origin(time)
        return p

    def backward(self, p: Tensor, time: float) -> Tensor:
        """Return which points of the layer are at points of the frame at a time."""
        q: Tensor = (p - self._origin(time)) @ torch.linalg.inv(self._matrix(time)).T
        return q

    def _origin(self, time: float) -> Tensor:
        centre, shift = torch.tensor([self.centre, self.shift], dtype=torch.float32)
        origin: Tensor = centre + (time - 0.5) * shift
        return origin

    def _matrix(self, time: float) -> Tensor:
        angle, log_scale, shear = (
            middle + (time - 0.5) * change
            for middle, change in (self.angle, self.log_scale, self.shear)
        )
        sine, cosine, scale = math.sin(angle), math.cos(angle), math.exp(log_scale)
        turned = torch.tensor([[cosine, -sine], [sine, cosine]])
        matrix: Tensor = scale * turned @ torch.tensor([[1.0, shear], [0.0, 1.0]])
        return matrix
