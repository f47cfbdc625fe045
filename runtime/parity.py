"""Parity: how far an artifact, on this machine, is from the PyTorch reference."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backends import BackendName
from .bundled import bundled_for
from .errors import ArtifactError, NotFiniteError
from .golden import Golden, GoldenCase, golden_beside
from .interpolator import Interpolator
from .limits import ILL_CONDITIONED, LEVEL, Limits, limits_of
from .metadata import Metadata
from .options import check_path, check_within
from .verdicts import CaseResult, ParityReport


def check_parity(
    artifact: str | Path | None = None,
    golden: str | Path | Golden | None = None,
    *,
    max_error: float | None = None,
    min_psnr: float | None = None,
    backend: BackendName | None = None,
    device: int | str | None = None,
    threads: int | None = None,
    providers: Sequence[str] | None = None,
    trusted: bool = False,
) -> ParityReport:
    """Run an artifact on the pairs of a golden file and compare with the reference's outputs.

    Args:
        artifact: the artifact; None takes the bundled model.
        golden: the golden file, or its content; None takes the file beside the artifact.
        max_error: an absolute limit, in units of the full range, instead of `runtime.limits`'s.
        min_psnr: an absolute limit of each frame, dB, likewise.
        backend, device, threads, providers, trusted: as for `Interpolator`.

    Raises:
        ArtifactError: a damaged file, or a golden file that cannot judge this artifact.
        BackendError: this machine cannot run the artifact.
        InputNotFoundError: the artifact or the golden file is missing.
        OptionError: a limit that is negative or not finite, or no path.
    """
    if artifact is None:
        artifact = bundled_for(backend=backend, device=device, providers=providers)
    check_path("artifact", artifact, "rrin.onnx")
    path = Path(artifact)
    source = golden_beside(path) if golden is None else golden
    if not isinstance(source, Golden):
        check_path("golden", source, "rrin.golden.npz")
    with Interpolator(
        path,
        backend=backend,
        device=device,
        threads=threads,
        providers=providers,
        trusted=trusted,
        skip_still=False,
    ) as interpolate:
        content = source if isinstance(source, Golden) else Golden.load(source)
        bound = content.artifact_sha256
        if bound and bound != hashlib.sha256(path.read_bytes()).hexdigest():
            raise ArtifactError(
                f"{path}: not the file that its golden file was measured with; build both again"
            )
        report = judge(interpolate, content, str(path), max_error=max_error, min_psnr=min_psnr)
    return report if isinstance(source, Golden) else replace(report, reference=str(source))


def judge(
    interpolate: Interpolator,
    golden: Golden,
    name: str,
    *,
    max_error: float | None = None,
    min_psnr: float | None = None,
) -> ParityReport:
    """Run an interpolator on golden pairs and compare; `check_parity` says what may be raised.

    Args:
        name: what the report and messages call the artifact.
    """
    for limit, value in (("max_error", max_error), ("min_psnr", min_psnr)):
        if value is not None:
            check_within(limit, value, 0)
    given = {"max_abs_error": max_error, "min_psnr_db": min_psnr}
    chosen = {limit: each for limit, each in given.items() if each is not None}
    about = interpolate.metadata
    _check_judge(golden, about, name)
    basis, limits = limits_of(about.precision, golden)
    rounding = ["half a level is rounding"] if about.io == "uint8" else []
    return ParityReport(
        artifact=name,
        reference="golden outputs of PyTorch",
        backend=str(interpolate.backend),
        precision=about.precision,
        io=about.io,
        limits_from="; ".join([basis, *(f"{limit} as given" for limit in chosen), *rounding]),
        cases=tuple(
            result
            for case, derived in zip(golden.cases, limits, strict=True)
            for result in _compare(interpolate, case, [replace(each, **chosen) for each in derived])
        ),
    )


def _check_judge(golden: Golden, about: Metadata, name: str) -> None:
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
