"""`rrin-deploy calibrate`"""

from __future__ import annotations

import time
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from rrin_deploy.console import frame_progress, say
from rrin_deploy.options import Threads
from runtime.files import check_parent


class MethodChoice(str, Enum):
    """How a range is taken from the values seen."""

    max = "max"
    percentile = "percentile"


def command(
    vimeo90k: Annotated[
        Path,
        typer.Option(
            "--vimeo90k", help="Vimeo90K as published: tri_trainlist.txt and sequences/ in it."
        ),
    ],
    model: Annotated[Path, typer.Argument(help="A float32 file of rrin-deploy export.")] = Path(
        "rrin.onnx"
    ),
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The ranges file; by default rrin.ranges.json."),
    ] = None,
    samples: Annotated[
        int, typer.Option(help="Training triplets to run, chosen at random.", min=1)
    ] = 500,
    method: Annotated[
        MethodChoice,
        typer.Option(help="The extremes, or all but the outermost 0.001 % of each channel."),
    ] = MethodChoice.max,
    seed: Annotated[int, typer.Option(help="Of the choice.", min=0)] = 0,
    threads: Threads = None,
) -> None:
    """Measure on real frames the activation ranges that INT8 needs.

    Example: `rrin-deploy calibrate rrin.onnx --vimeo90k vimeo_triplet`, then
    `rrin-deploy build rrin.onnx --int8`
    """
    from calibration import measure_ranges
    from calibration import vimeo90k as read_list
    from calibration.ranges import ranges_beside

    target = output or ranges_beside(model)
    if target.suffix != ".json":
        raise typer.BadParameter(f"{target}: the ranges are JSON; give a name that ends in .json")
    check_parent(target.resolve())
    triplets = read_list(vimeo90k, "train")
    started = time.perf_counter()
    with frame_progress("measuring ranges", unit="triplets/s") as progress:
        ranges = measure_ranges(
            model,
            triplets,
            samples=samples,
            method=method.value,
            seed=seed,
            threads=threads,
            progress=progress,
        )
    ranges.save(target)
    seconds = time.perf_counter() - started
    fewer = "" if ranges.samples == samples else f" (all that the list holds; {samples} asked for)"
    say(
        f": ranges of {len(ranges.tensors)} tensors by {method.value}, "
        f"{ranges.samples} triplets{fewer}; {seconds:.0f} s",
        subject=target,
    )
