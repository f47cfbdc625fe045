"""What is kept of an output whose run ended early, and how it is gone on with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.text import Text

from rrin_deploy.console import errors


@contextmanager
def resumable(kept: Callable[[Path], str], output: Path) -> Iterator[Callable[..., None]]:
    """Say what is kept where the block fails, and how to go on.

    Yields:
        Calls `tell` or `progress`, with their arguments; their first call means that the job is
        found or begun. Until then what lies there may be another one, and not to go on with.
    """
    begun = False

    def call(heard: Callable[..., None], *what: object) -> None:
        nonlocal begun
        begun = True
        heard(*what)

    try:
        yield call
    except BaseException:
        if begun:
            say_kept(kept(output))
        raise


def say_kept(what: str) -> None:
    """Say what is kept of an output that is not finished, and how to go on; nothing where empty."""
    if what:
        line = f"{what}; the same command goes on from there, and removing that folder gives up"
        errors.print(Text("kept:", "bold"), line, soft_wrap=True)


def segments_kept(output: Path) -> str:
    """Say what is kept of a video that is not finished; empty where nothing is."""
    from media.resuming.job import kept_beside

    if (kept := kept_beside(output)) is None:
        return ""
    made = f"{kept.finished} of {kept.segments} segments are kept in {kept.folder}"
    return f"{made}, {kept.bytes / 1e6:.1f} MB"


def images_kept(output: Path) -> str:
    """Say what is kept of a folder that is not finished; empty where nothing is."""
    from media.images.job import images_kept_for
    from media.images.numbering import is_pattern

    kept = images_kept_for(output.parent if is_pattern(output) else output)
    return f"{kept.images} images are kept in {kept.folder}" if kept else ""
