"""The names of `pycuda.driver` that the runtime uses, on the simulated machine."""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np

from tests.simulation.machine import Machine, OutOfMemoryError
from tests.simulation.machine import Stream as Queue

# What has imported the simulation stays within the test, and the other way round.
ON_DRIVER = tuple(
    f"runtime.{name}"
    for name in (
        "device",
        "device_frames",
        "device_tensors",
        "driver_pycuda",
        "tensorrt_execution",
        "tensorrt_resources",
        "tensorrt_session",
    )
)


def modules(machine: Machine) -> dict[str, ModuleType]:
    """Return what belongs into `sys.modules` for PyCUDA to be there."""
    package: Any = ModuleType("pycuda")
    package.__spec__ = ModuleSpec("pycuda", None, origin="simulated")
    package.driver = driver(machine)
    return {
        "pycuda": package,
        "pycuda.driver": package.driver,
        "runtime.driver_library": library(machine),
    }


def library(machine: Machine) -> ModuleType:
    """Return a module that stands for `runtime.driver_library`."""

    class Graph:
        def __init__(self, work: list[Callable[[], None]]) -> None:
            machine.check_current()
            machine.live_handles += 1
            self.work, self.unchanged = work, lambda: True

        @classmethod
        def captured(cls, stream: int, enqueue: Callable[[], bool]) -> Graph | None:
            queue = machine.streams[stream]
            queue.captured = work = []
            try:
                graph = cls(work) if enqueue() else None
            finally:
                queue.captured = None
            if graph:
                graph.unchanged = queue.unchanged
            return graph

        def launch(self, stream: int) -> None:
            assert self.unchanged(), "its context was changed since it was captured"
            machine.launches += 1
            for each in self.work:
                machine.streams[stream].put(each)

        def free(self) -> None:
            machine.drop_handle()

    module: Any = ModuleType("runtime.driver_library")

    def wait_for_stream(stream: int, other: int) -> None:
        theirs = machine.streams[other]
        position = theirs.queued
        machine.wait(lambda: machine.streams[stream].put(lambda: theirs.drain(position)))

    def gpu_of(address: int) -> int | None:
        inside = any(base <= address < base + len(held) for base, held in machine.memory.items())
        return 0 if inside else None

    module.Graph, module.wait_for_stream, module.gpu_of = Graph, wait_for_stream, gpu_of
    return module  # type: ignore[no-any-return]


