"""What a session of TensorRT holds, and in what order it is freed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .device import Gpu, Lane
from .errors import ArtifactError, BackendError
from .manifest import Manifest
from .publishing import Publication
from .tensorrt_execution import Execution
from .tensorrt_library import load_engine


class Resources:
    """What a session holds: lanes, lent to calls and streams, and all that they need.

    Everything is freed in the one order that is right.
    """

    def __init__(self, trt: Any, gpu: Gpu, path: Path, capability: int) -> None:
        self.gpu = gpu
        self._trt, self._path = trt, path
        self._cache_path = path.with_name(f"{path.name}.sm{capability}.cache")
        self._runtime: Any = None
        self._engine: Any = None
        self._allocation: Any = None
        self._by_itself = True
        self._cache: Any = None
        self._lanes: list[Lane] = []
        self._idle: list[Lane] = []
        self._lock = threading.Lock()

    def load(self, plan: bytes, manifest: Manifest) -> None:
        """Load a plan; the GPU's context has to be current.

        Raises:
            BackendError: TensorRT does not start here.
            ArtifactError: it does not load the plan, or the plan has other tensors than its
                manifest says.
        """
        trt = self._trt
        self._runtime, self._engine = load_engine(
            trt,
            plan,
            trt.Logger(trt.Logger.ERROR),
            host_code=manifest.version_compatible,  # which whoever opened it trusts
        )
        if self._engine is None:
            raise ArtifactError(
                f"{self._path}: {trt.__name__} {trt.__version__} does not load it; build it again "
                "on this machine"
            )
        self._check_tensors(manifest)
        if manifest.target == "rtx":
            self._allocation = self._configured()
        else:  # else a context of any shape takes what the largest one of the profile needs
            self._allocation = trt.ExecutionContextAllocationStrategy.USER_MANAGED
            self._by_itself = False

    def _check_tensors(self, manifest: Manifest) -> None:
        engine = self._engine
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        found = {name: self._trt.nptype(engine.get_tensor_dtype(name)) for name in names}
        frames = dict.fromkeys(("frame0", "frame1", "frames"), np.dtype(manifest.metadata.io))
        expected = {**frames, **dict.fromkeys(("t", "window"), np.dtype(np.float32))}
        if found != expected:
            raise ArtifactError(
                f"{self._path}: its tensors are {_listed(found)}; by its manifest they are "
                f"{_listed(expected)}; build it again"
            )

    def _configured(self) -> Any:
        """Return how TensorRT-RTX shall run, which TensorRT has nothing of."""
        config = self._engine.create_runtime_config()
        self._cache = config.create_runtime_cache()
        if self._cache_path.is_file():
            self._cache.deserialize(self._cache_path.read_bytes())
        config.set_runtime_cache(self._cache)
        config.cuda_graph_strategy = self._trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        # Else others stand in until a size's own kernels are compiled in the background: frames and
        # times would change within a stream, and what was judged would not be what runs later.
        specialization = self._trt.DynamicShapesKernelSpecializationStrategy
        config.dynamic_shapes_kernel_specialization_strategy = specialization.EAGER
        return config

    def lend(self) -> Lane:
        """Return the lane that was used last of those that are idle, or a new one.

        The last one, because it is warm. The GPU's context has to be current.
        """
        with self._lock:
            if self._idle:
                return self._idle.pop()
            lane = Lane(self.gpu.index)
            lane.execution = Execution(
                self._execution_context, lane.compute, by_itself=self._by_itself
            )
            self._lanes.append(lane)
            return lane

    def _execution_context(self) -> Any:
        with self._lock:  # contexts of one engine may run side by side, but not be made so
            context = self._engine.create_execution_context(self._allocation)
        if context is None:
            raise BackendError(
                f"{self._path}: the GPU has no memory for it; build it for smaller frames or "
                "fewer times"
            )
        return context

    def take_back(self, lane: Lane) -> None:
        """Let others have a lane on which nothing is under way."""
        with self._lock:
            self._idle.append(lane)

    def free(self) -> None:
        """Free everything, whatever fails on the way."""
        with contextlib.ExitStack() as steps:  # each runs, whatever the others raise
            steps.enter_context(self.gpu.current())
            steps.callback(self._drop)
            for lane in self._lanes:
                steps.callback(lane.free)
            # A cache that cannot be kept, in a read-only folder say, costs only the next start.
            with contextlib.suppress(Exception):
                self._save_cache()

    def _drop(self) -> None:
        self._lanes.clear()
        self._idle.clear()
        self._cache = self._allocation = None
        self._engine = None
        self._runtime = None

    def _save_cache(self) -> None:
        """Keep the kernels that RTX compiled for this GPU, so that the next start is quick."""
        if self._cache is None or not self._lanes:
            return
        content = bytes(self._cache.serialize())
        if not self._cache_path.is_file() or self._cache_path.read_bytes() != content:
            Publication(self._cache_path).write(content)


def _listed(dtypes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {np.dtype(dtype)}" for name, dtype in sorted(dtypes.items()))
