"""INT8 by a budget: the blocks that stay in float so that frames lose no more than they may.

What each block costs is measured where it alone is INT8, on true middle frames. Together they cost
about the sum of that, but not exactly: whatever is chosen by it is measured as a whole.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.datasets import Sample
from calibration.motion import by_motion
from calibration.trials import Judged, Progress, Trials
from precision.blocks import int8_share, multiply_adds
from precision.conversion import LAYOUTS
from precision.ranges import Ranges, ranges_beside
from runtime.errors import OptionError, RrinError
from runtime.metadata import Runtime
from runtime.options import check_choice, check_path, check_within

_Kept = frozenset[str]


class BudgetError(RrinError, RuntimeError):
    """No choice of blocks keeps the budget; the message says the best that was reached."""


@dataclass(frozen=True)
class Drop:
    """What INT8 takes from the PSNR to the truth, in dB; below 0 where it gains.

    Attributes:
        mean_db: mean over the triplets, but for those where either is right in every pixel.
        worst_db: the greatest of that and of the means of each motion bucket with two triplets.
        triplets: how many.
    """

    mean_db: float
    worst_db: float
    triplets: int


@dataclass(frozen=True)
class Block:
    """A block of the U-Nets.

    Attributes:
        name: its module path, such as Flow_L.down_path.0.
        drop_db: mean drop where it alone is INT8, on the triplets that were chosen by.
        multiply_adds: of its INT8 convolutions, for one pixel of the frame at one time.
        kept_float: whether it is to stay in float.
    """

    name: str
    drop_db: float
    multiply_adds: float
    kept_float: bool


@dataclass(frozen=True)
class Budget:
    """Which blocks may be INT8, and what that costs.

    Attributes:
        blocks: all, in the order in which they run.
        chosen: the drop on the triplets that the blocks were chosen by; its worst is within the
            budget.
        checked: the drop on the others, which is what to expect of frames like them.
        int8_share: of all convolutions' multiply-adds at one time, 0 to 1.
    """

    blocks: tuple[Block, ...]
    chosen: Drop
    checked: Drop
    int8_share: float

    @property
    def kept_float(self) -> tuple[str, ...]:
        """The blocks that stay in float, as `engines.build` and `build_onnx` take them."""
        return tuple(block.name for block in self.blocks if block.kept_float)


def fit_budget(
    model: str | Path,
    triplets: Sequence[Sample],
    *,
    max_drop: float,
    runtime: Runtime = "tensorrt",
    ranges: str | Path | None = None,
    progress: Progress | None = None,
) -> Budget:
    """Choose the blocks that INT8 leaves in float so that the PSNR drops by `max_drop` at most.

    The triplets are put in order of motion; every second one is chosen by, the rest checks. That
    takes some 40 to 100 runs of each of the former, on the CPU: a few dozen triplets are enough.
    The same triplets give the same choice.

    Args:
        model: a float32 file that `rrin-deploy export` wrote.
        triplets: two or more, with their true middle frames.
        max_drop: dB of PSNR to the truth, against the float32 model: in the mean, and in each
            motion bucket that has two triplets. 0.02 is less than is seen; much less than 0.01 is
            below what a few triplets can tell.
        runtime: what INT8 is laid out for; that of TensorRT is run by ONNX Runtime.
        ranges: the ranges file; None takes the one beside the model.
        progress: called with the runs that are done and with those known to come.

    Raises:
        InputNotFoundError, ArtifactError: the model or its ranges file is missing, damaged or of
            another model, or the model is not float32.
        InputNotFoundError, MediaError: an image is missing or damaged.
        BackendError: what runs the layout is not installed, or failed.
        BudgetError: the budget cannot be kept with any block in INT8.
        OptionError: fewer than two triplets, another runtime, or `max_drop` below 0.
    """
    check_path("model", model, "rrin.onnx")
    check_within("max_drop", max_drop, 0)
    check_choice("runtime", runtime, tuple(LAYOUTS))
    if len(triplets) < 2:
        raise OptionError(
            f"triplets has {len(triplets)}; expected two or more: one to choose by, one to check"
        )
    measured = Ranges.load(ranges or ranges_beside(model))
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(model), measured, runtime, Path(folder), progress)
        costs = multiply_adds(trials.metadata.base_width)
        trials.expect(len(triplets) + (len(costs) + 1) * -(-len(triplets) // 2))
        chosen_by, checked_by = halves(trials.judge(triplets))
        trials.expect(len(checked_by))
        search = _Search(trials, chosen_by, costs)
        kept = search.within(max_drop)
        if kept is None:
            raise BudgetError(f"{model}: {search.best(max_drop)}")
        checked = _means(checked_by, trials.losses(checked_by, kept))
    return Budget(
        blocks=tuple(
            Block(name, search.alone(name)[0], cost, name in kept) for name, cost in costs.items()
        ),
        chosen=_drop(chosen_by, search.drops(kept)),
        checked=_drop(checked_by, checked),
        int8_share=int8_share(trials.metadata.base_width, kept),
    )


def halves(judged: Sequence[Judged]) -> tuple[list[Judged], list[Judged]]:
    """Return every second triplet by motion, and the others: two halves that move alike."""
    ordered = sorted(judged, key=lambda each: (each.motion, each.sample.name))
    return ordered[::2], ordered[1::2]


def _means(judged: Sequence[Judged], losses: Sequence[float]) -> list[float]:
    """Return the mean loss of all, then of each motion bucket that has two triplets, dB."""
    pairs = list(zip(judged, losses, strict=True))
    buckets = [inside for _, inside in by_motion(pairs, lambda pair: pair[0].motion)]
    groups = [pairs, *(inside for inside in buckets if len(inside) > 1)]
    finite = [[loss for _, loss in group if np.isfinite(loss)] for group in groups]
    return [float(np.mean(losses)) if losses else 0.0 for losses in finite]


def _drop(judged: Sequence[Judged], means: Sequence[float]) -> Drop:
    return Drop(means[0], max(means), len(judged))


class _Search:
    """Choices of blocks on the triplets that are chosen by, each measured once."""

    def __init__(
        self, trials: Trials, judged: Sequence[Judged], costs: Mapping[str, float]
    ) -> None:
        self._trials, self._judged, self._costs = trials, judged, costs
        self._all = frozenset(costs)
        self._measured: dict[_Kept, list[float]] = {}
        self._foreseen = len(costs) + 1

    def drops(self, kept: _Kept) -> list[float]:
        """Return what `_means` says of a choice."""
        if kept not in self._measured:
            if len(self._measured) >= self._foreseen:
                self._trials.expect(len(self._judged))
            self._measured[kept] = _means(self._judged, self._trials.losses(self._judged, kept))
        return self._measured[kept]

    def alone(self, name: str) -> list[float]:
        """Return the same of a block that alone is INT8."""
        return self.drops(self._all - {name})

    def within(self, max_drop: float) -> _Kept | None:
        """Return the blocks to keep in float, few in multiply-adds; None if no choice is within."""
        for name in self._costs:
            self.alone(name)
        kept: _Kept = frozenset()
        while max(self.drops(kept)) > max_drop:
            if kept == self._all:
                return None
            kept |= frozenset(self._worst(kept, max_drop))
        in_order = [name for name in self._costs if name in kept]  # a set has no order to rely on
        for name in sorted(in_order, key=lambda name: -self._costs[name]):
            if max(self.drops(kept - {name})) <= max_drop:
                kept -= {name}
        return None if kept == self._all else kept

    def _worst(self, kept: _Kept, max_drop: float) -> list[str]:
        """Return the blocks that cost most for their multiply-adds where the drop is greatest.

        As many as the drop has to come down by what they cost alone, and one at least.
        """
        drops = self.drops(kept)
        group = int(np.argmax(drops))
        excess = drops[group] - max_drop
        cost = {name: self.alone(name)[group] for name in self._costs if name not in kept}
        worst: list[str] = []
        for name in sorted(cost, key=lambda name: -cost[name] / self._costs[name]):
            if worst and (excess <= 0 or cost[name] <= 0):
                break
            worst.append(name)
            excess -= cost[name]
        return worst

    def best(self, max_drop: float) -> str:
        """Say what was reached instead."""
        tried = {kept: max(drops) for kept, drops in self._measured.items() if kept != self._all}
        kept = min(tried, key=lambda kept: (tried[kept], len(kept)))
        share = int8_share(self._trials.metadata.base_width, kept)
        return (
            f"with a drop of {max_drop:g} dB at most no block can be INT8; the least that was "
            f"measured is {tried[kept]:.4f} dB, with {share:.1%} of the multiply-adds in INT8: "
            "allow more, or stay in float"
        )
