"""A lossless video to what cannot be joined of segments: GIF, animated WebP, images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av import VideoFrame
from av.container import OutputContainer
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.stream import VideoStream
from numpy.typing import NDArray

from media.colour import rgb_of
from media.encoding import Encoding
from media.errors import MediaError
from media.filtering import filtered
from media.images.file import upright
from media.images.numbering import is_pattern, named
from media.images.stills import Still, encoded
from media.pixel_formats import bits_of
from media.qualities import quality_options
from media.renditions import (
    ANIMATIONS,
    GIF,
    LOSSLESS,
    WEBP,
    are_images,
    called,
    is_rendition,
    place_of,
)

_CENTISECOND, _MILLISECOND = Fraction(1, 100), Fraction(1, 1000)
_LOOP = {"loop": "0"}  # for ever
# Times of a GIF are in hundredths, and browsers show for a tenth what is to be shown for one.
_MOST_FPS_OF_GIF = 50
_IMAGES = (".png", ".tif", ".tiff")


def encoding_of(encoding: Encoding, output: Path, rate: Fraction) -> Encoding:
    """Return how the video is encoded that is an output, or that one is made of.

    Args:
        encoding: that was asked for.
        rate: frames a second, on average.

    Raises:
        MediaError: the output cannot be made so, or not here.
    """
    if not is_rendition(output):
        return encoding
    suffix = output.suffix.lower()
    given = replace(encoding, pix_fmt=None, crf=None if suffix == WEBP else encoding.crf)
    if given != Encoding():
        names = [name for name in ("codec", "crf", "preset") if getattr(given, name) is not None]
        raise MediaError(
            f"{output}: {called(output)} is not encoded by choice; leave out {' and '.join(names)}"
        )
    if suffix == GIF and rate > _MOST_FPS_OF_GIF:
        raise MediaError(
            f"{output}: has {float(rate):.6g} frames a second, of which players show "
            f"{_MOST_FPS_OF_GIF} in a GIF; ask for fewer",
            remedy=("fps", _MOST_FPS_OF_GIF),
        )
    if is_pattern(output) and suffix not in _IMAGES:
        raise MediaError(f"{output}: images of a video are {', '.join(_IMAGES)}")
    encoder = ANIMATIONS.get(suffix, LOSSLESS)
    quality_options(encoder, encoding.crf, output)
    if not {encoder, LOSSLESS} <= av.codecs_available:
        raise MediaError(f"{output}: no encoder {encoder} here; see ffmpeg -encoders")
    return replace(encoding, codec=LOSSLESS, crf=None)


def render(video: Path, target: Path, output: Path, encoding: Encoding) -> None:
    """Write what is named `output` to `target`, a file or a folder.

    Raises:
        MediaError: an image cannot be encoded.
        av.FFmpegError: FFmpeg cannot encode it.
    """
    if are_images(output):
        _write_images(video, target, place_of(output)[1])
    elif output.suffix.lower() == GIF:
        _write_gif(video, target)
    else:
        _write_webp(video, target, encoding.crf)


def _write_images(video: Path, folder: Path, pattern: str) -> None:
    for index, frame in enumerate(_frames(video)):
        path = folder / named(pattern, index)
        still = Still(_shown(frame), None, grey=len(frame.format.components) == 1)
        path.write_bytes(encoded(path, still))


def _write_gif(video: Path, target: Path) -> None:
    """Write it with one palette, so that still parts keep their colours and cost nothing."""
    chosen = Graph()
    for index, frame in enumerate(_bytes_of(video, _CENTISECOND)):
        if not index:
            source = _buffer(chosen, frame)
            chosen.link_nodes(source, chosen.add("palettegen"), chosen.add("buffersink"))
            chosen.configure()
        chosen.push(frame)
    chosen.push(None)
    palette = cast(VideoFrame, chosen.pull())
    palette.pts, palette.time_base = 0, _CENTISECOND
    # The last frame's time, which a GIF otherwise takes from the one before.
    options = {**_LOOP, "final_delay": str(frame.duration)}
    with av.open(str(target), "w", format="gif", options=options) as writer:
        stream = _stream(writer, GIF, frame, "pal8", _CENTISECOND, {})
        applied = _with_palette(frame, palette)
        for each in (*_bytes_of(video, _CENTISECOND), None):
            for paletted in filtered(applied, each, at=0):
                writer.mux(stream.encode(paletted))
        writer.mux(stream.encode(None))


def _write_webp(video: Path, target: Path, number: int | None) -> None:
    options = quality_options(ANIMATIONS[WEBP], number, target)
    with av.open(str(target), "w", format="webp", options=_LOOP) as writer:
        stream: VideoStream | None = None
        for frame in _bytes_of(video, _MILLISECOND):
            if stream is None:
                stream = _stream(writer, WEBP, frame, "bgra", _MILLISECOND, options)
            given = frame.reformat(format="bgra")  # libwebp's own way to YUV is the one undone
            given.pts, given.time_base, given.duration = frame.pts, _MILLISECOND, frame.duration
            writer.mux(stream.encode(given))
        assert stream is not None  # noqa: S101 - a video without frames is refused before
        writer.mux(stream.encode(None))


def _frames(video: Path) -> Iterator[VideoFrame]:
    with av.open(str(video)) as reader:
        yield from reader.decode(video=0)


def _shown(frame: VideoFrame) -> NDArray[Any]:
    """Return the pixels as they are shown, (H, W, 3)."""
    return np.ascontiguousarray(upright(frame, rgb_of(frame)))


def _bytes_of(video: Path, base: Fraction) -> Iterator[VideoFrame]:
    """Yield frames as they are shown, in 8 bits, with times and durations in ticks of `base`.

    Those that are shown for no tick are left out, for a GIF has one frame at a time.
    """
    made: VideoFrame | None = None
    for frame in _frames(video):
        rgb = _shown(frame)
        if bits_of(frame.format) > 8:
            rgb = np.rint(rgb * np.float32(255)).astype(np.uint8)
        made = VideoFrame.from_ndarray(rgb, format="rgb24")
        assert frame.pts is not None and frame.time_base  # noqa: S101, PT018 - ours has times
        begin, end = frame.pts * frame.time_base, (frame.pts + frame.duration) * frame.time_base
        made.pts, made.time_base = round(begin / base), base
        made.duration = round(end / base) - made.pts
        if made.duration:
            yield made
    if made is not None and not made.pts and not made.duration:  # nothing lasts a tick
        made.duration = 1
        yield made


def _buffer(graph: Graph, frame: VideoFrame) -> av.filter.context.FilterContext:
    return graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=VideoFormat(frame.format.name),
        time_base=frame.time_base,
    )


def _with_palette(frame: VideoFrame, palette: VideoFrame) -> Graph:
    """Return a filter of such frames, its input 0."""
    graph = Graph()
    pictures, colours = _buffer(graph, frame), _buffer(graph, palette)
    use, sink = graph.add("paletteuse", "diff_mode=rectangle"), graph.add("buffersink")
    pictures.link_to(use, 0, 0)
    colours.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    graph.push(palette, at=1)
    graph.push(None, at=1)
    return graph


def _stream(
    writer: OutputContainer,
    suffix: str,
    frame: VideoFrame,
    pix_fmt: str,
    base: Fraction,
    options: dict[str, str],
) -> VideoStream:
    stream = cast(VideoStream, writer.add_stream(ANIMATIONS[suffix], options=options))
    stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pix_fmt
    stream.codec_context.time_base = base
    return stream