def driver(machine: Machine) -> ModuleType:
    """Return a module that stands for `pycuda.driver`."""

    class Error(Exception):
        pass

    class MemoryError(Error, OutOfMemoryError):  # noqa: A001 - PyCUDA's own name
        pass

    class Context:
        def push(self) -> None:
            machine.stack().append(self)

        @staticmethod
        def pop() -> None:
            machine.stack().pop()

        @staticmethod
        def synchronize() -> None:
            machine.check_current()
            for stream in list(machine.streams.values()):
                machine.wait(stream.drain)

    class Device:
        def __init__(self, index: int) -> None:
            self.index = index

        @staticmethod
        def count() -> int:
            return 1

        def name(self) -> str:
            return "Simulated GPU"

        def compute_capability(self) -> tuple[int, int]:
            return 8, 9

        def total_memory(self) -> int:
            return 2**30

        def retain_primary_context(self) -> Context:
            machine.retained += 1
            return Context()

    class Event:
        def __init__(self, flags: int = 0) -> None:
            assert flags & event_flags.BLOCKING_SYNC, "its waits would spin"
            machine.check_current()
            machine.live_handles += 1
            self.stream: Queue | None = None
            self.position = 0

        def __del__(self) -> None:
            machine.drop_handle()

        def record(self, stream: Any) -> None:
            machine.check_current()
            self.stream, self.position = stream.queue, stream.queue.queued

        def happen(self) -> None:
            if self.stream is not None:
                self.stream.drain(self.position)

        def synchronize(self) -> None:
            machine.check_current()
            machine.wait(self.happen)

    class Stream:
        def __init__(self, flags: int = 0) -> None:
            assert flags == 1, "it would wait for the legacy default stream"
            machine.check_current()
            machine.live_handles += 1
            self.queue = Queue(machine)

        def __del__(self) -> None:
            machine.drop_handle()

        @property
        def handle(self) -> int:
            return self.queue.handle

        def synchronize(self) -> None:
            machine.check_current()
            machine.wait(self.queue.drain)

        def wait_for_event(self, event: Event) -> None:
            stream, position = event.stream, event.position
            assert stream is not None
            machine.wait(lambda: self.queue.put(lambda: stream.drain(position)))

    class DeviceAllocation:
        def __init__(self, nbytes: int) -> None:
            self.address = _allocate(machine.memory, nbytes)

        def __int__(self) -> int:
            return self.address

        def free(self) -> None:
            machine.free(machine.memory, self.address)

    class PagelockedHostAllocation:
        def __init__(self, nbytes: int) -> None:
            self.address = _allocate(machine.host, nbytes)
            self.__array_interface__ = machine.host[self.address].__array_interface__

        def free(self) -> None:
            machine.free(machine.host, self.address)

    def _allocate(store: dict[int, np.ndarray], nbytes: int) -> int:
        try:
            return machine.allocate(store, nbytes)
        except OutOfMemoryError as error:
            raise MemoryError(str(error)) from error

    def mem_get_info() -> tuple[int, int]:
        machine.check_current()
        taken = sum(map(len, machine.memory.values()))
        return 2**30 - taken, 2**30

    def pagelocked_empty(shape: int, dtype: Any) -> np.ndarray:
        assert dtype == np.uint8
        return np.asarray(PagelockedHostAllocation(shape))

    def memcpy_htod_async(dest: Any, src: np.ndarray, stream: Any) -> None:
        key = stream.handle
        machine.uploaded[key] = machine.uploaded.get(key, 0) + src.nbytes

        def copy() -> None:
            machine.memory[int(dest)][: src.nbytes] = src

        stream.queue.put(copy)

    def memcpy_dtoh_async(dest: np.ndarray, src: Any, stream: Any) -> None:
        def copy() -> None:
            dest[:] = machine.memory[int(src)][: dest.nbytes]

        stream.queue.put(copy)

    def memcpy_dtod_async(dest: int, src: int, size: int, stream: Any) -> None:
        def copy() -> None:
            machine.at(dest)[:size] = machine.at(src)[:size]

        stream.queue.put(copy)

    class Memcpy2D:
        def set_src_device(self, address: int) -> None:
            self.source = address

        def set_dst_device(self, address: int) -> None:
            self.target = address

        src_pitch = dst_pitch = width_in_bytes = height = 0

        def __call__(self, stream: Any) -> None:
            row, rows, source, target = self.width_in_bytes, self.height, self.source, self.target
            pitches = self.src_pitch, self.dst_pitch
            assert row <= min(pitches)

            def copy() -> None:
                for index in range(rows):
                    taken = machine.at(source + index * pitches[0])[:row]
                    machine.at(target + index * pitches[1])[:row] = taken

            stream.queue.put(copy)

    class event_flags:  # noqa: N801 - PyCUDA's own name
        BLOCKING_SYNC = 1
        DISABLE_TIMING = 2

    module: Any = ModuleType("pycuda.driver")
    module.init = lambda: None
    module.mem_alloc = DeviceAllocation
    for name, value in list(locals().items()):
        if name in NAMES:
            setattr(module, name, value)
    return module  # type: ignore[no-any-return]


# Taken from the sources of PyCUDA 2026.1 (src/wrapper/wrap_cudadrv.cpp): what it really offers.
NAMES: dict[str, set[str]] = {
    "init": set(),
    "Error": set(),
    "MemoryError": set(),
    "Device": {"count", "name", "compute_capability", "total_memory", "retain_primary_context"},
    "Context": {"push", "pop", "synchronize"},
    "Stream": {"synchronize", "wait_for_event", "handle"},
    "Event": {"record", "synchronize"},
    "event_flags": {"BLOCKING_SYNC", "DISABLE_TIMING"},
    "DeviceAllocation": {"free", "__int__"},
    "PagelockedHostAllocation": {"free"},
    "Memcpy2D": {
        "set_src_device",
        "set_dst_device",
        "src_pitch",
        "dst_pitch",
        "width_in_bytes",
        "height",
    },
    "mem_alloc": set(),
    "mem_get_info": set(),
    "pagelocked_empty": set(),
    "memcpy_htod_async": set(),
    "memcpy_dtod_async": set(),
    "memcpy_dtoh_async": set(),
}
