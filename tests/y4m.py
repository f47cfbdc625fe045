"""y4m as FFmpeg writes and reads it, which ours is held against."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np

from runtime.scene import render


def scene(count: int, pix_fmt: str, size: tuple[int, int] = (66, 48)) -> list[av.VideoFrame]:
    """Frames of the procedural scene."""
    width, height = size
    frames = []
    for time in range(count):
        rgb = np.rint(render(height, width, time) * 255).astype(np.uint8)
        frames.append(av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pix_fmt))
    return frames


def written(frames: list[av.VideoFrame], rate: Fraction) -> bytes:
    """What FFmpeg writes for frames at a rate."""
    file = io.BytesIO()
    with av.open(file, "w", format="yuv4mpegpipe", options={"strict": "-1"}) as writer:
        stream = writer.add_stream("wrapped_avframe", rate=rate)
        stream.width, stream.height = frames[0].width, frames[0].height
        stream.pix_fmt = frames[0].format.name
        stream.codec_context.time_base = 1 / rate
        for index, frame in enumerate(frames):
            frame.pts, frame.time_base = index, 1 / rate
            writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))
    return file.getvalue()


def read(content: bytes) -> tuple[list[av.VideoFrame], Fraction]:
    """The frames that FFmpeg reads, and their rate."""
    with av.open(io.BytesIO(content), format="yuv4mpegpipe") as reader:
        rate = reader.streams.video[0].average_rate
        assert rate
        return list(reader.decode(video=0)), rate
