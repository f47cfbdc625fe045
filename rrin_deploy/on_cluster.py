"""What `rrin-deploy interpolate --ray` does: videos that a Ray cluster makes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import typer

from rrin_deploy.batch import Tally, outputs_in, waiting
from rrin_deploy.console import say
from rrin_deploy.given import Given, video_task
from rrin_deploy.interpolation import (
    damaged,
    refuse_images,
    say_video,
    tell_of,
)
from rrin_deploy.leftovers import say_kept, segments_kept
from rrin_deploy.progress import frame_progress
from rrin_deploy.results import Outputs


def on_cluster(
    address: str,
    model: Path | None,
    where: Given,
    sources: Sequence[Path],
    output: Path,
    overwrite: bool,
    given: Given,
    outputs: Outputs,
) -> None:
    """Make a video, or several into a folder.

    Args:
        address: see `Cluster`.
        where: options of `Interpolator`.

    Raises:
        OutputError: not all of several were made, or not without fault.
        MediaError: the one source is damaged; what could be made is there.
        BadParameter: one is no video; see `outputs_in`.
    """
    from media.cluster.cluster import Cluster
    from media.reading.container import open_media

    several, tally, started = len(sources) > 1, Tally(outputs), time.perf_counter()
    task = video_task(given, overwrite)
    if task.share:
        raise typer.BadParameter("--share is for runs without --ray, which deals segments itself")
    refuse_images(sources)
    if not several:
        open_media(sources[0]).close()  # what is no video is refused before a cluster starts
    named = outputs_in(output, sources) if several else [output]
    options = {name: value for name, value in where.items() if value is not None}
    with Cluster(address, model, options) as cluster, frame_progress("segments") as progress:
        say(f": {cluster.room}", subject=f"Ray, {address}")
        orders = (
            list(waiting(sources, named, overwrite, tally)) if several else [(sources[0], output)]
        )
        begun = set[Path]()

        def tell(about: Path, line: str) -> None:
            begun.add(about)
            tell_of(about, line)

        try:
            for source, made, done in cluster.interpolate_videos(
                orders, task.options, progress=progress, tell=tell
            ):
                if isinstance(done, Exception):
                    if not several:
                        raise done
                    if made in begun:
                        say_kept(segments_kept(made))
                    tally.fail(source, done)
                else:
                    say_video(source, made, done, "", started, cluster.opened, outputs)
                    if done.damage and not task.allow_damaged:
                        tally.damaged.append(source.name)
                begun.discard(made)
        except BaseException:
            for made in begun:
                say_kept(segments_kept(made))
            raise
    if several:
        tally.close(sources, output)
    elif tally.damaged:
        raise damaged(sources[0], output)
