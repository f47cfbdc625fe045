"""What `rrin-deploy interpolate` was asked for, and by which way it is made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from rrin_deploy.batch import videos
from rrin_deploy.given import Given, Order
from rrin_deploy.interpolation import Artifact, footage, video
from rrin_deploy.on_cluster import on_cluster
from rrin_deploy.pipes import is_piped, piped
from rrin_deploy.preview import preview
from rrin_deploy.results import Outputs
from rrin_deploy.stills import folder, pair


def order_of(
    *,
    inputs: Sequence[Path],
    output: Path,
    overwrite: bool,
    model: Path | None,
    ray: str | None,
    preview: bool,
    backend: str | None,
    device: Any,
    threads: int | None,
    providers: Sequence[str] | None,
    cache: Path | None,
    tile: Any,
    overlap: int | None,
    memory: Any,
    skip_still: bool | None,
    trusted: bool,
    **options: Any,
) -> Order:
    """Return what the parameters of `interpolate` ask for.

    Args:
        options: those of what is made; None and False are not given.
    """
    where: Given = {
        "backend": backend, "device": device, "threads": threads, "providers": providers,
        "cache": cache, "tile": tile, "overlap": overlap, "memory_limit": memory,
        "skip_still": skip_still, "trusted": trusted,
    }  # fmt: skip
    given = {
        name: value for name, value in options.items() if value is not None and value is not False
    }
    return Order(inputs, output, overwrite, given, model, where, ray, preview)


def make(order: Order, artifact: Artifact, outputs: Outputs) -> None:
    """Make what was asked for.

    Args:
        artifact: what makes it, opened when all that was asked for is known to fit.
        outputs: what became of each output is added to it.

    Raises:
        BadParameter, OptionError: it was asked for what cannot be.
        RrinError, OSError: it was not made, or not without fault.
    """
    from media.encoding import CODECS
    from media.images.numbering import is_pattern
    from media.pipes.pipe import is_y4m
    from media.renditions import ANIMATIONS

    inputs, output = order.inputs, order.output
    piping = any(map(is_piped, (*inputs, output))) or is_y4m(output)
    of_one_file = len(inputs) == 1 and not inputs[0].is_dir() and not is_pattern(inputs[0])
    to_video = output.suffix.lower() in (*CODECS, *ANIMATIONS)
    if order.preview and (not of_one_file or order.ray is not None or piping):
        raise typer.BadParameter("--preview is of one video, that is a file and made here")
    if order.preview and output.suffix.lower() not in CODECS:
        raise typer.BadParameter(f"--preview makes videos; expected one of {', '.join(CODECS)}")
    if piping:
        if inputs[0].is_dir() or is_pattern(inputs[0]):
            raise typer.BadParameter(f"images become one of {', '.join(CODECS)}, and no y4m")
        if order.ray is not None:
            raise typer.BadParameter("--ray is not for pipes and .y4m, which are made here")
        piped(order, artifact, outputs)
    elif order.ray is not None:
        on_cluster(order, outputs)
    elif is_pair(inputs):
        pair(order, artifact, outputs)
    elif len(inputs) > 1:
        videos(order, artifact, outputs)
    elif not of_one_file:
        fill_up = footage if to_video and not output.is_dir() else folder
        fill_up(order, artifact, outputs)
    elif order.preview:
        preview(order, artifact, outputs)
    else:
        video(order, artifact, outputs)


def is_pair(inputs: Sequence[Path]) -> bool:
    """Say whether they are two images."""
    from media.suffixes import IMAGE_SUFFIXES

    return len(inputs) == 2 and all(path.suffix.lower() in IMAGE_SUFFIXES for path in inputs)
