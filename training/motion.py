"""How layers of scenes move between two frames."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Motion(NamedTuple):
    """N shifts, rotations, scales and shears, each of which changes evenly from frame0 to frame1.

    Times, [N], are 0 at frame0 and 1 at frame1. Points are [N, H, W, 2], (x, y) in pixels: `p` in
    the frame, `q` in the layer's own coordinates, whose origin is what it turns about.

    centre: [N, 2], where the origin is in the frame at time 0.5, pixels.
    shift: [N, 2], how far it goes between the frames, pixels.
    angle, log_scale, shear: [N, 2], (at time 0.5, change between the frames); radians, natural
        logarithm, and dx/dy.
    """

    centre: Tensor
    shift: Tensor
    angle: Tensor
    log_scale: Tensor
    shear: Tensor

    def forward(self, q: Tensor, time: Tensor) -> Tensor:
        """Return where points of the layers are in the frame at a time."""
        return _mapped(q, self._matrix(time), self._origin(time))

    def backward(self, p: Tensor, time: Tensor) -> Tensor:
        """Return which points of the layers are at points of the frame at a time."""
        inverse = _inverse(self._matrix(time))
        return _mapped(p, inverse, -_product(inverse, self._origin(time)))

    def moved(self, p: Tensor, time: Tensor, to: Tensor) -> Tensor:
        """Return where what is at points of the frame at one time is at another."""
        matrix = self._matrix(to) @ _inverse(self._matrix(time))
        origin = self._origin(to) - _product(matrix, self._origin(time))
        return _mapped(p, matrix, origin)

    def _origin(self, time: Tensor) -> Tensor:
        return self.centre + (time[:, None] - 0.5) * self.shift

    def _matrix(self, time: Tensor) -> Tensor:
        angle, log_scale, shear = (
            each[:, 0] + (time - 0.5) * each[:, 1]
            for each in (self.angle, self.log_scale, self.shear)
        )
        sine, cosine, scale = angle.sin(), angle.cos(), log_scale.exp()
        rows = [cosine, shear * cosine - sine, sine, shear * sine + cosine]
        return (scale * torch.stack(rows)).T.reshape(-1, 2, 2)


def _inverse(matrix: Tensor) -> Tensor:
    inverse: Tensor = torch.linalg.inv_ex(matrix).inverse  # `inv` would wait for a GPU
    return inverse


def _product(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector[..., None])[..., 0]


def _mapped(points: Tensor, matrix: Tensor, origin: Tensor) -> Tensor:
    flat = points.flatten(1, 2).expand(len(matrix), -1, -1)
    mapped = torch.baddbmm(origin[:, None], flat, matrix.mT)
    return mapped.reshape(len(matrix), *points.shape[1:])
