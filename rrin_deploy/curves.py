"""A training run's log as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rrin_deploy.plotting import Figure
from runtime.publishing import Publication
from training import read_log

_SMOOTH = 25  # entries of the log that one point is the mean of


def draw_curves(log: str | Path, output: str | Path) -> None:
    """Write a PNG of the loss's parts, and below it of what validation gave, over the steps.

    Raises:
        InputNotFoundError, OutputError: see `Publication`.
    """
    entries = read_log(Path(log))
    losses = [entry for entry in entries if "loss" in entry]
    checks = [entry for entry in entries if "validation" in entry]
    figure = Figure(figsize=(9, 7), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    for name in losses[0]["loss"] if losses else ():
        values = np.array([entry["loss"][name] for entry in losses])
        count = min(_SMOOTH, len(values))
        smooth = np.convolve(values, np.full(count, 1 / count), "valid")
        upper.plot([entry["step"] for entry in losses][count - 1 :], smooth, label=name)
    # A run that goes on may be judged by other sets.
    for name in sorted({name for entry in checks for name in entry["validation"]}):
        found = [(c["step"], c["validation"][name]) for c in checks if name in c["validation"]]
        gained = [value - found[0][1] for _, value in found]
        lower.plot([step for step, _ in found], gained, marker="o", label=name)
    upper.set_yscale("log")
    upper.set_ylabel("loss, each part with its weight")
    lower.set_ylabel("dB gained since the first check")
    lower.set_xlabel("steps")
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    with Publication(output) as publication:
        figure.savefig(publication.path, dpi=120, format="png")
