"""What a session of TensorRT holds, and in what order it is freed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .device import Gpu, Lane
from .publishing import Publication


class Resources:
    """What a session holds: lanes, lent to calls and streams, and all that they need.

    Everything is freed in the one order that is right.
    """

    def __init__(self, gpu: Gpu, cache_path: Path) -> None:
        self.gpu = gpu
        self.cache_path = cache_path
        self.runtime: Any = None
        self.engine: Any = None
        self.config: Any = None
        self.cache: Any = None
        self._lanes: list[Lane] = []
        self._idle: list[Lane] = []
        self._lock = threading.Lock()

    def lend(self, execution_context: Callable[[], Any]) -> Lane:
        """Return the lane that was used last of those that are idle, or a new one.

        The last one, because it is warm. The GPU's context has to be current.
        """
        # Contexts of one engine may run side by side, but not be made so.
        with self._lock:
            if self._idle:
                return self._idle.pop()
            lane = Lane()
            try:
                lane.execution = execution_context()
            except BaseException:
                lane.free()
                raise
            self._lanes.append(lane)
            return lane

    def take_back(self, lane: Lane) -> None:
        """Let others have a lane on which nothing is under way."""
        with self._lock:
            self._idle.append(lane)

    def free(self) -> None:
        """Free everything, whatever fails on the way."""
        with contextlib.ExitStack() as steps:  # each runs, whatever the others raise
            steps.enter_context(self.gpu.current())
            steps.callback(self._drop)
            for lane in self._lanes:
                steps.callback(lane.free)
            # A cache that cannot be kept, in a read-only folder say, costs only the next start.
            with contextlib.suppress(Exception):
                self._save_cache()

    def _drop(self) -> None:
        self._lanes.clear()
        self._idle.clear()
        self.cache = self.config = None
        self.engine = None
        self.runtime = None

    def _save_cache(self) -> None:
        """Keep the kernels that RTX compiled for this GPU, so that the next start is quick."""
        if self.cache is None or not self._lanes:
            return
        content = bytes(self.cache.serialize())
        if not self.cache_path.is_file() or self.cache_path.read_bytes() != content:
            Publication(self.cache_path).write(content)
