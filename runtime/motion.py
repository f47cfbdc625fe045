"""Motion: the parts of two frames that differ, of which alone frames have to be made."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .architecture import padded
from .layout import Layout, Size, Span, Tile
from .tiles import Tiling

Blocks = tuple[slice, slice]  # rows and columns
# The U-Nets halve a frame four times: a piece that begins at a multiple of this is halved alike.
BLOCK = 16
# Pixels that are run beside what moves. Where a part of real clips moved in a still picture, by up
# to 40 pixels, it came to 58 dB and more from the whole frame's, mostly 67, and against the true
# frame both were as good, 0.01 dB apart at most. With 32 pixels it came to 44 dB, with 64 to 69.
SURROUNDINGS = 48
_APART = 2 * SURROUNDINGS // BLOCK  # still blocks from which on two parts are run one by one
# Parts come in any size, for which OpenVINO's kernels take up to a tenth longer.
_WORTH = 0.9


def what_moves(tiling: Tiling, frame0: NDArray[Any], frame1: NDArray[Any]) -> Layout:
    """Return a layout that keeps at least all pixels in which two frames differ.

    It depends on these arguments alone.

    Args:
        frame0, frame1: [1, H, W, 3], of the size of the tiling's layout.
    """
    layout = tiling.layout(frame0.shape[2], frame0.shape[1])
    if not tiling.skip_still or (len(layout.tiles) == 1 and not tiling.any_size):
        return layout
    moved = _moved(frame0, frame1)
    tiles = tuple(tile for tile in layout.tiles if moved[_kept(tile)].any())
    if tiling.any_size:
        whole = slice(0, moved.shape[0]), slice(0, moved.shape[1])
        least = tiling.extent.min_size
        parts = (_with_surroundings(part, layout.size, least) for part in _parts(moved, whole))
        pieces = (piece for part in parts for piece in tiling.cut(part))
        around = Layout(layout.size, tuple(piece for piece in pieces if moved[_kept(piece)].any()))
        if around.pixels < _WORTH * Layout(layout.size, tiles).pixels:
            return around
    return Layout(layout.size, tiles)


def _moved(frame0: NDArray[Any], frame1: NDArray[Any]) -> NDArray[np.bool_]:
    """Say of each block whether a pixel in it differs."""
    _, height, width, _ = frame0.shape
    blocks = height // BLOCK, BLOCK, width // BLOCK, -1
    # Eight bytes at a time: a row of a block is a multiple of them, in bytes and in floats.
    words = [np.ascontiguousarray(frame).view(np.uint8) for frame in (frame0, frame1)]
    differ = np.not_equal(*(frame.reshape(blocks).view(np.uint64) for frame in words))
    return _any(differ, (1, 3))


def _any(moved: NDArray[np.bool_], axis: int | tuple[int, ...]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.logical_or.reduce(moved, axis)
    return found


def _kept(tile: Tile) -> Blocks:
    """Return what is kept of a tile."""
    rows, columns = (
        slice(span.first // BLOCK, span.last // BLOCK) for span in (tile.rows, tile.columns)
    )
    return rows, columns


def _parts(moved: NDArray[np.bool_], within: Blocks) -> Iterator[Blocks]:
    """Yield the rectangles that hold all that moved, as the XY-cut of page layouts finds them."""
    rows, columns = within
    part = moved[within]
    bands = list(product(_bands(_any(part, 1), rows.start), _bands(_any(part, 0), columns.start)))
    if len(bands) == 1:
        yield bands[0]
    else:
        for band in bands:
            yield from _parts(moved, band)


def _bands(moved: NDArray[np.bool_], start: int) -> list[slice]:
    """Return where rows or columns moved, those together that are not far apart."""
    found = np.flatnonzero(moved) + start
    bands = np.split(found, np.flatnonzero(np.diff(found) > _APART) + 1)
    return [slice(int(band[0]), int(band[-1]) + 1) for band in bands if len(band)]


def _with_surroundings(part: Blocks, whole: Size, least: Size) -> Tile:
    rows, columns = part
    return Tile(_grown(rows, whole[1], least[1]), _grown(columns, whole[0], least[0]))


def _grown(blocks: slice, whole: int, least: int) -> Span:
    """Return what is run for a side of a part, of a size that the graph and the session take."""
    first, last = blocks.start * BLOCK, blocks.stop * BLOCK
    start = max(0, first - SURROUNDINGS)
    size = max(least, padded(min(whole, last + SURROUNDINGS) - start))
    start = min(start, whole - size)
    return Span(start, start + size, first, last)
