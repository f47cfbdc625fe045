"""The names of TensorRT's runtime that ours uses; the engine is an ONNX file."""

from __future__ import annotations

import functools
from enum import Enum
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime

from tests.simulation.machine import Machine

MAX_SHAPES = {"frame0": (1, 512, 512, 3), "frame1": (1, 512, 512, 3), "t": (7,), "window": (4,)}


@functools.lru_cache(maxsize=8)
def _session(plan: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # frames here are too small for more
    return onnxruntime.InferenceSession(plan, options, providers=["CPUExecutionProvider"])


def runtime_module(machine: Machine, name: str, version: str) -> ModuleType:
    """Return a module that stands for `tensorrt` or `tensorrt_rtx`."""
    rtx = name == "tensorrt_rtx"

    class DataType(Enum):
        FLOAT = np.float32
        UINT8 = np.uint8

    class TensorIOMode(Enum):
        INPUT = 1
        OUTPUT = 2

    class CudaGraphStrategy(Enum):
        DISABLED = 0
        WHOLE_GRAPH_CAPTURE = 1

    class DynamicShapesKernelSpecializationStrategy(Enum):
        LAZY = 0
        EAGER = 1
        NONE = 2

    class ExecutionContextAllocationStrategy(Enum):
        STATIC = 0
        ON_PROFILE_CHANGE = 1
        USER_MANAGED = 2

    class Logger:
        ERROR = 1

        def __init__(self, severity: int) -> None:
            self.severity = severity

    class IRuntimeCache:
        def __init__(self) -> None:
            self.content = b""

        def serialize(self) -> bytes:
            return self.content or b"compiled kernels"

        def deserialize(self, content: bytes) -> bool:
            self.content = content
            machine.caches_read.append(content)
            return True

    class IRuntimeConfig:
        cuda_graph_strategy = CudaGraphStrategy.DISABLED
        dynamic_shapes_kernel_specialization_strategy = (
            DynamicShapesKernelSpecializationStrategy.LAZY
        )

        def create_runtime_cache(self) -> IRuntimeCache:
            return IRuntimeCache()

        def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
            self.cache = cache
            return True

    class IExecutionContext:
        def __init__(self, session: Any, lazy: bool, needs_scratch: bool) -> None:
            self.session = session
            self.lazy = lazy
            self.needs_scratch = needs_scratch
            self.scratch = 0, 0
            self.compiled: list[Any] = []
            self.shapes: dict[str, tuple[int, ...]] = {}
            self.addresses: dict[str, int] = {}
            self.captured: Any = None
            self.changes = 0

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            limits = MAX_SHAPES[name]
            if len(shape) != len(limits) or any(a > b for a, b in zip(shape, limits, strict=True)):
                return False
            self.changes += 1
            self.shapes[name] = tuple(shape)
            return True

        def set_tensor_address(self, name: str, address: int) -> bool:
            if address % 256:  # and what was bound before stays
                return False
            self.changes += 1
            self.addresses[name] = address
            return True

        def update_device_memory_size_for_shapes(self) -> int:
            return 100 * int(np.prod(self.get_tensor_shape("frames")))

        def set_device_memory(self, memory: int, size: int) -> None:
            self.changes += 1
            self.scratch = memory, size

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            assert name == "frames"
            return (self.shapes["t"][0], *self.shapes["frame0"][1:])

        def execute_async_v3(self, handle: int) -> bool:
            machine.check_current()
            machine.executing()
            if machine.fail_execution:
                return False
            changes = self.changes
            machine.streams[handle].unchanged = lambda: self.changes == changes
            shapes, addresses = dict(self.shapes), dict(self.addresses)
            scratch, size = self.scratch
            needed = self.update_device_memory_size_for_shapes() if self.needs_scratch else 0
            assert size >= needed, f"it was given {size} bytes for what it computes, not {needed}"
            if (shapes, addresses) != self.captured:
                machine.captures.append(tuple(addresses.values()))
                self.captured = shapes, addresses
            stands_in = self.lazy and shapes not in self.compiled
            self.compiled.append(shapes)  # the kernels for these, by the next run
            frames = self.get_tensor_shape("frames")

            def work() -> None:
                inputs = {}
                for node in self.session.get_inputs():
                    dtype = np.uint8 if "uint8" in node.type else np.float32
                    count = int(np.prod(shapes[node.name]))
                    memory = machine.at(addresses[node.name])
                    # Copied, as a kernel would have read it by now.
                    array = memory[: count * np.dtype(dtype).itemsize].view(dtype).copy()
                    inputs[node.name] = array.reshape(shapes[node.name])
                with np.errstate(all="ignore"):
                    (result,) = self.session.run(["frames"], inputs)
                assert result.shape == frames
                if needed:
                    machine.at(scratch)[:needed] = 0
                if stands_in:  # with other kernels, which round otherwise
                    result = result * np.float32(1.01)
                raw = np.ascontiguousarray(result).view(np.uint8).ravel()
                machine.at(addresses["frames"])[: raw.size] = raw

            machine.streams[handle].put(work)
            return True

    class ICudaEngine:
        def __init__(self, plan: bytes) -> None:
            self.session = _session(plan)
            self.nodes = [*self.session.get_inputs(), *self.session.get_outputs()]

        @property
        def num_io_tensors(self) -> int:
            return len(self.nodes)

        def get_tensor_name(self, index: int) -> str:
            return str(self.nodes[index].name)

        def _node(self, name: str) -> Any:
            return next(node for node in self.nodes if node.name == name)

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return tuple(size if isinstance(size, int) else -1 for size in self._node(name).shape)

        def get_tensor_dtype(self, name: str) -> DataType:
            return DataType.UINT8 if "uint8" in self._node(name).type else DataType.FLOAT

        def get_tensor_mode(self, name: str) -> TensorIOMode:
            return TensorIOMode.OUTPUT if name == "frames" else TensorIOMode.INPUT

        def create_runtime_config(self) -> IRuntimeConfig:
            assert rtx
            return IRuntimeConfig()

        def create_execution_context(self, config: Any) -> IExecutionContext | None:
            machine.check_current()
            managed = config is ExecutionContextAllocationStrategy.USER_MANAGED
            if rtx:
                assert config.cuda_graph_strategy is CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
            machine.allocations += 1
            if machine.allocations - 1 == machine.fail_allocation:
                return None
            machine.contexts += 1
            eager = DynamicShapesKernelSpecializationStrategy.EAGER
            return IExecutionContext(
                self.session,
                rtx and config.dynamic_shapes_kernel_specialization_strategy is not eager,
                managed,
            )

    class Runtime:
        def __init__(self, _logger: Logger) -> None:
            machine.check_current()

            self.engine_host_code_allowed = False
            machine.runtimes.append(self)

        def deserialize_cuda_engine(self, plan: bytes) -> ICudaEngine | None:
            return None if plan == b"from another world" else ICudaEngine(plan)

    def nptype(dtype: DataType) -> Any:
        return dtype.value

    module: Any = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None, origin="simulated")
    module.__version__ = version
    for public, value in list(locals().items()):
        if public in NAMES or public in RTX_NAMES or public == "nptype":
            setattr(module, public, value)
    return module  # type: ignore[no-any-return]


