"""The one contract that every backend fulfils."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BackendError
from .frames import DeviceArray, DLPackArray
from .metadata import Metadata
from .tiles import Extent, Tiling


@dataclass(frozen=True)
class Backend:
    """What runs an artifact.

    Attributes:
        library: its import name, such as onnxruntime or tensorrt.
        version: of the library.
        device: a provider of ONNX Runtime, or the name of a GPU.
        cuda_graphs: whether all of an engine's runs are launched as CUDA graphs, each captured once
            a size and number of times, four kept. False once one of the calls or streams that go on
            at a time was seen to go without, which costs some time: two captures in a row failed.
    """

    library: str
    version: str
    device: str
    cuda_graphs: bool = False

    def __str__(self) -> str:
        graphs = " with CUDA graphs" if self.cuda_graphs else ""
        return f"{self.library} {self.version} {self.device}{graphs}"


class Lease(ABC):
    """What one call or one stream works with."""

    def prepare(self, array: NDArray[Any]) -> Any:
        """Hand over an input that several runs will take; return what they take instead.

        What it holds is given back when nobody refers to it any more.
        """
        return array

    @abstractmethod
    def start(self, tensors: Mapping[str, Any]) -> Callable[[], dict[str, NDArray[Any]]]:
        """Begin a run on arrays or prepared inputs, by name; return a function that waits for it.

        The function returns all outputs by name.

        Raises:
            BackendError: the backend failed, for want of memory for example, or the session was
                closed meanwhile; so does the function.
            ArtifactError: it is the artifact that cannot be run; likewise.
        """


class DirectLease(Lease):
    """Of a session that holds nothing for its calls: a run is over when `start` returns.

    Args:
        run: takes what `start` takes, and returns all outputs by name.
    """

    def __init__(self, run: Callable[[Mapping[str, Any]], dict[str, NDArray[Any]]]) -> None:
        self._run = run

    def start(self, tensors: Mapping[str, Any]) -> Callable[[], dict[str, NDArray[Any]]]:
        """See `Lease.start`."""
        outputs = self._run(tensors)
        return lambda: outputs


class Session(ABC):
    """A loaded artifact. A context manager; `close` frees what it holds and may be called twice.

    Attributes:
        backend: what runs the artifact.
        metadata: what the artifact says of itself.
        extent: the frames that it runs at once.
        runs_ahead: how many runs a stream should begin before it waits for the first.
        any_size: whether a size that it has not run yet costs no time and no memory of its own.
    """

    backend: Backend
    metadata: Metadata
    extent: Extent = Extent()
    runs_ahead: int = 0
    any_size: bool = False

    @abstractmethod
    def lease(self) -> AbstractContextManager[Lease]:
        """Lend what a call or a stream works with, in whichever threads the block goes on.

        Leave the block with an exception where runs have begun that nobody waits for any more.

        Raises:
            BackendError: the session is closed, or the device has no memory for another one.
        """

    def run_on_device(
        self,
        frame0: DeviceArray | DLPackArray,  # noqa: ARG002
        frame1: DeviceArray | DLPackArray,  # noqa: ARG002
        times: NDArray[np.float32],  # noqa: ARG002
        tiling: Tiling,  # noqa: ARG002
    ) -> DeviceArray:
        """Run on device arrays, cut as `tiling` says, and leave the result there.

        See `Interpolator.on_device`.

        Raises:
            FrameError: the arrays are not what the artifact takes.
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
