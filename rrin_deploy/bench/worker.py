"""A contender in a process of its own, so that memory and start-up are its alone."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rrin_deploy.bench.peers import Contender, open_contender
from runtime.errors import first_line
from runtime.interpolator import Interpolator
from runtime.metadata import Metadata
from runtime.session import Backend
from runtime.signals import ENDING, signals_held

_GONE = (EOFError, OSError)  # what a pipe raises when its other end has ended


class Worker:
    """Starts the process; the caller then asks it for calls, one at a time.

    Attributes:
        backend, metadata: of an artifact that runs; None of a peer, and where it does not run.
        made: its first frames, (T, H, W, 3) uint8; None where it does not run.
        first_frame_seconds: from starting the process to its first result.
        failure: why it does not run, or None.
    """

    def __init__(
        self,
        contender: Contender,
        frames: Sequence[NDArray[np.uint8]],
        t: NDArray[np.float32],
        threads: int,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self.failure: str | None = None
        started = time.perf_counter()
        self._process = context.Process(
            target=_serve, args=(contender, frames, t, threads, theirs), daemon=True
        )
        # Held as well as blocked: a signal may reach a thread of a library's that blocks none.
        with signals_held(), _signals_blocked():
            self._process.start()
        theirs.close()
        about = self._receive() or (None, None, None)
        self.made: NDArray[np.uint8] | None = about[0]
        self.backend: Backend | None = about[1]
        self.metadata: Metadata | None = about[2]
        self.first_frame_seconds = time.perf_counter() - started

    def call(self) -> float | None:
        """Run once; return the seconds it took, or None if it failed."""
        return self._ask("call")  # type: ignore[no-any-return]

    def peak_bytes(self) -> int | None:
        """Return the most memory that the process held; None where the system does not tell."""
        return self._ask("peak") or None

    def stop(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.kill()

    def _ask(self, question: str) -> Any:
        if self.failure:
            return None
        with contextlib.suppress(*_GONE):  # receiving says why
            self._pipe.send(question)
        return self._receive()

    def _receive(self) -> Any:
        try:
            kind, value = self._pipe.recv()
        except _GONE:
            self._process.join(timeout=5)
            kind, value = "failure", f"its process ended with code {self._process.exitcode}"
        if kind == "failure":
            self.failure = value
            return None
        return value


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Let a process that is started in the block not see Ctrl-C, which is its parent's affair.

    A terminal sends it to both. The child inherits what is blocked, from its first moment on.
    """
    if sys.platform == "win32":
        yield
        return
    # Python's own helper unblocks them again when it starts, with the first child.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(
    contender: Contender,
    frames: Sequence[NDArray[np.uint8]],
    t: NDArray[np.float32],
    threads: int,
    pipe: Connection,
) -> None:
    """Run in the process: one call at once, then what is asked for."""
    answer: tuple[str, Any]
    frame0, frame1 = frames
    try:
        interpolate = open_contender(contender, threads)
        made = interpolate(frame0, frame1, t)
        if isinstance(interpolate, Interpolator):
            answer = "ready", (made, interpolate.backend, interpolate.metadata)
        else:
            answer = "ready", (made, None, None)
    except Exception as error:
        answer = "failure", first_line(error)
    with contextlib.suppress(*_GONE):  # when the parent has
        pipe.send(answer)
        while answer[0] != "failure":
            if pipe.recv() == "peak":
                pipe.send(("peak", _peak_bytes()))
                continue
            started = time.perf_counter()
            try:
                interpolate(frame0, frame1, t)
                answer = "seconds", time.perf_counter() - started
            except Exception as error:
                answer = "failure", first_line(error)
            pipe.send(answer)


def _peak_bytes() -> int:
    """Return the most memory that this process held; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says there includes the parent's, up to exec
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines.get("VmHWM", "0").split()[0]) * 1024
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
