"""Runs of a session: begun for one pair of frames at many times, and waited for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .frames import Frame, cropped, from_output
from .session import Lease

Finish = Callable[[], dict[str, NDArray[Any]]]


def once(lease: Lease, tensor: Any) -> Any:
    """Hand over an input of several runs, unless that is done."""
    return lease.prepare(tensor) if isinstance(tensor, np.ndarray) else tensor


def begun(lease: Lease, frame0: Any, frame1: Any, times: NDArray[np.float32]) -> Finish:
    """Begin a run.

    Args:
        lease: what this call or stream has of a session.
        frame0, frame1: [1, H, W, 3] as the artifact takes them, or what `once` made of them.
        times: [T], inside (0, 1), one at least.
    """
    height, width = frame0.shape[1:3]
    # A whole frame is its own window; tiles would say where they lie.
    window = np.array([0, 0, width, height], np.float32)
    return lease.start({"frame0": frame0, "frame1": frame1, "window": window, "t": times})


def finished(frame: Frame, run: Finish | None) -> tuple[Frame, NDArray[Any]]:
    """Wait for a run; return the frame, and those that it made, (T, H, W, 3), of its kind."""
    if run is None:
        return frame, np.empty((0, *frame.shape), frame.dtype)
    return frame, from_output(cropped(run()["frames"], frame), frame)
