"""The PyTorch reference on numpy frames, and the golden file made with it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from export.network import RRIN
from runtime.architecture import padded
from runtime.frames import check_pair, times_of
from runtime.golden import Golden, GoldenCase
from runtime.options import check_sizes
from runtime.scene import render_bytes

GOLDEN_SIZES = ((128, 96), (117, 83))
_GOLDEN_TIMES = ((0.5,), (0.25, 0.5, 0.8))
_DARK_SIZE, _DARK_TIMES, _DARK_PAIRS = (96, 64), (0.2, 0.5, 0.8), 4

Times = NDArray[np.float32]


class Reference:
    """RRIN as a callable on numpy frames, called as `runtime.Interpolator` is.

    Args:
        network: in evaluation mode, as `load_checkpoint` returns it.
    """

    def __init__(self, network: RRIN) -> None:
        self._network = network
        # Weights may be half, as a trial; frames are float32 at least.
        self._dtype = torch.promote_types(torch.float32, next(network.parameters()).dtype)

    def __call__(
        self,
        frame0: NDArray[Any],
        frame1: NDArray[Any],
        t: float | Sequence[float] | NDArray[Any] = 0.5,
    ) -> NDArray[Any]:
        """Interpolate one pair.

        Args:
            frame0, frame1: (H, W, 3), uint8, or float32 in [0, 1]; of one size and dtype.
            t: when between them, in [0, 1]; exactly 0 or 1 gives that frame; 1000 times at most.

        Returns:
            (H, W, 3) for a number t, (T, H, W, 3) for several; uint8 of uint8 frames, else
            float32, or float64 of a network in float64.

        Raises:
            FrameError: wrong type, dtype, shape or values; two sizes; t is not as above.
        """
        check_pair(frame0, frame1)
        times = times_of(t)
        between = (times > 0) & (times < 1)
        inside = self._between(frame0, frame1, times[between])
        made = np.empty((len(times), *frame0.shape), inside.dtype)
        made[times == 0], made[times == 1], made[between] = frame0, frame1, inside
        return made[0] if np.ndim(t) == 0 else made

    def _between(self, frame0: NDArray[Any], frame1: NDArray[Any], times: Times) -> NDArray[Any]:
        height, width = frame0.shape[:2]
        with torch.inference_mode():
            tensors = planes_of(frame0), planes_of(frame1), torch.from_numpy(times)
            made = self._network(*(tensor.to(self._dtype) for tensor in tensors))
            made = made[:, :, :height, :width].permute(0, 2, 3, 1)
            if frame0.dtype == np.uint8:
                made = (made * 255).round().to(torch.uint8)
        frames: NDArray[Any] = made.numpy()
        return frames


def planes_of(frame: NDArray[Any]) -> Tensor:
    """Return a frame, (H, W, 3), as [1, 3, H', W'] float32 in [0, 1], padded by replication."""
    height, width = frame.shape[:2]
    planes = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None]
    planes = planes.float() / 255 if frame.dtype == np.uint8 else planes
    padding = (0, padded(width) - width, 0, padded(height) - height)
    return F.pad(planes, padding, mode="replicate")


def make_golden(
    network: RRIN,
    checkpoint_sha256: str,
    sizes: Sequence[tuple[int, int]] = GOLDEN_SIZES,
) -> Golden:
    """Run the reference on pairs of the procedural scene, one time for each first size, then three.

    A last pair, small, is the one of several at whose time this network sees least of both frames:
    where both masks are near 0, artifacts differ that agree everywhere else.

    Args:
        network: the reference.
        checkpoint_sha256: of the file that its weights came from.
        sizes: (width, height) of each pair, pixels.

    Raises:
        OptionError: no sizes, or one that is not as above.
    """
    check_sizes("sizes", sizes)
    exact = copy.deepcopy(network).double()
    cases = []
    for index, (width, height) in enumerate(sizes):
        t = np.array(_GOLDEN_TIMES[index % len(_GOLDEN_TIMES)], np.float32)
        cases.append(_case(network, exact, _pair(width, height, index), t))
    cases.append(_case(network, exact, *_darkest(network)))
    return Golden(checkpoint_sha256, network.align_corners, tuple(cases))


def _case(
    network: RRIN, exact: RRIN, pair: tuple[NDArray[np.uint8], NDArray[np.uint8]], t: Times
) -> GoldenCase:
    unit0, unit1 = (frame.astype(np.float32) / 255 for frame in pair)
    frames = Reference(network)(unit0, unit1, t)
    error = np.abs(frames - Reference(exact)(unit0, unit1, t)).max()
    return GoldenCase(*pair, t, frames, reference_error=float(error))


def _darkest(network: RRIN) -> tuple[tuple[NDArray[np.uint8], NDArray[np.uint8]], Times]:
    """Return the pair and time at which the greater of a pixel's two masks is smallest."""
    t = np.array(_DARK_TIMES, np.float32)
    window = torch.tensor([0.0, 0.0, *_DARK_SIZE])
    found = []
    for start in range(_DARK_PAIRS):
        pair = _pair(*_DARK_SIZE, 4 * start)
        with torch.inference_mode():
            planes0, planes1 = map(planes_of, pair)
            mask = network.stages(planes0, planes1, torch.from_numpy(t), window).mask
        seen = mask.amax(1).amin((1, 2))
        found.append((float(seen.min()), pair, t[[int(seen.argmin())]]))
    _, pair, time = min(found, key=lambda item: item[0])
    return pair, time


def _pair(width: int, height: int, start: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    frame0, frame1 = (render_bytes(width, height, time) for time in (start, start + 1))
    return frame0, frame1
