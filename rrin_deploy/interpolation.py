"""What `rrin-deploy interpolate` makes videos of: a video, or a folder of images."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rrin_deploy.console import parse_rational, say
from rrin_deploy.given import Order, VideoTask, flag, video_task
from rrin_deploy.leftovers import resumable, segments_kept
from rrin_deploy.progress import frame_progress
from rrin_deploy.results import Maker, Outputs, made_entry
from runtime.errors import RrinError
from runtime.interpolator import Interpolator

if TYPE_CHECKING:
    from media.options import Share, VideoOptions
    from media.summary import VideoSummary

Artifact = Callable[
    [], AbstractContextManager[Interpolator]
]  # opened when all that was asked for is known to fit


def footage(order: Order, artifact: Artifact, outputs: Outputs) -> None:
    """Make a video of a folder or pattern of images."""
    from media.images.footage import interpolate_images

    source, output, given = order.source, order.output, {**order.given}
    if "rate" not in given:
        raise typer.BadParameter(f"{source} has no frame rate of its own; give --rate, such as 24")
    of_videos = ("start", "end", "stream", "deinterlace", "segment", "share", "no_transcode")
    for name in (*of_videos, "allow_damaged"):
        if name in given:
            raise typer.BadParameter(f"{flag(name)} is for videos, and {source} is none")
    rate = parse_rational(given.pop("rate"))
    limit = {name: given.pop(name) for name in ("max_pixels",) if name in given}
    task = video_task(given, order.overwrite)
    started = time.perf_counter()
    with artifact() as interpolate:
        opened = time.perf_counter()
        with frame_progress(source.name) as progress:
            done = interpolate_images(
                interpolate,
                source,
                output,
                rate,
                task.options,
                progress=progress,
                tell=partial(tell_of, source),
                **limit,
            )
        seconds = time.perf_counter() - opened
    say_video(source, output, done, f"; {speed_of(done, seconds)}", started, interpolate, outputs)


def refuse_images(sources: Sequence[Path]) -> None:
    """Raise a usage error where one of what should be videos is an image."""
    from media.suffixes import IMAGE_SUFFIXES

    for source in sources:
        if source.suffix.lower() in IMAGE_SUFFIXES:
            raise typer.BadParameter(f"{source} is one image; give two, or videos, or a folder")


def video(order: Order, artifact: Artifact, outputs: Outputs) -> None:
    """Make a video of more frames.

    Raises:
        MediaError: its source is damaged; what could be made is there.
    """
    source, output = order.source, order.output
    refuse_images([source])
    if not make_video(artifact, source, output, video_task(order.given, order.overwrite), outputs):
        raise damaged(source, output)


def damaged(source: Path, output: Path) -> RrinError:
    """Return the error that a source is damaged, though a video was made of it."""
    from media.errors import MediaError

    return MediaError(
        f"{source}: is damaged, as said above; what could be made is kept in {output}; "
        "--allow-damaged makes this no failure"
    )


def make_video(
    artifact: Artifact, source: Path, output: Path, task: VideoTask, outputs: Outputs
) -> bool:
    """Make a video, or a share of it; return False where it is made, but not without fault."""
    from media.video import interpolate_video

    if task.share:
        _share(artifact, source, output, task.options, task.share, outputs)
        return True
    started = time.perf_counter()
    with resumable(segments_kept, output) as begun, artifact() as interpolate:
        opened = time.perf_counter()
        with frame_progress(source.name) as progress:
            tell = partial(begun, partial(tell_of, output))
            done = interpolate_video(
                interpolate, source, output, task.options, progress=progress, tell=tell
            )
        seconds = time.perf_counter() - opened
    say_video(source, output, done, f"; {speed_of(done, seconds)}", started, interpolate, outputs)
    return task.allow_damaged or not done.damage


def say_video(
    source: Path,
    output: Path,
    done: VideoSummary,
    speed: str,
    started: float,
    by: Maker,
    outputs: Outputs,
) -> None:
    """Say what was done with a video, and what its source lacks."""
    outputs.append(made_entry([source], output, done, started, by))
    for stream in done.left_out:
        say(f": not kept: {stream}", subject=source)
    for stream in done.transcoded:
        say(f": encoded anew: {stream}", subject=source)
    say_made(output, _video_made(done) + speed, started, by)
    for found in done.damage:
        say(f": damaged: {found}", subject=source)


def _share(
    artifact: Artifact,
    source: Path,
    output: Path,
    options: VideoOptions,
    share: Share,
    outputs: Outputs,
) -> None:
    from media.video import interpolate_share

    started = time.perf_counter()
    with (
        resumable(segments_kept, output) as begun,
        artifact() as interpolate,
        frame_progress(source.name) as progress,
    ):
        tell = partial(begun, partial(tell_of, output))
        done = interpolate_share(
            interpolate, source, output, options, share, progress=progress, tell=tell
        )
    elsewhere = (
        f", but for {done.elsewhere} that other runs still make, and may not finish"
        if done.elsewhere
        else ""
    )
    made = (
        f"share {share.number} of {share.of}, {done.segments} of {done.all_segments} segments, "
        f"is in {done.folder}{elsewhere}; {done.frames_written} frames written now; "
        "when all shares are there, the same command without --share joins them"
    )
    outputs.append(made_entry([source], output, done, started, interpolate))
    say_made(output, made, started, interpolate)


def tell_of(output: Path, line: str) -> None:
    """Say a line about an output."""
    say(f": {line}", subject=output)


def speed_of(done: VideoSummary, seconds: float) -> str:
    """Say how fast a video was made."""
    return f"{(done.frames_written - done.frames_resumed) / done.rate / seconds:.2f}x real time"


def _video_made(done: VideoSummary) -> str:
    unshown = f", {done.frames_left_out} left out, for they have the time of the one before"
    resumed = f", {done.frames_resumed} of them by other runs" if done.frames_resumed else ""
    return (
        f"{done.frames_written} frames from {done.frames_read}, {done.width}x{done.height} "
        f"at {float(done.rate):.6g} fps{resumed}; {done.frames_made} made, {done.frames_repeated} "
        f"shown again{unshown if done.frames_left_out else ''}, {done.cuts} cuts"
        f"{taken_out(done.repeats)}; decoding {done.decode_seconds:.1f} s, inference "
        f"{done.inference_seconds:.1f} s, encoding {done.encode_seconds:.1f} s, all at once"
    )


def taken_out(repeats: int | None) -> str:
    """Say how many repeats there were; empty where none were looked for."""
    return "" if repeats is None else f", {repeats} repeats taken out"


def say_made(output: Path, made: str, started: float, by: Maker) -> None:
    """Say what was made, in how long, and by what; `started` by `time.perf_counter`."""
    seconds = time.perf_counter() - started
    how = f"{by.backend}, {by.metadata.precision}"
    if by.inferred is not None and by.inferred < 1:
        made += f"; {100 * by.inferred:.0f} % of the pixels inferred, as the others are still"
    say(f": {made}; {seconds:.1f} s with {how}", subject=output)
