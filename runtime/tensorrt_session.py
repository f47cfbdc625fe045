"""Engines run by TensorRT or TensorRT-RTX, on device memory of ours."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .device import DeviceTensor, Gpu, Lane, compute_capability
from .errors import ArtifactError, BackendError, FrameError
from .manifest import Manifest, read_plan
from .session import Backend, Lease, Session
from .tensorrt_library import check_gpu, import_for
from .tensorrt_resources import Resources

_ALIGNMENT = 256  # of device memory, bytes, as TensorRT asks for


class TensorRTSession(Session):
    """See `Session`. Calls and streams that go on at the same time have a lane each.

    Close it when no call is under way in another thread; what is forgotten is freed when it is
    collected, or at exit.

    Args:
        path: the engine; its manifest lies beside it.
        device: index of the GPU.
    """

    runs_ahead = 1

    def __init__(self, path: Path, *, device: int = 0) -> None:
        manifest = Manifest.load(path)
        trt = import_for(manifest, path)
        capability = compute_capability(device)
        check_gpu(manifest, capability, path)
        plan = read_plan(path, manifest)
        self.metadata = manifest.metadata
        self._manifest, self._path, self._trt = manifest, path, trt
        frames = dict.fromkeys(("frame0", "frame1", "frames"), np.dtype(self.metadata.io))
        self._dtypes = {**frames, **dict.fromkeys(("t", "window"), np.dtype(np.float32))}
        gpu = Gpu(device)
        self.backend = Backend(trt.__name__, str(trt.__version__), gpu.name)
        self._held = Resources(gpu, path.with_name(f"{path.name}.sm{capability}.cache"))
        self._finalizer = weakref.finalize(self, self._held.free)
        try:
            with gpu.current():
                self._load(plan)
        except BaseException:
            self.close()
            raise

    def _load(self, plan: bytes) -> None:
        trt, held = self._trt, self._held
        log = trt.Logger(trt.Logger.ERROR)
        try:
            held.runtime = trt.Runtime(log)
        except (RuntimeError, TypeError) as error:
            raise BackendError(f"{self.backend} does not start here: {error}") from error
        if self._manifest.version_compatible:
            # Such a plan carries code for the host; its manifest has vouched for it.
            held.runtime.engine_host_code_allowed = True
        held.engine = engine = held.runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise ArtifactError(
                f"{self._path}: {trt.__name__} {trt.__version__} does not load it; build it again "
                "on this machine"
            )
        if self._manifest.target == "rtx":
            held.config = engine.create_runtime_config()
            held.cache = held.config.create_runtime_cache()
            if held.cache_path.is_file():
                held.cache.deserialize(held.cache_path.read_bytes())
            held.config.set_runtime_cache(held.cache)
            held.config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        found = {name: np.dtype(trt.nptype(engine.get_tensor_dtype(name))) for name in names}
        if found != self._dtypes:
            raise ArtifactError(
                f"{self._path}: its tensors are {_listed(found)}; by its manifest they are "
                f"{_listed(self._dtypes)}; build it again"
            )

    @contextlib.contextmanager
    def lease(self) -> Iterator[Lease]:
        """See `Session.lease`."""
        with self._lane() as lane:
            yield _LaneLease(self, lane)

    def run_on_device(self, tensors: Mapping[str, Any]) -> DeviceTensor:
        """See `Session.run_on_device`."""
        with self._lane() as lane, self.open():
            if any(_may_be_filling(tensor) for tensor in tensors.values()):
                self._held.gpu.settle()
            frames, _inputs = self.enqueue(lane, tensors)
            lane.compute.synchronize()
            return frames

    def enqueue(self, lane: Lane, tensors: Mapping[str, Any]) -> tuple[DeviceTensor, list[Any]]:
        """Begin inference, in as many runs as the times need.

        Return its output, and the inputs to be kept until it is done.
        """
        times = tensors["t"]
        at_once = self._manifest.profile.max_times
        inputs: list[Any] = []
        try:
            for name in ("frame0", "frame1", "window"):
                inputs.append(self._set_input(lane, name, tensors[name]))
            # Uploads are in order, so that one wait serves all that went before.
            for other in {tensor.lane for tensor in inputs if isinstance(tensor, DeviceTensor)}:
                lane.await_uploads(other)
            (_, *size), _ = self._bound("frame0", inputs[0])
            frames = DeviceTensor(lane, (len(times), *size), self._dtypes["frames"])
            for first in range(0, len(times), at_once):
                inputs.append(self._set_input(lane, "t", times[first : first + at_once]))
                # Frames are whole multiples of the alignment, being so many pixels.
                offset = first * (frames.nbytes // len(times))
                self._bind(lane.execution, "frames", frames.buffer.device.address + offset)
                if not lane.execution.execute_async_v3(lane.compute.handle):
                    raise BackendError(
                        f"{self.backend} failed to run {self._path}; its log says why"
                    )
        except BaseException:
            lane.settle()  # before the inputs' memory is used again
            raise
        return frames, inputs

    def _set_input(self, lane: Lane, name: str, tensor: Any) -> Any:
        """Let the next run take an input, uploaded unless it is on the device; return it there."""
        if isinstance(tensor, np.ndarray):
            tensor = DeviceTensor.uploaded(lane, tensor)
        shape, address = self._bound(name, tensor)
        if not lane.execution.set_input_shape(name, shape):
            raise FrameError(self._out_of_profile(name, shape))
        self._bind(lane.execution, name, address)
        return tensor

    def _bound(self, name: str, tensor: Any) -> tuple[tuple[int, ...], int]:
        """Return the shape and address of a device array, checked."""
        array, dtype = tensor.__cuda_array_interface__, self._dtypes[name]
        if np.dtype(array["typestr"]) != dtype or array.get("strides") is not None:
            raise FrameError(
                f"{name} on the device is {array['typestr']}, strides {array.get('strides')}; "
                f"{self._path} takes {dtype}, C-contiguous (strides None)"
            )
        shape = tuple(array["shape"])
        return ((1, *shape) if len(shape) == 3 else shape), array["data"][0]

    def _bind(self, execution: Any, name: str, address: int) -> None:
        # A refused address leaves the one before in place, and so the frames of another call.
        if not execution.set_tensor_address(name, address):
            raise FrameError(
                f"{name} on the device begins at {address:#x}, which {self.backend.library} does "
                f"not take; expected a multiple of {_ALIGNMENT} bytes: give a copy of it"
            )

    def close(self) -> None:
        """See `Session.close`."""
        self._finalizer()

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Make the GPU's context current; BackendError where the session is closed."""
        if not self._finalizer.alive:
            raise BackendError("the session is closed; open the engine again")
        with self._held.gpu.current():
            yield

    @contextlib.contextmanager
    def _lane(self) -> Iterator[Lane]:
        """Lend a lane; where the block fails, what is under way on it is waited for."""
        with self.open():
            lane = self._held.lend(self._execution_context)
        try:
            yield lane
        except BaseException:
            with contextlib.suppress(BackendError):  # the caller's own error is the one to hear of
                self._take_back(lane, settle=True)
            raise
        self._take_back(lane, settle=False)

    def _take_back(self, lane: Lane, *, settle: bool) -> None:
        if self._finalizer.alive:  # else it is freed already
            with self._held.gpu.current():
                if settle:
                    lane.settle()
                self._held.take_back(lane)

    def _execution_context(self) -> Any:
        held = self._held
        config = () if held.config is None else (held.config,)
        context = held.engine.create_execution_context(*config)
        if context is None:
            raise BackendError(
                f"{self._path}: the GPU has no memory for it; build it for smaller frames or "
                "fewer times"
            )
        return context

    def _out_of_profile(self, name: str, shape: tuple[int, ...]) -> str:
        profile = self._manifest.profile
        lower, upper = ("x".join(map(str, size)) for size in (profile.min_size, profile.max_size))
        return (
            f"{name} has shape {tuple(shape)}; {self._path} takes frames from {lower} to "
            f"{upper}; build it for larger ones"
        )


