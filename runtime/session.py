"""The one contract that every backend fulfils, and the choice among backends by file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BackendError, InputNotFoundError
from .manifest import ENGINE_SUFFIX
from .metadata import Metadata


@dataclass(frozen=True)
class TensorSpec:
    """A named input or output; None or a name stands for a dimension that may vary."""

    dtype: np.dtype[Any]
    shape: tuple[int | str | None, ...]


class Session(ABC):
    """A loaded artifact. A context manager; `close` frees what it holds and may be called twice.

    Attributes:
        backend: what runs the artifact, for people: name, version, provider or device.
        metadata: what the artifact says of itself.
        inputs, outputs: by name.
        max_times: the most times that one run takes; None where there is no limit.
        runs_ahead: how many runs a stream should begin before it waits for the first.
    """

    backend: str
    metadata: Metadata
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    max_times: int | None = None
    runs_ahead: int = 0

    @abstractmethod
    def run(self, tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run once on the named inputs; return all outputs by name.

        Raises:
            BackendError: the backend failed, for want of memory for example.
            ArtifactError: it is the artifact that cannot be run.
        """

    def prepare(self, array: NDArray[Any]) -> Any:
        """Hand over an input that several runs will take; return what they take instead.

        What it holds is given back when nobody refers to it any more.
        """
        return array

    def start(self, tensors: Mapping[str, Any]) -> Callable[[], dict[str, NDArray[Any]]]:
        """Begin a run on arrays or prepared inputs; return a function that waits for its outputs.

        The function has to be called.
        """
        outputs = self.run(tensors)
        return lambda: outputs

    def settle(self) -> None:  # noqa: B027 - most have nothing under way
        """Wait for the runs that this thread has begun, before their inputs are dropped."""

    def run_on_device(self, tensors: Mapping[str, Any]) -> Any:  # noqa: ARG002
        """Run on device arrays and leave `frames` there; see `__cuda_array_interface__`.

        Raises:
            BackendError: this backend has no device memory.
        """
        raise BackendError(f"{self.backend} takes numpy arrays; device arrays need an engine")

    @abstractmethod
    def close(self) -> None:
        """Free what the session holds."""

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except Exception:
            if error is None:  # else the caller's own error is the one to hear of
                raise


def open_session(
    artifact: str | Path,
    *,
    device: int = 0,
    threads: int | None = None,
    providers: Sequence[str] | None = None,
) -> Session:
    """Open an artifact with the backend that its kind needs.

    Args:
        artifact: an ONNX file of `rrin-deploy export`, or an engine of `rrin-deploy build`.
        device: index of the GPU, for backends that use one.
        threads: CPU threads within one operator; None leaves the choice to the backend.
        providers: ONNX Runtime execution providers, all of which have to load; None takes CUDA
            where it loads, else the CPU.

    Raises:
        InputNotFoundError, ArtifactError, BackendError.
    """
    path = Path(artifact)
    if not path.is_file():
        raise InputNotFoundError(f"{path}: no such file; expected an artifact such as rrin.onnx")
    if path.suffix == ENGINE_SUFFIX:
        from .tensorrt_session import TensorRTSession

        return TensorRTSession(path, device=device)
    from .onnxruntime_session import OnnxRuntimeSession

    return OnnxRuntimeSession(path, device=device, threads=threads, providers=providers)
