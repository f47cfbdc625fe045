"""FFmpeg's filters, given frames one after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
from av import AudioFrame, VideoFrame
from av.filter import Graph


def filtered(graph: Graph, frame: VideoFrame | AudioFrame | None, *, at: int = -1) -> Iterator[Any]:
    """Give a graph a frame, or with None its end, and yield the frames that come of it.

    Args:
        at: which of the graph's inputs takes it; -1 where it has one.

    Raises:
        av.FFmpegError: a filter fails.
    """
    graph.push(frame, at=at)
    while True:
        try:
            yield graph.pull()
        except (av.BlockingIOError, av.EOFError):  # wants more, or has ended
            return
