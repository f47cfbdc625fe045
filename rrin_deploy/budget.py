"""INT8 by a budget, as `rrin-deploy build --max-drop` fits it and shows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rrin_deploy.console import out, say, table
from rrin_deploy.progress import frame_progress

if TYPE_CHECKING:
    from calibration import Budget, Drop, Triplet
    from runtime.metadata import Runtime


def fit(
    max_drop: float,
    model: Path,
    triplets: Sequence[Triplet],
    runtime: Runtime,
    ranges: Path | None,
) -> Budget:
    """Measure what each block costs, print it, and return which blocks stay in float."""
    from calibration import fit_budget

    with frame_progress("measuring what INT8 costs", unit="runs/s") as progress:
        budget = fit_budget(
            model, triplets, max_drop=max_drop, runtime=runtime, ranges=ranges, progress=progress
        )
    _tell(budget, max_drop, "half" if runtime == "tensorrt" else "float")
    return budget


def _tell(budget: Budget, max_drop: float, rest: str) -> None:
    whole = sum(block.multiply_adds for block in budget.blocks)
    rows = table("block", "dB where it alone is INT8", "multiply-adds", "runs in")
    for block in budget.blocks:
        rows.add_row(
            block.name,
            f"{-block.drop_db:+.4f}",
            f"{block.multiply_adds / whole:.1%}",
            rest if block.kept_float else "INT8",
        )
    out.print(rows)
    kept = len(budget.kept_float)
    say(
        f"INT8 for {budget.int8_share:.1%} of the multiply-adds, "
        f"{len(budget.blocks) - kept} of {len(budget.blocks)} blocks"
    )
    say(f"PSNR within {max_drop:g} dB on those chosen by: {_shown(budget.chosen)}")
    say(f"and on the others, which check: {_shown(budget.checked)}")
    if budget.checked.worst_db > max_drop:
        say("note: that is more; take more triplets, or a smaller --max-drop, if it has to hold")


def _shown(drop: Drop) -> str:
    suffers = f", {-drop.worst_db:+.4f} in the motion that suffers most"
    return (
        f"{-drop.mean_db:+.4f} dB{suffers if drop.worst_db > drop.mean_db else ''} "
        f"({drop.triplets} triplets)"
    )
