"""Runs of a session: begun for a pair of frames at many times, or for a stream, and waited for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .frames import (
    Frame,
    check_frame,
    check_same_kind,
    cropped,
    from_output,
    times_inside,
    to_input,
    with_times,
)
from .metadata import Io
from .session import Lease

Finish = Callable[[], dict[str, NDArray[Any]]]


def _once(lease: Lease, tensor: Any) -> Any:
    """Hand over an input of several runs, unless that is done."""
    return lease.prepare(tensor) if isinstance(tensor, np.ndarray) else tensor


def begun(lease: Lease, frame0: Any, frame1: Any, times: NDArray[np.float32]) -> Finish:
    """Begin a run.

    Args:
        lease: what this call or stream has of a session.
        frame0, frame1: [1, H, W, 3] as the artifact takes them, or what the lease prepared.
        times: [T], inside (0, 1), one at least.
    """
    return lease.start({"frame0": frame0, "frame1": frame1, "t": times})


def finished(frame: Frame, run: Finish | None) -> tuple[Frame, NDArray[Any]]:
    """Wait for a run; return the frame, and those that it made, (T, H, W, 3), of its kind."""
    if run is None:
        return frame, np.empty((0, *frame.shape), frame.dtype)
    return frame, from_output(cropped(run()["frames"], frame), frame)


def filled(
    lease: Lease, frames: Iterable[Any], io: Io, runs_ahead: int
) -> Iterator[tuple[Frame, NDArray[Any]]]:
    """Yield every frame with those made between the frame before and itself.

    The arguments are those of `Interpolator.fill` and of the session; so are the errors.
    """
    waiting: deque[tuple[Frame, Finish | None]] = deque()
    for frame_and_run in _begun_in_order(lease, frames, io, copies=runs_ahead > 0):
        waiting.append(frame_and_run)
        if len(waiting) > runs_ahead:
            yield finished(*waiting.popleft())
    while waiting:
        yield finished(*waiting.popleft())


def _begun_in_order(
    lease: Lease, frames: Iterable[Any], io: Io, *, copies: bool
) -> Iterator[tuple[Frame, Finish | None]]:
    """Yield every frame with the run, just begun, that makes the frames before it."""
    before: tuple[Frame, Any] | None = None
    for given, wanted in with_times(frames):
        check_frame(given, "frame")
        times = times_inside(wanted)
        # The source may fill its array anew as soon as we ask for the next frame.
        frame = given.copy() if copies else given
        prepared: Any = to_input(given, io)
        run: Finish | None = None
        if before is not None:
            check_same_kind(before[0], frame)
            if len(times):
                prepared = _once(lease, prepared)
                run = begun(lease, _once(lease, before[1]), prepared, times)
        before = frame, prepared
        yield frame, run
