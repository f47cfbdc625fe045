"""Tiles: overlapping pieces of a frame, of which each is run knowing where in the frame it lies."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .architecture import PADDING_MULTIPLE, padded
from .errors import FrameError, OptionError
from .options import MAX_SIDE, check_sizes, check_whole

# A picture of 1280x720 that moves by 100 pixels, in tiles of 512x384: 57 dB from the whole frame's
# with 192, 50 dB with 128; by 10 pixels 94 and 70 dB.
OVERLAP = 192
_MOST = 64  # tiles in a row or a column, where their size is chosen here

Size = tuple[int, int]
Spans = tuple["Span", ...]


@dataclass(frozen=True)
class Extent:
    """What a session runs at once, in padded pixels.

    Attributes:
        min_size, max_size: (width, height).
        pixels: width times height at most, which memory bounds.
    """

    min_size: Size = (PADDING_MULTIPLE, PADDING_MULTIPLE)
    max_size: tuple[float, float] = (math.inf, math.inf)
    pixels: float = math.inf

    def takes(self, width: int, height: int) -> bool:
        """Say whether it runs frames of a size."""
        inside = (
            low <= side <= high
            for low, side, high in zip(self.min_size, (width, height), self.max_size, strict=True)
        )
        return all(inside) and width * height <= self.pixels


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
        tiles: of one size; what they keep covers the frame, and no pixel twice.
    """

    size: Size
    tiles: tuple[Tile, ...]

    def window(self, tile: Tile) -> NDArray[np.float32]:
        """Return where a tile lies, as the graph's input `window` says it: x, y, width, height."""
        return np.array([tile.columns.start, tile.rows.start, *self.size], np.float32)


@dataclass(frozen=True)
class Tiling:
    """What a caller asks for, and what the session can run.

    Attributes:
        extent: of the session.
        size: (width, height) of a tile, padded; None takes whole frames where the extent has room
            for them, else those tiles that are fewest pixels in all.
        overlap: pixels that neighbouring tiles share, a multiple of 32.
    """

    extent: Extent
    size: Size | None = None
    overlap: int = OVERLAP

    @functools.lru_cache(maxsize=16)  # noqa: B019 - frozen, and as good as any equal one
    def layout(self, width: int, height: int) -> Layout:
        """Cut a frame of padded pixels.

        Raises:
            FrameError: no tile does that fits the session.
        """
        whole = (max(width, self.extent.min_size[0]), max(height, self.extent.min_size[1]))
        if self.size is not None:
            cut = [
                _spans(side, min(size, side), self.overlap)
                for side, size in zip(whole, self.size, strict=True)
            ]
        elif self.extent.takes(*whole):
            cut = [_spans(side, side, self.overlap) for side in whole]
        else:
            cut = self._fewest_pixels(whole)
        columns, rows = cut
        if not self.extent.takes(columns[0].stop, rows[0].stop):
            raise self._no_room(whole)
        return Layout(whole, tuple(Tile(row, column) for row in rows for column in columns))

    def _fewest_pixels(self, whole: Size) -> list[Spans]:
        columns, rows = (
            [
                _spans(side, size, self.overlap)
                for size in _sizes(side, self.overlap, self.extent.min_size[axis])
            ]
            for axis, side in enumerate(whole)
        )
        fitting = [
            [column, row]
            for column in columns
            for row in rows
            if self.extent.takes(column[0].stop, row[0].stop)
        ]
        if not fitting:
            raise self._no_room(whole)
        return min(fitting, key=lambda cut: math.prod(len(side) * side[0].stop for side in cut))

    def _no_room(self, whole: Size) -> FrameError:
        extent = self.extent
        room = f"frames of {_text(extent.min_size)} and more"
        if extent.max_size[0] < math.inf:
            room = f"frames of {_text(extent.min_size)} to {_text(extent.max_size)}"
        if extent.pixels < math.inf:
            room += f", {extent.pixels:.0f} pixels at most"
        asked = f" in tiles of {_text(self.size)}" if self.size else ""
        return FrameError(
            f"a frame of {_text(whole)}{asked} cannot be run: there is room for {room}, and tiles "
            f"share {self.overlap} pixels; give more memory or an engine built for larger frames, "
            "or a smaller overlap"
        )


def tiling(extent: Extent, tile: Size | None, overlap: int | None) -> Tiling:
    """Return a tiling as a caller asks for it, see `Interpolator`.

    Raises:
        OptionError: no such size or overlap, or the overlap takes up the tile.
    """
    if overlap is None:
        overlap = OVERLAP
    check_whole("overlap", overlap, 0, MAX_SIDE)
    overlap = padded(overlap)
    if tile is None:
        return Tiling(extent, None, overlap)
    check_sizes("tile", [tile])
    width, height = (padded(side) for side in tile)
    if min(width, height) <= overlap:
        raise OptionError(
            f"tile is {tile[0]}x{tile[1]}, and neighbours share {overlap} pixels; expected more "
            "than that in width and height, or a smaller overlap"
        )
    return Tiling(extent, (width, height), overlap)


def _spans(whole: int, size: int, overlap: int) -> Spans:
    """Cut a side into pieces of one size, each but the last as far from the one before."""
    if size == whole:
        return (Span(0, whole, 0, whole),)
    starts = [*range(0, whole - size, size - overlap), whole - size]
    # In the middle of what neighbours share, each pixel is as far from a border as can be.
    cuts = [0, *((before + size + after) // 2 for before, after in pairwise(starts)), whole]
    return tuple(
        Span(start, start + size, first, last)
        for start, (first, last) in zip(starts, pairwise(cuts), strict=True)
    )


def _sizes(whole: int, overlap: int, least: int) -> list[int]:
    """Return the sizes that cut a side into 1, 2, 3 and so on pieces, as even as can be."""
    even = (padded(-(-(whole + (count - 1) * overlap) // count)) for count in range(1, _MOST + 1))
    return sorted({whole, *(min(max(size, least), whole) for size in even if size > overlap)})


def _text(size: tuple[float, float]) -> str:
    return "x".join(f"{side:.0f}" for side in size)
