"""What `rrin-deploy interpolate` makes of stills: the image between two, and a fuller folder."""

from __future__ import annotations

import time
from functools import partial

import typer

from rrin_deploy.console import parse_rational, say
from rrin_deploy.given import CUTS, FACTOR, Order, cut_threshold, refuse_others
from rrin_deploy.interpolation import Artifact, say_made, taken_out, tell_of
from rrin_deploy.leftovers import images_kept, resumable
from rrin_deploy.progress import frame_progress
from rrin_deploy.results import Outputs, made_entry


def pair(order: Order, artifact: Artifact, outputs: Outputs) -> None:
    """Make the image between two."""
    from media.images.pair import interpolate_pair

    refuse_others(order.given, "two images", "t", "max_pixels")
    (image0, image1), output = order.inputs, order.output
    started = time.perf_counter()
    with artifact() as interpolate:
        done = interpolate_pair(
            interpolate, image0, image1, output, overwrite=order.overwrite, **order.given
        )
    for path in done.profiles:
        say(": not kept: ICC profile", subject=path)
    outputs.append(made_entry(order.inputs, output, done, started, interpolate))
    say_made(output, f"{done.width}x{done.height}, t = {done.t:g}", started, interpolate)


def folder(order: Order, artifact: Artifact, outputs: Outputs) -> None:
    """Fill up a folder or pattern of images."""
    from media.images.sequence import interpolate_folder

    source, output, given = order.source, order.output, order.given
    refuse_others(given, "a folder", "factor", "dedup", "max_pixels", *CUTS)
    factor = parse_rational(given.get("factor", FACTOR))
    threshold = cut_threshold(given)
    if factor.denominator != 1:
        raise typer.BadParameter(f"--factor {factor} of a folder; expected a whole number")
    started = time.perf_counter()
    with (
        resumable(images_kept, output) as begun,
        artifact() as interpolate,
        frame_progress(source.name) as progress,
    ):
        done = interpolate_folder(
            interpolate,
            source,
            output,
            int(factor),
            cut_threshold=threshold,
            overwrite=order.overwrite,
            progress=partial(begun, progress),
            tell=partial(begun, partial(tell_of, output)),
            **{name: given[name] for name in ("max_pixels", "dedup") if name in given},
        )
    if done.profiles:
        say(f": not kept: ICC profile of {done.profiles} images", subject=source)
    if done.missing:
        say(f": {done.missing}; the images beside are taken for neighbours", subject=source)
    outputs.append(made_entry([source], output, done, started, interpolate))
    made = (
        f"{done.images_written} images from {done.images_read}, {done.cuts} cuts"
        f"{taken_out(done.repeats)}"
    )
    say_made(output, made, started, interpolate)
