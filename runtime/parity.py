"""Parity: how far an artifact, on this machine, is from the PyTorch reference."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ArtifactError, NotFiniteError, OptionError
from .golden import Golden, GoldenCase, golden_beside
from .interpolator import BUNDLED_MODEL, Interpolator
from .limits import ILL_CONDITIONED, LEVEL, Limits, limits_of
from .metadata import Metadata, Precision


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


def check_parity(
    artifact: str | Path | None = None,
    golden: str | Path | Golden | None = None,
    *,
    max_error: float | None = None,
    min_psnr: float | None = None,
    name: str | Path | None = None,
    device: int | None = None,
    threads: int | None = None,
    providers: Sequence[str] | None = None,
) -> ParityReport:
    """Run an artifact on the pairs of a golden file and compare with the reference's outputs.

    Args:
        artifact: the artifact; None takes the bundled small model.
        golden: the golden file, or its content; None takes the file beside the artifact.
        max_error: an absolute limit, in units of the full range, instead of `runtime.limits`'s.
        min_psnr: an absolute limit of each frame, dB, likewise.
        name: what the report and messages call the artifact; None takes its path.
        device, threads, providers: as for `Interpolator`.

    Raises:
        ArtifactError: a damaged file, or a golden file that cannot judge this artifact.
        BackendError: this machine cannot run the artifact.
        InputNotFoundError: the artifact or the golden file is missing.
        OptionError: a limit that is negative or not finite.
    """
    for limit, value in (("max_error", max_error), ("min_psnr", min_psnr)):
        if value is not None and not 0 <= value < float("inf"):
            raise OptionError(f"{limit} is {value}; expected a finite number, 0 or more")
    given = {"max_abs_error": max_error, "min_psnr_db": min_psnr}
    chosen = {limit: each for limit, each in given.items() if each is not None}
    path = Path(BUNDLED_MODEL if artifact is None else artifact)
    source = golden_beside(path) if golden is None else golden
    with Interpolator(path, device=device, threads=threads, providers=providers) as interpolate:
        about = interpolate.metadata
        content = source if isinstance(source, Golden) else Golden.load(source)
        name = str(path if name is None else name)
        _check_judge(content, about, path, name)
        basis, limits = limits_of(about.precision, content)
        rounding = ["half a level is rounding"] if about.io == "uint8" else []
        return ParityReport(
            artifact=name,
            reference="PyTorch, live" if isinstance(source, Golden) else str(source),
            backend=str(interpolate.backend),
            precision=about.precision,
            io=about.io,
            limits_from="; ".join([basis, *(f"{limit} as given" for limit in chosen), *rounding]),
            cases=tuple(
                result
                for case, derived in zip(content.cases, limits, strict=True)
                for result in _compare(
                    interpolate, case, [replace(each, **chosen) for each in derived]
                )
            ),
        )


def _check_judge(golden: Golden, about: Metadata, artifact: Path, name: str) -> None:
    """Raise ArtifactError unless a golden file can judge an artifact."""
    ours = about.checkpoint_sha256, about.align_corners
    if ours != (golden.checkpoint_sha256, golden.align_corners):
        raise ArtifactError(
            f"{name}: made of checkpoint {_short(*ours)}, but the golden outputs are of "
            f"{_short(golden.checkpoint_sha256, golden.align_corners)}; "
            "use the golden file that was exported with it"
        )
    if golden.measured_on not in ("", f"{about.precision} {about.runtime}"):
        raise ArtifactError(
            f"{name}: is {about.precision} for {about.runtime}, but the golden file was measured "
            f"on a build in {golden.measured_on}; use the one that was built with it"
        )
    if golden.artifact_sha256 not in ("", hashlib.sha256(artifact.read_bytes()).hexdigest()):
        raise ArtifactError(
            f"{name}: not the file that its golden file was measured with; build both again"
        )
    try:
        golden.check()
    except ValueError as error:
        raise ArtifactError(f"{name}: its golden outputs cannot be used: {error}") from error
    for index, case in enumerate(golden.cases):
        if case.reference_error > ILL_CONDITIONED:
            raise ArtifactError(
                f"{name}: on case {index} the PyTorch reference itself errs by "
                f"{case.reference_error:.1e} in float32, expected {ILL_CONDITIONED:.0e} at most: "
                "such weights cannot be judged"
            )


def psnr_db(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio of two arrays in [0, 1], dB; infinite where they are equal."""
    error = float(np.mean(np.square(np.subtract(a, b, dtype=np.float64))))
    return -10 * float(np.log10(error)) if error else float("inf")


def _compare(
    interpolate: Interpolator, case: GoldenCase, limits: Sequence[Limits]
) -> list[CaseResult]:
    made, rounding = _made(interpolate, case), 0.0
    if made.dtype == np.uint8:
        made, rounding = made / 255, LEVEL / 2
    results = []
    for ours, theirs, t, limit in zip(made, case.frames, case.t, limits, strict=True):
        finite = np.isfinite(ours)
        distance = np.where(finite, np.abs(ours - theirs), 1)
        error = np.maximum(distance - rounding, 0)
        largest, psnr = float(error.max()), psnr_db(error, np.zeros_like(error))
        within = largest <= limit.max_abs_error and psnr >= limit.min_psnr_db
        results.append(
            CaseResult(
                width=case.frame0.shape[1],
                height=case.frame0.shape[0],
                t=float(t),
                max_abs_error=largest,
                mean_abs_error=float(error.mean(dtype=np.float64)),
                psnr_db=psnr if np.isfinite(psnr) else None,
                equal_share=float(np.mean(distance <= LEVEL / 2)),
                not_finite=int(finite.size - np.count_nonzero(finite)),
                limits=limit,
                passed=bool(finite.all()) and within,
            )
        )
    return results


def _made(interpolate: Interpolator, case: GoldenCase) -> NDArray[Any]:
    frame0, frame1 = case.frame0, case.frame1
    if interpolate.metadata.io == "float32":
        frame0, frame1 = _unit(frame0), _unit(frame1)
    try:
        return interpolate(frame0, frame1, case.t)
    except NotFiniteError as error:
        frames: NDArray[Any] = error.frames
        return frames


def _unit(frames: NDArray[np.uint8]) -> NDArray[Any]:
    return frames.astype(np.float32) / np.float32(255)


def _short(checkpoint_sha256: str, align_corners: bool) -> str:
    return f"{checkpoint_sha256[:12]} (align_corners={align_corners})"
