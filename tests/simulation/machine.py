"""The simulated machine: memory, streams and the faults that tests ask of it."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

POISON = 0xCB


class OutOfMemoryError(Exception):
    """What the simulated PyCUDA raises as its MemoryError."""


class Machine:
    """State of the simulated GPU.

    Attributes:
        fail_allocation: the how-manieth allocation fails; None for none.
        ignore_wait: the how-manieth wait is ignored; None for none.
        fail_execution: whether execution fails.
        launches: of CUDA graphs that the session captured, so far.
        executing: called by each execution while it is enqueued.
        waits, allocations: counted so far.
        contexts: execution contexts that were made.
        captures: addresses of every CUDA graph that RTX would have captured.
        uploaded: bytes copied to the device by each stream.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.memory: dict[int, np.ndarray] = {}
        self.host: dict[int, np.ndarray] = {}
        self.streams: dict[int, Stream] = {}
        self.retained = 0
        self.live_handles = 0
        self.stacks = threading.local()
        self.fail_allocation: int | None = None
        self.ignore_wait: int | None = None
        self.fail_execution = False
        self.launches = 0
        self.executing: Callable[[], None] = lambda: None
        self.waits = 0
        self.allocations = 0
        self.uploaded: dict[int, int] = {}
        self.caches_read: list[bytes] = []
        self.runtimes: list[Any] = []
        self.contexts = 0
        self.captures: list[tuple[int, ...]] = []
        self._addresses = itertools.count(0x7000_0000, 0x1000_0000)

    @property
    def live_buffers(self) -> int:
        return len(self.memory) + len(self.host)

    def stack(self) -> list[object]:
        if not hasattr(self.stacks, "contexts"):
            self.stacks.contexts = []
        return self.stacks.contexts  # type: ignore[no-any-return]

    def drop_handle(self) -> None:
        """Destroy a stream or an event; as in PyCUDA it leaks where its context is not current."""
        if self.stack():
            self.live_handles -= 1

    def check_current(self) -> None:
        if not self.stack():
            raise RuntimeError("no context is current in this thread")

    def allocate(self, store: dict[int, np.ndarray], nbytes: int) -> int:
        self.check_current()
        self.allocations += 1
        if self.allocations - 1 == self.fail_allocation:
            raise OutOfMemoryError("cuMemAlloc failed: out of memory")
        address = next(self._addresses)
        store[address] = np.full(nbytes, POISON, np.uint8)
        return address

    def at(self, address: int) -> np.ndarray:
        """Return the device memory from an address on, to the end of what was allocated there."""
        base = max(base for base in self.memory if base <= address < base + len(self.memory[base]))
        return self.memory[base][address - base :]

    def free(self, store: dict[int, np.ndarray], address: int) -> None:
        self.check_current()
        store.pop(address)[:] = POISON  # a second free raises KeyError

    def wait(self, happen: Callable[[], None]) -> None:
        """Count a wait, and do it unless it is the one to be ignored."""
        self.waits += 1
        if self.waits - 1 != self.ignore_wait:
            happen()


class Stream:
    """A queue of work that happens only when something waits for it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.done = 0
        self.queue: deque[Callable[[], None]] = deque()
        self.captured: list[Callable[[], None]] | None = None
        self.unchanged: Callable[[], bool] = lambda: True  # what was captured last depends on it
        self.handle = len(machine.streams) + 1
        machine.streams[self.handle] = self

    @property
    def queued(self) -> int:
        return self.done + len(self.queue)

    def put(self, work: Callable[[], None]) -> None:
        self.machine.check_current()
        with self.machine.lock:
            (self.queue if self.captured is None else self.captured).append(work)

    def drain(self, until: int | None = None) -> None:
        """Do the work up to a position in the queue, or all."""
        with self.machine.lock:
            until = self.queued if until is None else until
            while self.done < until:
                work = self.queue.popleft()
                self.done += 1
                work()
