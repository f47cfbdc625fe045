"""A camera, or a video file, at twice its frame rate, by PyAV alone.

python examples/camera.py SOURCE [OUTPUT [ARTIFACT]]

SOURCE is a camera such as /dev/video0 (V4L2), or a file; OUTPUT a video such as seen.mkv, without
which frames are made and dropped, as a display would take them; Ctrl-C ends it with the next frame.
A camera that is faster than frames are made is not waited for: FFmpeg drops what it shows
meanwhile, and as frames are written at a constant rate, the video then plays too fast;
`rrin-deploy live` keeps their times.
"""

import itertools
import signal
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from media import MediaError, write_video
from runtime import Interpolator, RrinError

FACTOR = 2


def opened(source: str) -> InputContainer:
    """Open a camera or a file."""
    try:
        if Path(source).is_char_device():
            return av.open(source, format="v4l2", options={"framerate": "30"})
        return av.open(source)
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{source}: no camera or video that opens ({error.strerror})") from error


def seen(camera: InputContainer) -> Iterator[NDArray[np.uint8]]:
    """Yield what it shows, (H, W, 3) RGB, until it ends or Ctrl-C; what is seen is then written."""
    ended = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    for frame in camera.decode(video=0):
        if ended.is_set():
            return
        yield frame.to_ndarray(format="rgb24")


def counted(frames: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    """Pass frames on, and show how many a second there are."""
    started = time.perf_counter()
    for number in itertools.count(1):
        frame = next(frames, None)
        rate = number / (time.perf_counter() - started)
        if frame is None:
            print(f"\n{number - 1} frames")
            return
        print(f"\r{rate:6.1f} frames a second", end="", flush=True)
        yield frame


def main(source: str, output: str | None = None, artifact: str | None = None) -> int:
    """Show how fast it goes, and write what is made."""
    with opened(source) as camera, Interpolator(artifact) as interpolate:
        rate = camera.streams.video[0].average_rate or Fraction(30)
        frames = counted(interpolate.stream(seen(camera), FACTOR))
        if output is None:
            for _ in frames:
                pass
        else:
            write_video(output, frames, rate * FACTOR)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except RrinError as error:  # such as of a camera or an artifact that is not there
        sys.exit(f"error: {error}")
