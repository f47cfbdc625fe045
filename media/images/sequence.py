"""Image sequences: a folder or a numbered pattern of images, filled up with the frames between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from media.errors import MediaError
from media.images.job import ImageIdentity, ImageJob
from media.images.numbering import (
    NAME,
    check_pattern,
    images_in,
    images_of,
    is_pattern,
    matching,
    missing,
    named,
)
from media.images.pictures import Picture, Pictures
from media.images.stills import (
    MAX_PIXELS,
    Still,
    encoded,
    interpolate_stills,
    still_codec,
)
from media.options import Tell
from media.schedule import PORTION
from media.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from runtime.cuts import THRESHOLD
from runtime.errors import InputNotFoundError, OptionError, OutputError, OutputExistsError
from runtime.frames import MAX_TIMES
from runtime.interpolator import Interpolator
from runtime.options import check_path, check_whole
from runtime.partials import contents
from runtime.publishing import FolderPublication

Progress = Callable[[int, int], None]

_WORTH_KEEPING = 20  # seconds of work; of a run that ends earlier nothing is kept
_NO_FOLDERS = (*IMAGE_SUFFIXES, ".gif", *VIDEO_SUFFIXES)


@dataclass(frozen=True)
class SequenceSummary:
    """What `interpolate_folder` did.

    Attributes:
        cuts: found between two images.
        repeats: found and taken out; None where none were looked for.
        profiles: of how many images the ICC profile is not kept.
        missing: where numbers are missing in the names, for people; empty where none are. Images on
            either side are taken for neighbours.
    """

    output: Path
    images_read: int
    images_written: int
    cuts: int
    repeats: int | None
    profiles: int
    missing: str


def interpolate_folder(
    interpolate: Interpolator,
    source: str | Path,
    output: str | Path,
    factor: int,
    *,
    cut_threshold: float | None = THRESHOLD,
    dedup: bool = False,
    overwrite: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
    tell: Tell = lambda _: None,
) -> SequenceSummary:
    """Fill up a sequence of images into a folder, as `FolderPublication` publishes it.

    n images become (n - 1) * factor + 1; what has 16 bits keeps them. Across a cut the nearer image
    is written again. Each image waits in NAME.partial, or in .partial in a folder that is there,
    until all are made, also where a run of over 20 seconds is ended: the same call goes on from
    there.

    Args:
        source: a folder of two or more images of one size, taken in natural order of their names,
            without hidden ones; or a pattern such as in/frame_%05d.png, taken by number, whatever
            the first is and whatever is left out. As in FFmpeg %05d is padded with zeros to five
            digits and %d is not padded; what exists by that very name is no pattern.
        output: the folder, for frame_00000.png and so on; or a pattern for names in it, .png,
            .tif or .jpg. `overwrite` replaces a folder that holds nothing else than such images.
        factor: 2 to 1000.
        cut_threshold: see `CutDetector`; None looks for no cuts.
        dedup: look for images that only repeat the one before, and make others in their place; see
            `RepeatFinder`, for which there are 24 images a second.
        max_pixels: of an image, as `read_still` takes it.
        progress: called after each image with the images written and the total.
        tell: called with lines for people: what it goes on with.

    Raises:
        InputNotFoundError, OutputError: the folders are not as expected, or cannot be written to;
            or the unfinished job of other images, options or artifact waits there.
        MediaError: an image cannot be decoded, or the output holds more than images.
        FrameError: the images are of several sizes, or of 16 bits for an artifact of uint8.
        OptionError: factor is not 2 to 1000, cut_threshold not in [0, 1] or dedup not True or
            False, the output is the source or named as a file or not at all, or a pattern has not
            one number in its name, or another padding than its files.
    """
    check_path("output", output, "more/")
    check_whole("factor", factor, 2, MAX_TIMES)
    source, output = Path(source), Path(output)
    images = images_of(source)
    folder, name = (output.parent, output.name) if is_pattern(output) else (output, NAME)
    check_pattern(name)
    if len(images) < 2:
        raise InputNotFoundError(
            f"{source}: holds {len(images)} images ({', '.join(IMAGE_SUFFIXES)}); "
            "expected two or more"
        )
    if folder.is_dir() and folder.samefile(images[0].parent):
        raise OptionError(f"{folder}: is the source as well; choose another output")
    pictures = Pictures(images, cut_threshold=cut_threshold, dedup=dedup, max_pixels=max_pixels)
    publication = checked_output(output, folder, overwrite)
    still_codec(Path(name))
    names = [named(name, index) for index in range((len(images) - 1) * factor + 1)]
    identity = ImageIdentity.of(images, interpolate.identity, factor, name, cut_threshold, dedup)
    job, started = ImageJob(folder, identity, max_pixels), time.monotonic()
    begun = job.begin()
    if begun:
        tell(f"goes on: {begun} of {len(names)} images are made")
    with job.claimed() as ours:
        if not ours:
            raise OutputError(f"{folder}: another run makes its images; wait for that")
        try:
            filled = _filled_up(interpolate, pictures.run(interpolate), factor, job, names)
            profiles = _made(job, filled, names, progress)
            with publication:
                for each in names:
                    job.copy_to(publication.path, each)
        except BaseException:
            if not begun and time.monotonic() - started < _WORTH_KEEPING:
                job.remove()
            raise
        job.remove()
    return SequenceSummary(
        folder,
        len(images),
        len(names),
        pictures.cuts,
        pictures.repeats if dedup else None,
        profiles,
        missing(images),
    )


def _made(
    job: ImageJob,
    filled: Iterator[tuple[int, Still]],
    names: Sequence[str],
    progress: Progress | None,
) -> int:
    """Keep all images; return of how many of them the profile is not kept."""
    profiles = 0
    for index, still in filled:
        name = names[index]
        profiles += still.profile  # which the images between have not
        if not job.has(name):
            job.add(name, encoded(job.folder / name, still))
        if progress:
            progress(index + 1, len(names))
    return profiles


def _filled_up(
    interpolate: Interpolator,
    pictures: Iterator[Picture],
    factor: int,
    job: ImageJob,
    names: Sequence[str],
) -> Iterator[tuple[int, Still]]:
    """Yield images and their numbers, but for those between two that are there already."""
    number, before, _ = next(pictures)
    yield number * factor, before
    for following, after, begins in pictures:
        steps = (following - number) * factor
        times = [step / steps for step in range(1, steps)]
        for first in range(0, len(times), PORTION):
            portion = times[first : first + PORTION]
            at = number * factor + first + 1
            if not all(map(job.has, names[at : at + len(portion)])):
                if begins:
                    stills = [
                        replace(after if t >= 0.5 else before, profile=False) for t in portion
                    ]
                else:
                    stills = interpolate_stills(interpolate, before, after, portion)
                yield from enumerate(stills, at)
        yield following * factor, after
        number, before = following, after


def checked_output(output: Path, folder: Path, overwrite: bool) -> FolderPublication:
    """Return the publication of a folder of images; `output` is the folder, or a pattern in it.

    Raises:
        OptionError: it is named as a file.
        MediaError: it holds more than what would be replaced.
        OutputError: see `FolderPublication`.
    """
    if folder.suffix.lower() in _NO_FOLDERS and not folder.is_dir():
        raise OptionError(
            f"{folder}: is named as a file; images are written to a folder, or to a pattern as "
            f"{folder.stem}/{NAME}"
        )
    try:
        publication = FolderPublication(folder, overwrite=overwrite)
    except OutputExistsError:
        if _holds_others(output, folder):
            raise MediaError(
                f"{folder}: holds other files; images are written to a folder of their own"
            ) from None
        raise
    if folder.is_dir() and _holds_others(output, folder):
        raise MediaError(f"{folder}: holds more than what would be replaced; choose another folder")
    return publication


def _holds_others(output: Path, folder: Path) -> bool:
    ours = matching(output)[0] if is_pattern(output) else images_in(folder)
    return len(ours) < len(contents(folder))
