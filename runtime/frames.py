"""Frames on their way into an artifact and out of it: checked, padded, converted, cropped.

And the times between two of them that are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .architecture import padded
from .errors import FrameError, NotFiniteError, shown
from .metadata import Io

Frame = NDArray[Any]


class DeviceArray(Protocol):
    """An array in a GPU's memory that says where, as those of CuPy, PyCUDA and torch do."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...


class DLPackArray(Protocol):
    """An array that hands over its memory by the DLPack protocol, as those of most libraries do."""

    def __dlpack_device__(self) -> tuple[Any, int]: ...

    def __dlpack__(self, *, stream: Any = None) -> Any: ...


class PairInterpolator(Protocol):
    """Whatever makes frames between two frames: an artifact, or the PyTorch reference.

    Frames are (H, W, 3) RGB; see `Interpolator.__call__`.
    """

    def __call__(  # noqa: D102 - the class says it
        self, frame0: Frame, frame1: Frame, t: float | Sequence[float] | NDArray[Any] = 0.5
    ) -> NDArray[Any]: ...


MAX_TIMES = 1000
_INSIDE = np.finfo(np.float32).tiny, np.nextafter(np.float32(1), np.float32(0))


def check_frame(frame: Frame, name: str) -> None:
    """Raise FrameError unless `frame` is (H, W, 3), uint8, or float32 in [0, 1] without NaN."""
    if not isinstance(frame, np.ndarray):
        raise FrameError(f"{name} is a {type(frame).__name__}; expected a numpy array (H, W, 3)")
    if frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise FrameError(f"{name} has shape {frame.shape}; expected (H, W, 3), RGB")
    if frame.dtype == np.uint8:
        return
    if frame.dtype != np.float32:
        raise FrameError(f"{name} is {frame.dtype}; expected uint8, or float32 in [0, 1]")
    low, high = float(frame.min()), float(frame.max())
    if not (low >= 0 and high <= 1):
        found = "holds NaN" if np.isnan(low) else f"has values from {low:g} to {high:g}"
        raise FrameError(f"{name} {found}; expected float32 in [0, 1]")


def check_pair(frame0: Frame, frame1: Frame) -> None:
    """Raise FrameError unless both are frames, of one size and one dtype."""
    check_frame(frame0, "frame0")
    check_frame(frame1, "frame1")
    check_same_kind(frame0, frame1)


def check_same_kind(frame0: Frame, frame1: Frame) -> None:
    """Raise FrameError unless two checked frames have one size and one dtype."""
    if frame0.shape != frame1.shape:
        raise two_sizes(frame0.shape, frame1.shape)
    if frame0.dtype != frame1.dtype:
        raise FrameError(f"frames are {frame0.dtype} and {frame1.dtype}; expected one dtype")


def two_sizes(shape0: tuple[int, ...], shape1: tuple[int, ...]) -> FrameError:
    """Return the error of frames of two shapes, (H, W, 3) each."""
    (height0, width0), (height1, width1) = shape0[:2], shape1[:2]
    return FrameError(
        f"frames of two sizes, {width0}x{height0} and {width1}x{height1}; expected one size"
    )


def check_next(frame: Frame, shape: tuple[int, ...]) -> None:
    """Raise FrameError unless it is a frame, of the shape of the one before; () before the first.

    Its dtype may be another.
    """
    check_frame(frame, "frame")
    if shape not in ((), frame.shape):
        raise two_sizes(shape, frame.shape)


def check_several(frames: Any) -> None:
    """Raise FrameError unless frames come one after another."""
    if not isinstance(frames, Iterable):
        raise FrameError(
            f"frames is a {type(frames).__name__}; expected a list, a generator or the like"
        )


def with_times(frames: Iterable[Any]) -> Iterator[tuple[Frame, Any]]:
    """Yield frames, each with the times that are wanted before it.

    Raises:
        FrameError: they are no such pairs.
    """
    check_several(frames)
    for item in frames:
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise FrameError(
                f"frames holds a {type(item).__name__}; expected pairs, as in (frame, [0.5])"
            )
        yield item[0], item[1]


def times_of(t: float | Sequence[float] | NDArray[Any]) -> NDArray[np.float32]:
    """Return one time or several as float32 [T].

    Raises:
        FrameError: not numbers, nested, outside [0, 1], or more than `MAX_TIMES`.
    """
    try:
        times = np.atleast_1d(np.asarray(t, dtype=np.float32))
    except (TypeError, ValueError, OverflowError):
        raise FrameError(f"t is {shown(t)}; expected a number in [0, 1], or several") from None
    if times.ndim != 1 or not ((times >= 0) & (times <= 1)).all():
        raise FrameError(f"t is {shown(t)}; expected a number in [0, 1], or several")
    if len(times) > MAX_TIMES:
        raise FrameError(f"t holds {len(times)} times; expected {MAX_TIMES} at most in one call")
    return times


def times_inside(t: float | Sequence[float] | NDArray[Any]) -> NDArray[np.float32]:
    """Return times as `times_of` does; those inside (0, 1) stay inside where float32 is too coarse.

    Raises:
        FrameError: as `times_of`, or 0 or 1 among them.
    """
    times = times_of(t)
    given = np.atleast_1d(np.asarray(t, np.float64))
    if not ((given > 0) & (given < 1)).all():
        raise FrameError(f"t is {shown(t)}; expected times inside (0, 1)")
    return np.clip(times, *_INSIDE)


def to_input(frame: Frame, io: Io) -> NDArray[Any]:
    """Convert a checked frame to the artifact's dtype and pad it right and bottom by replication.

    Returns:
        [1, H', W', 3], a copy; H' and W' are multiples of 32, as the authors' demo pads.

    Raises:
        FrameError: a float32 frame for a uint8 artifact, which would lose precision silently.
    """
    if frame.dtype == np.float32 and io == "uint8":
        raise FrameError(
            "float32 frames, but the artifact takes uint8; give uint8 frames, or export the "
            "checkpoint for float32 io"
        )
    height, width = frame.shape[:2]
    beyond = (0, padded(height) - height), (0, padded(width) - width), (0, 0)
    whole = np.pad(frame, beyond, mode="edge")
    if frame.dtype == np.uint8 and io == "float32":
        whole = whole / np.float32(255)
    return whole[np.newaxis]


def cropped(frames: NDArray[Any], like: Frame) -> NDArray[Any]:
    """Return what was made, [T, H', W', 3], at the size of `like`: a view, [T, H, W, 3]."""
    height, width = like.shape[:2]
    return frames[:, :height, :width]


def from_output(frames: NDArray[Any], like: Frame) -> NDArray[Any]:
    """Return cropped frames, rounded to the dtype of `like`.

    Raises:
        NotFiniteError: NaN or infinity is among them; where an artifact makes bytes, none can be.
    """
    if frames.dtype != np.float32:
        return frames
    if not np.isfinite([frames.min(), frames.max()]).all():
        raise NotFiniteError(frames)
    return np.rint(frames * np.float32(255)).astype(np.uint8) if like.dtype == np.uint8 else frames
