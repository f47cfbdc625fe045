"""Runs of frames in pieces: what a session takes at once is a part of the frame, or what moves."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .layout import Tile
from .motion import what_moves
from .session import Lease
from .tiles import Tiling


class Tally:
    """How many pixels of frames were run, and how many those frames have."""

    def __init__(self) -> None:
        self._run = self._whole = 0
        self._lock = threading.Lock()

    def add(self, run: int, whole: int) -> None:
        """Count a run."""
        with self._lock:
            self._run, self._whole = self._run + run, self._whole + whole

    @property
    def share(self) -> float | None:
        """How many of all were run; None where nothing was made."""
        with self._lock:
            return self._run / self._whole if self._whole else None


class _Whole:
    """A frame, [1, H, W, 3], handed over piece by piece."""

    def __init__(self, array: NDArray[Any], hand_over: Callable[[NDArray[Any]], Any]) -> None:
        self.array = array
        self._hand_over = hand_over
        self._pieces: dict[Tile, Any] = {}

    def piece(self, tile: Tile) -> Any:
        """Hand a piece over, unless a run before took it as well."""
        if tile not in self._pieces:
            self._pieces[tile] = self._hand_over(np.ascontiguousarray(tile.of(self.array)))
        return self._pieces[tile]


class TiledLease(Lease):
    """A lease whose runs are cut as a tiling says; a frame that is one tile runs as it would.

    Args:
        lease: of the session.
        tiling: how frames are cut.
        runs_ahead: of the session.
        tally: what is run is counted there.
    """

    def __init__(self, lease: Lease, tiling: Tiling, runs_ahead: int, tally: Tally) -> None:
        self._lease, self._tiling, self._runs_ahead = lease, tiling, runs_ahead
        self._tally = tally

    def prepare(self, array: NDArray[Any]) -> _Whole:
        """See `Lease.prepare`; pieces are handed over when a run takes them."""
        return self._whole(array, self._lease.prepare)

    def start(self, tensors: Mapping[str, Any]) -> Callable[[], dict[str, NDArray[Any]]]:
        """See `Lease.start`; `window` is the tile's own. Most tiles are done when it returns."""
        frame0, frame1 = (
            given if isinstance(given, _Whole) else self._whole(given, lambda piece: piece)
            for given in (tensors["frame0"], tensors["frame1"])
        )
        layout = what_moves(self._tiling, frame0.array, frame1.array)
        times = len(tensors["t"])
        self._tally.add(times * layout.covered, times * math.prod(layout.size))
        runs = (
            {
                **tensors,
                "frame0": frame0.piece(tile),
                "frame1": frame1.piece(tile),
                "window": layout.window(tile),
            }
            for tile in layout.tiles
        )
        if layout.is_whole:
            return self._lease.start(next(runs))
        frames = np.repeat(frame0.array, len(tensors["t"]), axis=0)
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

    def _whole(self, array: NDArray[Any], hand_over: Callable[[NDArray[Any]], Any]) -> _Whole:
        height, width = array.shape[1:3]
        layout = self._tiling.layout(width, height)
        beyond = layout.size[1] - height, layout.size[0] - width
        if any(beyond):  # the session takes no frames as small as that
            array = np.pad(array, ((0, 0), (0, beyond[0]), (0, beyond[1]), (0, 0)), mode="edge")
        return _Whole(array, hand_over)
