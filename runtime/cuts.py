"""Cuts: where no motion leads from one frame to the next, so that there is none to interpolate."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from .frames import check_next
from .options import check_within

# Chosen on the pictures and clips of `tests/cut_material.py`: real motion between two frames
# stays below 0.25, and of cuts between photographs 99 of 100 lie above 0.34.
THRESHOLD = 0.30
_ROWS, _COLUMNS = 36, 64  # of the small pictures
_BLOCK = 12, 16  # their rows and columns that are looked for as one
_REACH = 6, 10  # how far; a sixth of the frame is more than the network follows
_SAMPLES = 8  # of a frame that a row or column of a small picture is the mean of, at least
_UNSEEN = 0.01  # mean difference, of the full range; what is less is noise, or changes nothing
_NOISE = 0.004  # spread of a block, of the full range, that says nothing: one level of 255
_FAINT = 0.001  # contrast of a block, above that, that counts for half
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue

_Small = NDArray[np.float32]


class CutDetector:
    """Tells cuts from motion, frame by frame, by each frame and the one before.

    The measure is in [0, 1], and the larger one of two:

    - *Structure*: both frames become grey pictures of 64x36. Each of the 12 blocks of one is looked
      for in the other up to a sixth of the frame away, and what counts is how far the best
      correlation is from 1, on average over the blocks, weighted by their contrast; of both
      directions the one that says less, for something may have come into view. Correlation knows
      neither brightness nor contrast, so that fades stay close to 0; so do dissolves of several
      frames and fast pans, and a cut does not, whatever comes before and after it.
    - *Light*: twice the change of the mean. So flashes, which may leave no structure to compare,
      begin and end with a cut, as do the changes of a strobe, and fades of fewer than four frames.

    Args:
        threshold: of the measure; lower finds more cuts, and takes more motion for one.

    Raises:
        OptionError: `threshold` is not in [0, 1].
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        check_within("threshold", threshold, 0, 1)
        self._threshold = threshold
        self._shape: tuple[int, ...] = ()
        self._picture: _Small | None = None

    def __call__(self, frame: NDArray[np.uint8] | NDArray[np.float32]) -> bool:
        """Take the next frame, (H, W, 3), uint8 or float32 in [0, 1]; True if it begins a scene.

        Raises:
            FrameError: it is no such frame, or of another size than the one before.
        """
        check_next(frame, self._shape)
        self._shape = frame.shape
        before, self._picture = self._picture, _small(frame)
        return before is not None and _change(before, self._picture) >= self._threshold


def _change(before: _Small, after: _Small) -> float:
    """Return the measure of two small pictures."""
    if np.abs(after - before).mean() < _UNSEEN:
        return 0
    light = abs(float(after.mean()) - float(before.mean()))
    structure = min(_unlike(before, after), _unlike(after, before))
    return min(1, max(2 * light, structure))


def _unlike(there: _Small, here: _Small) -> float:
    """Return how far from 1 the best correlations are of blocks of `here` with places `there`."""
    (rows, columns), (down, right) = _BLOCK, _REACH
    reached = rows + 2 * down, columns + 2 * right
    padded = np.pad(there.astype(np.float64), ((down, down), (right, right)), mode="edge")
    blocks = sliding_window_view(here.astype(np.float64), _BLOCK)[::rows, ::columns]
    blocks = blocks - blocks.mean((2, 3), keepdims=True)
    regions = sliding_window_view(padded, reached)[::rows, ::columns]
    spectrum = np.fft.rfft2(regions) * np.fft.rfft2(blocks, reached).conj()
    products = np.fft.irfft2(spectrum, reached)[..., : 2 * down + 1, : 2 * right + 1]
    spreads = sliding_window_view(_spreads(padded), products.shape[2:])[::rows, ::columns]
    spread = blocks.std((2, 3))
    scales = spread[..., np.newaxis, np.newaxis] * spreads + _NOISE**2
    best = (products / (rows * columns) / scales).max((2, 3))
    # Where either has no structure there is nothing to compare.
    contrasts = np.maximum([spread - _NOISE, spreads[..., down, right] - _NOISE], 0)
    weights = np.sqrt(contrasts[0] * contrasts[1])
    return float((weights * (1 - best)).sum() / (weights + _FAINT).sum())


def _spreads(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard deviation of the block at each place."""
    rows, columns = _BLOCK
    sums = np.pad([picture, picture**2], ((0, 0), (1, 0), (1, 0))).cumsum(1).cumsum(2)
    sums = sums[:, rows:] - sums[:, :-rows]
    mean, square = (sums[..., columns:] - sums[..., :-columns]) / (rows * columns)
    spreads: NDArray[np.float64] = np.sqrt(np.maximum(square - mean**2, 0))
    return spreads


def _small(frame: NDArray[np.uint8] | NDArray[np.float32]) -> _Small:
    """Return block means of the luma, in [0, 1]."""
    height, width = frame.shape[:2]
    step = max(1, min(height // _ROWS, width // _COLUMNS) // _SAMPLES)
    luma = frame[::step, ::step] @ (_LUMA / 255 if frame.dtype == np.uint8 else _LUMA)
    rows, columns = (
        np.arange(want) * have // want
        for have, want in zip(luma.shape, (_ROWS, _COLUMNS), strict=True)
    )
    sums = np.add.reduceat(np.add.reduceat(luma, rows, axis=0), columns, axis=1)
    # Smaller frames have fewer rows or columns, and some are taken several times.
    counts = np.outer(
        *(
            np.maximum(np.diff(np.append(starts, have)), 1)
            for have, starts in zip(luma.shape, (rows, columns), strict=True)
        )
    )
    means: _Small = (sums / counts).astype(np.float32)
    return means
