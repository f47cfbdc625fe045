"""Parity: how far an artifact, on this machine, is from the PyTorch reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ArtifactError
from .golden import Golden, GoldenCase, golden_beside
from .interpolator import BUNDLED_MODEL, Interpolator
from .metadata import Precision

_LEVEL = 1 / 255


@dataclass(frozen=True)
class Limits:
    """What passes; errors in units of the full range [0, 1].

    A uint8 artifact is held against the rounded reference and may be one level further away.
    """

    max_abs_error: float
    min_psnr_db: float


# At 78.1 dB one 8-bit value in a thousand is off by a level.
LIMITS: dict[Precision, Limits] = {
    "fp32": Limits(max_abs_error=1e-4, min_psnr_db=78.1),
    "fp16": Limits(max_abs_error=2e-2, min_psnr_db=60),
    "int8": Limits(max_abs_error=1e-1, min_psnr_db=45),
}


@dataclass(frozen=True)
class CaseResult:
    """One pair at one time; errors in units of the full range [0, 1], infinite PSNR as None."""

    width: int
    height: int
    t: float
    max_abs_error: float
    mean_abs_error: float
    psnr_db: float | None
    equal_share: float
    passed: bool


@dataclass(frozen=True)
class ParityReport:
    """What `check_parity` found.

    Attributes:
        reference: where the expected frames come from.
        backend: what ran the artifact.
        limits: what each case is judged by.
        cases: one for each pair and time.
    """

    artifact: str
    reference: str
    backend: str
    precision: Precision
    io: str
    limits: Limits
    cases: tuple[CaseResult, ...]

    @property
    def passed(self) -> bool:
        """True if there are cases and all passed."""
        return bool(self.cases) and all(case.passed for case in self.cases)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON types, the verdict first."""
        return {"passed": self.passed, **asdict(self)}


def check_parity(
    artifact: str | Path | None = None,
    golden: str | Path | Golden | None = None,
    *,
    device: int = 0,
    threads: int | None = None,
    providers: Sequence[str] | None = None,
) -> ParityReport:
    """Run an artifact on the pairs of a golden file and compare with the reference's outputs.

    Args:
        artifact: the artifact; None takes the bundled small model.
        golden: the golden file, or its content; None takes the file beside the artifact.
        device, threads, providers: as for `Interpolator`.

    Raises:
        ArtifactError: a damaged file, or a golden file of another checkpoint or align_corners.
        BackendError: this machine cannot run the artifact.
        InputNotFoundError: the artifact or the golden file is missing.
    """
    path = Path(BUNDLED_MODEL if artifact is None else artifact)
    source = golden_beside(path) if golden is None else golden
    content = source if isinstance(source, Golden) else Golden.load(source)
    with Interpolator(path, device=device, threads=threads, providers=providers) as interpolate:
        about = interpolate.metadata
        ours = about.checkpoint_sha256, about.align_corners
        if ours != (content.checkpoint_sha256, content.align_corners):
            raise ArtifactError(
                f"{path}: made of checkpoint {_short(*ours)}, but the golden outputs are of "
                f"{_short(content.checkpoint_sha256, content.align_corners)}; "
                "use the golden file that was exported with it"
            )
        limits = LIMITS[about.precision]
        results = [
            result for case in content.cases for result in _compare(interpolate, case, limits)
        ]
        return ParityReport(
            artifact=str(path),
            reference="PyTorch, live" if isinstance(source, Golden) else str(source),
            backend=interpolate.backend,
            precision=about.precision,
            io=about.io,
            limits=limits,
            cases=tuple(results),
        )


def psnr_db(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio of two arrays in [0, 1], dB; infinite where they are equal."""
    error = float(np.mean(np.square(np.subtract(a, b, dtype=np.float64))))
    return -10 * float(np.log10(error)) if error else float("inf")


def _compare(interpolate: Interpolator, case: GoldenCase, limits: Limits) -> list[CaseResult]:
    frame0, frame1, expected = case.frame0, case.frame1, case.frames
    rounding = 0.0
    if interpolate.metadata.io == "float32":
        made = interpolate(_unit(frame0), _unit(frame1), case.t)
    else:
        made = _unit(interpolate(frame0, frame1, case.t))
        expected = _unit(np.rint(expected * 255).astype(np.uint8))
        rounding = _LEVEL
    results = []
    for t, ours, theirs in zip(case.t, made, expected, strict=True):
        error = np.abs(ours - theirs)
        largest, psnr = float(error.max()), psnr_db(ours, theirs)
        results.append(
            CaseResult(
                width=frame0.shape[1],
                height=frame0.shape[0],
                t=float(t),
                max_abs_error=largest,
                mean_abs_error=float(error.mean()),
                psnr_db=psnr if np.isfinite(psnr) else None,
                equal_share=float(np.mean(error < _LEVEL / 2)),
                passed=largest <= limits.max_abs_error + rounding and psnr >= limits.min_psnr_db,
            )
        )
    return results


def _unit(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    return frames.astype(np.float32) / np.float32(255)


def _short(checkpoint_sha256: str, align_corners: bool) -> str:
    return f"{checkpoint_sha256[:12]} (align_corners={align_corners})"
