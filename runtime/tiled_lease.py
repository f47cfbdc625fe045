"""Runs of frames that are cut into tiles: what a session takes at once is a part of the frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .session import Lease
from .tiles import Layout, Tiling


@dataclass(frozen=True)
class _Cut:
    """A frame, [1, H, W, 3], handed over as a piece for each tile of its layout."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    layout: Layout
    pieces: list[Any]


class TiledLease(Lease):
    """A lease whose runs are cut as a tiling says; a frame that is one tile runs as it would.

    Args:
        lease: of the session.
        tiling: how frames are cut.
        runs_ahead: of the session.
    """

    def __init__(self, lease: Lease, tiling: Tiling, runs_ahead: int) -> None:
        self._lease, self._tiling, self._runs_ahead = lease, tiling, runs_ahead

    def prepare(self, array: NDArray[Any]) -> _Cut:
        """See `Lease.prepare`."""
        return self._cut(array, self._lease.prepare)

    def start(self, tensors: Mapping[str, Any]) -> Callable[[], dict[str, NDArray[Any]]]:
        """See `Lease.start`; `window` is the tile's own. Most tiles are done when it returns."""
        pair = [
            given if isinstance(given, _Cut) else self._cut(given, lambda piece: piece)
            for given in (tensors["frame0"], tensors["frame1"])
        ]
        layout = pair[0].layout
        runs = (
            {**tensors, "frame0": piece0, "frame1": piece1, "window": layout.window(tile)}
            for tile, piece0, piece1 in zip(
                layout.tiles, *(cut.pieces for cut in pair), strict=True
            )
        )
        if len(layout.tiles) == 1:
            return self._lease.start(next(runs))
        width, height = layout.size
        frames = np.empty((len(tensors["t"]), height, width, 3), pair[0].dtype)
        tiles, begun = iter(layout.tiles), deque[Callable[[], dict[str, NDArray[Any]]]]()
        for run in runs:
            begun.append(self._lease.start(run))
            if len(begun) > self._runs_ahead:
                next(tiles).put(begun.popleft()()["frames"], frames)

        def finish() -> dict[str, NDArray[Any]]:
            while begun:
                next(tiles).put(begun.popleft()()["frames"], frames)
            return {"frames": frames}

        return finish

    def _cut(self, array: NDArray[Any], hand_over: Callable[[NDArray[Any]], Any]) -> _Cut:
        height, width = array.shape[1:3]
        layout = self._tiling.layout(width, height)
        beyond = layout.size[1] - height, layout.size[0] - width
        if any(beyond):  # the session takes no frames as small as that
            array = np.pad(array, ((0, 0), (0, beyond[0]), (0, beyond[1]), (0, 0)), mode="edge")
        pieces = [hand_over(np.ascontiguousarray(tile.of(array))) for tile in layout.tiles]
        return _Cut(array.shape, array.dtype, layout, pieces)
