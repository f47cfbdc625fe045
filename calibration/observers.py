"""What of activations is kept while ranges are measured; it does not grow with the runs."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from precision.ranges import Range

# Share of a channel's values, in percent, that 'percentile' keeps between its low and its high.
PERCENTILE = 99.999
_BINS = 2048


class Observer(Protocol):
    """What of a tensor's values is kept from one run to the next."""

    def add(self, values: NDArray[np.float32]) -> None:
        """Take in a tensor, [T, C, H, W]."""

    def range(self) -> Range:
        """Return the range of each channel."""


class Extremes:
    """The lowest and the highest value of each channel."""

    def __init__(self) -> None:
        self._low: Any = np.inf
        self._high: Any = -np.inf

    def add(self, values: NDArray[np.float32]) -> None:  # noqa: D102 - see Observer
        self._low = np.minimum(self._low, values.min((0, 2, 3)))
        self._high = np.maximum(self._high, values.max((0, 2, 3)))

    def range(self) -> Range:  # noqa: D102 - see Observer
        return Range(self._low.astype(np.float64), self._high.astype(np.float64))


class Histogram:
    """Counts of each channel's values in bins from -span to span, which grows by doubling."""

    def __init__(self) -> None:
        self._span = 0.0
        self._counts: Any = 0

    def add(self, values: NDArray[np.float32]) -> None:  # noqa: D102 - see Observer
        # Neighbours are alike: every fourth pixel tells as much, in a quarter of the time.
        pixels = values[:, :, ::2, ::2].swapaxes(0, 1).reshape(values.shape[1], -1)
        largest = max(float(np.abs(pixels).max()), 1e-6)
        self._span = self._span or largest
        while largest > self._span:
            self._span *= 2
            pairs = self._counts.reshape(len(pixels), _BINS // 2, 2).sum(2)
            empty = np.zeros((len(pixels), _BINS // 4), pairs.dtype)
            self._counts = np.hstack([empty, pairs, empty])
        bins = ((pixels + np.float32(self._span)) * np.float32(_BINS / 2 / self._span)).astype(int)
        bins = bins.clip(0, _BINS - 1) + _BINS * np.arange(len(pixels))[:, np.newaxis]
        counts = np.bincount(bins.ravel(), minlength=len(pixels) * _BINS)
        self._counts = self._counts + counts.reshape(len(pixels), _BINS)

    def range(self) -> Range:  # noqa: D102 - see Observer
        edges = np.linspace(-self._span, self._span, _BINS + 1)
        share = self._counts.cumsum(1) / self._counts.sum(1, keepdims=True)
        outside = (1 - PERCENTILE / 100) / 2
        low = edges[(share > outside).argmax(1)]
        high = edges[(share >= 1 - outside).argmax(1) + 1]
        return Range(low, high)
