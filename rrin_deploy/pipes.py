"""What `rrin-deploy interpolate` does with pipes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TextIO

import typer

from rrin_deploy.given import Order, video_task
from rrin_deploy.interpolation import Artifact, damaged, refuse_images, say_video, speed_of
from rrin_deploy.progress import frame_progress
from rrin_deploy.results import Outputs, apart
from rrin_deploy.signals import Stopped

STANDARD = Path("-")
_STDIN, _STDOUT = 0, 1
# 128 + SIGPIPE, as a shell reports of programs that end because nobody reads what they write.
_UNREAD = 141


def is_piped(path: Path) -> bool:
    """Say whether it is - or the name of a pipe, as of mkfifo, or as /dev/stdin may be."""
    return path == STANDARD or path.is_fifo()


def piped(order: Order, artifact: Artifact, outputs: Outputs) -> None:
    """Make a video of more frames, that comes out of a pipe, or goes into one as y4m.

    Raises:
        MediaError: its source is damaged; what could be made is there.
        Stopped: nobody reads it any more.
    """
    if len(order.inputs) > 1:
        raise typer.BadParameter(
            f"a pipe or y4m is one video; {len(order.inputs)} inputs are given"
        )
    for name in ("segment", "share"):
        if name in order.given:
            raise typer.BadParameter(f"--{name} is not for pipes and .y4m, made in one piece")
    source, output = order.source, order.output
    refuse_images([source])
    if source == STANDARD:
        _check_standard(sys.stdin, "standard input")
    if output == STANDARD:
        _check_standard(sys.stdout, "standard output")
    with apart() if is_stdout(output) else nullcontext(output) as target, ending_unread():
        _make(order, artifact, target, outputs)


def _check_standard(stream: TextIO | None, name: str) -> None:
    found = "is closed" if stream is None else "is a terminal" if stream.isatty() else ""
    if found:
        raise typer.BadParameter(f"{name} {found}; - is for y4m, between | and |")


def _make(order: Order, artifact: Artifact, target: Path | int, outputs: Outputs) -> None:
    from media.pipes.pipe import interpolate_pipe

    source, output = order.source, order.output
    task = video_task(order.given, order.overwrite)
    shown = Path("standard input") if source == STANDARD else source
    to = Path("standard output") if output == STANDARD else output
    started = time.perf_counter()
    with artifact() as interpolate:
        opened = time.perf_counter()
        with frame_progress(shown.name) as progress:
            done = interpolate_pipe(
                interpolate,
                _STDIN if source == STANDARD else source,
                target,
                task.options,
                progress=progress,
                output_name=str(to),
            )
        seconds = time.perf_counter() - opened
    say_video(shown, to, done, f"; {speed_of(done, seconds)}", started, interpolate, outputs)
    if done.damage and not task.allow_damaged:
        raise damaged(shown, to)


def is_stdout(output: Path) -> bool:
    """Say whether it is standard output, by whatever name; that of /dev/stdout is a pipe's."""
    if output == STANDARD:
        return True
    return output.is_fifo() and os.path.samestat(output.stat(), os.fstat(_STDOUT))


@contextmanager
def ending_unread() -> Iterator[None]:
    """End the command quietly where the block finds that nobody reads its output any more.

    Raises:
        Stopped: as by SIGPIPE.
    """
    try:
        yield
    except BrokenPipeError:
        raise Stopped(_UNREAD) from None
