"""Where a live stream goes: encoded without delay, and opened again when it is lost."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
from av import VideoFrame
from av.container import OutputContainer

from media.encoding import CODECS, Encoding
from media.errors import MediaError
from media.live.address import Address, Pauses
from media.options import Tell
from media.writing.frame_encoder import FrameEncoder
from runtime.errors import OutputError, OutputExistsError
from runtime.publishing import Publication

_FORMATS = {
    "udp": "mpegts", "srt": "mpegts", "tcp": "mpegts", "pipe": "mpegts", "http": "mpegts",
    "https": "mpegts", "rtp": "rtp_mpegts", "rtmp": "flv", "rtmps": "flv", "rtsp": "rtsp",
}  # fmt: skip
_PLAYLIST = ".m3u8"
_SUFFIXES = {**CODECS, ".ts": "libx264", _PLAYLIST: "libx264"}
# Frames come out as they go in: no look-ahead, no frames that wait for later ones.
_VPX = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
_NVENC = {"preset": "p3", "tune": "ull", "zerolatency": "1", "delay": "0"}
_WITHOUT_DELAY = {
    "libx264": {"preset": "veryfast", "tune": "zerolatency"},
    "libx265": {"preset": "ultrafast", "tune": "zerolatency"},
    "libvpx": _VPX, "libvpx-vp9": _VPX,
    "h264_nvenc": _NVENC, "hevc_nvenc": _NVENC, "av1_nvenc": _NVENC,
    "h264_videotoolbox": {"realtime": "1"}, "hevc_videotoolbox": {"realtime": "1"},
}  # fmt: skip
_KEYFRAMES = 2  # seconds between them, for who joins a stream that is on its way


@dataclass
class Sink:
    """A stream being written; `open_sink` makes one.

    Args:
        address: where to.
        path: what FFmpeg opens for it.
        rate: frames a second.
        encoding: how; None of its fields asks for what suits the sink, without delay.
        options: FFmpeg's, for this sink.
        tell: called with lines for people.
        now: the monotonic clock.

    Attributes:
        frames: how many were taken.
    """

    address: Address
    path: str
    rate: Fraction
    encoding: Encoding
    options: Mapping[str, str]
    tell: Tell
    now: Callable[[], float]
    frames: int = 0
    _container: OutputContainer | None = None
    _encoder: FrameEncoder | None = None
    _began: Fraction = Fraction(0)
    _pauses: Pauses = field(default_factory=Pauses)
    _next_try: float = 0.0
    _is_lost: bool = False
    _abandoned: bool = False

    def write(self, frame: VideoFrame, time: Fraction) -> bool:
        """Encode a frame to be shown at `time`, seconds; False while the sink is lost.

        The first one opens it.

        Raises:
            MediaError, OutputError: it cannot be opened at first; a file or a device cannot be
                written; or the frame cannot be encoded.
            BrokenPipeError: nobody reads the pipe any more.
        """
        if self._container is None and self.now() < self._next_try:
            return False
        try:
            self._encode(frame, time)
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, MediaError) or self._is_unread(error):
                raise
            if not self.frames or not self._is_stream:
                raise self._failure("not written", error) from error
            self._lost(error)
            return False
        if self._is_lost:
            self.tell("the sink is there again")
        self._is_lost = False
        self._pauses.over()
        self.frames += 1
        return True

    def abandon(self) -> None:
        """Leave it as it is, for a thread is still waiting for it."""
        self._abandoned = True

    def finish(self) -> None:
        """Write what the encoder still holds, and the end."""
        if self._container is None or self._abandoned:
            return
        try:
            if self._encoder is not None:
                self._container.mux(self._encoder.flush())
            self._container.close()
        except av.FFmpegError as error:
            if not self._is_stream and not self._is_unread(error):
                raise self._failure("not written", error) from error

    @property
    def _is_stream(self) -> bool:
        return self.address.protocol not in (None, "pipe")

    def _is_unread(self, error: Exception) -> bool:
        return not self._is_stream and isinstance(error, BrokenPipeError)

    def _encode(self, frame: VideoFrame, time: Fraction) -> None:
        if self._container is None:
            form = self.address.device or _FORMATS.get(self.address.protocol or "")
            live = {} if self.address.is_file else {"flush_packets": "1"}
            self._container = av.open(
                self.path, "w", format=form, options={**self.options}, container_options=live
            )
        if self._encoder is None:
            self._encoder, self._began = self._begun(self._container, frame), time
        packets = self._encoder.encode(frame, time - self._began, 1 / self.rate)
        self._container.mux(packets)

    def _begun(self, container: OutputContainer, frame: VideoFrame) -> FrameEncoder:
        encoding = self._suited()
        encoder = FrameEncoder(
            encoding,
            self.address.shown,
            rate=self.rate,
            time_base=1 / self.rate,
            pixel_aspect=Fraction(1),
        )
        context = encoder.add_to(container, frame).codec_context
        quick = _WITHOUT_DELAY.get(encoder.name, {})
        context.options = {**quick, **context.options}
        context.gop_size = max(round(_KEYFRAMES * self.rate), 1)
        with _telling(self.tell, self.address.shown):
            container.start_encoding()
        return encoder

    def _suited(self) -> Encoding:
        if self.encoding.codec:
            return self.encoding
        suffix = Path(self.path).suffix.lower() if self.address.is_file else ""
        codec = "rawvideo" if self.address.device else _SUFFIXES.get(suffix, "libx264")
        plain = "yuv420p" if self.address.device == "sdl" else None
        return replace(self.encoding, codec=codec, pix_fmt=self.encoding.pix_fmt or plain)

    def _lost(self, error: Exception) -> None:
        self._is_lost = True
        pause = self._pauses.next()
        reason = getattr(error, "strerror", None) or error
        self.tell(f"the sink is lost: {reason}; trying again in {pause:g} s")
        self._next_try = self.now() + pause
        container, self._container, self._encoder = self._container, None, None
        if container is not None:
            with suppress(av.FFmpegError):
                container.close()

    def _failure(self, what: str, error: Exception) -> MediaError | OutputError:
        kind = OutputError if isinstance(error, OSError) else MediaError
        return kind(f"{self.address.shown}: {what}: {getattr(error, 'strerror', None) or error}")


@contextmanager
def _telling(tell: Tell, sink: str) -> Iterator[None]:
    """Tell of options that neither muxer nor encoder took, which PyAV only logs."""

    def told(record: logging.LogRecord) -> bool:
        tell(f"{sink}: {record.getMessage()}")
        return False

    log = logging.getLogger("av.container.output")
    log.addFilter(told)
    try:
        yield
    finally:
        log.removeFilter(told)


def replaced(sink: Address) -> list[Path]:
    """Return the files there are that a sink replaces: itself, and the segments of a playlist."""
    if not sink.is_file:
        return []
    path = Path(sink.name)
    found = [path] if path.exists() else []
    if path.suffix.lower() == _PLAYLIST and path.parent.is_dir():
        segment = re.compile(re.escape(path.stem) + r"\d+\.(ts|m4s)")
        found += (each for each in path.parent.iterdir() if segment.fullmatch(each.name))
    return found


@contextmanager
def open_sink(
    address: Address,
    rate: Fraction,
    encoding: Encoding,
    *,
    options: Mapping[str, str],
    overwrite: bool,
    tell: Tell,
    now: Callable[[], float],
) -> Iterator[Sink]:
    """Yield a sink, and finish it after the block; a file appears when it is whole.

    The block is not to raise once frames are written, for that would lose the file.

    Raises:
        MediaError: FFmpeg does not open or write it, no container goes by that suffix, or nothing
            was written.
        OutputExistsError: it would replace a file, without `overwrite`.
        OutputError: the file cannot be written; see `Publication`.
    """
    path, publication, opened = Path(address.name), None, address.name
    if address.is_file:
        if path.suffix.lower() not in _SUFFIXES:
            raise MediaError(
                f"{address.shown}: no container is known by {path.suffix or 'no suffix'}; "
                f"use one of {', '.join(_SUFFIXES)}, or a URL or a device"
            )
        if path.suffix.lower() != _PLAYLIST:  # which grows while it is watched
            publication = Publication(path, overwrite=overwrite)
        elif (there := replaced(address)) and not overwrite:
            raise OutputExistsError(
                f"{there[0]}: exists; choose another name, or have it overwritten",
                remedy=("overwrite", True),
            )
        opened = str(path.absolute())  # a name with a colon would be taken for a protocol
    with publication or nullcontext():
        opened = str(publication.path) if publication else opened
        sink = Sink(address, opened, rate, encoding, options, tell, now)
        yield sink
        sink.finish()
        if publication and not sink.frames:
            raise MediaError(f"{address.shown}: not written: no frame has come")
