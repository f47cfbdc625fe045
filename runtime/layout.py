"""Layouts: which pieces of a frame are run, and what is kept of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]


@dataclass(frozen=True)
class Span:
    """One side of a tile, in pixels of the frame.

    Attributes:
        start, stop: what is run.
        first, last: what is kept of it, `last` exclusive.
    """

    start: int
    stop: int
    first: int
    last: int

    def within(self, whole: Span) -> Span:
        """Return where it is in the frame, if `whole` was cut; it keeps no more than that does."""
        return Span(
            whole.start + self.start,
            whole.start + self.stop,
            max(whole.start + self.first, whole.first),
            min(whole.start + self.last, whole.last),
        )

    @property
    def taken(self) -> slice:
        """What is run, of the frame."""
        return slice(self.start, self.stop)

    @property
    def kept(self) -> slice:
        """What is kept, of the frame."""
        return slice(self.first, self.last)

    @property
    def inside(self) -> slice:
        """What is kept, of the tile."""
        return slice(self.first - self.start, self.last - self.start)


@dataclass(frozen=True)
class Tile:
    """A piece of a frame."""

    rows: Span
    columns: Span

    @property
    def pixels(self) -> int:
        """How many are run."""
        height, width = (span.stop - span.start for span in (self.rows, self.columns))
        return height * width

    def of(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Return its part of frames, [..., H, W, 3]: a view."""
        return frames[..., self.rows.taken, self.columns.taken, :]

    def put(self, made: NDArray[Any], frames: NDArray[Any]) -> None:
        """Copy what is kept of what was made for it into frames, both [T, ..., 3]."""
        kept = made[:, self.rows.inside, self.columns.inside]
        frames[:, self.rows.kept, self.columns.kept] = kept


@dataclass(frozen=True)
class Layout:
    """How frames of a size are cut.

    Attributes:
        size: (width, height) of the frame, padded; at least what the session takes.
        tiles: of one size; what they keep covers the frame, and no pixel twice. Where what is still
            is left out, what moves, and a part's tiles have a size of their own.
    """

    size: Size
    tiles: tuple[Tile, ...]

    @property
    def pixels(self) -> int:
        """How many are run."""
        return sum(tile.pixels for tile in self.tiles)

    @property
    def covered(self) -> int:
        """How many of the frame's pixels are run, those that tiles share counted once."""
        run = np.zeros(self.size[::-1], bool)
        for tile in self.tiles:
            run[tile.rows.taken, tile.columns.taken] = True
        return int(np.count_nonzero(run))

    @property
    def is_whole(self) -> bool:
        """Whether a frame is run, and kept, in one piece."""
        columns, rows = (Span(0, side, 0, side) for side in self.size)
        return self.tiles == (Tile(rows, columns),)

    def window(self, tile: Tile) -> NDArray[np.float32]:
        """Return where a tile lies, as the graph's input `window` says it: x, y, width, height."""
        return np.array([tile.columns.start, tile.rows.start, *self.size], np.float32)
