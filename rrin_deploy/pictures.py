"""What made frames are compared with and how their errors are shown, in the demo and in eval."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.datasets import Frames
from media.images.stills import Still, write_still
from runtime.errors import OutputError

_GAIN = 4


def average(frame0: NDArray[np.uint8], frame1: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the plain mean of two frames, which any interpolation has to beat."""
    return np.rint((frame0.astype(np.float32) + frame1) / 2).astype(np.uint8)


def amplified_difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return how far two frames are apart, four times as bright."""
    difference: NDArray[np.int16] = np.abs(a.astype(np.int16) - b) * _GAIN
    return difference.clip(0, 255).astype(np.uint8)


class Pictures:
    """Pictures of results: the inputs' average, truth, result, and four times the error.

    After one that cannot be written no more are tried, and the scores are not lost for its sake.

    Args:
        folders: where they go, by contender; see `picture_folders`.

    Attributes:
        written: how many are.
        failure: why one is not; None where all are.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self.written = 0
        self.failure: OSError | None = None
        self._folders = folders

    def add(self, contender: str, triplet: str, frames: Frames, made: NDArray[np.uint8]) -> None:
        """Draw what a contender made of a triplet, named so."""
        if self.failure:
            return
        *folders, name = map(_plain_name, triplet.split("/"))
        folder = self._folders[contender].joinpath(*folders)
        plain = average(frames.frame0, frames.frame1)
        tiles = [plain, frames.truth, made, amplified_difference(made, frames.truth)]
        try:
            with made_folder(folder):
                write_still(folder / f"{name}.png", Still(np.hstack(tiles), None, grey=False))
        except OSError as error:
            self.failure = error
        else:
            self.written += 1


@contextmanager
def picture_folders(root: Path, contenders: Iterable[str]) -> Iterator[Pictures]:
    """Make a folder in `root` for each contender, and yield the pictures that go there.

    Raises:
        OutputError: see `made_folder`.
    """
    with ExitStack() as stack:
        folders = {}
        for place, name in enumerate(contenders, 1):
            folders[name] = root / f"{place}-{_plain_name(name)}"
            stack.enter_context(made_folder(folders[name]))
        yield Pictures(folders)


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder, with those above it, for the block; those that stay empty go after it.

    Raises:
        OutputError: it cannot be made, or not be written to.
    """
    new = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    try:
        _make(folder)
        yield
    finally:
        for path in new:
            with suppress(OSError):  # most often that it is not empty
                path.rmdir()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: this folder cannot be made: {error.strerror}; choose another"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder}: cannot be written to, or is on a read-only disk")


def _plain_name(name: str) -> str:
    """Return a name as that of a file or folder: no separators, no way out of the folder."""
    return re.sub(r"[^\w.=-]+", "_", name).strip("._") or "_"
