"""What a session costs beside the engine: measured with a double that only copies frame0."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rrin_deploy.proof.report import Finding, verdict
from runtime.interpolator import Interpolator

_FRAMES = 40


def overhead(name: str, engine: Path, sizes: Sequence[tuple[int, int]]) -> Iterator[Finding]:
    """Time streams of uint8 frames of each size, and check that each frame came back."""
    rows, wrong = [], 0
    random = np.random.default_rng(0)
    with Interpolator(engine) as interpolate:
        for width, height in sizes:
            shape = (height, width, 3)
            frames = list(random.integers(0, 256, (4, *shape), np.uint8))
            interpolate.warm_up(height, width)
            list(interpolate.stream(frames, 2))  # takes the buffers that a stream needs
            clip = [frames[index % 4] for index in range(_FRAMES)]
            started = time.perf_counter()
            made = list(interpolate.stream(clip, 2))
            seconds = (time.perf_counter() - started) / (_FRAMES - 1)
            wrong += sum(not np.array_equal(*pair) for pair in zip(made[1::2], clip, strict=False))
            rows.append({"size": f"{width}x{height}", "ms a made frame": 1e3 * seconds})
    told = ", ".join(f"{row['size']} {row['ms a made frame']:.2f} ms" for row in rows)
    text = f"{told} a frame that only goes to the GPU and back; {wrong} came back wrong"
    yield verdict(f"cost of a session, {name}", not wrong, text, {"rows": rows})
