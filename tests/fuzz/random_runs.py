"""A process that runs models which the vetting took, with little memory and time for each.

`python -m tests.fuzz.random_runs FILE ...`: a signal ends it where a model does harm; the last line
names the model. An output of another shape than the file says of it is an error.
"""

from __future__ import annotations

import re
import resource
import signal
import sys
from pathlib import Path

import numpy as np

from runtime.backends import open_session

_BYTES = 3 * 2**30
_SECONDS = 20
_SIDE = 64
_TIMES = 2
_DTYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}


def main() -> None:
    """Run each file on a pair of 64x64 at two times."""
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
    for name in sys.argv[1:]:
        print(name, flush=True)
        signal.alarm(_SECONDS)
        run(Path(name))
    signal.alarm(0)


def run(path: Path) -> None:
    """Run a model; an ArtifactError if it is refused, an AssertionError if it lies about shapes."""
    rng = np.random.default_rng(0)
    with open_session(path, threads=1, providers=["CPUExecutionProvider"]) as session:
        frames = rng.integers(0, 255, (2, 1, _SIDE, _SIDE, 3)).astype(session.metadata.io)
        made = session.run(
            {
                "frame0": frames[0],
                "frame1": frames[1],
                "t": np.linspace(0.2, 0.8, _TIMES, dtype=np.float32),
                "window": np.array([0, 0, _SIDE, _SIDE], np.float32),
            }
        )
        for output in session._times.get_outputs():
            found = made[output.name].dtype, made[output.name].shape
            expected = np.dtype(_DTYPES[output.type]), _shape(output.shape)
            assert found == expected, (output.name, found, expected)


def _shape(symbols: list[int | str]) -> tuple[int, ...]:
    """Return a shape with its symbols, such as H/4, in numbers."""
    sizes = {"T": _TIMES, "H": _SIDE, "W": _SIDE}
    shape = []
    for size in symbols:
        if not isinstance(size, int):
            symbol, halved = re.fullmatch(r"([THW])(?:/(\d+))?", str(size)).groups("1")
            size = sizes[symbol] // int(halved)
        shape.append(size)
    return tuple(shape)


if __name__ == "__main__":
    main()
