"""A double of TensorRT, for cards that it does not run on: a session cannot tell them apart.

All that a session does is real then: streams, events, page-locked copies, addresses and lifetimes.
Only the engine is another: whatever works on a stream and on addresses, such as PyTorch's RRIN.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx

from runtime.bundled import BUNDLED_MODEL
from runtime.manifest import Manifest, Profile, manifest_path
from runtime.metadata import Io, Metadata

VERSION = "0.0.0"
MAX_TIMES = 2  # a run, so that three times take two runs
_SIZES = (32, 32), (512, 512), (4096, 4096)


@dataclass(frozen=True)
class Binding:
    """Where a tensor lies in the GPU's memory."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        data = self.address, False
        return {"shape": self.shape, "typestr": self.dtype.str, "data": data, "version": 2}


# Begins a run on a stream, by its handle, and on frame0, frame1, window, t and frames; says whether
# it could.
Execute = Callable[[int, Mapping[str, Binding]], bool]


def dtypes_of(model: onnx.ModelProto) -> dict[str, np.dtype[Any]]:
    """Return the dtypes of a model's inputs and of its output, as its metadata has them."""
    properties = {each.key: each.value for each in model.metadata_props}
    io = Metadata.from_properties(properties, "the double's plan").io
    frames = dict.fromkeys(("frame0", "frame1", "frames"), np.dtype(io))
    return {**frames, **dict.fromkeys(("t", "window"), np.dtype(np.float32))}


class _Context:
    def __init__(self, execute: Execute, dtypes: Mapping[str, np.dtype[Any]]) -> None:
        self._execute, self._dtypes = execute, dtypes
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._shapes[name] = tuple(shape)
        return name != "t" or shape[0] <= MAX_TIMES

    def set_tensor_address(self, name: str, address: int) -> bool:
        if address % 256:
            return False
        self._addresses[name] = address
        return True

    def update_device_memory_size_for_shapes(self) -> int:
        return 1

    def set_device_memory(self, memory: int, size: int) -> None:
        pass

    def execute_async_v3(self, handle: int) -> bool:
        shapes = self._shapes | {"frames": (*self._shapes["t"], *self._shapes["frame0"][1:])}
        bindings = {
            name: Binding(self._addresses[name], shapes[name], dtype)
            for name, dtype in self._dtypes.items()
        }
        return self._execute(handle, bindings)


class _Engine:
    def __init__(self, plan: bytes, load: Callable[[onnx.ModelProto], Execute]) -> None:
        model = onnx.load_from_string(plan)
        self._execute, self._dtypes = load(model), dtypes_of(model)
        self.num_io_tensors = len(self._dtypes)

    def get_tensor_name(self, index: int) -> str:
        return list(self._dtypes)[index]

    def get_tensor_dtype(self, name: str) -> np.dtype[Any]:
        return self._dtypes[name]

    def create_execution_context(self, strategy: object) -> _Context:  # noqa: ARG002 - has no scratch
        return _Context(self._execute, self._dtypes)


class _Strategy(Enum):
    USER_MANAGED = 2


class _Logger:
    ERROR = 1

    def __init__(self, severity: int) -> None:
        pass


@contextmanager
def double_of_tensorrt(load: Callable[[onnx.ModelProto], Execute]) -> Iterator[None]:
    """Let sessions that are opened in the block take the double for TensorRT.

    Args:
        load: makes of a plan, which is a model, what executes it.
    """

    class Runtime:
        def __init__(self, log: _Logger) -> None:
            pass

        def deserialize_cuda_engine(self, plan: bytes) -> _Engine:
            return _Engine(plan, load)

    module: Any = ModuleType("double of TensorRT")
    module.__spec__ = ModuleSpec("tensorrt", None, origin=__name__)
    module.__version__ = VERSION
    module.nptype, module.Logger, module.Runtime = np.dtype, _Logger, Runtime
    module.ExecutionContextAllocationStrategy = _Strategy
    real = sys.modules.get("tensorrt")
    sys.modules["tensorrt"] = module
    try:
        yield
    finally:
        del sys.modules["tensorrt"]
        if real is not None:
            sys.modules["tensorrt"] = real


def write_engine(folder: Path, io: Io, compute_capability: int) -> Path:
    """Write the bundled model as an engine of the double; return its path."""
    model = onnx.load(BUNDLED_MODEL)
    properties = {each.key: each.value for each in model.metadata_props} | {"rrin.io": io}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, properties)
    plan = model.SerializeToString()
    digest = hashlib.sha256(plan).hexdigest()
    manifest = Manifest(
        target="tensorrt",
        version=VERSION,
        compute_capabilities=(compute_capability,),
        version_compatible=False,
        hardware_compatible=False,
        profile=Profile(*_SIZES, max_times=MAX_TIMES),
        census={},
        metadata=Metadata.from_properties(properties, str(BUNDLED_MODEL)),
        plan_sha256=digest,
        onnx_sha256=digest,
        context_bytes=None,
        options={},
        seconds=0,
    )
    engine = folder / f"double.{io}.engine"
    engine.write_bytes(plan)
    manifest_path(engine).write_bytes(manifest.to_bytes())
    return engine
