"""`rrin-deploy eval`"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rrin_deploy.console import out, say, short_names, table
from rrin_deploy.options import Backend, Device, Providers, Threads, Trust
from rrin_deploy.progress import frame_progress
from rrin_deploy.results import AsJson, document
from rrin_deploy.triplets import Middlebury, Samples, Triplets, Ucf101, Vimeo90K, chosen_triplets
from runtime.backends import options_for
from runtime.golden import ARTIFACT_SUFFIXES
from runtime.interpolator import Interpolator
from runtime.manifest import ENGINE_SUFFIX
from runtime.options import check_file

if TYPE_CHECKING:
    from rrin_deploy.evaluation import Case
    from runtime.frames import PairInterpolator


def command(
    files: Annotated[
        list[Path], typer.Argument(help="Artifacts or PyTorch checkpoints; the first is the base.")
    ],
    vimeo90k: Vimeo90K = None,
    ucf101: Ucf101 = None,
    middlebury: Middlebury = None,
    triplets: Triplets = None,
    samples: Samples = None,
    both_corners: Annotated[
        bool,
        typer.Option(
            "--both-align-corners",
            help="Run each checkpoint with both, to find what it was trained with.",
        ),
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option(help="Write pictures there: inputs' average, truth, result, error x4."),
    ] = None,
    as_json: AsJson = False,
    backend: Backend = None,
    device: Device = None,
    threads: Threads = None,
    providers: Providers = None,
    trusted: Trust = False,
) -> None:
    """Judge artifacts and checkpoints by true middle frames: PSNR and SSIM, side by side.

    Motion is the mean absolute difference of the inputs, in 8-bit levels. Plain averaging is the
    floor.

    Example: `rrin-deploy eval rrin.onnx rrin.ort.int8.onnx --vimeo90k vimeo_triplet`
    """
    with document(as_json) as give:
        from rrin_deploy import evaluation
        from rrin_deploy.pictures import picture_folders

        checkpoints = [file for file in files if file.suffix.lower() not in ARTIFACT_SUFFIXES]
        if both_corners and not checkpoints:
            raise typer.BadParameter(
                "--both-align-corners is for checkpoints; an artifact has its own"
            )
        kinds = {file.suffix.lower() for file in files}
        if device is not None and not kinds & set(ARTIFACT_SUFFIXES):
            raise typer.BadParameter("--device is for artifacts; checkpoints run on the CPU")
        for option, given in {"--provider": providers, "--backend": backend}.items():
            if given and ".onnx" not in kinds:
                raise typer.BadParameter(f"{option} is for ONNX files, and none is given")
        if threads and kinds == {ENGINE_SUFFIX}:
            raise typer.BadParameter(
                "--threads is for ONNX files and checkpoints, and none is given"
            )
        if len({file.resolve() for file in files}) < len(files):
            raise typer.BadParameter("a file is given twice")
        chosen = chosen_triplets(vimeo90k, ucf101, middlebury, triplets, samples=samples)
        with ExitStack() as stack:
            contenders: dict[str, PairInterpolator] = {}
            where: dict[str, Any] = {
                "backend": backend, "device": device, "threads": threads, "providers": providers,
                "trusted": trusted,
            }  # fmt: skip
            for file, name in zip(files, short_names(files), strict=True):
                contenders |= _contenders(stack, file, name, both_corners, where)
            pictures = stack.enter_context(picture_folders(save, contenders)) if save else None
            with frame_progress("evaluating", unit="triplets/s") as progress:
                cases = evaluation.evaluate(
                    contenders, chosen, pictures=pictures, progress=progress
                )
        root = vimeo90k or ucf101 or middlebury or triplets
        give({"data": str(root), **evaluation.report(cases, list(contenders))})
        _print(cases, list(contenders))
        if pictures and pictures.failure:
            raise pictures.failure
        if pictures:
            say(f": {pictures.written} pictures", subject=save)


def _contenders(
    stack: ExitStack, file: Path, name: str, both_corners: bool, where: Mapping[str, Any]
) -> Mapping[str, PairInterpolator]:
    check_file(file, "expected an artifact or a checkpoint")
    if file.suffix.lower() in ARTIFACT_SUFFIXES:
        return {name: stack.enter_context(Interpolator(file, **options_for(file, **where)))}
    import torch

    from export import Reference, load_checkpoint

    if where["threads"]:
        torch.set_num_threads(where["threads"])
    if not both_corners:
        return {name: Reference(load_checkpoint(file))}
    return {
        f"{name} align_corners={corners}": Reference(load_checkpoint(file, align_corners=corners))
        for corners in (True, False)
    }


def _print(cases: Sequence[Case], contenders: Sequence[str]) -> None:
    from rrin_deploy.evaluation import AVERAGE, by_motion, summarise, worst

    say(f"{len(cases)} triplets, against their true middle frames")
    rows = table("file", "PSNR", "to first", "SSIM", "to first", "worst")
    for name in (*contenders, AVERAGE):
        mean = summarise(cases, name, contenders[0])
        base = name == contenders[0]
        rows.add_row(
            name,
            f"{mean.psnr_db:.2f} dB" + (f" ({mean.exact} exact)" if mean.exact else ""),
            "" if base else _signed(mean.psnr_to_first_db),
            f"{mean.ssim:.4f}",
            "" if base else f"{mean.ssim_to_first:+.4f}",
            ", ".join(
                f"{case.name} {case.scores[name].psnr_db:.1f}" for case in worst(cases, name)
            ),
        )
    out.print(rows)
    rows = table("motion", "triplets", *contenders, AVERAGE)
    for bucket, inside in by_motion(cases):
        means = [summarise(inside, name, contenders[0]) for name in (*contenders, AVERAGE)]
        shown = [f"{mean.psnr_db:.2f} ({_signed(mean.psnr_to_first_db)})" for mean in means[1:]]
        rows.add_row(bucket, str(len(inside)), f"{means[0].psnr_db:.2f} dB", *shown)
    out.print(rows)


def _signed(difference: float | None) -> str:
    return "-" if difference is None else f"{difference:+.3f}"
