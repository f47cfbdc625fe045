"""Engines run by TensorRT or TensorRT-RTX, on device memory of ours."""

from __future__ import annotations

import contextlib
import dataclasses
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .device import Gpu, Lane, compute_capability
from .device_frames import DeviceFrame
from .device_tensors import DeviceTensor, HostTensor
from .errors import ArtifactError, BackendError, FrameError
from .frames import DeviceArray, DLPackArray, two_sizes
from .manifest import Manifest, read_plan
from .session import Backend, Lease, Session
from .tensorrt_library import check_gpu, check_trust, import_for
from .tensorrt_resources import Resources
from .tiles import Extent, Tiling

Frames = TypeVar("Frames", HostTensor, DeviceTensor)  # where the caller wants them


class TensorRTSession(Session):
    """See `Session`. Calls and streams that go on at the same time have a lane each.

    Close it when no call is under way in another thread; what is forgotten is freed when it is
    collected, or at exit.

    Args:
        path: the engine; its manifest lies beside it.
        device: index of the GPU.
        trusted: whether the code in a version-compatible engine may run.
    """

    runs_ahead = 1

    def __init__(self, path: Path, *, device: int = 0, trusted: bool = False) -> None:
        manifest = Manifest.load(path)
        if manifest.planes:
            raise ArtifactError(
                f"{path}: is for vs-mlrt's plugins in VapourSynth, and takes planes; build one for "
                f"target {manifest.target}"
            )
        check_trust(manifest, path, trusted=trusted)
        trt = import_for(manifest, path)
        capability = compute_capability(device)
        check_gpu(manifest, capability, path)
        plan = read_plan(path, manifest)
        self.metadata = manifest.metadata
        self.extent = Extent(manifest.profile.min_size, manifest.profile.max_size)
        self._manifest, self._path = manifest, path
        self._dtype = np.dtype(self.metadata.io)
        gpu = Gpu(device)
        self.backend = Backend(trt.__name__, str(trt.__version__), gpu.name, cuda_graphs=True)
        self._held = Resources(trt, gpu, path, capability)
        self._finalizer = weakref.finalize(self, self._held.free)
        try:
            with gpu.current():
                self._held.load(plan, manifest)
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def lease(self) -> Iterator[Lease]:
        """See `Session.lease`."""
        with self._lane() as lane:
            yield _LaneLease(self, lane)

    def run_on_device(
        self,
        frame0: DeviceArray | DLPackArray,
        frame1: DeviceArray | DLPackArray,
        times: NDArray[np.float32],
        tiling: Tiling,
    ) -> DeviceTensor:
        """See `Session.run_on_device`."""
        with self._lane() as lane, self.open():
            given = {"frame0": frame0, "frame1": frame1}
            pair = {
                name: DeviceFrame.of(frame, name, self._held.gpu, lane)
                for name, frame in given.items()
            }
            shape0, shape1 = (frame.shape for frame in pair.values())
            if shape0 != shape1:
                raise two_sizes(shape0, shape1)
            height, width, _ = pair["frame0"].padded_shape
            layout = tiling.layout(width, height)
            frames = DeviceTensor(lane, (len(times), *shape0), self._dtype)
            under_way = []
            for tile in layout.tiles:
                pieces = {name: frame.cut(tile) for name, frame in pair.items()}
                tensors = {**pieces, "t": times, "window": layout.window(tile)}
                made, inputs = self.enqueue(lane, tensors, DeviceTensor)
                frames.put(tile, made)
                under_way.append(inputs)
            lane.compute.synchronize()
            return frames

    def enqueue(
        self, lane: Lane, tensors: Mapping[str, Any], kind: type[Frames]
    ) -> tuple[Frames, list[Any]]:
        """Begin inference, in as many runs as the times need.

        Return its output, and the inputs to be kept until it is done.
        """
        times = tensors["t"]
        # As even as can be: a graph that was captured fits one number of times.
        at_once = -(-len(times) // -(-len(times) // self._manifest.profile.max_times))
        inputs: list[Any] = []
        try:
            shape: tuple[int, ...] = self._take_pair(lane, tensors, inputs)
            self._take_numbers(lane, "window", tensors["window"], inputs)
            frames = kind(lane, (len(times), *shape), self._dtype)
            made_bytes = int(np.prod(shape)) * self._dtype.itemsize
            for first in range(0, len(times), at_once):
                few = times[first : first + at_once]
                self._take_numbers(lane, "t", few, inputs)
                made = lane.execution.output(len(few) * made_bytes)
                if not lane.execution.run():
                    raise BackendError(
                        f"{self.backend} failed to run {self._path}; its log says why"
                    )
                frames.receive(made, first, len(few))
        except BaseException:
            lane.settle()  # before the inputs' memory is used again
            raise
        return frames, inputs

    def _take_pair(
        self, lane: Lane, tensors: Mapping[str, Any], inputs: list[Any]
    ) -> tuple[int, ...]:
        """Let the next runs take two frames, uploaded unless they are there.

        Return their shape, padded.
        """
        for name in ("frame0", "frame1"):
            given = tensors[name]
            uploads = isinstance(given, np.ndarray)
            inputs.append(DeviceTensor.uploaded(lane, given) if uploads else given)
        # Uploads are in order, so that one wait serves all that went before. What another lane made
        # was waited for before it was given out.
        lane.await_uploads()
        for name, given in zip(("frame0", "frame1"), inputs, strict=True):
            frame = given.frame if isinstance(given, DeviceTensor) else given
            if frame.dtype != self._dtype:
                raise FrameError(f"{name} is {frame.dtype}; {self._path} takes {self._dtype}")
            shape = frame.padded_shape
            if not self.extent.takes(shape[1], shape[0]):
                raise FrameError(
                    f"{name} has shape {shape}; {self._path} takes frames of "
                    f"{self._manifest.profile.sizes}; build it for others"
                )
            nbytes = int(np.prod(shape)) * self._dtype.itemsize
            target = lane.execution.input(name, (1, *shape), nbytes)
            frame.copy_padded(target.address, lane.compute)
        return shape

    def _take_numbers(
        self, lane: Lane, name: str, array: NDArray[np.float32], inputs: list[Any]
    ) -> None:
        """Let the next run take times or a window, which are too small to overlap with anything."""
        inputs.append(HostTensor.of(lane, array))
        memory = lane.execution.input(name, array.shape, array.nbytes)
        inputs[-1].send(memory, lane.compute)

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
            lane = self._held.lend()
        try:
            yield lane
        except BaseException:
            with contextlib.suppress(BackendError):  # the caller's own error is the one to hear of
                self._take_back(lane, settle=True)
            raise
        self._take_back(lane, settle=False)

    def _take_back(self, lane: Lane, *, settle: bool) -> None:
        if self._finalizer.alive:  # else it is freed already
            if not lane.execution.uses_graphs:
                self.backend = dataclasses.replace(self.backend, cuda_graphs=False)
            with self._held.gpu.current():
                if settle:
                    lane.settle()
                self._held.take_back(lane)


class _LaneLease(Lease):
    def __init__(self, session: TensorRTSession, lane: Lane) -> None:
        self._trt_session, self._lane = session, lane

    def prepare(self, array: NDArray[Any]) -> DeviceTensor:
        with self._trt_session.open():
            return DeviceTensor.uploaded(self._lane, array)

    def start(self, tensors: Mapping[str, Any]) -> Callable[[], dict[str, NDArray[Any]]]:
        lane = self._lane
        with self._trt_session.open():
            frames, inputs = self._trt_session.enqueue(lane, tensors, HostTensor)
            done = lane.record(lane.compute)

        def finish() -> dict[str, NDArray[Any]]:
            with self._trt_session.open():
                done.synchronize()
            lane.give_event(done)
            inputs.clear()  # until now they were in use
            return {"frames": frames.array.copy()}

        return finish
