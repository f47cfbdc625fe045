"""A preview of a long video: where it moves most, and the result beside its source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av import VideoFrame
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from media.colour import in_format, planes_of
from media.errors import MediaError
from media.filling import Filling, Shown
from media.options import Progress, VideoOptions
from media.pipeline import writer_of
from media.pixel_formats import bits_of
from media.reading.container import chosen_video, claimed_seconds, open_media
from media.reading.part import part_of
from media.reading.segments import WHOLE, planned
from media.reading.source import SourceVideo, head_of
from media.side_data import display_matrix
from runtime.frames import Frame
from runtime.publishing import Publication

SECONDS = 10
_PLACES, _FRAMES = 60, 6  # looked at, and in each
_SPAN = 3  # seconds, at most; behind a still that lasts there is another place
_LEAD = 3  # seconds: formats without an index are entered behind what was asked for


def strongest_motion(
    source: str | Path,
    stream: int | None = None,
    *,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> tuple[Fraction, Fraction]:
    """Return the start and end, seconds, of `SECONDS` of a video that move a lot.

    Of one that is no longer by what it says it is the beginning.

    It is looked at in 60 places, spread evenly, a few frames in each. The measure is the mean
    difference of neighbours as small grey pictures; the median of a place, which a cut does not
    change.

    Args:
        stream: as for `VideoOptions`.
        progress: called with how many places are looked at, of how many.

    Raises:
        InputNotFoundError, OptionError, MediaError: see `open_media` and `chosen_video`.
    """
    source = Path(source)
    with open_media(source) as reader:
        video = chosen_video(reader, stream, source)
        length = claimed_seconds(reader, video)
        if length <= SECONDS:
            return Fraction(0), Fraction(SECONDS)
        origin = (video.start_time or 0) * (video.time_base or 1)
        best, where = -1.0, Fraction(0)
        for index in range(_PLACES):
            place = length * (2 * index + 1) / (2 * _PLACES)
            motion = _motion(reader, video, origin + place)
            if motion > best:
                best, where = motion, place
            progress(index + 1, _PLACES)
    start = min(max(Fraction(0), where - Fraction(SECONDS, 2)), length - SECONDS)
    start = Fraction(round(start * 10), 10)  # that it can be typed
    return start, start + SECONDS


def _motion(reader: InputContainer, stream: VideoStream, time: Fraction) -> float:
    """Return the measure of a place; -1 where nothing can be read."""
    differences: list[float] = []
    before: NDArray[Any] | None = None
    try:
        reader.seek(int((time - _LEAD) * av.time_base))
        for frame in reader.decode(stream):
            if frame.time is None or frame.time < float(time):
                continue
            if frame.time > float(time) + _SPAN:
                break
            picture = frame.reformat(64, 36, "gray").to_ndarray() / 255
            if before is not None:
                differences.append(float(np.abs(picture - before).mean()))
            before = picture
            if len(differences) == _FRAMES:
                break
    except av.FFmpegError:
        return -1
    return float(np.median(differences)) if differences else -1


class _Held:
    """In an `Interpolator`'s place: shows the frame before again, as players of the source do."""

    def fill(
        self, frames: Iterable[tuple[Frame, Sequence[float] | NDArray[np.float32]]]
    ) -> Iterator[tuple[Frame, NDArray[Any]]]:
        before = None
        for frame, times in frames:
            shown = np.empty((0, *frame.shape), frame.dtype) if before is None else before[None]
            yield frame, np.repeat(shown, len(times), axis=0)
            before = frame


def write_side_by_side(
    source: str | Path,
    made: str | Path,
    output: str | Path,
    options: VideoOptions,
    *,
    progress: Progress = lambda *_: None,
) -> int:
    """Write the source, on the left, beside what `interpolate_video` made of it by these options.

    It has the result's rate; the source's frames stay until the next one. Sound is left out.

    Returns:
        How many frames there are.

    Raises: as `interpolate_video`.

    Raises:
        MediaError: what was made was made by other options.
    """
    source, made, output = Path(source), Path(made), Path(output)
    target = Publication(output, overwrite=options.overwrite)
    # As of what was made, for telecine counts from where decoding begins.
    plan = planned(source, options.stream, 0, part_of(source, options), options.dedup)
    (part,) = plan.segments or (WHOLE,)
    # At a cut and over repeats, too, the source's frames stay until the next one.
    options = replace(options, cut_threshold=None, dedup=False)
    start, count = head_of(source, options, part).start, 0
    with SourceVideo.opened(source, options) as opened, open_media(made) as reader:
        decoding = opened.decoding(segment=part, start=start)
        filling = Filling(_Held())
        frames = reader.decode(video=0)
        with writer_of(opened, target, output) as writer:
            for shown in filling.run(decoding.run()):
                assert isinstance(shown, Shown)  # noqa: S101 - no streams are copied
                right = next(frames, None)
                if right is None:
                    raise MediaError(f"{made}: has {count} frames; expected more: make it again")
                left = shown.frame if isinstance(shown.frame, VideoFrame) else shown.frame()
                right = _planar(right)
                both = _beside(in_format(left, right.format.name), right)
                writer.write(both, shown.time, shown.duration)
                count += 1
                progress(count, opened.frames_expected, float(shown.time))
    return count


def _planar(frame: VideoFrame) -> VideoFrame:
    if len(frame.planes) == len(frame.format.components):
        return frame
    family = "gbrp" if frame.format.is_rgb else "yuv444p"
    return in_format(frame, f"{family}16le" if bits_of(frame.format) > 8 else family)


def _beside(left: VideoFrame, right: VideoFrame) -> VideoFrame:
    """Return a frame that players show as both side by side, turned as they turn `right`."""
    matrix = display_matrix(right)
    across, down = (1, 0) if matrix is None else (int(matrix[0]), int(matrix[3]))
    on_its_side = abs(down) > abs(across)
    first, second = (left, right) if (down if on_its_side else across) > 0 else (right, left)
    width, height = right.width, right.height
    size = (width, 2 * height) if on_its_side else (2 * width, height)
    both = right.reformat(*size)  # keeps tags and rotation; its pixels are replaced
    for views in zip(*map(planes_of, (both, first, second)), strict=True):
        plane, one, two = (view.T if on_its_side else view for view in views)
        plane[:, : one.shape[1]] = one
        plane[:, plane.shape[1] - two.shape[1] :] = two  # odd sizes share a line of chroma
    return both
