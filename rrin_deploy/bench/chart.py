"""A benchmark as a bar chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rrin_deploy.bench.benchmark import Report
from rrin_deploy.plotting import Figure
from runtime.publishing import Publication

_OURS, _OTHERS = "#2b6cb0", "#a0aec0"


def draw(target: Publication, reports: Sequence[Report]) -> None:
    """Write a PNG of the median call of each contender, quartiles as whiskers; a size a part.

    Raises:
        InputNotFoundError, OutputError: see `Publication`.
    """
    shares = [0.9 + 0.45 * sum(not each.failure for each in report.timings) for report in reports]
    figure = Figure(figsize=(9, sum(shares)), layout="constrained")
    parts = figure.subplots(len(reports), squeeze=False, height_ratios=shares)[:, 0]
    for axes, report in zip(parts, reports, strict=True):
        _draw(axes, report)
    parts[-1].set_xlabel("milliseconds a call, median and quartiles; shorter is better")
    with target as output:
        figure.savefig(output.path, dpi=120, format="png")


def _draw(axes: Any, report: Report) -> None:
    first, load = report.timings[0], report.load
    shown = sorted(
        (timing for timing in report.timings if not timing.failure),
        key=lambda timing: timing.median,
    )
    medians = [timing.median * 1e3 for timing in shown]
    whiskers = [
        [(timing.median - timing.quartiles[0]) * 1e3 for timing in shown],
        [(timing.quartiles[1] - timing.median) * 1e3 for timing in shown],
    ]
    colours = [_OURS if timing.kind == "artifact" else _OTHERS for timing in shown]
    places = range(len(shown))
    axes.set_yticks(places, [timing.name for timing in shown])
    bars = axes.barh(places, medians, color=colours, xerr=whiskers, ecolor="#4a5568")
    axes.bar_label(
        bars,
        [f"{timing.median * 1e3:.0f} ms, {timing.ratio_to(first):.2f}x" for timing in shown],
        padding=6,
    )
    axes.invert_yaxis()
    axes.margins(x=0.25)
    axes.set_title(
        f"RRIN, {load.name}, frames a call: {load.times}, CPU threads: {load.threads}", loc="left"
    )
    axes.spines[["top", "right"]].set_visible(False)
