"""Artifacts run by OpenVINO: on CPUs, and on Intel's GPUs and NPUs."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ArtifactError, BackendError, first_line, short_of_memory
from .graph_parts import parts_of
from .metadata import Metadata
from .openvino_library import CORE, openvino
from .openvino_model import has_bf16, read_model, unclip
from .session import Backend, DirectLease, Lease, Session
from .tiles import Extent

# A frame of 1280x736 took 22 with base width 32 in INT8, and 37 in float32.
_BYTES_PER_PIXEL_AND_WIDTH = 40
_OF_INT8 = 24
_SIZES = 2  # that a session stays compiled for: a folder's upright pictures and the others
_ANY = (-1, -1)  # beside them: each may have pairs of which a part moves
_Tensors = Mapping[str, NDArray[Any]]


class OpenVinoSession(Session):
    """See `Session`.

    What depends on the pair alone runs once a call, what depends on the time once a time: both are
    compiled for a size when it comes first, which took a second, as kernels for any size were seen
    to take up to a tenth longer. Those run pieces of frames where they may be of any size.

    Args:
        path: the artifact, for messages.
        content, metadata: of it, checked.
        device: of OpenVINO, such as CPU, GPU, GPU.1 or NPU.
        threads: on the CPU; None leaves OpenVINO the choice.
        cache: a folder where OpenVINO keeps what it compiled; None keeps nothing.
        memory_limit: as for `open_session`.

    Raises:
        BackendError: there is no such device here, or it lacks the artifact's bf16.
        ArtifactError: OpenVINO does not read the file.
    """

    def __init__(
        self,
        path: Path,
        content: bytes,
        metadata: Metadata,
        *,
        device: str = "CPU",
        threads: int | None = None,
        cache: Path | None = None,
        memory_limit: int | None = None,
    ) -> None:
        self.metadata, self._path = metadata, path
        if memory_limit is not None:
            each = _OF_INT8 if metadata.precision == "int8" else _BYTES_PER_PIXEL_AND_WIDTH
            self.extent = Extent(pixels=memory_limit // (metadata.base_width * each))
        # Other devices compile for minutes, or for fixed sizes alone; memory is held for each size.
        self.any_size = device == "CPU" and memory_limit is None
        self._device = device
        self._properties = _properties(device, threads, cache)
        if metadata.precision == "bf16" and not has_bf16(device):
            raise BackendError(
                f"{path}: is bf16, and the {device} here has no bf16 arithmetic; run the fp32 file "
                "that it was built of, or build that in int8"
            )
        parts = parts_of(content)
        with self._explained():
            self._models = [
                None if part is None else read_model(part) for part in (parts.pair, parts.times)
            ]
            if metadata.io == "float32":
                unclip(self._models[1], path)
            where = device
            if device != "CPU":  # of which a machine may have several
                where += f", {CORE.get_property(device, 'FULL_DEVICE_NAME')}"
        self.backend = Backend("openvino", openvino.__version__.split("-")[0], where)
        self._compiled: OrderedDict[tuple[int, int], _Compiled] = OrderedDict()
        self._lock = threading.Lock()
        self._compiling = threading.Lock()  # calls of sizes that are compiled go on meanwhile
        self._closed = False

    def lease(self) -> AbstractContextManager[Lease]:
        """See `Session.lease`; calls need nothing of their own."""
        self._check_open()  # else a pair at which nothing moves would not notice
        return nullcontext(DirectLease(self.run))

    def run(self, tensors: _Tensors) -> dict[str, NDArray[Any]]:
        """See `Lease.start`."""
        _, height, width, _ = shape = tensors["frame0"].shape
        is_piece = list(tensors["window"][2:]) != [width, height]
        with self._explained():
            compiled = self._compiled_for(_ANY if is_piece and self.any_size else (height, width))
            frames = np.empty((len(tensors["t"]), *shape[1:]), np.dtype(self.metadata.io))
            with compiled.requests() as requests:
                for index, made in enumerate(requests.run(tensors)):
                    if made.shape != shape:  # NumPy would broadcast it without a word
                        raise ArtifactError(
                            f"{self._path}: makes frames of shape {list(made.shape)}, expected "
                            f"{list(shape)}; export it again"
                        )
                    frames[index] = made[0]
        if self.metadata.io == "float32":
            np.clip(frames, 0, 1, out=frames)
        return {"frames": frames}

    def _compiled_for(self, size: tuple[int, int]) -> _Compiled:
        if (found := self._known(size)) is not None:
            return found
        with self._compiling:  # which reshapes the models
            if (found := self._known(size)) is not None:
                return found
            with self._lock:
                sizes = [each for each in self._compiled if each != _ANY]
                if size != _ANY and len(sizes) >= _SIZES:
                    del self._compiled[sizes[0]]
            compiled = self._compile(*size)
            with self._lock:
                self._compiled[size] = compiled
        return compiled

    def _known(self, size: tuple[int, int]) -> _Compiled | None:
        with self._lock:
            self._check_open()
            if size not in self._compiled:
                return None
            self._compiled.move_to_end(size)
            return self._compiled[size]

    def _check_open(self) -> None:
        if self._closed:
            raise BackendError("the session is closed; open the artifact again")

    def _compile(self, height: int, width: int) -> _Compiled:
        frame = [1, height, width, 3]
        shapes: dict[str, Any] = {"frame0": frame, "frame1": frame, "t": [1], "window": [4]}
        pair, times = self._models
        compiled_pair = None
        if pair is not None:
            compiled_pair = self._compiled_with(pair, shapes)
            shapes |= {port.any_name: port.partial_shape for port in compiled_pair.outputs}
        return _Compiled(compiled_pair, self._compiled_with(times, shapes))

    def _compiled_with(self, model: Any, shapes: Mapping[str, Any]) -> Any:
        # What nothing depends on, such as the window of a whole frame, OpenVINO has left out.
        model.reshape({port.any_name: shapes[port.any_name] for port in model.inputs})
        return CORE.compile_model(model, self._device, self._properties)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise OpenVINO's errors, which are RuntimeErrors, as ours."""
        try:
            yield
        except (ArtifactError, BackendError):
            raise
        except (MemoryError, RuntimeError) as error:
            if short_of_memory(error):
                raise BackendError(
                    f"openvino is short of memory: {first_line(error)}; take smaller frames"
                ) from error
            raise ArtifactError(
                f"{self._path}: openvino cannot run it on {self._device}: {_reason(error)}; "
                "export it again"
            ) from error

    def close(self) -> None:
        """See `Session.close`."""
        with self._lock:
            self._closed = True
            self._compiled.clear()


