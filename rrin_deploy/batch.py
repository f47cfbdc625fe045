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
from rrin_deploy.interpolation import Artifact, Given, refuse_images, video
from runtime.errors import OutputError, OutputExistsError, RrinError


def videos(
    artifact: Artifact, sources: Sequence[Path], folder: Path, overwrite: bool, given: Given
) -> None:
    """Make each video under its own name in a folder; one that fails does not keep others from it.

    What is there already stays, unless it is to be overwritten: the same command goes on.

    Raises:
        OutputError: not all were made.
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
    failed = []
    with artifact() as interpolate:
        for source, output in zip(sources, outputs, strict=True):
            try:
                video(lambda: nullcontext(interpolate), source, output, overwrite, given)
            except OutputExistsError:
                say(": is there already, and stays", subject=output)
            except (RrinError, OSError, typer.BadParameter) as error:
                failed.append(source.name)
                errors.print(Text("error:", "bold red"), explanation(error)[0], soft_wrap=True)
    say(f": {len(sources) - len(failed)} of {len(sources)} videos", subject=folder)
    if failed:
        raise OutputError(f"{folder}: not all could be made; missing: {', '.join(failed)}")
