"""Image triplets, the activation ranges measured on them, and Q/DQ for INT8."""

from calibration.datasets import Triplet, middlebury, triplet_folders, ucf101, vimeo90k
from calibration.measurement import measure_ranges
from precision.ranges import Ranges

__all__ = [
    "Ranges",
    "Triplet",
    "measure_ranges",
    "middlebury",
    "triplet_folders",
    "ucf101",
    "vimeo90k",
]
