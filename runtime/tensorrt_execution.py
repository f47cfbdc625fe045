"""An execution context of TensorRT, and the memory that it is bound to."""

from __future__ import annotations

from typing import Any

from .device import capturing, cuda
from .driver_library import Graph
from .errors import BackendError


class Execution:
    """An execution context, bound to memory of its own.

    Inputs are copied into that memory and frames out of it, so that addresses change only where a
    shape outgrows them: a CUDA graph has to be captured anew whenever one does. A copy within the
    GPU costs next to nothing beside inference, and takes what begins at any address.

    Args:
        context: an IExecutionContext.
        stream: on which it runs.
        by_itself: whether the context has the memory for what it computes in between, and captures
            its own CUDA graphs. Else it is given as much as the shapes in use need, which TensorRT
            tells of them; and from the second run of a kind on, runs are launched as a graph.

    Attributes:
        uses_graphs: False once a run could not be captured; from then on none is tried.
    """

    def __init__(self, context: Any, stream: Any, *, by_itself: bool) -> None:
        self._context, self._stream = context, stream
        self._memory: dict[str, Any] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._has_scratch = self._by_itself = by_itself
        self._graph: Graph | None = None
        self._has_run = False  # as it is bound now
        self.uses_graphs = True

    def input(self, name: str, shape: tuple[int, ...], nbytes: int) -> Any:
        """Return the memory of an input for the next run; None if it takes no such shape."""
        if self._shapes.get(name) != shape:
            self._shapes.pop(name, None)
            if not self._context.set_input_shape(name, shape):
                return None
            self._bound(name, nbytes)
            self._shapes[name] = shape
            self._has_scratch = self._by_itself
            self._forget_graph()
        return self._memory[name]

    def output(self, nbytes: int) -> Any:
        """Return the memory that the next run leaves its frames in."""
        return self._bound("frames", nbytes)

    def run(self) -> bool:
        """Begin to run; say whether it could."""
        if not (self._has_scratch or self._give_scratch()):
            return False
        # TensorRT wants to run once after a change before it is captured.
        if self._has_run and self._graph is None and self.uses_graphs and not self._by_itself:
            self._capture()
        if self._graph is not None:
            self._graph.launch(self._stream.handle)
            return True
        self._has_run = self._enqueue()
        return self._has_run

    def _enqueue(self) -> bool:
        return bool(self._context.execute_async_v3(self._stream.handle))

    def _capture(self) -> None:
        if not capturing.acquire(blocking=False):  # the next run will do
            return
        try:
            self._graph = Graph.captured(self._stream.handle, self._enqueue)
        finally:
            capturing.release()
        self.uses_graphs = self._graph is not None

    def _forget_graph(self) -> None:
        self._has_run = False
        if self._graph is not None:
            self._graph.free()
            self._graph = None

    def _give_scratch(self) -> bool:
        # For the shapes as they are, so that all have to be set by now.
        needed = int(self._context.update_device_memory_size_for_shapes())
        if not needed:
            return False
        scratch = self._held("scratch", needed) or self._allocated("scratch", needed)
        self._context.set_device_memory(scratch.address, scratch.nbytes)
        self._has_scratch = True
        return True

    def free(self) -> None:
        """Free all; no run may be under way."""
        self._forget_graph()
        self._context = None
        while self._memory:
            self._memory.popitem()[1].free()

    def _bound(self, name: str, nbytes: int) -> Any:
        memory = self._held(name, nbytes)
        if memory is None:
            memory = self._allocated(name, nbytes)
            if not self._context.set_tensor_address(name, memory.address):
                self._memory.pop(name).free()
                raise BackendError(f"TensorRT does not take {name} at {memory.address:#x}")
        return memory

    def _held(self, name: str, nbytes: int) -> Any:
        held = self._memory.get(name)
        return held if held is not None and held.nbytes >= nbytes else None

    def _allocated(self, name: str, nbytes: int) -> Any:
        self._forget_graph()
        if name in self._memory:
            self._stream.synchronize()  # the run before may still use it
            self._memory.pop(name).free()
        self._memory[name] = memory = cuda.DeviceMemory(max(nbytes, 1))
        return memory
