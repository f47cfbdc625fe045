"""How far from the reference an artifact may be: the one place where that is decided.

Errors are in units of the full range [0, 1]; noise is the mean of their squares.

- fp32: ten times the reference's own float32 error on the same frames, but 1e-4 at least: it
  computes the same in another order, and errs as much as the reference does. The PSNR that is
  wanted falls with it, 20 dB for a tenfold error, from 78.1 dB.
- fp16 and int8, measured when they were built: twice the largest error then, and one level; twice
  the noise then (3 dB), and as much again as rounding in half costs. ONNX Runtime's CPU, which
  measures, computes half in float: real half was seen to lose 5e-4 and 90 to 97 dB. Kernels that
  accumulate in half, too, lose about three times as much: 80 dB. A measurement is no licence: at
  most ten times the error that an artifact without one may have, and 20 dB less.
- bf16, measured: the same; it is measured where it runs.
- fp16, bf16 and int8, not measured: what every sound artifact of usual weights keeps. Rounded as
  the file says, bf16 was seen to lose 18 dB more than half, as its three bits fewer say: 73 to 82
  dB are left, and 5e-3 at most.

The same for bytes, whose error counts from half a level on: rounding takes no more, and a value
that lies between two levels may go to either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .golden import Golden, GoldenCase, Measured
from .metadata import Precision

LEVEL = 1 / 255
# A reference that errs more in float32 judges nothing.
ILL_CONDITIONED = 1e-3
_TIMES_REFERENCE = 10
_HALF_ROUNDING_DB = 80
_MOST_TIMES_FLOOR = 10


@dataclass(frozen=True)
class Limits:
    """What passes: the largest error of a value, and the least PSNR of a frame."""

    max_abs_error: float
    min_psnr_db: float


# At 78.1 dB one 8-bit value in a thousand is off by a level.
FLOORS: dict[Precision, Limits] = {
    "fp32": Limits(max_abs_error=1e-4, min_psnr_db=78.1),
    "fp16": Limits(max_abs_error=2e-2, min_psnr_db=60),
    "bf16": Limits(max_abs_error=5e-2, min_psnr_db=50),
    "int8": Limits(max_abs_error=1e-1, min_psnr_db=45),
}


def limits_of(precision: Precision, golden: Golden) -> tuple[str, list[list[Limits]]]:
    """Return what an artifact's limits follow from, and those of each case at each of its times."""
    if precision == "fp32":
        basis = "PyTorch's own float32 error on the same frames"
        return basis, [[_beside_reference(case)] * len(case.t) for case in golden.cases]
    floor = FLOORS[precision]
    if golden.measured_on:
        basis = "what the artifact measured when it was built"
        return basis, [[_beside(each, floor) for each in case.measured] for case in golden.cases]
    basis = f"those of any {precision} artifact, as no measurement of its build is known"
    return basis, [[floor] * len(case.t) for case in golden.cases]


def _beside_reference(case: GoldenCase) -> Limits:
    floor = FLOORS["fp32"]
    return _widened(floor, max(1.0, _TIMES_REFERENCE * case.reference_error / floor.max_abs_error))


def _beside(measured: Measured, floor: Limits) -> Limits:
    noise = 10 ** (-measured.psnr_db / 10) + 10 ** (-_HALF_ROUNDING_DB / 10)
    widest = _widened(floor, _MOST_TIMES_FLOOR)
    return Limits(
        min(2 * measured.max_abs_error + LEVEL, widest.max_abs_error),
        max(-10 * math.log10(2 * noise), widest.min_psnr_db),
    )


def _widened(limits: Limits, times: float) -> Limits:
    return Limits(times * limits.max_abs_error, limits.min_psnr_db - 20 * math.log10(times))
