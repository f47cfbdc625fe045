"""A benchmark as a bar chart."""

from __future__ import annotations

from collections.abc import Sequence

from rrin_deploy.bench.benchmark import Timing
from rrin_deploy.plotting import Figure
from runtime.publishing import Publication

_OURS, _OTHERS = "#2b6cb0", "#a0aec0"


def draw(target: Publication, timings: Sequence[Timing], title: str) -> None:
    """Write a PNG of the median call of each contender, quartiles as whiskers.

    Raises:
        InputNotFoundError, OutputError: see `Publication`.
    """
    shown = sorted(
        (timing for timing in timings if not timing.failure), key=lambda timing: timing.median
    )
    figure = Figure(figsize=(9, 0.9 + 0.45 * len(shown)), layout="constrained")
    axes = figure.subplots()
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
        [f"{timing.median * 1e3:.0f} ms, {timing.ratio_to(timings[0]):.2f}x" for timing in shown],
        padding=6,
    )
    axes.invert_yaxis()
    axes.margins(x=0.25)
    axes.set_xlabel("milliseconds a call, median and quartiles; shorter is better")
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    with target as output:
        figure.savefig(output.path, dpi=120, format="png")
