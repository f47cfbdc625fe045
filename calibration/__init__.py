"""Image triplets, and the activation ranges measured on them."""

from typing import TYPE_CHECKING, Any

from calibration.datasets import (
    Frames,
    Sample,
    Triplet,
    middlebury,
    triplet_folders,
    ucf101,
    vimeo90k,
)
from calibration.videos import ClipTriplet, clips

if TYPE_CHECKING:
    from calibration.measurement import measure_ranges

__all__ = [
    "ClipTriplet",
    "Frames",
    "Sample",
    "Triplet",
    "clips",
    "measure_ranges",
    "middlebury",
    "triplet_folders",
    "ucf101",
    "vimeo90k",
]


def __getattr__(name: str) -> Any:
    if name != "measure_ranges":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from calibration.measurement import measure_ranges  # needs onnx, which triplets do not

    return measure_ranges
