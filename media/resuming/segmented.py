"""Videos that are worked through segment by segment, in one run or in several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from av.container import InputContainer

from media.deinterlacing import looks_whole
from media.encoding import format_of
from media.images.sequence import checked_output
from media.options import Progress, Tell, VideoOptions
from media.reading.container import chosen_video, open_media
from media.reading.part import part_of
from media.reading.segments import WHOLE, Segment, planned
from media.reading.source import SourceVideo, head_of
from media.renditions import are_images, place_of
from media.resuming.identity import Identity
from media.resuming.job import Job
from media.resuming.joining import joined
from media.resuming.segment_work import interpolate_segment
from media.summary import VideoSummary
from media.waiting import published
from media.writing.streams import alpha_left_out
from media.writing.tracks import way_into
from runtime.errors import ArtifactError, OptionError, OutputError
from runtime.interpolator import Interpolator
from runtime.publishing import Publication


class Artifact(Protocol):
    """What makes the frames, here or elsewhere."""

    @property
    def identity(self) -> str:
        """See `Interpolator.identity`."""


@dataclass(frozen=True)
class Video:
    """What is made of what, by what; and who is told of it.

    Attributes:
        tell: called with lines for people, about the output.
    """

    artifact: Artifact
    source: Path
    output: Path
    options: VideoOptions
    progress: Progress
    tell: Tell


def checked(video: Video) -> Publication:
    """Return the publication of the output, when what was left of it is cleared away.

    Raises:
        InputNotFoundError, MediaError: the source is no video.
        OptionError: it is the output as well.
        OutputError: see `Publication`.
    """
    source, output = video.source, video.output
    # What is no video, or cannot be written as one, is refused before anything is touched.
    with open_media(source) as reader:
        beside = [] if video.options.slow else reader.streams
        for stream in beside:
            if stream.type != "video":
                way_into(format_of(output), stream, output, transcode=video.options.transcode)
        _warn_if_whole(video, reader)
    if output.exists() and output.samefile(source):
        raise OptionError(f"{output}: is the source as well; choose another output")
    Job.tidied(output)
    return _publication(video)


def _warn_if_whole(video: Video, reader: InputContainer) -> None:
    options = video.options
    if options.deinterlace is None:
        return
    if looks_whole(reader, chosen_video(reader, options.stream, video.source)):
        video.tell(
            f"the first frames of {video.source.name} are not interlaced; where none is, the rate "
            "will be wrong: leave the deinterlacing out"
        )


def _publication(video: Video, outdated: Sequence[Path] = ()) -> Publication:
    output, overwrite = video.output, video.options.overwrite
    if are_images(output):
        return checked_output(output, place_of(output)[0], overwrite)
    return Publication(output, overwrite=overwrite, outdated=outdated)


def suited(source: Path, output: Path, options: VideoOptions) -> VideoOptions:
    """Return options with a constant rate where the output is images, which have no times.

    Raises: as `SourceVideo.opened`.
    """
    if not are_images(output) or options.fps is not None:
        return options
    with SourceVideo.opened(source, options) as opened:
        return replace(options, factor=None, fps=opened.timing.constant.shown_rate)


def job_of(video: Video) -> Job | None:
    """Find or begin the job of a video; None where it is made in one piece, and is no part.

    Raises:
        OutputError: beside the output lies the job of something else.
        MediaError: it has alpha, and no pixel format without was asked for.
    """
    if (job := _found(video)) is not None:
        return job
    segments = _planned(video)
    return _begun(video, segments) if segments else None


def job_in_any_case(video: Video) -> Job:
    """Find or begin the job of a video; what is made in one piece is a job of one segment.

    Raises: as `job_of`.
    """
    return _found(video) or _begun(video, _planned(video) or (WHOLE,))


def _found(video: Video) -> Job | None:
    job = Job.found(video.output, lambda: _identity(video))
    if job is not None:
        video.tell(f"goes on: {job.kept().finished} of {len(job.segments)} segments are made")
    return job


def _planned(video: Video) -> tuple[Segment, ...]:
    options = video.options
    part = part_of(video.source, options)
    # Of five telecined frames four are left, counted from the first of all.
    seconds = 0 if options.deinterlace == "telecine" else options.segment
    plan = planned(video.source, options.stream, seconds, part, options.dedup)
    if plan.reason:
        video.tell(
            f"is made in one piece, as of the source {plan.reason}; a run that ends early keeps "
            "nothing"
        )
    if part != WHOLE:
        head_of(video.source, options, plan.segments[0])  # a part without a frame is refused
    return plan.segments


def _begun(video: Video, segments: tuple[Segment, ...]) -> Job:
    with SourceVideo.opened(video.source, video.options) as source:
        alpha_left_out(source.stream, video.source, video.options.encoding.pix_fmt)
    job = Job.begin(video.output, _identity(video), segments)
    if len(job.segments) > 1:
        video.tell(
            f"is made in {len(job.segments)} segments, which wait in {job.folder} until they are "
            "joined; until then they take as much again of the disk"
        )
    return job


def _identity(video: Video) -> Identity:
    return Identity.of(video.source, video.artifact.identity, video.options, video.output)


@dataclass(frozen=True)
class Made:
    """What a run has made.

    Attributes:
        frames: of the output.
        elsewhere: how many of the segments that were asked for other runs are making.
    """

    frames: int
    elsewhere: int


def make(video: Video, interpolate: Interpolator, job: Job, indices: Iterable[int]) -> Made:
    """Make the segments of these numbers that are still to be made."""
    frames, left = 0, [*indices]
    for _ in range(2):  # what others were at they may have finished since, or given up
        waiting, left = left, []
        for index in waiting:
            with job.claimed(index) as ours:
                if not ours:
                    left.append(index)
                elif not is_made(video, job, index):
                    frames += _make_one(video, interpolate, job, index)
    return Made(frames, len(left))


def join(video: Video, job: Job, frames: int) -> VideoSummary:
    """Publish the video of all segments, which are made, and remove them.

    Args:
        frames: of the output that this run made.

    Raises:
        ArtifactError: a segment was damaged meanwhile.
        OutputError: another run joins them; or see `Publication`.
    """
    with job.joining() as ours:
        if not ours:
            raise OutputError(f"{video.output}: another run joins its segments; wait for that")
        everything = range(len(job.segments))
        summaries = [summary for index in everything if (summary := job.summary(index))]
        publication = _publication(video, outdated=[job.record])
        files = [job.file(index) for index in everything]
        done = joined(
            job.segments,
            files,
            summaries,
            video.source,
            video.output,
            video.options,
            publication,
        )
    job.remove()
    return replace(done, frames_resumed=done.frames_written - frames)


def is_made(video: Video, job: Job, index: int) -> bool:
    """Say whether a segment is there; one that is damaged is made again, and that is said."""
    try:
        return job.summary(index) is not None
    except ArtifactError:
        video.tell(f"{job.file(index)} is damaged or of another job, and is made again")
        return False


def _make_one(video: Video, interpolate: Interpolator, job: Job, index: int) -> int:
    known = (job.known(other) for other in range(len(job.segments)))
    before = sum(summary.frames_written for summary in known if summary)
    with SourceVideo.opened(video.source, video.options) as source:
        total = source.frames_expected
    with published(job.file(index)) as target:
        summary = interpolate_segment(
            interpolate,
            video.source,
            video.output,
            video.options,
            job.segments[index],
            job.segments[0],
            job.hash,
            target.path,
            lambda done, at: video.progress(before + done, total, at),
        )
    job.summary(index)  # reads it, for what is joined has been held against its hash
    return summary.frames_written
