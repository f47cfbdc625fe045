"""The runtime: runs an RRIN artifact on frames, and says how far it is from the reference.

This folder is self-contained: copied alone to a device it needs numpy and one backend.
"""

from .cuts import CutDetector
from .errors import (
    ArtifactError,
    BackendError,
    FrameError,
    InputNotFoundError,
    OptionError,
    OutputError,
    OutputExistsError,
    RrinError,
)
from .interpolator import Interpolator
from .parity import check_parity
from .verdicts import ParityReport

__all__ = [
    "ArtifactError",
    "BackendError",
    "CutDetector",
    "FrameError",
    "InputNotFoundError",
    "Interpolator",
    "OptionError",
    "OutputError",
    "OutputExistsError",
    "ParityReport",
    "RrinError",
    "check_parity",
]
