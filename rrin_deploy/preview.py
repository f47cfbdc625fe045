"""`rrin-deploy interpolate --preview`: ten seconds of a video, and its source beside them."""

from __future__ import annotations

from dataclasses import replace

import typer

from rrin_deploy.console import say
from rrin_deploy.given import Order, video_task
from rrin_deploy.interpolation import Artifact, damaged, make_video, refuse_images
from rrin_deploy.progress import frame_progress
from rrin_deploy.results import Outputs
from runtime.publishing import Publication


def preview(order: Order, artifact: Artifact, outputs: Outputs) -> None:
    """Make the part of a video that moves most, and a video of source and result side by side.

    Raises:
        BadParameter: the part was chosen already, or shared; or the source would be replaced.
        MediaError: the source is damaged; what could be made is there.
    """
    from media.preview import strongest_motion, write_side_by_side

    source, output = order.source, order.output
    for name in ("start", "end", "share"):
        if name in order.given:
            raise typer.BadParameter(f"--preview chooses ten seconds itself; leave out --{name}")
    refuse_images([source])
    task = video_task(order.given, order.overwrite)
    beside = output.with_name(f"{output.stem}.beside{output.suffix}")
    for each in (output, beside):
        if each.resolve() == source.resolve():
            raise typer.BadParameter(f"{each} is the source as well; choose another output")
        Publication(each, overwrite=order.overwrite)  # is refused before the work, if at all
    with frame_progress(f"{source.name}: where it moves", unit="places/s") as looked:
        start, end = strongest_motion(source, task.options.stream, progress=looked)
    say(f": is shown from {float(start):g} s on, {float(end - start):g} s at most", subject=source)
    options = replace(task.options, start=start, end=end, segment=0)
    whole = make_video(artifact, source, output, replace(task, options=options), outputs)
    with frame_progress(beside.name) as progress:
        count = write_side_by_side(source, output, beside, options, progress=progress)
    outputs.append(
        {"status": "made", "inputs": [source], "output": beside, "frames_written": count}
    )
    say(f": {count} frames, the source's on the left as a player shows them", subject=beside)
    if not whole:
        raise damaged(source, output)
