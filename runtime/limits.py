"""How far from the reference an artifact may be: the one place where that is decided.

Errors are in units of the full range [0, 1]; noise is the mean of their squares.

- fp32: ten times the reference's own float32 error on the same frames, but 1e-4 at least: it
  computes the same in another order, and errs as much as the reference does. The PSNR that is
  wanted falls with it, 20 dB for a tenfold error, from 78.1 dB.
- fp16 and int8, measured when they were built: twice the largest error then, and one level; twice
  the noise then (3 dB), and as much again as rounding in half costs. ONNX Runtime's CPU, which
  measures, computes half in float: real half was seen to lose 5e-4 and 90 to 97 dB, in bytes 72 to
  76 dB. Kernels that accumulate in half, too, lose about three times as much: 80 dB, in bytes 65.
- fp16 and int8, not measured: what every sound artifact of usual weights keeps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .golden import GoldenCase, Measured
from .metadata import Io, Metadata, Precision

LEVEL = 1 / 255
# A reference that errs more in float32 judges nothing.
ILL_CONDITIONED = 1e-3
_TIMES_REFERENCE = 10
_HALF_ROUNDING_DB: dict[Io, float] = {"float32": 80, "uint8": 65}


@dataclass(frozen=True)
class Limits:
    """What passes: the largest error of a value, and the least PSNR of a frame."""

    max_abs_error: float
    min_psnr_db: float


# At 78.1 dB one 8-bit value in a thousand is off by a level.
FLOORS: dict[Precision, Limits] = {
    "fp32": Limits(max_abs_error=1e-4, min_psnr_db=78.1),
    "fp16": Limits(max_abs_error=2e-2, min_psnr_db=60),
    "int8": Limits(max_abs_error=1e-1, min_psnr_db=45),
}


def limits_of(metadata: Metadata, case: GoldenCase, index: int) -> Limits:
    """Return what an artifact is judged by on a pair, at its `index`-th time.

    A uint8 artifact is held against the rounded reference and may be one level further away.
    """
    floor = FLOORS[metadata.precision]
    if metadata.precision != "fp32" and case.measured:
        return _beside(case.measured[index], metadata.io)
    largest, psnr = floor.max_abs_error, floor.min_psnr_db
    if metadata.precision == "fp32":
        largest = max(largest, _TIMES_REFERENCE * case.reference_error)
        psnr -= 20 * math.log10(largest / floor.max_abs_error)
    return Limits(largest + (LEVEL if metadata.io == "uint8" else 0), psnr)


def basis_of(precision: Precision, measured: bool) -> str:
    """Say where `limits_of` takes its limits from."""
    if precision == "fp32":
        return "PyTorch's own float32 error on the same frames"
    if measured:
        return "what the artifact measured when it was built"
    return f"those of any {precision} artifact, as no measurement of its build is known"


def _beside(measured: Measured, io: Io) -> Limits:
    noise = 10 ** (-measured.psnr_db / 10) + 10 ** (-_HALF_ROUNDING_DB[io] / 10)
    return Limits(2 * measured.max_abs_error + LEVEL, -10 * math.log10(2 * noise))
