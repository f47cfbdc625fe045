"""What samples are made of: stills, and runs of frames out of videos."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from media.images.stills import read_still
from media.reading.frames import decoded, frame_count, rgb, videos_in
from media.suffixes import IMAGE_SUFFIXES
from runtime.cuts import CutDetector
from runtime.errors import InputNotFoundError
from training.drawing import Picture
from training.samples import Clip

_SHORTEST = 3
_LARGEST = 1280  # pixels on the long side of a still
_LENGTH = 17  # frames of a run, so that every distance up to half of it is at many places
# By their names in scikit-image. astronaut by NASA is in the public domain;
# rocket by SpaceX, cat by S. van der Walt and coffee by R. Michetti are CC0.
_STILLS = ("astronaut", "cat", "coffee", "rocket")


def free_stills() -> list[Picture]:
    """Return the stills that scikit-image ships, (H, W, 3) uint8 each, free for any use."""
    from skimage import data

    return [np.ascontiguousarray(getattr(data, name)()[..., :3]) for name in _STILLS]


def read_stills(root: str | Path) -> list[Picture]:
    """Read the pictures in a folder, at any depth, sorted by path; (H, W, 3) uint8 each.

    Larger ones are made smaller: what of them goes into a frame has details of some pixels then.

    Raises:
        InputNotFoundError: no such folder, or no picture in it.
        MediaError, FrameError: a picture cannot be decoded, or is too large.
    """
    root = _folder(root, "pictures")
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise InputNotFoundError(f"{root}: no picture in it")
    return [_in_bytes(read_still(path).rgb) for path in paths]


def _in_bytes(rgb: NDArray[Any]) -> Picture:
    levels = rgb if rgb.dtype == np.uint8 else np.rint(255 * rgb).astype(np.uint8)
    image = Image.fromarray(levels)
    image.thumbnail((_LARGEST, _LARGEST))
    return np.array(image)


def _folder(root: str | Path, content: str) -> Path:
    root = Path(root)
    if not root.is_dir():
        raise InputNotFoundError(f"{root}: no such folder; expected one with {content} in it")
    return root


def read_runs(root: str | Path, *, smallest: int, most_bytes: int) -> list[Clip]:
    """Read runs of neighbouring frames, without cuts in them, from the videos in a folder.

    Every video gives evenly spaced runs, as many as fit its share of the memory; of many videos,
    some give none.

    Args:
        root: a folder, looked through at any depth.
        smallest: pixels that a frame's sides have to have; smaller videos are left out.
        most_bytes: of memory, for all runs together.

    Returns:
        Arrays (N, H, W, 3) uint8, N from 3 to 17.

    Raises:
        InputNotFoundError: no such folder, or no video of that size in it.
        MediaError: a video cannot be decoded.
    """
    root = _folder(root, "videos")
    videos = videos_in(root)
    runs: list[Clip] = []
    for number, video in enumerate(videos):
        # What one video leaves, because it is short or a run of it does not fit, is for the others.
        left = most_bytes - sum(run.nbytes for run in runs)
        runs += _runs(video, smallest, left // (len(videos) - number))
    if not runs:
        raise InputNotFoundError(f"{root}: no video with sides of {smallest} pixels and more in it")
    return runs


def _runs(video: Path, smallest: int, most_bytes: int) -> Iterator[Clip]:
    """Yield every so manieth run, such that all fit; what is decoded is not known before."""
    frames = decoded(video)
    first = next(frames, None)
    if first is None or min(first.width, first.height) < smallest:
        return
    room = most_bytes // (3 * first.width * first.height * _LENGTH)
    if not room:
        return
    every = max(1, -(-frame_count(video) // (_LENGTH * room)))
    is_cut, run = CutDetector(), list[Picture]()
    for number, frame in enumerate(chain([first], frames)):
        if number // _LENGTH % every:
            continue
        picture = rgb(frame)
        apart = number % _LENGTH == 0 or (run and picture.shape != run[-1].shape)
        if apart:
            is_cut = CutDetector()
        if is_cut(picture) or apart:
            if len(run) >= _SHORTEST:
                yield np.stack(run)
            run = []
        run.append(picture)
    if len(run) >= _SHORTEST:
        yield np.stack(run)
