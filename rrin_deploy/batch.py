"""Several videos, one after the other, into a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import typer
from rich.text import Text

from rrin_deploy.console import errors, say
from rrin_deploy.failures import explanation
from rrin_deploy.given import Given, video_task
from rrin_deploy.interpolation import Artifact, make_video, refuse_images
from runtime.errors import OutputError, OutputExistsError, RrinError
from runtime.publishing import Publication


def videos(
    artifact: Artifact, sources: Sequence[Path], folder: Path, overwrite: bool, given: Given
) -> None:
    """Make each video under its own name in a folder; one that fails does not keep others from it.

    What is there already stays, unless it is to be overwritten: the same command goes on.

    Raises:
        OutputError: not all were made, or not without fault.
        BadParameter: one is an image, two have one name, or the folder is a file, or named as one.
    """
    from media.encoding import CODECS
    from media.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES

    refuse_images(sources)
    task = video_task(given, overwrite)
    outputs = [
        folder / (source.name if source.suffix.lower() in CODECS else f"{source.stem}.mkv")
        for source in sources
    ]
    twice = [output.name for output, count in Counter(outputs).items() if count > 1]
    if twice:
        raise typer.BadParameter(f"several inputs would become {twice[0]}; take them one by one")
    if folder.exists() and not folder.is_dir():
        raise typer.BadParameter(f"{folder} is a file; several videos become files in a folder")
    if not folder.exists() and folder.suffix.lower() in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES):
        raise typer.BadParameter(f"{folder} is named as a file; several videos become a folder's")
    folder.mkdir(exist_ok=True)
    failed, damaged, there = [], [], 0
    with artifact() as interpolate:
        for source, output in zip(sources, outputs, strict=True):
            try:
                if not overwrite and _is_there(output):
                    say(": is there already, and stays", subject=output)
                    there += 1
                elif not make_video(lambda: nullcontext(interpolate), source, output, task):
                    damaged.append(source.name)
            except (RrinError, OSError) as error:
                failed.append(source.name)
                errors.print(Text("error:", "bold red"), explanation(error)[0], soft_wrap=True)
    before = f", {there} of them from before" if there else ""
    say(f": {len(sources) - len(failed)} of {len(sources)} videos{before}", subject=folder)
    faults = []
    if damaged:
        faults.append(
            f"made, but of sources that are damaged, as said above: {', '.join(damaged)}; "
            "--allow-damaged makes this no failure"
        )
    if failed:
        faults.append(f"not all could be made; missing: {', '.join(failed)}")
    if faults:
        raise OutputError(f"{folder}: {'; '.join(faults)}")


def _is_there(output: Path) -> bool:
    """Say whether a video is made, when what a run has left that was killed is put right."""
    from media.job import Job

    Job.tidied(output)
    try:
        Publication(output, overwrite=False)
    except OutputExistsError:
        return True
    return False
