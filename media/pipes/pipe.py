"""Interpolating from pipes and into pipes, in which pictures are y4m."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from av.stream import Stream

from media.encoding import Encoding
from media.options import Progress, VideoOptions
from media.pipeline import Writer, whole
from media.pipes.reader import Y4mReader
from media.pipes.writer import Y4mWriter
from media.pipes.y4m import LONGEST_LINE, Header
from media.reading.source import SourceVideo
from media.resuming.job import Job
from media.summary import VideoSummary
from media.video import into_file
from runtime.errors import OptionError
from runtime.interpolator import Interpolator
from runtime.publishing import Publication

# A file, a named pipe, or a pipe's file descriptor.
Place = str | Path | int
_STANDARD = ("standard input", "standard output", "standard error")


def is_pipe(place: Place) -> bool:
    """Say whether it is a descriptor, or the name of a pipe, as of mkfifo, or /dev/stdin may be."""
    return isinstance(place, int) or Path(place).is_fifo()


def is_y4m(output: Place) -> bool:
    """Say whether it is a file of what goes through pipes."""
    return not isinstance(output, int) and Path(output).suffix.lower() == ".y4m"


def interpolate_pipe(
    interpolate: Interpolator,
    source: Place,
    output: Place,
    options: VideoOptions,
    *,
    progress: Progress = lambda *_: None,
    output_name: str | None = None,
) -> VideoSummary:
    """Write a video with more frames than its source, where either or both are pipes, or to .y4m.

    A pipe holds YUV4MPEG2 (y4m), as of `ffmpeg -f yuv4mpegpipe`: frames of one rate in 8 to 16
    bits, 4:2:0 to 4:4:4 or grey; so does a file named .y4m. Source frames go into it as they were
    decoded, and the frames between get the same pixel format. It has no place for sound, tags and
    colour matrix, and the rate in it is constant, on average that of a source whose rate varies.
    All is made in one piece, and memory does not grow with its length.

    Args:
        source, output: a file, a named pipe, or a pipe's file descriptor, which stays open.
        options: of `encoding` a pipe takes `pix_fmt` alone; `segment` is of no account, and
            `start` and `end` are refused.
        progress: see `interpolate_video`; of a pipe the total is 0.
        output_name: what messages call a pipe that is the output, as where it is a duplicate.

    Raises:
        BrokenPipeError: nobody reads the output any more.
        MediaError: what comes out of the pipe is no y4m, or interlaced; or y4m cannot hold what is
            to go in.
        Others: see `interpolate_video`.
    """
    if options.start is not None or options.end is not None:
        raise OptionError("a pipe or y4m is made whole; leave out start and end")
    if is_pipe(output):
        name = output_name or _name(output)
        return _into_pipe(interpolate, source, output, name, options, progress)
    output = Path(str(output))
    Job.tidied(output)
    publication = Publication(output, overwrite=options.overwrite)
    if is_y4m(output):
        with publication as target, target.path.open("wb") as file:
            name = str(output)
            return _into_pipe(interpolate, source, file.fileno(), name, options, progress)
    with _opened(source, options) as (video, reader):
        into = into_file(video, output, publication)
        return whole(video, interpolate, into, progress, reader.leave if reader else _stay)


def _into_pipe(
    interpolate: Interpolator,
    source: Place,
    output: Place,
    name: str,
    options: VideoOptions,
    progress: Progress,
) -> VideoSummary:
    pix_fmt = options.encoding.pix_fmt
    if options.encoding != Encoding(pix_fmt=pix_fmt):
        raise OptionError("y4m is not encoded; leave out codec, crf and preset")
    with (
        _opened(source, options) as (varying, reader),
        _descriptor(output, os.O_WRONLY) as descriptor,
    ):
        video = replace(varying, timing=varying.timing.constant)
        header = reader.header if reader else _header_of(video)
        writer = Y4mWriter(descriptor, name, video, header, pix_fmt)
        pipe = nullcontext[tuple[Writer, list[Stream]]]((writer, []))
        return whole(video, interpolate, pipe, progress, reader.leave if reader else _stay)


@contextmanager
def _opened(source: Place, options: VideoOptions) -> Iterator[tuple[SourceVideo, Y4mReader | None]]:
    if not is_pipe(source):
        with SourceVideo.opened(Path(str(source)), options) as video:
            yield video, None
        return
    with _descriptor(source, os.O_RDONLY) as descriptor:
        reader = Y4mReader(descriptor, _name(source))
        path = Path(_name(source))
        with SourceVideo.opened(path, options, lambda: reader, reader.leave) as video:
            yield video, reader


def _header_of(video: SourceVideo) -> Header | None:
    """Return that of a file of y4m, for FFmpeg does not tell all of it."""
    if video.reader.format.name != "yuv4mpegpipe":
        return None
    with video.path.open("rb") as file:
        return Header.parsed(file.readline(LONGEST_LINE), str(video.path))


@contextmanager
def _descriptor(place: Place, flags: int) -> Iterator[int]:
    """Yield what is given, or open it; the other end of a named pipe is waited for."""
    if isinstance(place, int):
        yield place
        return
    descriptor = os.open(place, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _name(place: Place) -> str:
    if not isinstance(place, int):
        return str(place)
    return _STANDARD[place] if place < len(_STANDARD) else f"file descriptor {place}"


def _stay() -> None:
    """Files do not keep who reads them waiting."""
