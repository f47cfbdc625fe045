"""What samples are made of: stills, and runs of frames out of videos."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from media.frames import decoded, frame_count, rgb, videos_in
from runtime.cuts import CutDetector
from runtime.errors import InputNotFoundError
from training.drawing import Picture
from training.samples import Clip

_SHORTEST = 3
_LENGTH = 17  # frames of a run, so that every distance up to half of it is at many places
# By their names in scikit-image. astronaut and hubble_deep_field by NASA are in the public domain;
# rocket by SpaceX, cat by S. van der Walt and coffee by R. Michetti are CC0.
_STILLS = ("astronaut", "cat", "coffee", "hubble_deep_field", "rocket")


def free_stills() -> list[Picture]:
    """Return the stills that scikit-image ships, (H, W, 3) uint8 each, free for any use."""
    from skimage import data

    return [np.ascontiguousarray(getattr(data, name)()[..., :3]) for name in _STILLS]


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
    root = Path(root)
    if not root.is_dir():
        raise InputNotFoundError(f"{root}: no such folder; expected one with videos in it")
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
        if is_cut(picture) or number % _LENGTH == 0 or picture.shape != run[-1].shape:
            if len(run) >= _SHORTEST:
                yield np.stack(run)
            run = []
        run.append(picture)
    if len(run) >= _SHORTEST:
        yield np.stack(run)
