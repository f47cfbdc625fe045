"""Charts as SVG, drawn of findings: bars of times, and quality by motion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rrin_deploy.evaluation import AVERAGE
from rrin_deploy.report.records import Findings, Quality, Speed, Timing


@dataclass(frozen=True)
class Bar:
    """A timing as a bar.

    Attributes:
        machine, load, timing: of what.
        first: whether the others of its load are compared to it.
        width, low, high: of the median and the quartiles, as shares of the longest bar, 0 to 100.
    """

    machine: str
    load: Speed
    timing: Timing
    first: bool
    width: float
    low: float
    high: float


def bars(machines: Mapping[str, Findings]) -> dict[str, list[Bar]]:
    """Return the timings that are of one size and number of times side by side, by these."""
    groups: dict[str, list[tuple[str, Speed, Timing]]] = {}
    for machine, found in machines.items():
        for load in found.speed:
            title = f"{load.size[0]}x{load.size[1]}, frames a call: {load.times}"
            of_load = [(machine, load, timing) for timing in load.contenders]
            groups.setdefault(title, []).extend(of_load)
    return {title: _bars(group) for title, group in groups.items()}


def _bars(group: Sequence[tuple[str, Speed, Timing]]) -> list[Bar]:
    longest = max((each.quartiles_seconds or (0, 0))[1] for *_, each in group) or 1.0
    made = []
    for machine, load, timing in group:
        low, high = timing.quartiles_seconds or (0.0, 0.0)
        shares = (100 * each / longest for each in (timing.median_seconds or 0.0, low, high))
        made.append(Bar(machine, load, timing, timing is load.contenders[0], *shares))
    return made


@dataclass(frozen=True)
class Series:
    """A contender in a chart: where its triplets lie, and the mark and the style that they have."""

    name: str
    places: Sequence[tuple[float, float]]
    mark: str
    style: str


@dataclass(frozen=True)
class MotionChart:
    """Each triplet's PSNR over its motion, in a drawing of 640 by 280.

    Attributes:
        series: one a contender.
        across, along: ticks of motion and of PSNR, each its text and its place.
    """

    series: Sequence[Series]
    across: Sequence[tuple[str, float]]
    along: Sequence[tuple[str, float]]


_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 628, 12, 240
_MOST_POINTS = 500
# Hollow, and each of its own shape, so that none hides another: paths around 0; the last is the
# plain average's.
_MARKS = (
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0", "M-5,-5h10v10h-10z", "M0,-6l6,6l-6,6l-6,-6z",
    "M0,-5l5,9h-10z", "M0,5l5,-9h-10z", "M-4,-4l8,8M-4,4l8,-8",
)  # fmt: skip
_MOTIONS = (0.5, 1, 2, 4, 8, 16, 32, 64)


def by_motion_chart(quality: Quality) -> MotionChart | None:
    """Return the chart, of at most 500 triplets, evenly spread; None where all are exact."""
    step = -(-len(quality.cases) // _MOST_POINTS)
    cases = quality.cases[::step]
    scores = [score.psnr_db for case in cases for score in case.scores.values()]
    values = [psnr_db for psnr_db in scores if psnr_db is not None]
    if not values:
        return None
    low = 5 * math.floor(min(values) / 5)
    high = max(5 * math.ceil(max(values) / 5), low + 5)
    motions = [max(case.motion, _MOTIONS[0]) for case in cases]
    first, last = math.log2(min(motions)) - 0.2, math.log2(max(motions)) + 0.2

    def x(motion: float) -> float:
        share = (math.log2(max(motion, _MOTIONS[0])) - first) / (last - first)
        return round(_LEFT + share * (_RIGHT - _LEFT), 1)

    def y(psnr_db: float) -> float:
        return round(_BOTTOM - (psnr_db - low) / (high - low) * (_BOTTOM - _TOP), 1)

    series = []
    for place, name in enumerate(quality.contenders):
        scored = [(case.motion, case.scores[name].psnr_db) for case in cases if name in case.scores]
        places = [(x(motion), y(db)) for motion, db in scored if db is not None]
        look = len(_MARKS) - 1 if name == AVERAGE else place % (len(_MARKS) - 1)
        series.append(Series(name, places, _MARKS[look], f"s{look}"))
    ticks = [(f"{each:g}", x(each)) for each in _MOTIONS if first <= math.log2(each) <= last]
    apart = max(5, 5 * round((high - low) / 30))
    return MotionChart(series, ticks, [(str(db), y(db)) for db in range(low, high + 1, apart)])
