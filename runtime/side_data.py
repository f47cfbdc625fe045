"""What a decoded frame carries beside its pixels."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, cast

from av import VideoFrame
from av.filter import Graph

_EXIF = 31  # FFmpeg's AV_FRAME_DATA_EXIF


def side_data(frame: VideoFrame) -> Any:
    """Return PyAV's container of it, by names such as 'DISPLAYMATRIX'; without EXIF.

    PyAV knows no EXIF, and gives no other side data where there is some. Its orientation is the
    display matrix.
    """
    graph = Graph()
    steps = [
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1)
        ),
        graph.add("sidedata", f"mode=delete:type={_EXIF}"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*steps).configure()
    graph.push(frame)
    return cast(VideoFrame, graph.pull()).side_data  # typed as if it took enumerations alone
