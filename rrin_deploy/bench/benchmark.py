"""Speed: whole calls of several contenders in interleaved rounds, each in its own process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median, quantiles
from typing import Any

import numpy as np

from rrin_deploy.bench.peers import FP32_PEERS, Contender
from rrin_deploy.bench.worker import Worker
from runtime.errors import BackendError
from runtime.scene import render_bytes

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


@dataclass(frozen=True)
class Timing:
    """What was measured of one contender.

    Attributes:
        seconds: of each timed call, in the order of the rounds.
        first_frame_seconds: from starting its process to its first result.
        peak_bytes: most memory that its process held; None where the system does not tell.
        failure: why it did not run, or None; then all else is empty.
        about: see `Worker`.
    """

    name: str
    seconds: tuple[float, ...] = ()
    first_frame_seconds: float = 0
    peak_bytes: int | None = None
    failure: str | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

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
        """Return the timing as JSON types."""
        if self.failure:
            return {"name": self.name, "failure": self.failure}
        return {
            **asdict(self),
            "median_seconds": self.median,
            "quartiles_seconds": self.quartiles,
            "times_as_fast_as_first": self.ratio_to(first),
        }


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
        return [
            Timing(contender.name, failure=worker.failure)
            if worker.failure
            else Timing(
                contender.name, tuple(taken), worker.first_frame_seconds, peak, about=worker.about
            )
            for contender, worker, taken, peak in zip(
                contenders, workers, seconds, peaks, strict=True
            )
        ]
    finally:
        for worker in workers:
            worker.stop()


def _check_first(workers: Sequence[Worker], contenders: Sequence[Contender]) -> None:
    if workers[0].failure:
        raise BackendError(f"{contenders[0].name} does not run here: {workers[0].failure}")


def ceiling_of(timing: Timing, ceilings: Mapping[str, float]) -> float | None:
    """Return the ceiling that a contender is held against; None where none was measured.

    Args:
        timing: of the contender.
        ceilings: multiply-adds a second: 'FP32' and 'INT8' on the CPU, 'GPU half' where there is.
    """
    backend, precision = timing.about.get("backend", ""), timing.about.get("precision", "fp32")
    if backend in FP32_PEERS or "CPUExecutionProvider" in backend:
        return ceilings.get({"fp32": "FP32", "int8": "INT8"}.get(precision, ""))
    on_gpu = "tensorrt" in backend.lower() or "CUDA" in backend
    return ceilings.get("GPU half") if on_gpu and precision == "fp16" else None


def multiply_adds(base_width: int, size: tuple[int, int], times: int) -> int:
    """Return the multiply-adds of the U-Nets' convolutions in one call; the warps' are left out."""
    pixels = np.prod([-(-side // 32) * 32 for side in size], dtype=np.int64)
    refined = sum(
        _unet(base_width, inputs, outputs, 4) for inputs, outputs in ((10, 4), (16, 2), (9, 3))
    )
    return int(pixels * (_unet(base_width, 6, 4, 5) + times * refined))


def _unet(width: int, inputs: int, outputs: int, depth: int) -> float:
    """Multiply-adds a pixel of one U-Net of 3x3 convolutions."""
    total: float = 9 * (inputs * width + width * outputs)
    for level in range(depth):
        channels, share = width * 2**level, 1 / 4**level
        total += 9 * channels * channels * share
        if level:
            total += 9 * channels * channels // 2 * share
        if level == depth - 1:
            total += 9 * channels * channels * share  # midconv
        else:
            # Up from twice the channels, the joined skip, and the second of the block.
            total += 9 * (2 * channels * channels * 2 + channels * channels) * share
    return total
