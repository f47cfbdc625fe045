"""The process that something works in, as a forked one has its memory and none of its threads."""

from __future__ import annotations

import os

from .errors import BackendError


class Process:
    """The process that this is made in."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether it is the one that asks."""
        return os.getpid() == self._pid

    def check(self) -> None:
        """Refuse to go on elsewhere, where a backend would wait for ever for its threads.

        Raises:
            BackendError: the process was forked from it.
        """
        if not self.is_here:
            raise BackendError(
                "this interpolator was opened before the process was forked, and its backend's "
                "threads are not here; open one in each process, or let multiprocessing use spawn"
            )
