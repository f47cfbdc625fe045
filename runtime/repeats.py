"""Repeats: frames that only show the picture before again, so that motion stands still meanwhile.

Animation drawn on twos and threes has them, film brought to a video's rate, and recordings in which
missing frames were filled in.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from .frames import check_next

# Seconds until the next picture. Animation on fours takes 1/6 at 24 frames a second; what is held
# for longer is meant to stand still, and motion must not be smeared over it.
LONGEST = Fraction(1, 5)
MOST = 12  # repeats of a picture: they are in memory together
RUN_UP = MOST + 2  # frames before, from which on what is told of a frame is certain
# Measured with x264 at CRF 18 and 28, with and without grain, on rendered scenes, pans and real
# clips: repeats come to 0.3 and less of the changes around them, mostly 0.1, and to 1.7 levels at
# most. Where each frame is a picture of its own, the least was 0.34, of a shaking camera.
_SHARE = 0.25
_LARGEST = 2 / 255  # change of a repeat, of the full range
_LEAST = 1 / 255  # change around repeats; what changes less is a still, and its noise
_BLOCK = 8  # pixels, across and down

_Frame = NDArray[np.uint8] | NDArray[np.float32]
_Means = NDArray[np.float32]
Item = TypeVar("Item")


@dataclass(frozen=True)
class _Held(Generic[Item]):
    """A frame: its block means, when it is shown, how much differs from the frame before."""

    item: Item
    means: _Means
    time: Fraction
    change: float
    is_cut: bool


class RepeatFinder(Generic[Item]):
    """Tells repeats from pictures, some frames later.

    The change from a frame to another is the fourth root of the mean fourth power of the
    differences of blocks of 8x8 pixels, of the green channel, which is most of the luma. So a
    mouth that moves counts in a frame that stands still, and the noise of a codec does not, as it
    evens out in a block.

    Frames are repeats where their changes, from the frame before and from the picture that they
    repeat, are at most a quarter of the change before and of the change after them, and at most 2
    levels of 255; those two are a level at least. So fades, slow pans and shaking cameras, which
    change alike from frame to frame, have none, and neither have stills. Repeats before a cut, at
    the beginning and at the end stay, for there is no motion to be spread over them; and so does
    all that a picture is held for longer than `LONGEST`, or repeated more often than `MOST`.

    What is told of a frame depends on no more than `RUN_UP` frames before it.
    """

    def __init__(self) -> None:
        self._shape: tuple[int, ...] = ()
        self._picture: _Held[Item] | None = None
        self._run: list[_Held[Item]] = []

    def add(
        self, item: Item, frame: _Frame, time: Fraction, is_cut: bool = False
    ) -> list[tuple[Item, bool]]:
        """Take the next frame; return those that are decided now, in order, True with repeats.

        Args:
            item: what is returned for it.
            frame: (H, W, 3), uint8 or float32 in [0, 1].
            time: when it is shown, seconds.
            is_cut: whether it begins a scene.

        Raises:
            FrameError: it is no such frame, or of another size than the one before.
        """
        check_next(frame, self._shape)
        self._shape = frame.shape
        means, before = _block_means(frame), self._run[-1] if self._run else self._picture
        change = 0.0 if before is None else _change(before.means, means)
        pending = deque([_Held(item, means, time, change, is_cut)])
        decided: list[tuple[Item, bool]] = []
        while pending:
            held = pending.popleft()
            if self._may_repeat(held):
                self._run.append(held)
                continue
            if self._run and not self._is_closed_by(held):
                # A run may still begin with the next frame.
                pending.appendleft(held)
                pending.extendleft(reversed(self._run[1:]))
                held, self._run = self._run[0], []
            decided += [(each.item, True) for each in self._run]
            decided.append((held.item, False))
            self._picture, self._run = held, []
        return decided

    def rest(self) -> list[tuple[Item, bool]]:
        """Return what is left at the end, where no motion follows."""
        rest, self._run = self._run, []
        return [(each.item, False) for each in rest]

    def _may_repeat(self, held: _Held[Item]) -> bool:
        """Say whether a frame repeats the picture, if motion follows."""
        picture = self._picture
        if picture is None or picture.change < _LEAST or held.is_cut or len(self._run) == MOST:
            return False
        if held.time - picture.time >= LONGEST:
            return False
        largest = min(_LARGEST, _SHARE * picture.change)
        return max(held.change, _change(picture.means, held.means)) <= largest

    def _is_closed_by(self, held: _Held[Item]) -> bool:
        """Say whether a frame is the next picture, to which motion leads from the one before."""
        picture = self._picture
        if picture is None or held.is_cut or held.time - picture.time > LONGEST:
            return False
        least = max(each.change for each in self._run) / _SHARE
        return held.change >= max(_LEAST, least)


def _change(before: _Means, after: _Means) -> float:
    """Return how much differs, of the full range."""
    return float(np.square(np.square(after - before)).mean() ** 0.25)


def _block_means(frame: _Frame) -> _Means:
    """Return means of the green channel, in [0, 1]; at the right and below of what is left."""
    height, width = frame.shape[:2]
    rows, columns = np.arange(0, height, _BLOCK), np.arange(0, width, _BLOCK)
    kind = np.uint32 if frame.dtype == np.uint8 else np.float32
    sums = np.add.reduceat(
        np.add.reduceat(frame[..., 1], rows, axis=0, dtype=kind), columns, axis=1
    )
    counts = np.outer(np.diff(np.append(rows, height)), np.diff(np.append(columns, width)))
    scale = 255 if frame.dtype == np.uint8 else 1
    means: _Means = (sums / (counts * scale)).astype(np.float32)
    return means
