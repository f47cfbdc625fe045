"""Engines run by TensorRT or TensorRT-RTX, with PyCUDA's device memory."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .device import Gpu, Lane, compute_capability, record
from .errors import ArtifactError, BackendError, FrameError
from .manifest import Manifest, read_plan
from .session import Session, TensorSpec

_MODULES = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}
_AMPERE = 80


class DeviceTensor:
    """An array on the device, as other libraries take it: see `__cuda_array_interface__`.

    Its memory is used again when nobody refers to it any more.

    Attributes:
        shape, dtype: of the array, C-contiguous.
    """

    def __init__(self, lane: Lane, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype = shape, dtype
        self.nbytes = int(np.prod(shape)) * dtype.itemsize
        self.buffer = lane.take(self.nbytes)
        self.lane = lane

    @classmethod
    def uploaded(cls, lane: Lane, array: NDArray[Any]) -> DeviceTensor:
        """Start copying an array to the device."""
        tensor = cls(lane, array.shape, array.dtype)
        # Times and window are too small to overlap with anything.
        lane.upload(tensor.buffer, array, lane.compute if array.ndim == 1 else lane.transfer)
        return tensor

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (int(self.buffer.device), False),
            "strides": None,
            "version": 3,
        }

    def __del__(self) -> None:
        if hasattr(self, "lane"):  # else there was no memory to take
            self.lane.give(self.buffer)


class TensorRTSession(Session):
    """See `Session`. Each thread gets an execution context and streams of its own.

    Args:
        path: the engine; its manifest lies beside it.
        device: index of the GPU.
    """

    runs_ahead = 1

    def __init__(self, path: Path, *, device: int = 0) -> None:
        manifest = Manifest.load(path)
        trt = _module(manifest, path)
        _check_gpu(manifest, compute_capability(device), path)
        plan = read_plan(path, manifest)
        self.metadata = manifest.metadata
        self.max_times = manifest.profile.max_times
        self._manifest, self._path, self._trt = manifest, path, trt
        self._lock, self._local = threading.Lock(), threading.local()
        self._lanes: list[Lane] = []
        self._gpu: Gpu | None = Gpu(device)
        self._runtime: Any = None
        self._engine: Any = None
        self._config: Any = None
        self._cache: Any = None
        try:
            with self._gpu.current():
                self._load(plan)
        except BaseException:
            self.close()
            raise
        self.backend = f"{trt.__name__} {trt.__version__} {self._gpu.name}"

    def _load(self, plan: bytes) -> None:
        trt = self._trt
        log = trt.Logger(trt.Logger.ERROR)
        self._runtime = trt.Runtime(log)
        self._engine = engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise ArtifactError(
                f"{self._path}: {trt.__name__} {trt.__version__} does not load it; build it again "
                "on this machine: rrin-deploy build"
            )
        if self._manifest.target == "rtx":
            self._config = engine.create_runtime_config()
            self._cache = self._config.create_runtime_cache()
            if self._cache_path.is_file():
                self._cache.deserialize(self._cache_path.read_bytes())
            self._config.set_runtime_cache(self._cache)
            self._config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        specs: dict[Any, dict[str, TensorSpec]] = {
            trt.TensorIOMode.INPUT: {},
            trt.TensorIOMode.OUTPUT: {},
        }
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            shape = tuple(None if size < 0 else size for size in engine.get_tensor_shape(name))
            dtype = np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
            specs[engine.get_tensor_mode(name)][name] = TensorSpec(dtype, shape)
        self.inputs, self.outputs = specs.values()

    def run(self, tensors: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """See `Session.run`."""
        return self.start(tensors)()

    def prepare(self, array: NDArray[Any]) -> DeviceTensor:
        """See `Session.prepare`."""
        with self._current() as lane:
            return DeviceTensor.uploaded(lane, array)

    def start(self, tensors: Mapping[str, Any]) -> Callable[[], dict[str, NDArray[Any]]]:
        """See `Session.start`."""
        with self._current() as lane:
            frames, inputs = self._enqueue(lane, tensors)
            lane.download(frames.buffer, frames.nbytes)
            done = record(lane.compute)

        def finish() -> dict[str, NDArray[Any]]:
            with self._current():
                done.synchronize()
            inputs.clear()  # until now they were in use
            return {"frames": frames.buffer.view(frames.shape, frames.dtype).copy()}

        return finish

    def run_on_device(self, tensors: Mapping[str, Any]) -> DeviceTensor:
        """See `Session.run_on_device`."""
        with self._current() as lane:
            if any(_interface(tensor).get("stream") for tensor in tensors.values()):
                self._gpu_here().settle()  # whoever filled them may not have finished
            frames, _inputs = self._enqueue(lane, tensors)
            lane.compute.synchronize()
            return frames

    def _enqueue(self, lane: Lane, tensors: Mapping[str, Any]) -> tuple[DeviceTensor, list[Any]]:
        """Begin inference; return its output, and the inputs to be kept until it is done."""
        inputs: list[Any] = []
        execution = lane.execution
        try:
            for name, tensor in tensors.items():
                if isinstance(tensor, np.ndarray):
                    tensor = DeviceTensor.uploaded(lane, tensor)
                inputs.append(tensor)
                shape, address = self._bound(name, tensor)
                if not execution.set_input_shape(name, shape):
                    raise FrameError(self._out_of_profile(name, shape))
                execution.set_tensor_address(name, address)
            shape = tuple(execution.get_tensor_shape("frames"))
            frames = DeviceTensor(lane, shape, self.outputs["frames"].dtype)
            execution.set_tensor_address("frames", int(frames.buffer.device))
            # Uploads are in order, so that one wait serves all that went before.
            for other in {tensor.lane for tensor in inputs if isinstance(tensor, DeviceTensor)}:
                lane.compute.wait_for_event(record(other.transfer))
            if not execution.execute_async_v3(lane.compute.handle):
                raise BackendError(f"{self.backend} failed to run {self._path}; its log says why")
        except BaseException:
            lane.settle()  # before the inputs' memory is used again
            raise
        return frames, inputs

    def _bound(self, name: str, tensor: Any) -> tuple[tuple[int, ...], int]:
        """Return the shape and address of a device array, checked."""
        array, spec = tensor.__cuda_array_interface__, self.inputs[name]
        if np.dtype(array["typestr"]) != spec.dtype or array.get("strides") is not None:
            raise FrameError(
                f"{name} on the device is {array['typestr']}, strides {array.get('strides')}; "
                f"{self._path} takes {spec.dtype}, C-contiguous (strides None)"
            )
        shape = tuple(array["shape"])
        return (shape if len(shape) == len(spec.shape) else (1, *shape)), array["data"][0]

    def close(self) -> None:
        """See `Session.close`."""
        if self._gpu is None:
            return
        gpu, self._gpu = self._gpu, None
        try:
            with gpu.current():
                self._save_cache()
                for lane in self._lanes:
                    lane.free()
                self._lanes.clear()
                self._cache = self._config = self._engine = self._runtime = None
        finally:
            gpu.close()

    @contextlib.contextmanager
    def _current(self) -> Iterator[Lane]:
        """Make the context current and yield this thread's lane."""
        with self._gpu_here().current():
            lane = getattr(self._local, "lane", None)
            if lane is None:
                # Contexts of one engine may run side by side, but not be made so.
                with self._lock:
                    lane = Lane()
                    self._lanes.append(lane)
                    lane.execution = self._execution_context()
                self._local.lane = lane
            yield lane

    def _gpu_here(self) -> Gpu:
        if self._gpu is None:
            raise BackendError("the session is closed; open the engine again")
        return self._gpu

    def _execution_context(self) -> Any:
        config = () if self._config is None else (self._config,)
        context = self._engine.create_execution_context(*config)
        if context is None:
            raise BackendError(
                f"{self._path}: the GPU has no memory for it; build it for smaller frames or "
                "fewer times: rrin-deploy build --max-shape ... --max-times ..."
            )
        return context

    @property
    def _cache_path(self) -> Path:
        return self._path.with_name(self._path.name + ".cache")

    def _save_cache(self) -> None:
        """Keep the kernels that RTX compiled for this GPU, so that the next start is quick."""
        if self._cache is None:
            return
        with contextlib.suppress(OSError):  # a read-only folder costs only that next start
            partial = self._cache_path.with_name(self._cache_path.name + ".partial")
            partial.write_bytes(bytes(self._cache.serialize()))
            partial.replace(self._cache_path)

    def _out_of_profile(self, name: str, shape: tuple[int, ...]) -> str:
        profile = self._manifest.profile
        lower, upper = ("x".join(map(str, size)) for size in (profile.min_size, profile.max_size))
        return (
            f"{name} has shape {tuple(shape)}; {self._path} takes frames from {lower} to {upper} "
            f"and up to {profile.max_times} times: build it for these with --max-shape, --max-times"
        )


