"""Interlaced frames to whole ones, by FFmpeg's own filters, before anything else sees them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

import av
from av import Packet, VideoFrame
from av.container import InputContainer
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.stream import VideoStream

from media.errors import MediaError
from media.filtering import filtered
from media.pixel_formats import losses
from runtime.options import check_choice

Deinterlacing = Literal["fields", "telecine"]

# Both pass what is whole already, and deinterlace what is not and finds no partner.
_FILTERS: dict[Deinterlacing, list[tuple[str, str]]] = {
    "fields": [("bwdif", "mode=send_field:deint=interlaced")],
    "telecine": [
        ("fieldmatch", ""),
        ("bwdif", "mode=send_frame:deint=interlaced"),
        ("decimate", ""),
    ],
}
_LOOKED_AT = 100  # frames
_GAP = Fraction(7, 4)  # intervals; repeated fields lengthen one to 3/2, and containers round
_RATES: dict[Deinterlacing, Fraction] = {"fields": Fraction(2), "telecine": Fraction(4, 5)}


def check_deinterlacing(how: Any) -> None:
    """Raise OptionError unless it is one, or None."""
    if how is not None:
        check_choice("deinterlace", how, get_args(Deinterlacing))


def frames_of_one(how: Deinterlacing | None) -> Fraction:
    """Return how many whole frames come of one, in the mean."""
    return Fraction(1) if how is None else _RATES[how]


def looks_whole(reader: InputContainer, stream: VideoStream) -> bool:
    """Say whether there are frames, and none of the first is interlaced, that can be read."""
    seen = 0
    with suppress(av.FFmpegError):  # what cannot be read is found when it is made
        for packet in reader.demux(stream):
            frames: list[Any] = []
            with suppress(av.FFmpegError):  # behind a damaged packet come others
                frames = packet.decode()
            if any(frame.interlaced_frame for frame in frames):
                return False
            seen += len(frames)
            if seen >= _LOOKED_AT:
                break
    return seen > 0


def whole_frames(
    items: Iterator[VideoFrame | Packet[Any]],
    how: Deinterlacing | None,
    rate: Fraction,
    source: Path,
) -> Iterator[VideoFrame | Packet[Any]]:
    """Yield whole frames, in a time base of their own, and the packets between them.

    Args:
        items: decoded frames of the stream, in the order in which they are shown, and packets.
        how: None takes whole frames alone.
        rate: of the stream, frames a second.
        source: for messages.

    Raises:
        MediaError: a frame is interlaced, and nothing is to be done about it; or FFmpeg's filters
            do not take it.
    """
    run: _Run | None = None
    for item in items:
        if isinstance(item, Packet):
            yield item
        elif how is None:
            _check(item, source)
            yield item
        else:
            if run is not None and not run.goes_on_with(item):
                yield from run.through(None)
                run = None
            run = run or _Run(item, how, rate, source)
            yield from run.through(item)
    if run is not None:
        yield from run.through(None)


def _check(frame: VideoFrame, source: Path) -> None:
    if frame.interlaced_frame:
        raise MediaError(
            f"{source}: is interlaced, and its half frames would be morphed; where it was a film, "
            "ask for telecine, else have each field made a frame",
            remedy=("deinterlace", "fields"),
        )


class _Run:
    """Frames of one form without a gap between them, on their way through the filters."""

    def __init__(self, first: VideoFrame, how: Deinterlacing, rate: Fraction, source: Path) -> None:
        self._form = _form(first)
        self._source = source
        self._times: deque[int | None] = deque(maxlen=2)  # when the last frames are shown
        self._graph = Graph()
        last = self._graph.add(
            "buffer",
            video_size=f"{first.width}x{first.height}",
            pix_fmt=first.format.name,
            time_base=str(first.time_base),
            frame_rate=str(rate),
            colorspace=str(int(first.colorspace)),
            range=str(int(first.color_range)),
        )
        try:
            for name, arguments in (*_FILTERS[how], ("buffersink", "")):
                node = self._graph.add(name, arguments)
                last.link_to(node)
                last = node
            self._graph.configure()
        except av.FFmpegError as error:
            raise self._not_taken(error.strerror or "") from error

    def goes_on_with(self, frame: VideoFrame) -> bool:
        """Say whether a frame has the same form, and none are missing before it.

        The filters know no gaps: bwdif would show a field in its middle, decimate would leave it
        out.
        """
        if _form(frame) != self._form:
            return False
        before, last = self._times if len(self._times) == 2 else (None, None)
        if before is None or last is None or frame.pts is None:
            return True
        interval = last - before
        return interval <= 0 or frame.pts - last < _GAP * interval

    def through(self, frame: VideoFrame | None) -> Iterator[VideoFrame]:
        """Yield the whole frames that come of a frame, or with None of those that are left."""
        if frame is not None:
            self._times.append(frame.pts)
        for made in filtered(self._graph, frame):
            if losses(VideoFormat(self._form[2]), made.format.name):  # FFmpeg converts what it can
                raise self._not_taken(f"only as {made.format.name}")
            yield made

    def _not_taken(self, why: str) -> MediaError:
        return MediaError(
            f"{self._source}: FFmpeg's filters that make whole frames do not take its frames, "
            f"{self._form[2]} ({why}); convert it first, as to yuv420p or yuv422p"
        )


def _form(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
