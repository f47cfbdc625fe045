"""What comparing an artifact with the PyTorch reference found."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from .limits import Limits
from .metadata import Precision


@dataclass(frozen=True)
class CaseResult:
    """One pair at one time; errors in units of the full range [0, 1].

    Attributes:
        width, height, t: of the pair, pixels, and when between its frames.
        max_abs_error, mean_abs_error: from the reference, of bytes from half a level away from it
            on; a value that is not finite counts as 1.
        psnr_db: of these errors; None where there are none.
        equal_share: of the values within half a level of the reference, which 8 bits cannot tell
            from it.
        not_finite: how many values are NaN or infinite; with any of them the case fails.
        limits: what the case was judged by.
        passed: the verdict.
    """

    width: int
    height: int
    t: float
    max_abs_error: float
    mean_abs_error: float
    psnr_db: float | None
    equal_share: float
    not_finite: int
    limits: Limits
    passed: bool

    @property
    def strain(self) -> float:
        """How much of its limits the case takes: above 1 it fails."""
        if self.not_finite:
            return math.inf
        error, limit = self.max_abs_error, self.limits.max_abs_error
        by_error = error / limit if limit else math.inf if error else 0.0
        by_psnr = 0.0
        if self.psnr_db is not None:
            by_psnr = 10 ** ((self.limits.min_psnr_db - self.psnr_db) / 20)
        return max(by_error, by_psnr)

    @property
    def failure(self) -> str:
        """What failed, each with its limit; empty where the case passed."""
        found = []
        if self.not_finite:
            found.append(f"{self.not_finite} values that are NaN or infinite")
        if self.max_abs_error > self.limits.max_abs_error:
            limit = f"{self.limits.max_abs_error:.3g} at most"
            found.append(f"an error of {self.max_abs_error:.3g}, expected {limit}")
        if self.psnr_db is not None and self.psnr_db < self.limits.min_psnr_db:
            limit = f"{self.limits.min_psnr_db:.2f} dB at least"
            found.append(f"{self.psnr_db:.2f} dB, expected {limit}")
        return " and ".join(found)


@dataclass(frozen=True)
class ParityReport:
    """What `check_parity` found.

    Attributes:
        reference: where the expected frames come from.
        backend: what ran the artifact.
        limits_from: where the limits of the cases come from; see `runtime.limits`.
        cases: one for each pair and time.
    """

    artifact: str
    reference: str
    backend: str
    precision: Precision
    io: str
    limits_from: str
    cases: tuple[CaseResult, ...]

    @property
    def passed(self) -> bool:
        """True if there are cases and all passed."""
        return bool(self.cases) and all(case.passed for case in self.cases)

    @property
    def worst(self) -> CaseResult:
        """The case that comes closest to its limit, or is furthest beyond it."""
        return max(self.cases, key=lambda case: case.strain)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON types, the verdict first."""
        return {"passed": self.passed, **asdict(self)}
