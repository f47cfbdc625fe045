"""Interlaced frames to whole ones, by FFmpeg's own filters, before anything else sees them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, Literal, get_args

import av
from av import Packet, VideoFrame
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.stream import VideoStream

from media.errors import MediaError
from media.pixel_formats import losses
from runtime.options import check_choice

Deinterlacing = Literal["fields", "telecine"]
_Form = tuple[int, int, str]  # width, height, pixel format

# Both pass what is whole already, and deinterlace what is not and finds no partner.
_FILTERS = {
    "fields": [("bwdif", "mode=send_field:deint=interlaced")],
    "telecine": [
        ("fieldmatch", ""),
        ("bwdif", "mode=send_frame:deint=interlaced"),
        ("decimate", ""),
    ],
}
_GAP = Fraction(7, 4)  # intervals; repeated fields lengthen one to 3/2, and containers round
_RATES = {"fields": Fraction(2), "telecine": Fraction(4, 5)}


def check_deinterlacing(how: Any) -> None:
    """Raise OptionError unless it is one, or None."""
    if how is not None:
        check_choice("deinterlace", how, get_args(Deinterlacing))


def frames_of_one(how: Deinterlacing | None) -> Fraction:
    """Return how many whole frames come of one, in the mean."""
    return Fraction(1) if how is None else _RATES[how]


def whole_frames(
    items: Iterator[VideoFrame | Packet[Any]],
    how: Deinterlacing | None,
    stream: VideoStream,
    source: Path,
) -> Iterator[VideoFrame | Packet[Any]]:
    """Yield whole frames, in a time base of their own, and the packets between them.

    Args:
        items: decoded frames of the stream, in the order in which they are shown, and packets.
        how: None takes whole frames alone.
        source: for messages.

    Raises:
        MediaError: a frame is interlaced, and nothing is to be done about it; or FFmpeg's filters
            do not take it.
    """
    graph: Graph | None = None
    form: _Form | None = None
    times: deque[int | None] = deque(maxlen=2)
    for item in chain(items, [None]):
        if isinstance(item, Packet):
            yield item
        elif item is not None and how is None:
            _check(item, source)
            yield item
        else:
            if (
                graph
                and form
                and (item is None or _form(item) != form or _is_behind_a_gap(item, times))
            ):
                yield from _through(graph, None, form, source)
                graph = None
                times.clear()
            if item is not None:
                if graph is None or form is None:
                    form, graph = _form(item), _graph(_FILTERS[how or ""], item, stream, source)
                yield from _through(graph, item, form, source)
                times.append(item.pts)


def _check(frame: VideoFrame, source: Path) -> None:
    if frame.interlaced_frame:
        raise MediaError(
            f"{source}: is interlaced, and its half frames would be morphed; where it was a film, "
            "ask for telecine, else have each field made a frame",
            remedy=("deinterlace", "fields"),
        )


def _is_behind_a_gap(frame: VideoFrame, times: Sequence[int | None]) -> bool:
    """Say whether frames are missing before one, by when the two before it are shown.

    The filters know none: bwdif would show a field in its middle, decimate would leave it out.
    """
    if len(times) < 2 or frame.pts is None or times[0] is None or times[1] is None:
        return False
    interval = times[1] - times[0]
    return interval > 0 and frame.pts - times[1] >= _GAP * interval


def _form(frame: VideoFrame) -> _Form:
    return frame.width, frame.height, frame.format.name


def _graph(
    filters: list[tuple[str, str]], first: VideoFrame, stream: VideoStream, source: Path
) -> Graph:
    graph = Graph()
    last = graph.add(
        "buffer",
        video_size=f"{first.width}x{first.height}",
        pix_fmt=first.format.name,
        time_base=str(first.time_base),
        frame_rate=str(stream.average_rate or stream.guessed_rate),
        colorspace=str(int(first.colorspace)),
        range=str(int(first.color_range)),
    )
    try:
        for name, arguments in (*filters, ("buffersink", "")):
            node = graph.add(name, arguments)
            last.link_to(node)
            last = node
        graph.configure()
    except av.FFmpegError as error:
        raise _not_taken(source, first.format.name, error.strerror or "") from error
    return graph


def _not_taken(source: Path, pix_fmt: str, why: str) -> MediaError:
    return MediaError(
        f"{source}: FFmpeg's filters that make whole frames do not take its frames, {pix_fmt} "
        f"({why}); convert it first, as to yuv420p or yuv422p"
    )


def _through(
    graph: Graph, frame: VideoFrame | None, form: _Form, source: Path
) -> Iterator[VideoFrame]:
    graph.push(frame)
    while True:
        try:
            done = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(done, VideoFrame)  # noqa: S101 - of a graph of pictures
        if losses(VideoFormat(form[2]), done.format.name):  # FFmpeg converts what it can
            raise _not_taken(source, form[2], f"only as {done.format.name}")
        yield done
