"""A camera, or a video file, at twice its frame rate, by PyAV alone.

python examples/camera.py SOURCE [OUTPUT [ARTIFACT]]

SOURCE is a camera such as /dev/video0 (V4L2), or a file; OUTPUT a video such as seen.mkv, without
which frames are made and dropped, as a display would take them; Ctrl-C ends it.
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
from queue import SimpleQueue
from typing import TypeVar, cast

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from media import MediaError, write_video
from runtime import Interpolator, RrinError

FACTOR = 2
Item = TypeVar("Item")


def opened(source: str) -> InputContainer:
    """Open a camera or a file."""
    try:
        if Path(source).is_char_device():
            return av.open(source, format="v4l2", options={"framerate": "30"})
        return av.open(source)
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{source}: no camera or video that opens ({error.strerror})") from error


def seen(source: str) -> Iterator[tuple[NDArray[np.uint8], Fraction]]:
    """Yield what it shows, (H, W, 3) RGB, each with the frames a second that it claims."""
    with opened(source) as camera:
        rate = camera.streams.video[0].average_rate or Fraction(30)
        for frame in camera.decode(video=0):
            yield frame.to_ndarray(format="rgb24"), rate


def until_interrupted(items: Iterator[Item]) -> Iterator[Item]:
    """Pass on what a thread of its own takes from `items`, until they end or Ctrl-C.

    FFmpeg waits for a camera that is silent as long as it takes, whatever signal comes; the thread
    is left there, and ends with the program. It takes one item ahead.
    """
    taken: SimpleQueue[tuple[Item | None, Exception | None]] = SimpleQueue()
    room = threading.Semaphore()

    def take() -> None:
        try:
            while room.acquire():
                taken.put((next(items), None))
        except Exception as error:  # StopIteration at the end
            taken.put((None, error))

    signal.signal(signal.SIGINT, lambda *_: taken.put((None, StopIteration())))
    threading.Thread(target=take, daemon=True).start()
    while True:
        item, error = taken.get()
        if isinstance(error, StopIteration):
            return
        if error:
            raise error
        room.release()
        yield cast("Item", item)


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
    shown = until_interrupted(seen(source))
    first = next(shown, None)
    if first is None:
        return 0
    images = (image for image, _ in itertools.chain([first], shown))
    with Interpolator(artifact) as interpolate:
        frames = counted(interpolate.stream(images, FACTOR))
        if output is None:
            for _ in frames:
                pass
        else:
            write_video(output, frames, first[1] * FACTOR)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except RrinError as error:  # such as of a camera or an artifact that is not there
        sys.exit(f"error: {error}")