def _module(manifest: Manifest, path: Path) -> Any:
    name = _MODULES[manifest.target]
    try:
        trt = importlib.import_module(name)
    except ImportError as error:
        raise BackendError(
            f"{path}: is a {name} {manifest.version} engine, and {name} cannot be imported "
            f"({error}); install it, or build for another target: rrin-deploy build --target"
        ) from error
    theirs, ours = manifest.version, str(trt.__version__)
    newer = _numbers(ours)[0] == _numbers(theirs)[0] and _numbers(ours) >= _numbers(theirs)
    if theirs != ours and not (manifest.version_compatible and newer):
        raise ArtifactError(
            f"{path}: was built by {name} {theirs}, here is {ours}; build it again with this "
            "version: rrin-deploy build"
            + ("" if manifest.target == "rtx" else ", or once with --version-compatible")
        )
    return trt


def _check_gpu(manifest: Manifest, here: int, path: Path) -> None:
    built_for = manifest.compute_capabilities
    fits = here in built_for or (manifest.hardware_compatible and here >= _AMPERE)
    if not fits:
        listed = ", ".join(f"SM{capability}" for capability in built_for)
        raise ArtifactError(
            f"{path}: was built for {listed}, this GPU is SM{here}; build it again here, or with "
            f"--target rtx --sm {here}"
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _interface(tensor: Any) -> Mapping[str, Any]:
    return getattr(tensor, "__cuda_array_interface__", {})
