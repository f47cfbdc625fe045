"""Scene cuts: where there is no motion to interpolate, only another picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .frames import check_frame, two_sizes
from .options import check_within

# Measured on hand-checked clips; the same measure and value as FFmpeg's scdet.
THRESHOLD = 0.10
_ROWS, _COLUMNS = 36, 64


class CutDetector:
    """Tells cuts from motion, frame by frame.

    The measure is the mean absolute difference of two small grey pictures, or by how much that
    differs from the difference before, if that is less: a cut stands out from its neighbours, and
    fast motion does not.

    Args:
        threshold: of the measure, as a share of the full range, in [0, 1]; lower finds more cuts.

    Raises:
        OptionError: `threshold` is not in [0, 1].
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        check_within("threshold", threshold, 0, 1)
        self._threshold = threshold
        self._shape: tuple[int, ...] = ()
        self._picture: NDArray[np.float32] | None = None
        self._difference = 0.0

    def __call__(self, frame: NDArray[np.uint8] | NDArray[np.float32]) -> bool:
        """Take the next frame, (H, W, 3), uint8 or float32 in [0, 1]; True if it begins a scene.

        Raises:
            FrameError: it is no such frame, or of another size than the one before.
        """
        check_frame(frame, "frame")
        if self._shape not in ((), frame.shape):
            raise two_sizes(self._shape, frame.shape)
        self._shape = frame.shape
        before, self._picture = self._picture, _small(frame)
        if before is None:
            return False
        difference = float(np.abs(self._picture - before).mean())
        change = abs(difference - self._difference)
        self._difference = difference
        return min(difference, change) >= self._threshold


def _small(frame: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Return block means of the green channel, which is most of the luma, in [0, 1]."""
    height, width = frame.shape[:2]
    rows = np.arange(min(_ROWS, height)) * height // min(_ROWS, height)
    columns = np.arange(min(_COLUMNS, width)) * width // min(_COLUMNS, width)
    green = frame[..., 1].astype(np.float32)
    sums = np.add.reduceat(np.add.reduceat(green, rows, axis=0), columns, axis=1)
    counts = np.outer(np.diff(np.append(rows, height)), np.diff(np.append(columns, width)))
    scale = 255 if frame.dtype == np.uint8 else 1
    means: NDArray[np.float32] = (sums / (counts * scale)).astype(np.float32)
    return means
