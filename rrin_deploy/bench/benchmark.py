"""Speed: whole calls of several contenders in interleaved rounds, each in its own process."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rrin_deploy.bench.peers import FP32_PEERS, Contender, Kind
from rrin_deploy.bench.worker import Worker
from runtime.architecture import multiply_adds
from runtime.errors import BackendError
from runtime.metadata import Metadata
from runtime.parity import psnr_db
from runtime.scene import render_bytes
from runtime.session import Backend

_GPU_LIBRARIES = ("tensorrt", "tensorrt_rtx")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Load:
    """What every contender is given.

    Attributes:
        size: frames' (width, height), pixels.
        times: how many a call has.
        threads: CPU threads.
        rounds: timed calls of each.
    """

    size: tuple[int, int]
    times: int
    threads: int
    rounds: int

    @property
    def name(self) -> str:
        """The size, such as 1280x720."""
        return f"{self.size[0]}x{self.size[1]}"


@dataclass(frozen=True)
class Timing:
    """What was measured of one contender.

    Attributes:
        name, kind: see `Contender`.
        seconds: of each timed call, in the order of the rounds.
        first_frame_seconds: from starting its process to its first result.
        peak_bytes: most memory that its process held; None where the system does not tell.
        psnr_db: of its frames to PyTorch's, dB, infinite where they are equal; None where PyTorch
            was not run.
        failure: why it did not run, or None; then all else is empty.
        backend, metadata: of an artifact that ran; None of a peer.
    """

    name: str
    kind: Kind
    seconds: tuple[float, ...] = ()
    first_frame_seconds: float = 0
    peak_bytes: int | None = None
    psnr_db: float | None = None
    failure: str | None = None
    backend: Backend | None = None
    metadata: Metadata | None = None

    @property
    def median(self) -> float:
        """The median call, seconds."""
        return median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The quartiles of the calls, seconds."""
        if len(self.seconds) < 2:
            return self.median, self.median
        low, _, high = quantiles(self.seconds, method="inclusive")
        return low, high

    def ratio_to(self, first: Timing) -> float:
        """Return how many times as fast as `first` it is: the median over the rounds."""
        return median(b / a for a, b in zip(self.seconds, first.seconds, strict=True))

    def to_dict(self, first: Timing) -> dict[str, Any]:
        """Return the timing as JSON types: the attributes, and what follows from the seconds.

        Of one that did not run there are `name`, `kind` and `failure` alone; frames that are equal
        to PyTorch's have a `psnr_db` of null, as those have that nothing was compared to.
        """
        if self.failure:
            return {"name": self.name, "kind": self.kind, "failure": self.failure}
        return {
            **asdict(self),
            "psnr_db": None if self.psnr_db == math.inf else self.psnr_db,
            "median_seconds": self.median,
            "quartiles_seconds": self.quartiles,
            "times_as_fast_as_first": self.ratio_to(first),
        }


@dataclass(frozen=True)
class Report:
    """A benchmark's result, beside what this machine can do at most.

    Attributes:
        load: what every contender was given.
        timings: one a contender; the first is what the others are compared to.
        ceilings: multiply-adds a second: 'FP32' and 'INT8' on the CPU, 'GPU half' where there is.
    """

    load: Load
    timings: Sequence[Timing]
    ceilings: Mapping[str, float]

    def share_of_ceiling(self, timing: Timing) -> float | None:
        """Return how much of its ceiling a contender reaches; None where none was measured."""
        limit = self._ceiling_of(timing)
        if timing.failure or limit is None:
            return None
        return self._multiply_adds(timing) / timing.median / limit

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON types: `size` (width, height) in pixels, `times`, `threads`.

        `multiply_adds` are those of a call of the first; `ceiling_multiply_adds_per_second` has the
        ceilings by name; `contenders` are the timings, each with its `share_of_ceiling` or null.
        """
        return {
            "size": self.load.size,
            "times": self.load.times,
            "threads": self.load.threads,
            "multiply_adds": self._multiply_adds(self.timings[0]),
            "ceiling_multiply_adds_per_second": dict(self.ceilings),
            "contenders": [
                timing.to_dict(self.timings[0])
                | {"share_of_ceiling": self.share_of_ceiling(timing)}
                for timing in self.timings
            ],
        }

    def _multiply_adds(self, timing: Timing) -> int:
        known = timing.metadata, self.timings[0].metadata  # the first's weights are the peers'
        width = next(metadata.base_width for metadata in known if metadata)
        return multiply_adds(width, self.load.size, self.load.times)

    def _ceiling_of(self, timing: Timing) -> float | None:
        if timing.kind in FP32_PEERS:
            return self.ceilings.get("FP32")
        backend, metadata = timing.backend, timing.metadata
        if backend is None or metadata is None:
            return None
        if backend.device.startswith("CPU"):  # of ONNX Runtime or OpenVINO
            return self.ceilings.get({"fp32": "FP32", "int8": "INT8"}.get(metadata.precision, ""))
        on_gpu = backend.library in _GPU_LIBRARIES or backend.device == "CUDAExecutionProvider"
        return self.ceilings.get("GPU half") if on_gpu and metadata.precision == "fp16" else None


def run_benchmark(
    contenders: Sequence[Contender], load: Load, progress: Progress | None = None
) -> list[Timing]:
    """Time whole calls on uint8 frames, in rounds in which each contender runs once.

    One that cannot run, or fails on the way, is reported with the reason, unless it is the first.

    Raises:
        BackendError: the first, to which the others are compared, cannot run here.
    """
    width, height = load.size
    frames = [render_bytes(width, height, time) for time in (0, 1)]
    t = (np.arange(1, load.times + 1) / (load.times + 1)).astype(np.float32)
    workers: list[Worker] = []
    try:
        for contender in contenders:
            workers.append(Worker(contender, frames, t, load.threads))
            _check_first(workers, contenders)
        seconds: list[list[float]] = [[] for _ in workers]
        for done in range(load.rounds):
            for worker, taken in zip(workers, seconds, strict=True):
                taken.append(worker.call() or 0)
            _check_first(workers, contenders)
            if progress:
                progress(done + 1, load.rounds)
        peaks = [worker.peak_bytes() for worker in workers]
        made = {each.kind: worker.made for each, worker in zip(contenders, workers, strict=True)}
        reference = made.get("pytorch")
        return [
            Timing(contender.name, contender.kind, failure=worker.failure)
            if worker.failure
            else Timing(
                contender.name,
                contender.kind,
                tuple(taken),
                worker.first_frame_seconds,
                peak,
                _psnr_db(worker.made, reference),
                backend=worker.backend,
                metadata=worker.metadata,
            )
            for contender, worker, taken, peak in zip(
                contenders, workers, seconds, peaks, strict=True
            )
        ]
    finally:
        for worker in workers:
            worker.stop()


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # on Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _psnr_db(made: NDArray[np.uint8] | None, reference: NDArray[np.uint8] | None) -> float | None:
    return None if made is None or reference is None else psnr_db(made / 255, reference / 255)


def _check_first(workers: Sequence[Worker], contenders: Sequence[Contender]) -> None:
    if workers[0].failure:
        raise BackendError(f"{contenders[0].name} does not run here: {workers[0].failure}")
