"""Writing frames as a stream of y4m."""

from __future__ import annotations

import os
import select
from fractions import Fraction
from typing import Any

import numpy as np
from av import Packet, VideoFrame
from av.codec.codec import find_best_pix_fmt_of_list
from av.video.format import VideoFormat
from av.video.reformatter import ColorRange

from media.colour import in_format, planes_of
from media.errors import MediaError
from media.pipes.y4m import CHROMA, Header
from media.pixel_formats import losses, plain
from media.reading.source import SourceVideo
from media.side_data import display_matrix
from media.writing.streams import alpha_left_out
from runtime.errors import OutputError

# Their decoders put chroma of 4:2:0 between the pixels; those of all others beside the left one.
_CENTRED = ("mjpeg", "mpeg1video")
_UNSPECIFIED = 2  # in all tables of ITU-T H.273


class Y4mWriter:
    """The last stage of a video that goes into a pipe; see `Sink`.

    Args:
        descriptor: of the pipe; it stays open.
        name: for messages.
        source: whose frames it is given, at a constant rate.
        header: of the source, where it is y4m itself.
        pix_fmt: None takes the source's, or what comes nearest of those that y4m has.

    Attributes:
        left_out, transcoded: as `VideoSummary` has them.

    Raises:
        MediaError: y4m has no such pixel format, or the source has alpha and none was asked for.
    """

    def __init__(
        self,
        descriptor: int,
        name: str,
        source: SourceVideo,
        header: Header | None,
        pix_fmt: str | None,
    ) -> None:
        if pix_fmt is not None and pix_fmt not in CHROMA:
            raise MediaError(
                f"{name}: y4m has no pixel format {pix_fmt}; it has {', '.join(CHROMA)}"
            )
        self.transcoded: list[str] = []
        self.left_out = alpha_left_out(source.stream, source.path, pix_fmt)
        self.left_out += [
            f"{stream.type}, which y4m cannot hold"
            for stream in source.reader.streams
            if stream.index != source.stream.index
        ]
        self._descriptor = descriptor
        self._name = name
        self._source = source
        self._header = header
        self._asked = pix_fmt
        self._pix_fmt = ""

    def copy(self, packet: Packet[Any]) -> None:
        """No stream is copied."""

    def write(
        self,
        given: VideoFrame,
        time: Fraction,  # noqa: ARG002 - which follows from the rate
        duration: Fraction,  # noqa: ARG002
        start: Fraction,  # noqa: ARG002
    ) -> None:
        """Write a frame, with the first the header.

        Raises:
            BrokenPipeError: nobody reads any more.
            OutputError: it cannot be written.
        """
        if not self._pix_fmt:
            self._begin(given)
        self._put(b"FRAME\n")
        for plane in planes_of(in_format(given, self._pix_fmt)):
            self._put(np.ascontiguousarray(plane).data.cast("B"))

    def _begin(self, first: VideoFrame) -> None:
        own = plain(first.format).replace("yuvj", "yuv")
        self._pix_fmt = self._asked or _nearest(own)
        if self._asked is None:
            self.left_out += losses(VideoFormat(own), self._pix_fmt)
        if first.colorspace not in (_UNSPECIFIED, 0) or first.color_trc != _UNSPECIFIED:
            self.left_out.append("colour matrix and transfer, which y4m cannot hold")
        if display_matrix(first) is not None:
            self.left_out.append("rotation, which y4m cannot hold")
        header = Header(
            width=first.width,
            height=first.height,
            rate=self._source.timing.shown_rate,
            pixel_aspect=self._source.pixel_aspect,
            chroma=self._chroma(own),
            full_range=_full_range(first),
        )
        self._put(header.line())

    def _chroma(self, own: str) -> str:
        if self._pix_fmt != "yuv420p":
            return CHROMA[self._pix_fmt]
        if self._header is not None and own == "yuv420p":
            return self._header.chroma
        centred = own == "yuv420p" and self._source.stream.codec_context.name in _CENTRED
        return "420jpeg" if centred else "420mpeg2"

    def _put(self, content: bytes | memoryview) -> None:
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[self._written(rest) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"{self._name}: not written: {error.strerror}") from error

    def _written(self, content: memoryview) -> int:
        """Write what there is room for; another program may have made the pipe non-blocking."""
        while True:
            try:
                return os.write(self._descriptor, content)
            except BlockingIOError:
                room = select.poll()
                room.register(self._descriptor, select.POLLOUT)
                room.poll()


def _nearest(own: str) -> str:
    if own in CHROMA:
        return own
    best, _ = find_best_pix_fmt_of_list(list(CHROMA), own)
    return best.name if best else "yuv444p"


def _full_range(frame: VideoFrame) -> bool | None:
    if frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj"):
        return True
    return False if frame.color_range == ColorRange.MPEG else None