class _Compiled:
    """Both parts of an artifact for one size, and the requests that run them."""

    def __init__(self, pair: Any, times: Any) -> None:
        self._pair, self._times = pair, times
        # One, as it holds the memory of a run, 100 MB and more; calls side by side make others.
        self._idle: deque[_Requests] = deque(maxlen=1)

    @contextmanager
    def requests(self) -> Iterator[_Requests]:
        """Lend requests; of what failed they are not used again."""
        try:
            requests = self._idle.pop()
        except IndexError:
            requests = _Requests(self._pair, self._times)
        yield requests
        self._idle.append(requests)


class _Requests:
    """One run at a time of both parts; the flow stays in the memory that it is made in."""

    def __init__(self, pair: Any, times: Any) -> None:
        self._times: Any = times.create_infer_request()
        self._times_inputs = {port.any_name for port in times.inputs}
        self._pair: Any = None
        if pair is not None:
            self._pair = pair.create_infer_request()
            self._pair_inputs = {port.any_name for port in pair.inputs}
            self._flow = [port.any_name for port in pair.outputs]

    def run(self, tensors: _Tensors) -> Iterator[NDArray[Any]]:
        """Yield a frame, [1, H, W, 3], for each time, [T]; the next is made in the same memory."""
        shared: dict[str, Any] = {"share_inputs": True, "share_outputs": True}
        if self._pair is not None:
            self._pair.infer({name: tensors[name] for name in self._pair_inputs}, **shared)
            for name in self._flow:  # whose memory another size may have moved
                self._times.set_tensor(name, self._pair.get_tensor(name))
        given = {name: tensors[name] for name in self._times_inputs & tensors.keys()}
        for index in range(len(tensors["t"])):
            self._times.infer(given | {"t": tensors["t"][index : index + 1]}, **shared)
            yield self._times.get_tensor("frames").data


def _properties(device: str, threads: int | None, cache: Path | None) -> dict[str, Any]:
    here = CORE.available_devices
    if device not in {*here, *(name.split(".")[0] for name in here)}:
        raise BackendError(
            f"OpenVINO device {device}: this machine has {', '.join(here) or 'none'}; choose one, "
            "or install the driver of the device"
        )
    # The artifact says float32: where a CPU has bfloat16, or a GPU half, OpenVINO would take that.
    # What the file types bfloat16 stays so.
    properties: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    if threads is not None:
        properties["INFERENCE_NUM_THREADS"] = int(threads)
    if cache is not None:
        properties["CACHE_DIR"] = str(cache)
    return properties


def _reason(error: BaseException) -> str:
    """Return what OpenVINO says; it begins with where in its sources it failed."""
    lines = [line for line in str(error).splitlines() if not line.startswith("Exception from")]
    return (lines or [first_line(error)])[0][:200]
