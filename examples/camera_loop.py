"""A camera at twice its frame rate: every frame is shown, and one between each two.

python examples/camera_loop.py [ARTIFACT]
"""

import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from runtime import Interpolator, RrinError
from runtime.scene import render_bytes


def camera(frames: int) -> Iterator[NDArray[np.uint8]]:
    """Stand for a camera: one buffer, filled anew for every frame.

    With OpenCV, whose frames are BGR:

        capture = cv2.VideoCapture(0)
        found, buffer = capture.read()
        while found:
            yield cv2.cvtColor(buffer, cv2.COLOR_BGR2RGB)
            found, buffer = capture.read(buffer)
    """
    buffer = np.empty((128, 192, 3), np.uint8)
    for time in range(frames):
        buffer[...] = render_bytes(192, 128, time)
        yield buffer


def show(frame: NDArray[np.uint8]) -> None:
    """Stand for a window; with OpenCV `cv2.imshow("RRIN", frame[..., ::-1])`, `cv2.waitKey(1)`."""
    print(f"a frame of {frame.shape[1]}x{frame.shape[0]}, mean {frame.mean():.1f}")


def main(artifact: str | None = None) -> int:
    """Show what a camera sees; a frame is shown when it has arrived, after the one before it."""
    with Interpolator(artifact) as interpolate:
        interpolate.warm_up(128, 192)
        # A frame may be the camera's own buffer: copy what you keep beyond a turn of this loop.
        for frame in interpolate.stream(camera(5), factor=2):
            show(frame)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except RrinError as error:  # such as of an artifact that is not there
        sys.exit(f"error: {error}")
