"""An execution context of TensorRT, and the memory that it is bound to."""

from __future__ import annotations

from typing import Any

from .device import cuda
from .errors import BackendError


class Execution:
    """An execution context, bound to memory of its own.

    Inputs are copied into that memory and frames out of it, so that addresses change only where a
    shape outgrows them: TensorRT-RTX captures its CUDA graph anew whenever one does. A copy within
    the GPU costs next to nothing beside inference, and takes what begins at any address.

    Args:
        context: an IExecutionContext.
        stream: on which it runs.
        brings_scratch: whether the context has the memory for what it computes in between; else it
            is given as much as the shapes in use need, which TensorRT tells of them.
    """

    def __init__(self, context: Any, stream: Any, *, brings_scratch: bool) -> None:
        self._context, self._stream = context, stream
        self._memory: dict[str, Any] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._has_scratch = self._brings_scratch = brings_scratch

    def input(self, name: str, shape: tuple[int, ...], nbytes: int) -> Any:
        """Return the memory of an input for the next run; None if it takes no such shape."""
        if self._shapes.get(name) != shape:
            self._shapes.pop(name, None)
            if not self._context.set_input_shape(name, shape):
                return None
            self._bound(name, nbytes)
            self._shapes[name] = shape
            self._has_scratch = self._brings_scratch
        return self._memory[name]

    def output(self, nbytes: int) -> Any:
        """Return the memory that the next run leaves its frames in."""
        return self._bound("frames", nbytes)

    def run(self) -> bool:
        """Begin to run; say whether it could."""
        if not self._has_scratch:
            # For the shapes as they are, so that all have to be set by now.
            needed = int(self._context.update_device_memory_size_for_shapes())
            if not needed:
                return False
            scratch = self._held("scratch", needed) or self._allocated("scratch", needed)
            self._context.set_device_memory(scratch.address, scratch.nbytes)
            self._has_scratch = True
        return bool(self._context.execute_async_v3(self._stream.handle))

    def free(self) -> None:
        """Free all; no run may be under way."""
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
        if name in self._memory:
            self._stream.synchronize()  # the run before may still use it
            self._memory.pop(name).free()
        self._memory[name] = memory = cuda.DeviceMemory(max(nbytes, 1))
        return memory
