"""A short session without PyTorch, for compute-sanitizer: `python -m rrin_deploy.proof.memcheck`.

The double copies frame0, so that every frame that comes back is known.
"""

from __future__ import annotations

import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np

from rrin_deploy.proof.double import double_of_tensorrt, write_engine
from rrin_deploy.proof.engines import frame0_again
from rrin_deploy.proof.sessions import Clip
from runtime.device import compute_capability
from runtime.interpolator import Interpolator


def main() -> int:
    """Run calls and a stream of several sizes, and leave nothing; return 0 if all came back."""
    wrong = 0
    with tempfile.TemporaryDirectory() as folder, double_of_tensorrt(frame0_again):
        engine = write_engine(Path(folder), "uint8", compute_capability(0))
        with Interpolator(engine) as interpolate:
            for size in ((64, 64), (320, 192), (101, 70)):
                frames = Clip(size, frames=12).drawn()
                made = interpolate(frames[0], frames[1], [0.2, 0.4, 0.6])
                wrong += sum(not np.array_equal(each, frames[0]) for each in made)
                filled = list(interpolate.fill((frame, [0.3, 0.6]) for frame in frames))
                for (before, _), (_, between) in pairwise(filled):
                    wrong += sum(not np.array_equal(each, before) for each in between)
    print(f"{wrong} frames are wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
