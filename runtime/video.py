"""Interpolating a video file: decoded, filled up with frames, encoded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av import VideoFrame
from av.codec.codec import find_best_pix_fmt_of_list
from av.container import InputContainer, OutputContainer
from av.video.frame import PictureType
from av.video.stream import VideoStream
from numpy.typing import NDArray

from .colour import SourceFrame, rgb_video_frame, video_frame
from .errors import FrameError, InputNotFoundError, MediaError
from .files import check_writable, replacing
from .frames import Frame
from .interpolator import Interpolator

# Visually lossless: a source frame should not suffer for its new neighbours.
_OPTIONS = {"libx264": {"crf": "17"}, "libvpx-vp9": {"crf": "17", "b": "0"}}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class VideoSummary:
    """What `interpolate_video` did; rate in frames a second, sizes in pixels."""

    output: Path
    width: int
    height: int
    frames_read: int
    frames_written: int
    rate: Fraction


def interpolate_video(
    interpolate: Interpolator,
    source: str | Path,
    output: str | Path,
    factor: int,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> VideoSummary:
    """Write a video with `factor` times the frame rate; n frames become (n - 1) * factor + 1.

    Source frames go to the encoder as they were decoded; the frames between get the same pixel
    format and colours. Only the first video stream is written.

    Args:
        source: any video that FFmpeg decodes, with one frame size throughout.
        output: the file; its suffix chooses the container.
        factor: 2 or more.
        overwrite: replace an existing output.
        progress: called after each frame with the frames written and the total expected (0 if
            the file does not say).

    Raises:
        InputNotFoundError, OutputExistsError: the files are not as expected.
        MediaError: FFmpeg cannot decode or encode it.
        FrameError: the frame size changes, or the artifact does not take frames of this depth.
    """
    source, output = Path(source), Path(output)
    if factor < 2:
        raise FrameError(f"factor is {factor}; expected a whole number, 2 or more")
    if not source.is_file():
        raise InputNotFoundError(f"{source}: no such file; expected a video")
    check_writable(output, overwrite=overwrite)
    try:
        with av.open(str(source)) as reader:
            stream = _video_stream(reader, source)
            rate = _rate(stream, source) * factor
            total = max(0, (stream.frames - 1) * factor + 1)
            frames = _interpolated(interpolate, reader.decode(stream), factor)
            written = _encode(output, frames, rate, like=stream, total=total, progress=progress)
            return VideoSummary(
                output=output,
                width=stream.width,
                height=stream.height,
                frames_read=(written - 1) // factor + 1,
                frames_written=written,
                rate=rate,
            )
    except av.FFmpegError as error:
        raise MediaError(f"{source}: {error.strerror}; is it a whole video file?") from error


def write_video(output: str | Path, frames: Iterable[NDArray[np.uint8]], rate: Fraction) -> None:
    """Encode RGB frames, (H, W, 3) uint8 of even size, at a constant rate in frames a second.

    An existing file is replaced.

    Raises:
        MediaError: FFmpeg cannot encode them.
    """
    _encode(Path(output), (rgb_video_frame(rgb) for rgb in frames), rate)


def _encode(
    output: Path,
    frames: Iterable[VideoFrame],
    rate: Fraction,
    *,
    like: VideoStream | None = None,
    total: int = 0,
    progress: Progress | None = None,
) -> int:
    """Encode frames with the tags of the stream `like`; return how many there were."""
    written = 0
    with replacing(output) as partial, _open_writer(partial, output) as writer:
        encoder: VideoStream | None = None
        for frame in frames:
            encoder = encoder or _add_encoder(writer, frame, rate, like)
            frame.pts, frame.time_base = written, 1 / rate
            # The decoder's choice of key frames is not to be forced on the encoder.
            frame.pict_type = PictureType.NONE
            writer.mux(encoder.encode(frame))
            written += 1
            if progress:
                progress(written, total)
        if encoder is None:
            raise MediaError(f"{output}: not written: the video stream holds no frames")
        writer.mux(encoder.encode(None))
    return written


def _interpolated(
    interpolate: Interpolator, decoded: Iterator[VideoFrame], factor: int
) -> Iterator[VideoFrame]:
    sources: deque[SourceFrame] = deque(maxlen=2)

    def pictures() -> Iterator[Frame]:
        for video in decoded:
            sources.append(SourceFrame.of(video))
            yield sources[-1].rgb

    for index, rgb in enumerate(interpolate.stream(pictures(), factor)):
        step = index % factor
        if step == 0:
            yield sources[-1].video
        else:
            yield video_frame(rgb, step / factor, *sources)


def _video_stream(reader: InputContainer, source: Path) -> VideoStream:
    if not reader.streams.video:
        raise MediaError(f"{source}: has no video stream")
    stream = reader.streams.video[0]
    stream.thread_type = "AUTO"
    return stream


def _rate(stream: VideoStream, source: Path) -> Fraction:
    rate = stream.average_rate or stream.guessed_rate
    if not rate:
        raise MediaError(f"{source}: does not say its frame rate")
    return rate


def _open_writer(partial: Path, output: Path) -> OutputContainer:
    try:
        return av.open(str(partial), "w")
    except ValueError as error:  # an unknown suffix
        raise MediaError(
            f"{output}: no container is known by {output.suffix or 'no suffix'}; "
            "use .mp4, .mkv, .mov or .webm"
        ) from error


def _add_encoder(
    writer: OutputContainer, frame: VideoFrame, rate: Fraction, like: VideoStream | None
) -> VideoStream:
    codec = "libx264" if "h264" in writer.supported_codecs else writer.default_video_codec
    encoder = cast(
        VideoStream, writer.add_stream(codec, rate=rate, options=_OPTIONS.get(codec, {}))
    )
    encoder.width, encoder.height = frame.width, frame.height
    encoder.pix_fmt = _pixel_format(encoder, frame)
    context = encoder.codec_context
    context.time_base = 1 / rate
    if like is not None:
        context.sample_aspect_ratio = like.sample_aspect_ratio or Fraction(1)
        for tag in ("color_range", "colorspace", "color_primaries", "color_trc"):
            setattr(context, tag, getattr(like.codec_context, tag))
    return encoder


def _pixel_format(encoder: VideoStream, frame: VideoFrame) -> str:
    supported = [pix_fmt.name for pix_fmt in encoder.codec.video_formats or ()]
    if frame.width % 2 or frame.height % 2:
        return "yuv444p"  # subsampled chroma wants even sizes
    if frame.format.name in supported:
        return frame.format.name
    best, _ = find_best_pix_fmt_of_list(supported, frame.format.name)
    return best.name if best else "yuv420p"
