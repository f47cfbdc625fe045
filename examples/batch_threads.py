"""The middle of every two neighbouring images of a folder, in several threads.

python examples/batch_threads.py IMAGES OUTPUT [ARTIFACT]

One interpolator serves all threads. Each call takes memory of its own, so that large frames want
fewer threads.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

from media import Still, read_still, write_still
from runtime import InputNotFoundError, Interpolator, RrinError


def main(images: str, output: str, artifact: str | None = None) -> int:
    """Write a middle image for each pair, named after its first."""
    paths = sorted(Path(images).glob("*.png"))
    if len(paths) < 2:
        raise InputNotFoundError(f"{images}: holds {len(paths)} .png; expected two or more")
    Path(output).mkdir(parents=True, exist_ok=True)
    # An engine has no CPU threads: leave `threads` out, and two workers keep a GPU busy.
    with Interpolator(artifact, threads=1) as interpolate:

        def make(pair: tuple[Path, Path]) -> Path:
            first, second = (read_still(path).rgb for path in pair)
            middle = interpolate(first, second)
            target = Path(output) / pair[0].name
            write_still(target, Still(middle, alpha=None, grey=False))
            return target

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for target in pool.map(make, pairwise(paths)):  # in order; an error is raised here
                print(target)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except RrinError as error:  # such as of an artifact that is not there
        sys.exit(f"error: {error}")
