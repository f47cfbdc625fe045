"""Image triplets, the activation ranges measured on them, and what INT8 costs by them."""

from importlib import import_module
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
    from calibration.budget import Block, Budget, BudgetError, Drop, fit_budget
    from calibration.measurement import measure_ranges

__all__ = [
    "Block",
    "Budget",
    "BudgetError",
    "ClipTriplet",
    "Drop",
    "Frames",
    "Sample",
    "Triplet",
    "clips",
    "fit_budget",
    "measure_ranges",
    "middlebury",
    "triplet_folders",
    "ucf101",
    "vimeo90k",
]


# They need onnx, which triplets do not.
_LATER = {
    "measure_ranges": "calibration.measurement",
    **dict.fromkeys(("Block", "Budget", "BudgetError", "Drop", "fit_budget"), "calibration.budget"),
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
