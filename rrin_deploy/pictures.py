"""What made frames are compared with and how their errors are shown, in the demo and in eval."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GAIN = 4


def average(frame0: NDArray[np.uint8], frame1: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the plain mean of two frames, which any interpolation has to beat."""
    return np.rint((frame0.astype(np.float32) + frame1) / 2).astype(np.uint8)


def amplified_difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return how far two frames are apart, four times as bright."""
    difference: NDArray[np.int16] = np.abs(a.astype(np.int16) - b) * _GAIN
    return difference.clip(0, 255).astype(np.uint8)