# Every name that is offered above, for the test that holds it against the real classes. Those of
# RTX alone are marked, classic TensorRT has none of them.
NAMES: dict[str, set[str]] = {
    "TensorIOMode": {"INPUT", "OUTPUT"},
    "Logger": {"ERROR"},
    "Runtime": {"deserialize_cuda_engine", "engine_host_code_allowed"},
    "ICudaEngine": {
        "num_io_tensors",
        "get_tensor_name",
        "get_tensor_shape",
        "get_tensor_dtype",
        "get_tensor_mode",
        "create_execution_context",
    },
    "IExecutionContext": {
        "set_input_shape",
        "set_tensor_address",
        "get_tensor_shape",
        "update_device_memory_size_for_shapes",
        "set_device_memory",
        "execute_async_v3",
    },
    "DataType": {"FLOAT", "UINT8"},
    "ExecutionContextAllocationStrategy": {"STATIC", "ON_PROFILE_CHANGE", "USER_MANAGED"},
}
RTX_NAMES: dict[str, set[str]] = {
    "IRuntimeConfig": {
        "create_runtime_cache",
        "set_runtime_cache",
        "cuda_graph_strategy",
        "dynamic_shapes_kernel_specialization_strategy",
    },
    "DynamicShapesKernelSpecializationStrategy": {"LAZY", "EAGER", "NONE"},
    "IRuntimeCache": {"serialize", "deserialize"},
    "CudaGraphStrategy": {"DISABLED", "WHOLE_GRAPH_CAPTURE"},
    "ICudaEngine": {"create_runtime_config"},
}
