"""The PyTorch reference on numpy frames, and the golden file made with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from export.network import PADDING_MULTIPLE, RRIN
from runtime.golden import Golden, GoldenCase
from runtime.scene import render_bytes

GOLDEN_SIZES = ((128, 96), (117, 83))
_GOLDEN_TIMES = ((0.5,), (0.25, 0.5, 0.8))


class Reference:
    """RRIN as a callable on numpy frames, called as `runtime.Interpolator` is.

    Args:
        network: in evaluation mode, as `load_checkpoint` returns it.
    """

    def __init__(self, network: RRIN) -> None:
        self._network = network

    def __call__(
        self,
        frame0: NDArray[Any],
        frame1: NDArray[Any],
        t: float | Sequence[float] | NDArray[Any] = 0.5,
    ) -> NDArray[Any]:
        """Interpolate one pair.

        Args:
            frame0, frame1: (H, W, 3) uint8, or float32 in [0, 1].
            t: one time in (0, 1), or several.

        Returns:
            (H, W, 3) for a number t, (T, H, W, 3) for several; dtype of the frames.
        """
        height, width = frame0.shape[:2]
        with torch.inference_mode():
            times = torch.as_tensor(np.atleast_1d(np.asarray(t, np.float32)))
            made = self._network(planes_of(frame0), planes_of(frame1), times)
            made = made[:, :, :height, :width].permute(0, 2, 3, 1)
            if frame0.dtype == np.uint8:
                made = (made * 255).round().to(torch.uint8)
        frames: NDArray[Any] = np.ascontiguousarray(made.numpy())
        return frames[0] if np.ndim(t) == 0 else frames


def planes_of(frame: NDArray[Any]) -> Tensor:
    """Return a frame, (H, W, 3), as [1, 3, H', W'] float32 in [0, 1], padded by replication."""
    height, width = frame.shape[:2]
    planes = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None]
    planes = planes.float() / 255 if frame.dtype == np.uint8 else planes
    padding = (0, -width % PADDING_MULTIPLE, 0, -height % PADDING_MULTIPLE)
    return F.pad(planes, padding, mode="replicate")


def make_golden(
    network: RRIN,
    checkpoint_sha256: str,
    sizes: Sequence[tuple[int, int]] = GOLDEN_SIZES,
) -> Golden:
    """Run the reference on pairs of the procedural scene, one time for each first size, then three.

    Args:
        network: the reference.
        checkpoint_sha256: of the file that its weights came from.
        sizes: (width, height) of each pair, pixels.
    """
    reference = Reference(network)
    cases = []
    for index, (width, height) in enumerate(sizes):
        t = np.array(_GOLDEN_TIMES[index % len(_GOLDEN_TIMES)], np.float32)
        frame0, frame1 = (render_bytes(width, height, time) for time in (index, index + 1))
        unit0, unit1 = (frame.astype(np.float32) / 255 for frame in (frame0, frame1))
        cases.append(GoldenCase(frame0, frame1, t, reference(unit0, unit1, t)))
    return Golden(checkpoint_sha256, network.align_corners, tuple(cases))
