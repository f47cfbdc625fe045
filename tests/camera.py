"""`python -m tests.camera URL`: a camera over MPEG-TS, whose pictures say when they were taken.

The number of a frame since `--origin`, in Gray code, stands in blocks on top, so that between two
of them a single one differs, and whatever is made of it reads as one of the two.
"""

from __future__ import annotations

import argparse
import math
import time
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from runtime.scene import render_bytes

BLOCK, BITS = 8, 24
WIDTH, HEIGHT = 96, 64
RATE = 15


def picture(number: int) -> NDArray[np.uint8]:
    """Draw a frame, (64, 96, 3) uint8, of a scene that moves to and fro."""
    frame = render_bytes(WIDTH, HEIGHT, 5 + 5 * math.sin(number / 10))
    gray = number ^ number >> 1
    for bit in range(BITS):
        row, column = divmod(bit * BLOCK, WIDTH)
        level = 235 if gray >> bit & 1 else 16
        frame[row * BLOCK : (row + 1) * BLOCK, column : column + BLOCK] = level
    return frame


def number_of(frame: NDArray[np.uint8]) -> tuple[int, bool]:
    """Read a frame's number, and whether all of its blocks are as they were drawn."""
    gray, clear = 0, True
    for bit in range(BITS):
        row, column = divmod(bit * BLOCK, WIDTH)
        inner = frame[row * BLOCK + 2 : (row + 1) * BLOCK - 2, column + 2 : column + BLOCK - 2]
        level = float(inner.mean())
        gray |= (level > 128) << bit
        clear &= not 50 < level < 200
    number = 0
    while gray:
        number ^= gray
        gray >>= 1
    return number, clear


def run(url: str, rate: int, origin: float, seconds: float) -> None:
    """Send frames, each at its time by the monotonic clock."""
    with av.open(url, "w", format="mpegts", container_options={"flush_packets": "1"}) as writer:
        stream = writer.add_stream(
            "libx264", rate, {"preset": "ultrafast", "tune": "zerolatency", "crf": "10"}
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size = max(rate // 2, 1)
        first = math.ceil((time.monotonic() - origin) * rate)
        for number in range(first, first + round(seconds * rate)):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = number - first, Fraction(1, rate)
            time.sleep(max(origin + number / rate - time.monotonic(), 0))
            writer.mux(stream.encode(frame))


def main() -> None:
    """Send."""
    parser = argparse.ArgumentParser(prog="python -m tests.camera", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--rate", type=int, default=RATE)
    parser.add_argument("--origin", type=float, default=None, help="monotonic clock; now")
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    origin = time.monotonic() if given.origin is None else given.origin
    run(given.url, given.rate, origin, given.seconds)


if __name__ == "__main__":
    main()