def _listed(dtypes: Mapping[str, np.dtype[Any]]) -> str:
    return ", ".join(f"{name} {dtype}" for name, dtype in sorted(dtypes.items()))


def _may_be_filling(tensor: Any) -> bool:
    """Say whether someone else's work on a device array may still be under way.

    From version 3 on the interface names the stream to wait for, or None; before, nothing.
    """
    array = getattr(tensor, "__cuda_array_interface__", None)
    return array is not None and (array["version"] < 3 or array.get("stream") is not None)


class _LaneLease(Lease):
    def __init__(self, session: TensorRTSession, lane: Lane) -> None:
        self._trt_session, self._lane = session, lane

    def prepare(self, array: NDArray[Any]) -> DeviceTensor:
        with self._trt_session.open():
            return DeviceTensor.uploaded(self._lane, array)

    def start(self, tensors: Mapping[str, Any]) -> Callable[[], dict[str, NDArray[Any]]]:
        lane = self._lane
        with self._trt_session.open():
            frames, inputs = self._trt_session.enqueue(lane, tensors)
            lane.download(frames.buffer, frames.nbytes)
            done = lane.record(lane.compute)

        def finish() -> dict[str, NDArray[Any]]:
            with self._trt_session.open():
                done.synchronize()
            lane.give_event(done)
            inputs.clear()  # until now they were in use
            return {"frames": frames.buffer.view(frames.shape, frames.dtype).copy()}

        return finish
