"""Frames that lie in a GPU's memory already, as torch tensors, and stay there.

python examples/device_arrays.py ENGINE
"""

import sys
from typing import Any

import numpy as np
import torch

from runtime import Interpolator
from runtime.scene import render, render_bytes


def thirds(interpolate: Interpolator, frame0: Any, frame1: Any) -> Any:
    """Return the two frames between two tensors, (2, H, W, 3) in the GPU's memory.

    The frames are (H, W, 3) of the engine's dtype and of any size. What comes back shares the
    interpolator's memory and is freed with it; a copy is the caller's own.
    """
    made = interpolate.on_device(frame0, frame1, t=[1 / 3, 2 / 3])
    return torch.as_tensor(made, device="cuda").clone()


def main(engine: str) -> int:
    """Print how far the frames between two frames of a known scene are from the true ones."""
    if not torch.cuda.is_available():
        print("error: torch finds no GPU, and device arrays need one", file=sys.stderr)
        return 3
    with Interpolator(engine) as interpolate:
        frames = [render(128, 192, time) for time in (0, 1)]
        scale = 1
        if interpolate.metadata.io == "uint8":
            frames, scale = [render_bytes(192, 128, time) for time in (0, 1)], 255
        tensors = [torch.as_tensor(frame, device="cuda") for frame in frames]
        made = thirds(interpolate, *tensors).cpu().numpy() / scale
    for time, found in zip((1 / 3, 2 / 3), made, strict=True):
        error = np.abs(found - render(128, 192, time)).mean()
        print(f"t = {time:.2f}: {error:.4f} of the full range away from the truth")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
