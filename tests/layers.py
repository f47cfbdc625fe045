"""Layers of scenes whose motion is known, for tests of training and for `large_motion`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.motion import Motion


def picture_of(still: np.ndarray) -> Tensor:
    """Return an image, [H, W, 3] uint8, as a picture, [1, 3, H, W] in [0, 1]."""
    return torch.from_numpy(still.copy()).permute(2, 0, 1)[None].float() / 255


def opaque(picture: Tensor) -> Tensor:
    """Add an alpha of 1, as layers have it."""
    return torch.cat([picture, torch.ones_like(picture[:, :1])], 1)


def moving(
    centre: Any, shift: Any = (0, 0), angle: Any = (0, 0), scale: Any = (0, 0), shear: Any = (0, 0)
) -> Motion:
    """Return the motion of one layer of one scene; see `Motion`."""
    values = (centre, shift, angle, scale, shear)
    return Motion(*(torch.tensor([each], dtype=torch.float32) for each in values))
