"""The pictures of a report: where an artifact is off the reference, and its worst results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration import Triplet
from rrin_deploy.evaluation import Case, worst
from rrin_deploy.pictures import average
from rrin_deploy.report.flow import seen_flow
from rrin_deploy.report.pictures import (
    Picture,
    enlarged,
    error_colours,
    flow_colours,
    level_colours,
    picture,
)
from runtime.frames import PairInterpolator
from runtime.golden import Golden
from runtime.interpolator import Interpolator
from runtime.limits import LEVEL
from runtime.verdicts import CaseResult, ParityReport

BRIGHTEST = 64  # levels of error, in maps of results
_MOST_CASES = 6
_MAX_BYTES = 6_500_000  # of worst results in a page, which the first may exceed


@dataclass(frozen=True)
class ParityPicture:
    """The case of an artifact's parity that comes closest to its limit, or is furthest beyond."""

    artifact: str
    case: CaseResult
    reference: Picture
    error: Picture


@dataclass(frozen=True)
class Result:
    """What a contender made of a triplet, and its largest error in each pixel as colours."""

    name: str
    psnr_db: float
    made: Picture
    error: Picture


@dataclass(frozen=True)
class WorstCase:
    """A triplet that contenders did badly on.

    Attributes:
        flow: what the first ONNX file sees, as colours, the longest of `longest` pixels; None where
            there is no such file.
        average_error: of the plain average.
    """

    name: str
    motion: float
    frame0: Picture
    frame1: Picture
    truth: Picture
    results: Sequence[Result]
    average_error: Picture
    flow: Picture | None
    longest: float


def parity_picture(
    interpolate: Interpolator, golden: Golden, name: str, report: ParityReport
) -> ParityPicture:
    """Run the case that is hardest on an artifact once more, and draw where it is off."""
    times = [(case, index) for case in golden.cases for index in range(len(case.t))]
    case, index = times[report.cases.index(report.worst)]
    frame0: NDArray[Any] = case.frame0
    frame1: NDArray[Any] = case.frame1
    rounding, full = LEVEL / 2, np.float32(255)
    if interpolate.metadata.io == "float32":
        frame0, frame1, rounding = frame0 / full, frame1 / full, 0.0
    made: NDArray[Any] = interpolate(frame0, frame1, case.t[index : index + 1])[0]
    made = made / full if made.dtype == np.uint8 else made
    error = np.maximum(np.abs(made - case.frames[index]) - rounding, 0).max(axis=2)
    reference = np.rint(case.frames[index] * 255).astype(np.uint8)
    colours = error_colours(error, report.worst.limits.max_abs_error)
    return ParityPicture(
        name,
        report.worst,
        picture(enlarged(reference), of="pixels"),
        picture(enlarged(colours), of="pixels"),
    )


def worst_cases(
    contenders: Mapping[str, PairInterpolator],
    triplets: Sequence[Triplet],
    cases: Sequence[Case],
    model: Path | None,
    threads: int | None,
) -> list[WorstCase]:
    """Make the worst results of each contender again, and draw as many as a page has room for.

    Args:
        triplets, cases: in the same order.
        model: the ONNX file whose flow is drawn.
    """
    ranks = zip(*(worst(cases, name, _MOST_CASES) for name in contenders), strict=True)
    chosen = list(dict.fromkeys(case.name for rank in ranks for case in rank))[:_MOST_CASES]
    by_name = {case.name: (triplet, case) for triplet, case in zip(triplets, cases, strict=True)}
    drawn: list[WorstCase] = []
    room = _MAX_BYTES
    for name in chosen:
        each = _draw(contenders, *by_name[name], model, threads)
        room -= sum(len(image.uri) for image in _pictures(each))
        if drawn and room < 0:
            break
        drawn.append(each)
    return drawn


def _draw(
    contenders: Mapping[str, PairInterpolator],
    triplet: Triplet,
    case: Case,
    model: Path | None,
    threads: int | None,
) -> WorstCase:
    frames = triplet.read()

    def errors(made: NDArray[np.uint8]) -> Picture:
        return picture(level_colours(made, frames.truth, BRIGHTEST), of="map")

    results = []
    for name, interpolate in contenders.items():
        made = interpolate(frames.frame0, frames.frame1)
        results.append(Result(name, case.scores[name].psnr_db, picture(made), errors(made)))
    flow, longest = None, 0.0
    if model:
        seen = seen_flow(model, frames.frame0, frames.frame1, threads)
        longest = float(np.percentile(np.hypot(seen[..., 0], seen[..., 1]), 99))
        flow = picture(flow_colours(seen, longest), of="map")
    return WorstCase(
        name=triplet.name,
        motion=case.motion,
        frame0=picture(frames.frame0),
        frame1=picture(frames.frame1),
        truth=picture(frames.truth),
        results=results,
        average_error=errors(average(frames.frame0, frames.frame1)),
        flow=flow,
        longest=longest,
    )


def _pictures(case: WorstCase) -> list[Picture]:
    of_results = [image for each in case.results for image in (each.made, each.error)]
    others = [case.frame0, case.frame1, case.truth, case.average_error]
    return [*of_results, *others, *([case.flow] if case.flow else [])]
