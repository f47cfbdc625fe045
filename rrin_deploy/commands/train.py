"""`rrin-deploy train`"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Annotated

import typer

from rrin_deploy.console import say
from rrin_deploy.progress import frame_progress
from runtime.architecture import PADDING_MULTIPLE

if TYPE_CHECKING:
    from export import RRIN

_MEMORY = 2 * 2**30  # for the frames of clips
_COMPARED = (
    10  # entries of the log, at the start and at the end, that a loss is the mean of at most
)


def command(
    output: Annotated[Path, typer.Option("-o", "--output", help="The checkpoint, *.pth.")],
    clips: Annotated[
        Path | None,
        typer.Option(help="A folder of videos, at any depth, to train on beside drawn scenes."),
    ] = None,
    init: Annotated[
        Path | None, typer.Option(help="A checkpoint to begin from; by default random weights.")
    ] = None,
    stills: Annotated[
        Path | None,
        typer.Option(help="A folder of pictures, at any depth, that scenes are cut from as well."),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(
            help="Base width; a narrower checkpoint is widened. By default the checkpoint's, or 8.",
            min=1,
            max=64,
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps in all.", min=1)] = 20_000,
    batch: Annotated[int, typer.Option(help="Crops a step.", min=1)] = 4,
    size: Annotated[
        int, typer.Option(help="Of the crops, pixels; a multiple of 32.", min=32)
    ] = 192,
    learning_rate: Annotated[
        float, typer.Option(help="1e-3 from random weights, 3e-4 to go on.", min=1e-7, max=1)
    ] = 3e-4,
    drawn: Annotated[
        float, typer.Option(help="Share of drawn scenes, where there are clips.", min=0, max=1)
    ] = 0.6,
    seed: Annotated[int, typer.Option(help="Of weights and samples.", min=0)] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    bf16: Annotated[
        bool, typer.Option("--bf16", help="Convolutions in bfloat16, where the device has it.")
    ] = False,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the U-Nets: faster on GPUs, after a minute.")
    ] = False,
    triplets: Annotated[
        Path | None,
        typer.Option(help="Triplets to judge by while it runs: folders with im1, im2, im3."),
    ] = None,
    vimeo90k: Annotated[
        Path | None, typer.Option("--vimeo90k", help="Likewise, Vimeo90K's test list.")
    ] = None,
) -> None:
    """Train RRIN, or fine-tune a checkpoint on footage of your own camera.

    Scenes are drawn whose flow and visibility are known at every time; they teach large motion, and
    clips teach what the world looks like. The same command goes on where a stopped run left off.
    Beside the checkpoint lie its state, its log (a JSON object a line) and its curves as a picture.

    Example: `rrin-deploy train --clips videos/ --init ckpt.pth -o mine.pth --steps 5000`
    """
    if size % PADDING_MULTIPLE:
        raise typer.BadParameter(f"--size is {size}; expected a multiple of {PADDING_MULTIPLE}")
    import training
    from rrin_deploy.curves import draw_curves

    judged = _judged(triplets, vimeo90k)
    runs = training.read_runs(clips, smallest=size, most_bytes=_MEMORY) if clips else []
    pictures = training.read_stills(stills) if stills else []
    pictures += [*training.free_stills(), *(run[len(run) // 2] for run in runs)]
    samples = training.Samples(pictures, runs, size, drawn, seed, device)
    options = training.TrainOptions(
        steps=steps, batch=batch, learning_rate=learning_rate, seed=seed, bf16=bf16,
        compiled=compiled,
    )  # fmt: skip
    with frame_progress("training", unit="steps/s") as progress:
        run = training.train(
            output, samples, options, init=init, width=width, validate=judged, progress=progress
        )
    curves = output.with_suffix(".png")
    draw_curves(run.log, curves)
    lost = [sum(entry["loss"].values()) for entry in training.read_log(run.log) if "loss" in entry]
    count = max(1, min(_COMPARED, len(lost) // 2))
    first, last = mean(lost[:count]), mean(lost[-count:])
    say(
        f": {steps} steps; loss {first:.4f} at the start, {last:.4f} at the end",
        subject=run.checkpoint,
    )
    say(f": its losses; {curves} shows them", subject=run.log)


def _judged(
    triplets: Path | None, vimeo90k: Path | None
) -> Callable[[RRIN], Mapping[str, float]] | None:
    """Return what validates: mean PSNR on data sets that nothing is trained on."""
    if not (triplets or vimeo90k):
        return None
    import calibration
    from export import Reference
    from rrin_deploy.evaluation import evaluate, summarise

    sets = {}
    if triplets:
        sets["triplets, dB"] = calibration.triplet_folders(triplets)
    if vimeo90k:
        sets["vimeo90k, dB"] = calibration.vimeo90k(vimeo90k, "test")

    def validate(network: RRIN) -> Mapping[str, float]:
        found = {}
        for name, chosen in sets.items():
            cases = evaluate({"network": Reference(copy.deepcopy(network).cpu())}, chosen)
            found[name] = summarise(cases, "network", "network").psnr_db
        return found

    return validate
