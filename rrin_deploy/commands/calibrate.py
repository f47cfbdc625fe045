"""`rrin-deploy calibrate`"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rrin_deploy.console import say
from rrin_deploy.options import Threads
from rrin_deploy.progress import ProgressAs, frame_progress, progress_as
from rrin_deploy.results import FORMAT, AsJson, document
from runtime.publishing import Publication

if TYPE_CHECKING:
    from calibration import Sample


def command(
    model: Annotated[Path, typer.Argument(help="A float32 file of rrin-deploy export.")] = Path(
        "rrin.onnx"
    ),
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The ranges file; by default rrin.ranges.json."),
    ] = None,
    vimeo90k: Annotated[
        Path | None,
        typer.Option(
            "--vimeo90k", help="Vimeo90K as published: tri_trainlist.txt and sequences/ in it."
        ),
    ] = None,
    triplets: Annotated[
        Path | None,
        typer.Option("--triplets", help="Your own: folders with im1, im2, im3, at any depth."),
    ] = None,
    clips: Annotated[
        Path | None,
        typer.Option("--clips", help="Your own: a folder of videos, at any depth; needs av."),
    ] = None,
    samples: Annotated[
        int, typer.Option(help="Triplets to run, chosen at random from all.", min=1)
    ] = 500,
    method: Annotated[
        Literal["max", "percentile"],
        typer.Option(help="The extremes, or all but the outermost 0.001 % of each channel."),
    ] = "max",
    seed: Annotated[int, typer.Option(help="Of the choice.", min=0)] = 0,
    threads: Threads = None,
    as_json: AsJson = False,
    progress: ProgressAs = "bar",
) -> None:
    """Measure on real frames the activation ranges that INT8 needs.

    Frames as the model will see them serve best. The same seed chooses the same triplets.

    Examples: `rrin-deploy calibrate rrin.onnx --vimeo90k vimeo_triplet`;
    `rrin-deploy calibrate rrin.onnx --clips videos/ --samples 300`; then
    `rrin-deploy build rrin.onnx --int8`
    """
    with document(as_json) as give, progress_as(progress):
        give({"format": FORMAT})
        from calibration import measure_ranges
        from precision.ranges import ranges_beside

        target = output or ranges_beside(model)
        if target.suffix != ".json":
            raise typer.BadParameter(
                f"{target}: the ranges are JSON; give a name that ends in .json"
            )
        publication = Publication(target)
        chosen = _samples(vimeo90k, triplets, clips)
        started = time.perf_counter()
        with frame_progress("measuring ranges", unit="triplets/s") as shown:
            ranges = measure_ranges(
                model,
                chosen,
                samples=samples,
                method=method,
                seed=seed,
                threads=threads,
                progress=shown,
            )
        publication.write(ranges.to_bytes())
        seconds = time.perf_counter() - started
        run = min(samples, len(chosen))
        fewer = "" if run == samples else f" (all that there are; {samples} asked for)"
        cuts = run - ranges.samples
        give(
            {
                "format": FORMAT,
                "output": target,
                "checkpoint_sha256": ranges.checkpoint_sha256,
                "method": method,
                "tensors": len(ranges.tensors),
                "triplets": ranges.samples,
                "triplets_left_out": cuts,
                "seconds": seconds,
            }
        )
        left_out = f", {cuts} more left out for the scene cuts in them" if cuts else ""
        say(
            f": ranges of {len(ranges.tensors)} tensors by {method}, "
            f"{ranges.samples} triplets{left_out}{fewer}; {seconds:.0f} s",
            subject=target,
        )


def _samples(vimeo90k: Path | None, triplets: Path | None, clips: Path | None) -> Sequence[Sample]:
    given = [root for root in (vimeo90k, triplets, clips) if root]
    if len(given) != 1:
        raise typer.BadParameter("give one data set: --vimeo90k, --triplets or --clips")
    import calibration

    if clips:
        return calibration.clips(clips)
    if triplets:
        return calibration.triplet_folders(triplets)
    return calibration.vimeo90k(given[0], "train")
