"""The demo: a scene whose true frames are known, interpolated, shown and measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from media.images.stills import Still, write_still
from media.video import write_video
from rrin_deploy.pictures import amplified_difference, average, made_folder
from runtime.backends import BackendName
from runtime.interpolator import Interpolator
from runtime.parity import check_parity, psnr_db
from runtime.scene import render_bytes
from runtime.verdicts import ParityReport

_WIDTH, _HEIGHT = 448, 256
_SOURCES, _FACTOR = 13, 4
_RATE = Fraction(24)


@dataclass(frozen=True)
class DemoResult:
    """What `run_demo` wrote and measured; PSNR is of middle frames, mean over the pairs, dB."""

    video: Path
    picture: Path
    frames: int
    psnr_db: float
    average_psnr_db: float
    parity: ParityReport


def run_demo(
    output: Path,
    model: Path | None,
    *,
    backend: BackendName | None,
    device: int | str | None,
    threads: int | None,
    providers: Sequence[str] | None,
    trusted: bool,
    progress: Callable[[int, int], None],
) -> DemoResult:
    """Interpolate the procedural scene, write a video and a picture, and check parity."""
    video, picture = output / "scene_x4.mp4", output / "comparison.png"
    where: dict[str, Any] = {
        "backend": backend, "device": device, "threads": threads, "providers": providers,
        "trusted": trusted,
    }  # fmt: skip
    sources = [render_bytes(_WIDTH, _HEIGHT, time) for time in range(_SOURCES)]
    middles: list[NDArray[np.uint8]] = []
    total = (_SOURCES - 1) * _FACTOR + 1

    with made_folder(output), Interpolator(model, **where) as interpolate:

        def frames() -> Iterator[NDArray[np.uint8]]:
            for index, frame in enumerate(interpolate.stream(sources, _FACTOR)):
                if index % _FACTOR == _FACTOR // 2:
                    middles.append(frame)
                yield frame
                progress(index + 1, total)

        write_video(video, frames(), _RATE)

        truths = [render_bytes(_WIDTH, _HEIGHT, time + 0.5) for time in range(_SOURCES - 1)]
        averages = [average(*pair) for pair in pairwise(sources)]
        mosaic = _mosaic(sources[:2], averages[0], middles[0], truths[0])
        write_still(picture, Still(mosaic, None, grey=False))
    return DemoResult(
        video=video,
        picture=picture,
        frames=total,
        psnr_db=_mean_psnr_db(middles, truths),
        average_psnr_db=_mean_psnr_db(averages, truths),
        parity=check_parity(model, **where),
    )


def _mean_psnr_db(made: Sequence[NDArray[np.uint8]], truths: Sequence[NDArray[np.uint8]]) -> float:
    return float(
        np.mean(
            [psnr_db(ours / 255, truth / 255) for ours, truth in zip(made, truths, strict=True)]
        )
    )


def _mosaic(
    pair: Sequence[NDArray[np.uint8]],
    average: NDArray[np.uint8],
    made: NDArray[np.uint8],
    truth: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    below = [
        amplified_difference(average, truth),
        amplified_difference(made, truth),
        amplified_difference(*pair),
    ]
    return np.vstack([np.hstack([average, made, truth]), np.hstack(below)])
