"""Triplets by how much moves in them, which is what a mean over all of them hides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

from calibration.datasets import Frames

Item = TypeVar("Item")

# Upper bounds of the motion buckets, mean absolute difference of the two inputs, 8-bit levels.
BUCKETS = (2.0, 4.0, 8.0, 16.0, float("inf"))


def motion_of(frames: Frames) -> float:
    """Return the mean absolute difference of the two inputs, 8-bit levels."""
    return float(np.abs(frames.frame0.astype(np.int16) - frames.frame1).mean())


def by_motion(
    items: Iterable[Item], motion: Callable[[Item], float]
) -> Iterator[tuple[str, list[Item]]]:
    """Yield each bucket that has items, with its name, such as '4 to 8'."""
    items, lower = list(items), 0.0
    for upper in BUCKETS:
        inside = [item for item in items if lower <= motion(item) < upper]
        if inside:
            yield f"{lower:g} to {upper:g}" if np.isfinite(upper) else f"{lower:g} and more", inside
        lower = upper
