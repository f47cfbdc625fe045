"""Runs of a session: begun for one pair of frames at many times, and put together again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .frames import Frame, cropped, from_output
from .session import Lease, Session

Finish = Callable[[], dict[str, NDArray[Any]]]


def once(lease: Lease, tensor: Any) -> Any:
    """Hand over an input of several runs, unless that is done."""
    return lease.prepare(tensor) if isinstance(tensor, np.ndarray) else tensor


def begun(
    session: Session, lease: Lease, frame0: Any, frame1: Any, times: NDArray[np.float32]
) -> list[Finish]:
    """Begin as many runs as the times need.

    Args:
        session, lease: what runs them, and what of it this call or stream has.
        frame0, frame1: [1, H, W, 3] as the artifact takes them, or what `once` made of them.
        times: [T], inside (0, 1).
    """
    height, width = frame0.shape[1:3]
    at_once = session.max_times or len(times)
    if len(times) > at_once:
        frame0, frame1 = once(lease, frame0), once(lease, frame1)
    # A whole frame is its own window; tiles would say where they lie.
    window = np.array([0, 0, width, height], np.float32)
    pair = {"frame0": frame0, "frame1": frame1, "window": window}
    return [
        lease.start({**pair, "t": times[first : first + at_once]})
        for first in range(0, len(times), at_once)
    ]


def finished(frame: Frame, runs: list[Finish]) -> tuple[Frame, NDArray[Any]]:
    """Wait for runs; return the frame, and those that they made, (T, H, W, 3), of its kind."""
    if not runs:
        return frame, np.empty((0, *frame.shape), frame.dtype)
    made = np.concatenate([cropped(finish()["frames"], frame) for finish in runs])
    return frame, from_output(made, frame)
