"""The execution contexts of a lane, and the memory that they are bound to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .device import capturing, cuda
from .driver_library import Graph
from .errors import BackendError

_CONTEXTS = 4  # as many shapes keep their graph
_REFUSALS = 2  # in a row, until no more is tried


@dataclass
class _Bound:
    """A context, bound to shapes and addresses; it is as it was left by so many runs."""

    context: Any
    runs: int = 0
    graph: Graph | None = None


class Execution:
    """Runs an engine on a stream, in memory of its own.

    Inputs are copied into that memory and frames out of it, so that addresses change only where a
    shape outgrows them: CUDA graphs have to be captured anew whenever one does. A copy within the
    GPU costs next to nothing beside inference, and takes what begins at any address.

    A graph is good as long as the context that it was captured from stays as it was. So each of the
    shapes that were used last has a context to itself, all on the same memory: a stream whose pairs
    get two frames and three by turns captures twice.

    Args:
        new_context: makes an IExecutionContext; BackendError where there is no memory for it.
        stream: on which it runs.
        by_itself: whether a context has the memory for what it computes in between, and captures
            its own CUDA graphs: one is enough then. Else contexts are given as much as the shapes
            in use need, which TensorRT tells of them; and from the second run of a kind on, runs
            are launched as a graph.
    """

    def __init__(self, new_context: Callable[[], Any], stream: Any, *, by_itself: bool) -> None:
        self._new_context, self._stream, self._by_itself = new_context, stream, by_itself
        self._memory: dict[str, Any] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._bound: dict[frozenset[Any], _Bound] = {}  # by shapes; what was used last is last
        self._unbound: list[Any] = []
        self._refused = 0

    @property
    def uses_graphs(self) -> bool:
        """False once two captures in a row failed; from then on none is tried.

        One alone may be another thread's doing, which waited for the whole GPU meanwhile.
        """
        return self._refused < _REFUSALS

    def input(self, name: str, shape: tuple[int, ...], nbytes: int) -> Any:
        """Return the memory of an input for the next run, which takes it in this shape."""
        self._shapes[name] = shape
        return self._held(name, nbytes)

    def output(self, nbytes: int) -> Any:
        """Return the memory that the next run leaves its frames in."""
        return self._held("frames", nbytes)

    def run(self) -> bool:
        """Begin to run; say whether it could."""
        shapes = frozenset(self._shapes.items())
        bound = self._bound.pop(shapes, None) or self._bind()
        if bound is None:
            return False
        self._bound[shapes] = bound
        # TensorRT wants to run once after a change before it is captured.
        if bound.runs and bound.graph is None and self.uses_graphs and not self._by_itself:
            self._capture(bound)
        if bound.graph is not None:
            bound.graph.launch(self._stream.handle)
            return True
        # RTX captures at the first run of a shape, or at the next one, and says nothing of it.
        captures = self._by_itself and bound.runs < 2
        with capturing if captures else contextlib.nullcontext():
            done = self._enqueue(bound)
        bound.runs = bound.runs + 1 if done else 0
        return done

    def _enqueue(self, bound: _Bound) -> bool:
        return bool(bound.context.execute_async_v3(self._stream.handle))

    def _capture(self, bound: _Bound) -> None:
        if not capturing.acquire(blocking=False):  # the next run will do
            return
        try:
            bound.graph = Graph.captured(self._stream.handle, lambda: self._enqueue(bound))
        finally:
            capturing.release()
        self._refused = 0 if bound.graph is not None else self._refused + 1

    def _bind(self) -> _Bound | None:
        """Bind a context to the shapes and the memory as they are; None if it takes them not."""
        context = self._context()
        for name, shape in self._shapes.items():
            if not context.set_input_shape(name, shape):
                return None
        for name in (*self._shapes, "frames"):
            address = self._memory[name].address
            if not context.set_tensor_address(name, address):
                raise BackendError(f"TensorRT does not take {name} at {address:#x}")
        if not (self._by_itself or self._give_scratch(context)):
            return None
        del self._unbound[0]  # this one: scratch that grows unbinds others, which come after it
        return _Bound(context)

    def _context(self) -> Any:
        """Return a context that is not bound: a new one, or that of the shapes unused longest."""
        if not self._unbound:
            if len(self._bound) < (1 if self._by_itself else _CONTEXTS):
                self._unbound.append(self._new_context())
            else:
                self._unbind(next(iter(self._bound)))
        return self._unbound[0]

    def _unbind(self, shapes: frozenset[Any]) -> None:
        bound = self._bound.pop(shapes)
        self._unbound.append(bound.context)
        if bound.graph is not None:
            bound.graph.free()

    def _give_scratch(self, context: Any) -> bool:
        # For the shapes as they are, so that all have to be set by now.
        needed = int(context.update_device_memory_size_for_shapes())
        if not needed:
            return False
        scratch = self._held("scratch", needed)
        context.set_device_memory(scratch.address, scratch.nbytes)
        return True

    def free(self) -> None:
        """Free all; no run may be under way."""
        self._unbind_all()
        self._unbound.clear()
        while self._memory:
            self._memory.popitem()[1].free()

    def _unbind_all(self) -> None:
        for shapes in list(self._bound):
            self._unbind(shapes)

    def _held(self, name: str, nbytes: int) -> Any:
        """Return memory by its name, allocated anew where it is too small by now."""
        held = self._memory.get(name)
        if held is not None and held.nbytes >= nbytes:
            return held
        self._unbind_all()
        if held is not None:
            self._stream.synchronize()  # the run before may still use it
            self._memory.pop(name).free()
        self._memory[name] = memory = cuda.DeviceMemory(max(nbytes, 1))
        return memory
