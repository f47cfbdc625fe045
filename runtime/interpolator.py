"""The interpolator: frames between two frames, or between all frames of a stream."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backends import BackendName, open_session
from .bundled import bundled_for
from .errors import FrameError
from .frames import MAX_TIMES, DeviceArray, DLPackArray, Frame, check_several, times_inside
from .metadata import Metadata
from .options import check_flag, check_whole
from .processes import Process
from .runs import filled, made_between, warmed_up
from .session import Backend, Lease
from .tiled_lease import Tally, TiledLease
from .tiles import tiling


class Interpolator:
    """A callable that makes the frames between two frames.

    Example:
        with Interpolator("rrin.onnx") as interpolate:
            middle = interpolate(frame0, frame1)
            thirds = interpolate(frame0, frame1, t=[1/3, 2/3])

    Frames are (H, W, 3) RGB of any size, uint8, or float32 in [0, 1]; float32 needs an artifact
    exported with `io="float32"`. It may be called from several threads at once, which run others
    while the backend computes. Pickled, it is its artifact's path and options, and opened anew
    where it is unpickled, as by multiprocessing with spawn; a process that is forked has to open
    its own.

    Args:
        artifact: an ONNX file of `rrin-deploy export` or an engine of `rrin-deploy build`; None
            takes the bundled model, in INT8 where that is faster (see `metadata.precision`).
        backend: onnxruntime or openvino, for an ONNX file; None takes the one that it was laid out
            for, else the first that is here: ONNX Runtime with CUDA, OpenVINO, ONNX Runtime.
        device: index of the GPU, for engines and providers that use one, None takes the first; or
            a device of OpenVINO, such as GPU or NPU, None takes the CPU.
        threads: CPU threads, for ONNX files, 1024 at most; None leaves the backend the choice.
        providers: of ONNX Runtime, all of which have to load; None takes CUDA, else the CPU.
            TensorRT's builds an engine at every start, and may compute in TF32: build one instead.
        cache: a folder for what OpenVINO compiles at the first frame of a size, so that the next
            start is quicker. It is as trusted as code: let nobody else write to it.
        trusted: whether a version-compatible engine may be opened: it holds code, which runs with
            your rights. Other artifacts do not need it.
        tile: (width, height) of the pieces that frames are cut into, pixels; None cuts only where
            an engine's sizes or `memory_limit` have no room for whole frames.
        overlap: pixels that neighbouring pieces share, 192 by default. What moves further than half
            of it between two frames may show where pieces meet; more costs time.
        memory_limit: bytes that making frames may take on the CPU, beside those of the process.
        skip_still: whether only what differs between two frames is inferred, with 48 pixels around
            it; all else is theirs. None does it where a new size costs nothing: on the CPU and with
            CUDA, without `memory_limit`; elsewhere it leaves out whole tiles alone. A pixel of a
            piece costs 5 to 9 % more in OpenVINO, whose kernels are then for any size.

    Raises:
        InputNotFoundError, ArtifactError: no such file; damaged, not ours, or to be trusted first.
        BackendError: a backend, provider or device that it needs is missing here.
        OptionError: an option that is not as above, or that the artifact's backend does not have.
    """

    def __init__(
        self,
        artifact: str | Path | None = None,
        *,
        backend: BackendName | None = None,
        device: int | str | None = None,
        threads: int | None = None,
        providers: Sequence[str] | None = None,
        cache: str | Path | None = None,
        trusted: bool = False,
        tile: tuple[int, int] | None = None,
        overlap: int | None = None,
        memory_limit: int | None = None,
        skip_still: bool | None = None,
    ) -> None:
        if skip_still is not None:
            check_flag("skip_still", skip_still)
        where: dict[str, Any] = {
            "backend": backend, "device": device, "threads": threads, "providers": providers,
            "cache": cache,
        }  # fmt: skip
        path = bundled_for(**where) if artifact is None else artifact
        self._session = open_session(path, **where, memory_limit=memory_limit, trusted=trusted)
        self._path = Path(path)
        self._process = Process()
        self._opened = partial(
            type(self), artifact if artifact is None else Path(artifact).absolute(), **where,
            trusted=trusted, tile=tile, overlap=overlap, memory_limit=memory_limit,
            skip_still=skip_still,
        )  # fmt: skip
        try:
            cut = tiling(self._session.extent, tile, overlap)
        except BaseException:
            self._session.close()
            raise
        any_size = self._session.any_size if skip_still is None else skip_still
        self._tiling = replace(cut, skip_still=skip_still is not False, any_size=any_size)
        self._tally = Tally()

    @property
    def backend(self) -> Backend:
        """What runs the artifact: library, version, and provider or device."""
        return self._session.backend

    @property
    def metadata(self) -> Metadata:
        """What the artifact says of itself."""
        return self._session.metadata

    @cached_property
    def identity(self) -> str:
        """What its frames depend on, for who compares runs: artifact, backend, tiles, `skip_still`.

        Raises:
            OSError: the artifact's file is gone.
        """
        digest = hashlib.sha256(self._path.read_bytes()).hexdigest()
        return f"{digest} {self.backend.library} {self.backend.version} {self._tiling}"

    @property
    def inferred(self) -> float | None:
        """The share of pixels that were inferred, of all frames made so far from numpy arrays.

        A pixel that several tiles share counts once. None where none were, or `skip_still` is
        False.
        """
        return self._tally.share if self._tiling.skip_still else None

    def __call__(
        self, frame0: Frame, frame1: Frame, t: float | Sequence[float] | NDArray[Any] = 0.5
    ) -> NDArray[Any]:
        """Interpolate one pair.

        Args:
            frame0, frame1: (H, W, 3), uint8, or float32 in [0, 1]; of one size and dtype.
            t: when between them, in [0, 1]; exactly 0 or 1 gives that frame; 1000 times at most.
                Several in one call cost less than several calls, as the flow between the frames is
                30 % of the arithmetic: an engine computes it once a run of as many times as it was
                built for, all else once a call. Memory does not grow with the times; what ONNX
                Runtime runs at once takes about 1 GiB, or is a single time.

        Returns:
            (H, W, 3) for a number t, (T, H, W, 3) for several; dtype of the frames.

        Raises:
            FrameError: wrong type, dtype, shape or values; two sizes; t is not as above.
            ArtifactError: NaN or infinity is among the values that the artifact made; where it
                makes bytes, this cannot be seen.
            BackendError: the backend failed, for want of memory for example.
        """
        return made_between(self._lease, frame0, frame1, t, self.metadata.io)

    def on_device(
        self,
        frame0: DeviceArray | DLPackArray,
        frame1: DeviceArray | DLPackArray,
        t: float | Sequence[float] | NDArray[Any] = 0.5,
    ) -> DeviceArray:
        """Interpolate one pair that lies in the GPU's memory, whole, and leave the result there.

        What still fills them is waited for: the stream that `__cuda_array_interface__` names, all
        work on the GPU where it is older than version 3, as torch's is; else DLPack's own.

        Args:
            frame0, frame1: (H, W, 3) of any size, of the engine's own dtype (`metadata.io`); also
                parts of a larger array, whose pixels are contiguous.
            t: when between them, inside (0, 1); 1000 times at most.

        Returns:
            (T, H, W, 3), finished, also for a number t, with DLPack. Its memory is used again when
            nobody refers to it, and freed at closing: wait for whatever reads it before that.

        Raises:
            FrameError: the arrays or times are not as above.
            BackendError: the backend has no device memory, or it failed.
        """
        self._process.check()
        if not len(times := times_inside(t)):
            raise FrameError("t is empty; expected one time at least")
        return self._session.run_on_device(frame0, frame1, times, self._tiling)

    def stream(self, frames: Iterable[Frame], factor: int) -> Iterator[Frame]:
        """Yield every frame and, before each next one, the `factor` - 1 frames between.

        n frames give (n - 1) * factor + 1. The source may fill one array with every frame. The
        originals are the very objects that came in; with an engine they are copies, as one more
        frame is read ahead, whose upload overlaps with inference.

        Raises:
            FrameError, ArtifactError: as for a call.
            OptionError: `factor` is not an integer from 1 to 1000.
        """
        check_several(frames)
        check_whole("factor", factor, 1, MAX_TIMES)
        times = (np.arange(1, int(factor)) / factor).astype(np.float32)
        filled = self.fill((frame, times) for frame in frames)
        return (each for frame, made in filled for each in (*made, frame))

    def fill(
        self, frames: Iterable[tuple[Frame, Sequence[float] | NDArray[np.float32]]]
    ) -> Iterator[tuple[Frame, NDArray[Any]]]:
        """Yield every frame with those made between the frame before and itself.

        Args:
            frames: each with the times wanted before it, inside (0, 1), possibly none; those of the
                first make nothing. The source may fill one array, as for `stream`.

        Yields:
            The frame that came in, with an engine a copy, and (T, H, W, 3) of its dtype.

        Raises:
            FrameError: as for a call, 0 or 1 is among the times, or there are no such pairs.
            ArtifactError: as for a call.
        """
        with self._lease() as lease:  # the loop that takes our frames may be left at any
            yield from filled(lease, frames, self.metadata.io, self._session.runs_ahead)

    @contextmanager
    def _lease(self) -> Iterator[Lease]:
        self._process.check()
        with self._session.lease() as lease:
            yield TiledLease(lease, self._tiling, self._session.runs_ahead, self._tally)

    def warm_up(self, height: int, width: int, times: int = 1) -> None:
        """Run on plain frames, so that the first real call pays for no one-time work.

        TensorRT-RTX and OpenVINO compile for each size when it comes first, OpenVINO also for the
        first pair of which a part moves; RTX keeps its kernels beside the engine. An engine's
        second run of a size becomes a CUDA graph; while that is captured, for milliseconds,
        `torch.cuda.synchronize()` in another thread fails.

        Args:
            height, width, times: of the calls to come: pixels, and 1000 at most.

        Raises:
            OptionError: not integers from 1 on.
            BackendError: as for a call.
        """
        for name, value in {"height": height, "width": width, "times": times}.items():
            check_whole(name, value, 1, MAX_TIMES if name == "times" else None)
        runs = 2 if self.backend.cuda_graphs else 1
        warmed_up(self, (height, width), times, runs=runs, in_parts=self._tiling.any_size)

    def close(self) -> None:
        """Free what the backend holds; the interpolator cannot be called afterwards."""
        if self._process.is_here:  # else it is not ours to free
            self._session.close()

    def __reduce__(self) -> tuple[partial[Interpolator], tuple[()]]:
        return self._opened, ()

    def __enter__(self) -> Interpolator:
        return self

    def __exit__(self, *caught: Any) -> None:
        if self._process.is_here:
            self._session.__exit__(*caught)
