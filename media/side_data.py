"""What a decoded frame carries beside its pixels, asked for by FFmpeg's names of it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av import VideoFrame
from av.filter import Graph
from numpy.typing import NDArray

# PyAV gives nothing where there is a kind that it does not know, as EXIF (31) is. And of what has
# a name, as the profile of a PNG, it frees the name twice, which ends the process.
_UNFIT = ("31", "ICC_PROFILE")


def carries(frame: VideoFrame, kind: str) -> bool:
    """Say whether a frame carries side data of a kind, such as 'ICC_PROFILE'."""
    return _passed(frame, f"mode=select:type={kind}") is not None


def display_matrix(frame: VideoFrame) -> NDArray[np.int32] | None:
    """Return the nine numbers of its rotation and mirroring; None where it has none.

    The orientation in EXIF is among them.
    """
    matrix = side_data(frame, "DISPLAYMATRIX")
    return None if matrix is None else np.frombuffer(matrix, np.int32)


def side_data(frame: VideoFrame, kind: str) -> bytes | None:
    """Return side data of a kind as FFmpeg has it in memory; None where there is none."""
    fit = _passed(frame, *(f"mode=delete:type={each}" for each in _UNFIT))
    carried: Any = cast(VideoFrame, fit).side_data  # typed as if it took enumerations alone
    found = carried.get(kind)
    return None if found is None else bytes(found)


def _passed(frame: VideoFrame, *options: str) -> VideoFrame | None:
    """Return what FFmpeg's filters for side data make of a frame; None where one holds it back."""
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1)
    )
    filters = [graph.add("sidedata", each) for each in options]
    graph.link_nodes(source, *filters, graph.add("buffersink")).configure()
    graph.push(frame)
    try:
        return cast(VideoFrame, graph.pull())
    except av.error.BlockingIOError:
        return None
