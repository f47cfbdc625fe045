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

from .colour import SourceFrame, in_format, video_frame
from .errors import MediaError, OptionError
from .files import check_writable, replacing
from .frames import Frame
from .interpolator import Interpolator
from .media import open_media

# By container; visually lossless, for a source frame should not suffer for its new neighbours.
_X264 = "libx264", {"crf": "17"}
_CODECS = {
    ".mp4": _X264,
    ".mkv": _X264,
    ".mov": _X264,
    ".avi": _X264,
    ".webm": ("libvpx-vp9", {"crf": "17", "b": "0"}),
}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class VideoSummary:
    """What `interpolate_video` did; rate in frames a second, sizes in pixels."""

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
        OptionError: factor is less than 2.
        FrameError: the frame size changes, or the artifact does not take frames of this depth.
    """
    source, output = Path(source), Path(output)
    if factor < 2:
        raise OptionError(f"factor is {factor}; expected a whole number, 2 or more")
    with open_media(source) as reader:
        check_writable(output, overwrite=overwrite)
        if not reader.streams.video:
            raise MediaError(f"{source}: has no video stream")
        stream = reader.streams.video[0]
        stream.thread_type = "AUTO"
        rate = stream.average_rate or stream.guessed_rate
        if not rate:
            raise MediaError(f"{source}: does not say its frame rate")
        rate *= factor
        written = _encode(
            output,
            _interpolated(interpolate, _decoded(reader, stream, source), factor),
            rate,
            pixel_aspect=stream.sample_aspect_ratio,
            total=max(0, (stream.frames - 1) * factor + 1),
            progress=progress,
        )
        return VideoSummary(
            width=stream.width,
            height=stream.height,
            frames_read=(written - 1) // factor + 1,
            frames_written=written,
            rate=rate,
        )


def write_video(output: str | Path, frames: Iterable[NDArray[np.uint8]], rate: Fraction) -> None:
    """Encode RGB frames, (H, W, 3) uint8, at a constant rate in frames a second.

    An existing file is replaced.

    Raises:
        MediaError: FFmpeg cannot encode them.
    """
    _encode(Path(output), (VideoFrame.from_ndarray(rgb, format="rgb24") for rgb in frames), rate)


def _encode(
    output: Path,
    frames: Iterable[VideoFrame],
    rate: Fraction,
    *,
    pixel_aspect: Fraction | None = None,
    total: int = 0,
    progress: Progress | None = None,
) -> int:
    """Encode frames under the colour tags of the first; return how many there were."""
    if output.suffix.lower() not in _CODECS:
        raise MediaError(
            f"{output}: no container is known by {output.suffix or 'no suffix'}; "
            f"use one of {', '.join(_CODECS)}"
        )
    written = 0
    try:
        with replacing(output) as partial, av.open(str(partial), "w") as writer:
            encoder: VideoStream | None = None
            pix_fmt = ""
            for given in frames:
                pix_fmt = pix_fmt or _pixel_format(output, given)
                frame = in_format(given, pix_fmt)
                encoder = encoder or _add_encoder(writer, output, frame, rate, pixel_aspect)
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
    except av.FFmpegError as error:
        raise MediaError(f"{output}: could not be written: {error.strerror}") from error
    return written


def _decoded(reader: InputContainer, stream: VideoStream, source: Path) -> Iterator[VideoFrame]:
    try:
        yield from reader.decode(stream)
    except av.FFmpegError as error:
        raise MediaError(f"{source}: {error.strerror}; is it a whole video?") from error


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


def _add_encoder(
    writer: OutputContainer,
    output: Path,
    frame: VideoFrame,
    rate: Fraction,
    pixel_aspect: Fraction | None,
) -> VideoStream:
    codec, options = _CODECS[output.suffix.lower()]
    encoder = cast(VideoStream, writer.add_stream(codec, rate=rate, options=options))
    encoder.width, encoder.height = frame.width, frame.height
    encoder.pix_fmt = frame.format.name
    context = encoder.codec_context
    context.time_base = 1 / rate
    context.sample_aspect_ratio = pixel_aspect or Fraction(1)
    for tag in ("color_range", "colorspace", "color_primaries", "color_trc"):
        setattr(context, tag, getattr(frame, tag))
    return encoder


def _pixel_format(output: Path, frame: VideoFrame) -> str:
    """Return the frame's own pixel format, or what comes nearest of those the encoder takes."""
    codec, _ = _CODECS[output.suffix.lower()]
    formats = [pix_fmt.name for pix_fmt in av.Codec(codec, "w").video_formats or ()]
    deep = max(component.bits for component in frame.format.components) > 8
    if frame.width % 2 or frame.height % 2:
        return "yuv444p10le" if deep else "yuv444p"  # subsampled chroma wants even sizes
    if frame.format.is_rgb:
        return "yuv420p10le" if deep else "yuv420p"  # what players take
    if frame.format.name in formats:
        return frame.format.name
    best, _ = find_best_pix_fmt_of_list(formats, frame.format.name)
    return best.name if best else "yuv420p"
