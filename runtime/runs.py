"""Runs of a session: begun for a pair of frames at many times, or for a stream, and waited for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BackendError
from .frames import (
    Frame,
    PairInterpolator,
    check_frame,
    check_pair,
    check_same_kind,
    cropped,
    from_output,
    times_inside,
    times_of,
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


def made_between(
    lease: Callable[[], AbstractContextManager[Lease]], frame0: Frame, frame1: Frame, t: Any, io: Io
) -> NDArray[Any]:
    """Return the frames between two.

    The arguments but `lease` and `io`, what it returns, and the errors are those of
    `Interpolator.__call__`.
    """
    check_pair(frame0, frame1)
    times = times_of(t)
    made = np.empty((len(times), *frame0.shape), frame0.dtype)
    made[times == 0], made[times == 1] = frame0, frame1
    between = (times > 0) & (times < 1)
    if between.any():
        inputs = to_input(frame0, io), to_input(frame1, io)
        with lease() as leased:
            _, made[between] = finished(frame0, begun(leased, *inputs, times[between]))
    return made[0] if np.ndim(t) == 0 else made


def warmed_up(
    call: PairInterpolator, size: tuple[int, int], times: int, *, runs: int, in_parts: bool
) -> None:
    """Make frames of no interest; see `Interpolator.warm_up`.

    Args:
        size: height and width.
        runs: of each pair.
        in_parts: whether what moves is run in pieces of any size, which may have their own kernels.
    """
    height, width = size
    try:
        black = np.zeros((height, width, 3), np.uint8)
        others = [~black]  # all of it moves, or nothing would be run
        if in_parts:
            corner = black.copy()
            corner[0, 0] = 255
            others.append(corner)
        for other in others * runs:
            call(black, other, np.arange(1, times + 1) / (times + 1))
    except MemoryError as error:
        why = f"no memory for {times} frames of {width}x{height}; take fewer or smaller ones"
        raise BackendError(why) from error


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
