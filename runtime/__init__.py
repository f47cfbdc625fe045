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
from .frames import DeviceArray, DLPackArray, PairInterpolator
from .golden import Golden, GoldenCase, Measured
from .interpolator import Interpolator
from .limits import Limits
from .manifest import Manifest, Profile
from .metadata import Metadata
from .parity import check_parity
from .session import Backend
from .verdicts import CaseResult, ParityReport

__all__ = [
    "ArtifactError",
    "Backend",
    "BackendError",
    "CaseResult",
    "CutDetector",
    "DLPackArray",
    "DeviceArray",
    "FrameError",
    "Golden",
    "GoldenCase",
    "InputNotFoundError",
    "Interpolator",
    "Limits",
    "Manifest",
    "Measured",
    "Metadata",
    "OptionError",
    "OutputError",
    "OutputExistsError",
    "PairInterpolator",
    "ParityReport",
    "Profile",
    "RrinError",
    "check_parity",
]
