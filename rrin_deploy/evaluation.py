"""Quality against true middle frames: PSNR and SSIM, by amount of motion, several artifacts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from calibration import motion
from calibration.datasets import Triplet
from media.errors import MediaError
from rrin_deploy.pictures import Pictures, average
from runtime.frames import PairInterpolator
from runtime.parity import psnr_db

AVERAGE = "plain average"
_SSIM_WINDOW = 11

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Score:
    """One triplet by one contender; PSNR is infinite where all pixels are right."""

    psnr_db: float
    ssim: float


@dataclass(frozen=True)
class Case:
    """One triplet.

    Attributes:
        motion: mean absolute difference of its two inputs, 8-bit levels.
        scores: by contender.
    """

    name: str
    motion: float
    scores: Mapping[str, Score]


@dataclass(frozen=True)
class Summary:
    """Means over some triplets.

    Attributes:
        triplets: how many.
        exact: how many of them are right in every pixel; the mean PSNR is of the others.
        psnr_db: infinite if all are exact.
        psnr_to_first_db, ssim_to_first: mean difference to the first contender, PSNR over those
            triplets where neither is exact; None where there are none.
    """

    triplets: int
    exact: int
    psnr_db: float
    ssim: float
    psnr_to_first_db: float | None
    ssim_to_first: float


def evaluate(
    contenders: Mapping[str, PairInterpolator],
    triplets: Sequence[Triplet],
    *,
    pictures: Pictures | None = None,
    progress: Progress | None = None,
) -> list[Case]:
    """Make the middle frame of each triplet with each contender and compare it with the truth.

    Args:
        contenders: callables of (frame0, frame1), by name; the plain average is added to them.
        triplets: read one at a time.
        pictures: where each result is drawn.
        progress: called with the triplets done and their number.

    Raises:
        InputNotFoundError, MediaError: an image is missing, damaged or smaller than 11 pixels.
    """
    cases = []
    for done, triplet in enumerate(triplets, 1):
        frames = triplet.read()
        made = {AVERAGE: average(frames.frame0, frames.frame1)}
        for name, interpolate in contenders.items():
            made[name] = interpolate(frames.frame0, frames.frame1)
            if pictures:
                pictures.add(name, triplet.name, frames, made[name])
        if min(frames.truth.shape[:2]) < _SSIM_WINDOW:
            height, width = frames.truth.shape[:2]
            raise MediaError(
                f"{triplet.truth}: is {width}x{height}; SSIM needs {_SSIM_WINDOW} pixels each way"
            )
        scores = {name: _score(frame, frames.truth) for name, frame in made.items()}
        cases.append(Case(triplet.name, motion.motion_of(frames), scores))
        if progress:
            progress(done, len(triplets))
    return cases


def summarise(cases: Sequence[Case], name: str, first: str) -> Summary:
    """Return a contender's means over the cases, of which there has to be one."""
    scores = [case.scores[name] for case in cases]
    firsts = [case.scores[first] for case in cases]
    finite = [score.psnr_db for score in scores if np.isfinite(score.psnr_db)]
    pairs = list(zip(scores, firsts, strict=True))
    gains = [a.psnr_db - b.psnr_db for a, b in pairs if np.isfinite([a.psnr_db, b.psnr_db]).all()]
    return Summary(
        triplets=len(cases),
        exact=len(cases) - len(finite),
        psnr_db=float(np.mean(finite)) if finite else float("inf"),
        ssim=float(np.mean([score.ssim for score in scores])),
        psnr_to_first_db=float(np.mean(gains)) if gains else None,
        ssim_to_first=float(np.mean([a.ssim - b.ssim for a, b in pairs])),
    )


def by_motion(cases: Sequence[Case]) -> Iterator[tuple[str, list[Case]]]:
    """Yield each motion bucket that has cases, with its name, such as '4 to 8'."""
    return motion.by_motion(cases, lambda case: case.motion)


def worst(cases: Sequence[Case], name: str, count: int = 3) -> list[Case]:
    """Return the cases where a contender does worst against the truth."""
    return sorted(cases, key=lambda case: case.scores[name].psnr_db)[:count]


def report(cases: Sequence[Case], contenders: Sequence[str]) -> dict[str, Any]:
    """Return everything as JSON types; infinite PSNR as None."""
    names = [*contenders, AVERAGE]
    return {
        "triplets": len(cases),
        "contenders": {
            name: {
                **_plain(summarise(cases, name, contenders[0])),
                "by_motion": {
                    bucket: _plain(summarise(inside, name, contenders[0]))
                    for bucket, inside in by_motion(cases)
                },
                "worst": [case.name for case in worst(cases, name)],
            }
            for name in names
        },
        "cases": [
            {
                "name": case.name,
                "motion": case.motion,
                "scores": {name: _plain(case.scores[name]) for name in names},
            }
            for case in cases
        ],
    }


def _plain(value: Summary | Score) -> dict[str, Any]:
    return {
        key: None if isinstance(item, float) and not np.isfinite(item) else item
        for key, item in vars(value).items()
    }


def _score(made: NDArray[np.uint8], truth: NDArray[np.uint8]) -> Score:
    # The settings of Wang et al., "Image Quality Assessment" (2004), as papers report them.
    ssim = structural_similarity(  # type: ignore[no-untyped-call]
        truth,
        made,
        channel_axis=2,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return Score(psnr_db(made / 255, truth / 255), float(ssim))
