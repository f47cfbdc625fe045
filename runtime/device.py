"""What the runtime keeps on a GPU: contexts, lanes and pools of memory, by whichever driver."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .driver import load_driver
from .errors import BackendError

cuda = load_driver()
DRIVER: str = cuda.NAME
# Held while work is captured: waiting for a whole GPU then fails, and spoils what is captured.
capturing = threading.Lock()


def compute_capability(index: int) -> int:
    """Return a GPU's compute capability, such as 89 for 8.9."""
    major, minor = _gpu(index).compute_capability
    return int(10 * major + minor)


def total_memory(index: int) -> int:
    """Return the bytes of a GPU's memory, free or not."""
    return int(_gpu(index).total_memory)


def _gpu(index: int) -> Any:
    try:
        count = cuda.device_count()
        if index >= count:
            raise BackendError(f"GPU {index}: this machine has {count}, from 0 on")
        return cuda.Device(index)
    except cuda.Error as error:
        raise BackendError(f"no GPU can be used here: {error}") from error


@functools.cache
def _primary_context(index: int) -> Any:
    """Retain a GPU's primary context for as long as the process lives, as CUDA's runtime does."""
    return _gpu(index).retain_primary_context()


class Pool:
    """Memory of one kind that is kept and grown instead of allocated per frame.

    Args:
        allocate: makes memory of so many bytes: of the device, or page-locked on the host.
    """

    def __init__(self, allocate: Callable[[int], Any]) -> None:
        self._allocate = allocate
        self._idle: list[Any] = []
        self._all: list[Any] = []

    def take(self, nbytes: int) -> Any:
        """Return memory that is nobody's, at least as large; `give` hands it back."""
        fitting = [memory for memory in self._idle if memory.nbytes >= nbytes]
        if fitting:
            memory = min(fitting, key=lambda idle: idle.nbytes)
            self._idle.remove(memory)
            return memory
        while self._idle:  # sizes have grown: make room
            small = self._idle.pop()
            self._all.remove(small)
            small.free()
        memory = self._allocate(nbytes)
        self._all.append(memory)
        return memory

    def give(self, memory: Any) -> None:
        """Hand memory back; no work on it may be under way."""
        if memory in self._all:  # else it is freed already
            self._idle.append(memory)

    def free(self) -> None:
        """Free all, also what is taken; the context has to be current."""
        self._idle.clear()
        while self._all:
            self._all.pop().free()


class Gpu:
    """A GPU's primary context, shared with whoever else uses it, torch for example.

    It is made current only inside `current`, so that the caller's own context stays as it was.
    """

    def __init__(self, index: int) -> None:
        self.index, self.name = index, str(_gpu(index).name)
        self._context = _primary_context(index)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the context current in this thread; CUDA's errors come out as BackendError."""
        try:
            self._context.push()
            try:
                yield
            finally:
                cuda.pop_context()
        except cuda.OutOfMemoryError as error:
            raise BackendError(
                f"{self.name} is out of memory ({error}); take fewer times a call, smaller frames, "
                "or an engine built for less"
            ) from error
        except cuda.Error as error:
            raise BackendError(f"{self.name} failed: {error}") from error

    def settle(self) -> None:
        """Wait for all work on the GPU, whoever queued it; the context has to be current."""
        with capturing:
            cuda.synchronize()

    def free_memory(self) -> int:
        """Return the bytes that nobody has allocated; the context has to be current."""
        return int(cuda.free_memory())


class Lane:
    """What one call or stream has on the GPU: two streams, an execution context, and memory.

    Uploads of frames run on a stream of their own, so that the next one overlaps with inference.

    Args:
        gpu: its index.
    """

    def __init__(self, gpu: int) -> None:
        self.gpu = gpu
        self.compute: Any = cuda.Stream()
        try:
            self.transfer: Any = cuda.Stream()
        except BaseException:
            self.compute.free()
            raise
        self.device = Pool(cuda.DeviceMemory)
        self.host = Pool(cuda.HostMemory)
        self.execution: Any = None
        self._free_events: list[Any] = []
        self._all_events: list[Any] = []

    def record(self, stream: Any) -> Any:
        """Return an event that comes when the work queued on a stream so far is done."""
        if not self._free_events:
            self._free_events.append(cuda.Event())
            self._all_events.append(self._free_events[-1])
        event = self._free_events.pop()
        event.record(stream)
        return event

    def give_event(self, event: Any) -> None:
        """Hand back an event that nobody waits for any more."""
        self._free_events.append(event)

    def await_uploads(self) -> None:
        """Let the next work wait for all uploads so far."""
        event = self.record(self.transfer)
        self.compute.wait_for_event(event)
        self.give_event(event)

    def settle(self) -> None:
        """Wait for all work."""
        self.transfer.synchronize()
        self.compute.synchronize()

    def free(self) -> None:
        """Wait for all work, then free everything; the GPU's context has to be current."""
        self.settle()
        if self.execution is not None:
            self.execution.free()
            self.execution = None
        self.device.free()
        self.host.free()
        while self._all_events:
            self._all_events.pop().free()
        self.transfer.free()
        self.compute.free()
