"""Several videos, one after the other, into a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import typer
from rich.text import Text

from rrin_deploy.console import errors, say
from rrin_deploy.failures import explanation
from rrin_deploy.given import Order, video_task
from rrin_deploy.interpolation import Artifact, make_video, refuse_images
from rrin_deploy.results import Outputs
from runtime.errors import OutputError, OutputExistsError, RrinError
from runtime.publishing import Publication


@dataclass
class Tally:
    """What became of several videos.

    Attributes:
        damaged, failed: names of sources.
        there: how many outputs were there before.
        outputs: what became of each, for programs.
    """

    outputs: Outputs
    damaged: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    there: int = 0

    def fail(self, source: Path, error: Exception) -> None:
        """Say why a video could not be made, and go on."""
        self.failed.append(source.name)
        why = explanation(error)[0]
        self.outputs.append({"status": "failed", "inputs": [source], "error": why})
        errors.print(Text("error:", "bold red"), why, soft_wrap=True)

    def close(self, sources: Sequence[Path], folder: Path) -> None:
        """Say how many there are.

        Raises:
            OutputError: not all were made, or not without fault.
        """
        before = f", {self.there} of them from before" if self.there else ""
        say(f": {len(sources) - len(self.failed)} of {len(sources)} videos{before}", subject=folder)
        faults = []
        if self.damaged:
            faults.append(
                "made, but of sources that are damaged, as said above: "
                f"{', '.join(self.damaged)}; --allow-damaged makes this no failure"
            )
        if self.failed:
            faults.append(f"not all could be made; missing: {', '.join(self.failed)}")
        if faults:
            raise OutputError(f"{folder}: {'; '.join(faults)}")


def videos(order: Order, artifact: Artifact, outputs: Outputs) -> None:
    """Make each video under its own name in a folder; one that fails does not keep others from it.

    What is there already stays, unless it is to be overwritten: the same command goes on.

    Raises:
        OutputError: not all were made, or not without fault.
        BadParameter: see `outputs_in`.
    """
    sources, folder, overwrite = order.inputs, order.output, order.overwrite
    task = video_task(order.given, overwrite)
    named = outputs_in(folder, sources)
    tally = Tally(outputs)
    with artifact() as interpolate:
        for source, output in waiting(sources, named, overwrite, tally):
            try:
                if not make_video(lambda: nullcontext(interpolate), source, output, task, outputs):
                    tally.damaged.append(source.name)
            except (RrinError, OSError) as error:
                tally.fail(source, error)
    tally.close(sources, folder)


def outputs_in(folder: Path, sources: Sequence[Path]) -> list[Path]:
    """Name the video of each source in a folder, which is made.

    Raises:
        BadParameter: one is an image, two have one name, or the folder is a file, or named as one.
    """
    from media.encoding import CODECS
    from media.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES

    refuse_images(sources)
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
    return outputs


def waiting(
    sources: Sequence[Path], outputs: Sequence[Path], overwrite: bool, tally: Tally
) -> Iterator[tuple[Path, Path]]:
    """Yield the pairs of which the output is not there yet; the others are counted, and that said.

    Args:
        tally: what cannot be looked at is failed in it.
    """
    for source, output in zip(sources, outputs, strict=True):
        try:
            there = not overwrite and is_there(output)
        except (RrinError, OSError) as error:
            tally.fail(source, error)
            continue
        if there:
            say(": is there already, and stays", subject=output)
            tally.there += 1
            tally.outputs.append({"status": "there", "inputs": [source], "output": output})
        else:
            yield source, output


def is_there(output: Path) -> bool:
    """Say whether a video is made, when what a run has left that was killed is put right."""
    from media.resuming.job import Job

    Job.tidied(output)
    try:
        Publication(output, overwrite=False)
    except OutputExistsError:
        return True
    return False
