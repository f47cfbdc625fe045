"""Interpolating a video file: decoded, filled up with frames, encoded, all at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from av import VideoFrame
from av.stream import Stream
from numpy.typing import NDArray

from media.encoding import Encoding
from media.options import Progress, Share, Tell, VideoOptions
from media.pipeline import Writer, copies, whole, writer_of
from media.reading.source import SourceVideo
from media.resuming.segmented import Video, checked, job_of, join, make, suited
from media.schedule import Number, constant_rate
from media.summary import ShareSummary, VideoSummary
from media.writing.writer import open_writer
from runtime.errors import FrameError, OptionError, OutputError
from runtime.frames import check_frame, check_same_kind, check_several
from runtime.interpolator import Interpolator
from runtime.publishing import Publication


def interpolate_video(
    interpolate: Interpolator,
    source: str | Path,
    output: str | Path,
    options: VideoOptions,
    *,
    progress: Progress = lambda *_: None,
    tell: Tell = lambda _: None,
) -> VideoSummary:
    """Write a video with more frames than its source; it takes as long, but with `slow`.

    Source frames go to the encoder as they were decoded; the frames between get the same pixel
    format and colours. Nothing is made across a scene cut or between identical frames: there the
    nearer source frame is shown again, as the last one is until the end. Audio, subtitles,
    attachments, chapters, tags, rotation and pixel aspect are copied; what is encoded anew, for the
    output's container does not hold it, is in the summary's `transcoded`, and what is not kept in
    its `left_out`. Of a damaged source what can be made is made, and its `damage` says what
    is missing or broken.

    A long video is made segment by segment (see `VideoOptions.segment`), and what is finished waits
    in a folder NAME.partial beside the output, also where the run is ended: the same call goes on
    from there, and gives the same video. Several at once share the work.

    Args:
        source: any progressive video that FFmpeg decodes, with one frame size throughout.
        output: the file; its suffix chooses the container. A GIF, an animated WebP or a folder is
            made of a lossless video when that is finished. In a folder, or as a pattern such as
            out/frame_%05d.tif says, are images of all frames, at a constant rate, in 8 bits or 16.
        progress: called after each frame with the frames written, the total expected (0 if the
            file does not say), and the seconds of video that are written.
        tell: called with lines for people: what it goes on with, where segments wait.

    Raises:
        InputNotFoundError, OutputError: the files are not as expected; see `Publication`; or
            beside the output waits the unfinished video of another source, artifact or options.
        MediaError: FFmpeg cannot decode or encode it; it is interlaced; it has alpha, and
            `encoding` asks for no pixel format without; its times run backwards, or leap by more
            than a day.
        OptionError: see `Schedule.of` and `CutDetector`; or there is no such stream, or the output
            is the source.
        FrameError: the frame size changes, or the artifact does not take frames of this depth.
    """
    source, output = Path(source), Path(output)
    options = suited(source, output, options)
    video = Video(interpolate, source, output, options, progress, tell)
    publication = checked(video)
    job = job_of(video)
    if job is None:
        with SourceVideo.opened(source, options) as opened:
            file = into_file(opened, output, publication)
            return whole(opened, interpolate, file, progress)
    try:
        made = make(video, interpolate, job, range(len(job.segments)))
    except BaseException:
        job.leave()
        raise
    if made.elsewhere:
        raise OutputError(
            f"{output}: other runs still make {made.elsewhere} of its {len(job.segments)} "
            "segments; run it again when they have ended, to join them"
        )
    return join(video, job, made.frames)


def interpolate_share(
    interpolate: Interpolator,
    source: str | Path,
    output: str | Path,
    options: VideoOptions,
    share: Share,
    *,
    progress: Progress = lambda *_: None,
    tell: Tell = lambda _: None,
) -> ShareSummary:
    """Make a share of a long video's segments, and leave them in NAME.partial for others to join.

    All shares may be made at the same time, by machines that share a folder. `interpolate_video`
    with the same arguments finds them, makes what is missing, and joins them.

    Args, Raises: as `interpolate_video`.

    Raises:
        OptionError: the video is too short for segments, or cannot be cut.
    """
    source, output = Path(source), Path(output)
    options = suited(source, output, options)
    video = Video(interpolate, source, output, options, progress, tell)
    checked(video)
    job = job_of(video)
    if job is None:
        raise OptionError(f"{source}: is made in one piece, and has no shares; leave them out")
    indices = range(share.number - 1, len(job.segments), share.of)
    made = make(video, interpolate, job, indices)
    return ShareSummary(len(indices), len(job.segments), made.frames, job.folder, made.elsewhere)


@contextmanager
def into_file(
    source: SourceVideo, output: Path, publication: Publication
) -> Iterator[tuple[Writer, list[Stream]]]:
    """Yield a writer of a video, and the source's streams that are copied to it; see `whole`.

    Raises: as `open_writer` and `copies`.
    """
    with writer_of(source, publication, output) as writer:
        yield writer, copies(source, writer)


def write_video(output: str | Path, frames: Iterable[NDArray[np.uint8]], rate: Number) -> None:
    """Encode RGB frames, (H, W, 3) uint8, at a constant rate in frames a second, 10,000 at most.

    An existing file is replaced.

    Raises:
        OptionError: the rate is no number above 0, and at most 10,000.
        FrameError: a frame is not as above, or of another size than those before.
        MediaError: FFmpeg cannot encode them, or there are none.
        InputNotFoundError, OutputError: see `Publication`.
    """
    output, rate = Path(output), constant_rate("rate", rate)
    check_several(frames)
    target = Publication(output)
    first: NDArray[np.uint8] | None = None
    with open_writer(target, output, Encoding(), rate=rate, time_base=1 / rate) as writer:
        for index, rgb in enumerate(frames):
            check_frame(rgb, f"frame {index}")
            if rgb.dtype != np.uint8:
                raise FrameError(f"frame {index} is {rgb.dtype}; expected uint8, 0 to 255")
            first = rgb if first is None else first
            check_same_kind(first, rgb)
            writer.write(VideoFrame.from_ndarray(rgb, format="rgb24"), index / rate, 1 / rate)
