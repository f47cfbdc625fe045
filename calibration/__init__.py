"""Image triplets, and the activation ranges measured on them."""

from calibration.datasets import Triplet, middlebury, triplet_folders, ucf101, vimeo90k
from calibration.measurement import measure_ranges

__all__ = [
    "Triplet",
    "measure_ranges",
    "middlebury",
    "triplet_folders",
    "ucf101",
    "vimeo90k",
]
