"""A live source: opened, decoded, and opened again when it is lost."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
from av import VideoFrame
from av.container import InputContainer
from av.video.stream import VideoStream

from media.colour import ACCURATE, encodable
from media.errors import MediaError
from media.live.address import Address, Pauses
from media.options import Tell
from media.reading.container import chosen_video, open_media, said_rate

_OPENING, _READING = 6.0, 2.0  # seconds without anything, after which a source is lost
_LIVE = {"fflags": "nobuffer", "analyzeduration": "1000000"}  # microseconds that are looked ahead
# Of a pipe nothing is lost that was looked ahead, for it may be all there is.
_OF_PROTOCOLS = {"udp": {"overrun_nonfatal": "1"}, "pipe": {"fflags": "-nobuffer"}}
_SILENCE = "nothing came"
# What does not get better by waiting.
_HOPELESS = (
    av.ProtocolNotFoundError, av.DemuxerNotFoundError, av.OptionNotFoundError, av.ArgumentError,
    av.HTTPBadRequestError, av.HTTPUnauthorizedError, av.HTTPForbiddenError, av.HTTPNotFoundError,
    FileNotFoundError, PermissionError, ValueError,
)  # fmt: skip


class Captured(NamedTuple):
    """A frame as it has come.

    Attributes:
        stamp: its own timestamp, seconds.
        rate: frames a second that the source claims.
        base: what timestamps are multiples of, seconds.
        first: whether it is the first since the source was opened; its clock may be another.
    """

    frame: VideoFrame
    stamp: Fraction
    rate: Fraction
    base: Fraction
    first: bool


class Capture:
    """Frames of a source, as they come, of the size and pixel format of the first one.

    Sources that come as fast as they are read are held back to the pace of their timestamps.

    Args:
        options: FFmpeg's, for this source.
        tell: called with lines for people.
        now: the monotonic clock.
        wait: waits for so many seconds; True if it is to end.

    Attributes:
        reconnects: how often the source was opened again.
    """

    def __init__(
        self,
        source: Address,
        options: Mapping[str, str],
        tell: Tell,
        now: Callable[[], float],
        wait: Callable[[float], bool],
    ) -> None:
        self.reconnects = 0
        self._source = source
        self._options = options
        self._tell = tell
        self._now = now
        self._wait = wait
        self._pauses = Pauses()
        self._like: VideoFrame | None = None

    def frames(self) -> Iterator[Captured]:
        """Yield frames until `wait` says so, or a source that has an end is at it.

        Raises:
            MediaError: it cannot be opened, and that will stay so; a file or a pipe is damaged; it
                is interlaced; or FFmpeg does not convert its pixel format.
            InputNotFoundError: there is no such file.
        """
        while not self._wait(0):
            try:
                with self._opened() as reader:
                    lost = yield from self._read(reader)
                if self._source.has_end or self._wait(0):
                    return
            except av.FFmpegError as error:
                lost = _reason(error)
                if self._source.is_single:
                    raise MediaError(f"{self._source.shown}: cannot be read: {lost}") from error
            pause = self._pauses.next()
            self._tell(f"lost: {lost}; trying again in {pause:g} s")
            if self._wait(pause):
                return
            self.reconnects += 1

    def _opened(self) -> InputContainer:
        source = self._source
        if source.is_file:
            return open_media(Path(source.name))
        own = {} if source.is_paced or source.device else _LIVE
        options = {**own, **_OF_PROTOCOLS.get(source.protocol or "", {}), **self._options}
        timeout = (_OPENING, _OPENING if source.is_paced else _READING)
        try:
            return av.open(
                source.name, format=source.device, options=options,
                timeout=None if source.is_single else timeout, metadata_errors="replace",
            )  # fmt: skip
        except _HOPELESS as error:
            passing = self._like is not None or isinstance(error, av.InvalidDataError)
            if passing and isinstance(error, av.FFmpegError):
                raise  # it was there before, or is in the midst of something
            reason = getattr(error, "strerror", None) or error
            raise MediaError(
                f"{source.shown}: cannot be opened: {reason}; expected a device, a URL or a file "
                "that this FFmpeg opens"
            ) from error

    def _read(self, reader: InputContainer) -> Generator[Captured, None, str]:
        """Yield frames until there are no more; return why."""
        stream = chosen_video(reader, None, Path(self._source.shown))
        base = stream.time_base or Fraction(1, 90_000)
        rate = said_rate(stream) or Fraction(25)
        began: tuple[float, Fraction] | None = None
        asked = self._now()
        for frame in _decoded(reader, stream):
            if not self._source.has_end and self._now() - asked > _READING:
                return _SILENCE  # and what the demuxer held back is no news any more
            if frame.pts is None:
                continue
            stamp = frame.pts * base
            if began is None:
                self._pauses.over()
            if self._source.is_paced and began is not None:
                ahead = began[0] + float(stamp - began[1]) - self._now()
                if ahead > 0 and self._wait(ahead):
                    break
            yield Captured(self._alike(frame), stamp, rate, base, began is None)
            if began is None:
                began = self._now(), stamp
            if self._wait(0):
                break
            asked = self._now()
        return "it has ended"

    def _alike(self, frame: VideoFrame) -> VideoFrame:
        """Return a frame as the encoder and the network take it, and as the first one was."""
        if frame.interlaced_frame:
            raise MediaError(
                f"{self._source.shown}: is interlaced, and its half frames would be morphed; have "
                "it deinterlaced where it comes from"
            )
        try:
            frame = encodable(frame)
        except av.FFmpegError as error:
            raise MediaError(
                f"{self._source.shown}: FFmpeg does not convert its pixel format, "
                f"{frame.format.name} ({error.strerror}); choose another at the source"
            ) from error
        if self._like is None:
            self._like = frame
        like = self._like
        if (frame.width, frame.height, frame.format.name) == (
            like.width, like.height, like.format.name,
        ):  # fmt: skip
            return frame
        return frame.reformat(like.width, like.height, like.format.name, interpolation=ACCURATE)


def _decoded(reader: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    for packet in reader.demux(stream):
        try:
            yield from packet.decode()
        except av.InvalidDataError:
            continue  # a packet lost on its way; the next keyframe mends it


def _reason(error: av.FFmpegError) -> str:
    if isinstance(error, av.ExitError):
        return _SILENCE
    return error.strerror or str(error)
