"""What `rrin-deploy interpolate --ray` does: videos that a Ray cluster makes."""

from __future__ import annotations

import time
from pathlib import Path

import typer

from rrin_deploy.batch import Tally, outputs_in, waiting
from rrin_deploy.console import say
from rrin_deploy.given import Order, video_task
from rrin_deploy.interpolation import (
    damaged,
    refuse_images,
    say_video,
    tell_of,
)
from rrin_deploy.leftovers import say_kept, segments_kept
from rrin_deploy.progress import frame_progress
from rrin_deploy.results import Outputs


def on_cluster(order: Order, outputs: Outputs) -> None:
    """Make a video, or several into a folder, on the cluster of `order.ray`; see `Cluster`.

    Raises:
        OutputError: not all of several were made, or not without fault.
        MediaError: the one source is damaged; what could be made is there.
        BadParameter: one is no video; see `outputs_in`.
    """
    from media.cluster.cluster import Cluster
    from media.reading.container import open_media

    sources, output, address = order.inputs, order.output, order.ray
    assert address is not None  # noqa: S101 - else it is made here
    several, tally, started = len(sources) > 1, Tally(outputs), time.perf_counter()
    task = video_task(order.given, order.overwrite)
    if task.share:
        raise typer.BadParameter("--share is for runs without --ray, which deals segments itself")
    refuse_images(sources)
    if not several:
        open_media(sources[0]).close()  # what is no video is refused before a cluster starts
    named = outputs_in(output, sources) if several else [output]
    options = {name: value for name, value in order.where.items() if value is not None}
    with Cluster(address, order.model, options) as cluster, frame_progress("segments") as progress:
        say(f": {cluster.room}", subject=f"Ray, {address}")
        wanted = [(sources[0], output)]
        if several:
            wanted = [*waiting(sources, named, order.overwrite, tally)]
        begun = set[Path]()

        def tell(about: Path, line: str) -> None:
            begun.add(about)
            tell_of(about, line)

        try:
            for source, made, done in cluster.interpolate_videos(
                wanted, task.options, progress=progress, tell=tell
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
