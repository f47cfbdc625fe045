"""Speed: whole calls of several contenders in interleaved rounds, each in its own process."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

from rrin_deploy.peers import Contender, open_contender
from runtime.errors import BackendError, first_line
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
    """

    name: str
    seconds: tuple[float, ...] = ()
    first_frame_seconds: float = 0
    peak_bytes: int | None = None
    failure: str | None = None

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
            "times_as_fast_as_first": None if first.failure else self.ratio_to(first),
        }


def run_benchmark(
    contenders: Sequence[Contender], load: Load, progress: Progress | None = None
) -> list[Timing]:
    """Time whole calls on uint8 frames, in rounds in which each contender runs once.

    One that cannot run here is reported with the reason, unless it is the first.

    Raises:
        BackendError: the first, to which the others are compared, cannot run here.
    """
    workers: list[_Worker] = []
    failures: dict[str, str] = {}
    try:
        for contender in contenders:
            worker = _Worker(contender, load)
            workers.append(worker)
            worker.wait_for_first_frame()
            if worker.failure:
                failures[contender.name] = worker.failure
                if contender is contenders[0]:
                    raise BackendError(f"{contender.name} cannot run here: {worker.failure}")
        running = [worker for worker in workers if not worker.failure]
        for done in range(load.rounds):
            for worker in running:
                worker.run_once()
            if progress:
                progress(done + 1, load.rounds)
        return [worker.result() for worker in workers]
    finally:
        for worker in workers:
            worker.stop()


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


class _Worker:
    """A contender in its process, and what has been measured of it."""

    def __init__(self, contender: Contender, load: Load) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._name = contender.name
        self._seconds: list[float] = []
        self._first_frame = 0.0
        self.failure: str | None = None
        self._started = time.perf_counter()
        self._process = context.Process(target=_serve, args=(contender, load, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def wait_for_first_frame(self) -> None:
        self._receive()
        self._first_frame = time.perf_counter() - self._started

    def run_once(self) -> None:
        self._pipe.send(True)
        seconds = self._receive()
        if seconds is None:
            raise BackendError(f"{self._name} failed while it was timed: {self.failure}")
        self._seconds.append(seconds)

    def result(self) -> Timing:
        if self.failure:
            return Timing(self._name, failure=self.failure)
        self._pipe.send(False)
        peak = self._receive()
        return Timing(
            self._name, tuple(self._seconds), self._first_frame, int(peak) if peak else None
        )

    def stop(self) -> None:
        self._pipe.close()
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.kill()

    def _receive(self) -> float | None:
        try:
            kind, value = self._pipe.recv()
        except EOFError:
            self._process.join(timeout=5)
            kind, value = "failure", f"its process ended with code {self._process.exitcode}"
        if kind == "failure":
            self.failure = value
            return None
        return float(value)


def _serve(contender: Contender, load: Load, pipe: Connection) -> None:
    """Run in the worker: one call at once, then one for each True that comes."""
    try:
        width, height = load.size
        frames = [render_bytes(width, height, time) for time in (0, 1)]
        t = np.arange(1, load.times + 1, dtype=np.float32) / (load.times + 1)
        interpolate = open_contender(contender, load.threads)
        interpolate(*frames, t)
        pipe.send(("ready", 0))
        while pipe.recv():
            started = time.perf_counter()
            interpolate(*frames, t)
            pipe.send(("seconds", time.perf_counter() - started))
        pipe.send(("peak", _peak_bytes()))
    except (EOFError, BrokenPipeError):  # the parent has gone
        pass
    except Exception as error:
        pipe.send(("failure", first_line(error)))


def _peak_bytes() -> int:
    """Return the most memory that this process held; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says there includes the parent's, up to exec
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
