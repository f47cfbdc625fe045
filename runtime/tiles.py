"""Tiles: overlapping pieces of a frame, of which each is run knowing where in the frame it lies."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from itertools import pairwise

from .architecture import PADDING_MULTIPLE, padded
from .errors import FrameError, OptionError
from .layout import Layout, Size, Span, Tile
from .options import MAX_SIDE, check_sizes, check_whole

# A picture of 1280x720 that moves by 100 pixels, in tiles of 512x384: 57 dB from the whole frame's
# with 192, 50 dB with 128; by 10 pixels 94 and 70 dB.
OVERLAP = 192
_MOST = 64  # tiles in a row or a column, where their size is chosen here

Spans = tuple[Span, ...]


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
class Tiling:
    """What a caller asks for, and what the session can run.

    Attributes:
        extent: of the session.
        size: (width, height) of a tile, padded; None takes whole frames where the extent has room
            for them, else those tiles that are fewest pixels in all.
        overlap: pixels that neighbouring tiles share, a multiple of 32.
        skip_still: whether what does not move between two frames is left out.
        any_size: whether what does may then be run in pieces of any size; else in whole tiles.
    """

    extent: Extent
    size: Size | None = None
    overlap: int = OVERLAP
    skip_still: bool = False
    any_size: bool = False

    def __str__(self) -> str:
        still = ("parts" if self.any_size else "tiles") if self.skip_still else "nothing"
        return (
            f"tiles {self.size}, {self.overlap} shared, {self.extent.pixels} pixels at most, "
            f"{still} skipped"
        )

    def layout(self, width: int, height: int) -> Layout:
        """Cut a frame of padded pixels.

        Raises:
            FrameError: no tile does that fits the session.
        """
        whole = (max(width, self.extent.min_size[0]), max(height, self.extent.min_size[1]))
        columns, rows = (Span(0, side, 0, side) for side in whole)
        return Layout(whole, self.cut(Tile(rows, columns)))

    def cut(self, part: Tile) -> tuple[Tile, ...]:
        """Cut a part of a frame, or all of it, at least as large as the session takes.

        Raises:
            FrameError: see `layout`.
        """
        columns, rows = self._spans(
            part.columns.stop - part.columns.start, part.rows.stop - part.rows.start
        )
        return tuple(
            Tile(row.within(part.rows), column.within(part.columns))
            for row in rows
            for column in columns
        )

    @functools.lru_cache(maxsize=64)  # noqa: B019 - frozen, and as good as any equal one
    def _spans(self, width: int, height: int) -> list[Spans]:
        whole = width, height
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
        return cut

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
