"""Image sequences: a folder or a numbered pattern of images, filled up with the frames between."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from media.errors import MediaError
from media.image_job import ImageIdentity, ImageJob
from media.images import (
    MAX_PIXELS,
    Still,
    encoded,
    interpolate_stills,
    read_for,
    still_codec,
)
from media.options import Tell
from media.schedule import PORTION
from media.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from runtime.errors import InputNotFoundError, OptionError, OutputError
from runtime.frames import MAX_TIMES
from runtime.interpolator import Interpolator
from runtime.options import check_path, check_whole
from runtime.partials import contents
from runtime.publishing import FolderPublication

Progress = Callable[[int, int], None]

_WORTH_KEEPING = 20  # seconds of work; of a run that ends earlier nothing is kept
_NAME = "frame_%05d.png"
_NUMBER = re.compile(r"%(\d{0,2})d")
_NO_FOLDERS = (*IMAGE_SUFFIXES, ".gif", *VIDEO_SUFFIXES)


def is_pattern(path: Path) -> bool:
    """True for a numbered pattern such as frame_%05d.png, as FFmpeg writes it.

    What exists by that very name is a file or a folder, and no pattern.
    """
    return _NUMBER.search(path.name) is not None and not path.exists()


@dataclass(frozen=True)
class SequenceSummary:
    """What `interpolate_folder` did.

    Attributes:
        profiles: of how many images the ICC profile is not kept.
        missing: where numbers are missing in the names, for people; empty where none are. Images on
            either side are taken for neighbours.
    """

    output: Path
    images_read: int
    images_written: int
    profiles: int
    missing: str


def interpolate_folder(
    interpolate: Interpolator,
    source: str | Path,
    output: str | Path,
    factor: int,
    *,
    overwrite: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
    tell: Tell = lambda _: None,
) -> SequenceSummary:
    """Fill up a sequence of images into a folder, as `FolderPublication` publishes it.

    n images become (n - 1) * factor + 1; what has 16 bits keeps them. Each image waits in
    NAME.partial, or in .partial in a folder that is there, until all are made, also where a run of
    over 20 seconds is ended: the same call goes on from there.

    Args:
        source: a folder of two or more images of one size, taken in natural order of their names,
            without hidden ones; or a pattern such as in/frame_%05d.png, taken by number, whatever
            the first is and whatever is left out. As in FFmpeg %05d is padded with zeros to five
            digits and %d is not padded; what exists by that very name is no pattern.
        output: the folder, for frame_00000.png and so on; or a pattern for names in it, .png or
            .jpg. `overwrite` replaces a folder that holds nothing else than such images.
        factor: 2 to 1000.
        max_pixels: of an image, as `read_still` takes it.
        progress: called after each image with the images written and the total.
        tell: called with lines for people: what it goes on with.

    Raises:
        InputNotFoundError, OutputError: the folders are not as expected, or cannot be written to;
            or the unfinished job of other images, options or artifact waits there.
        MediaError: an image cannot be decoded, or the output holds more than images.
        FrameError: the images are of several sizes, or of 16 bits for an artifact of uint8.
        OptionError: factor is not 2 to 1000, the output is the source or named as a file or not at
            all, or a pattern has not one number in its name, or another padding than its files.
    """
    check_path("output", output, "more/")
    check_whole("factor", factor, 2, MAX_TIMES)
    source, output = Path(source), Path(output)
    images = _numbered(source) if is_pattern(source) else _images_in(source)
    folder, name = (output.parent, output.name) if is_pattern(output) else (output, _NAME)
    _check_pattern(name)
    if len(images) < 2:
        raise InputNotFoundError(
            f"{source}: holds {len(images)} images ({', '.join(IMAGE_SUFFIXES)}); "
            "expected two or more"
        )
    if folder.is_dir() and folder.samefile(images[0].parent):
        raise OptionError(f"{folder}: is the source as well; choose another output")
    publication = _checked_output(output, folder, overwrite)
    still_codec(Path(name))
    names = [_named(name, index) for index in range((len(images) - 1) * factor + 1)]
    job, started = ImageJob(folder), time.monotonic()
    begun = job.begin(ImageIdentity.of(images, interpolate.identity, factor, name))
    if begun:
        tell(f"goes on: {begun} of {len(names)} images are made")
    with job.claimed() as ours:
        if not ours:
            raise OutputError(f"{folder}: another run makes its images; wait for that")
        try:
            stills = _filled_up(interpolate, images, factor, max_pixels, job, names)
            profiles = _made(job, stills, names, progress)
            with publication:
                for each in names:
                    job.copy_to(publication.path, each)
        except BaseException:
            if not begun and time.monotonic() - started < _WORTH_KEEPING:
                job.remove()
            raise
        job.remove()
    return SequenceSummary(folder, len(images), len(names), profiles, _missing(images))


def _made(
    job: ImageJob,
    stills: Iterator[tuple[int, Still]],
    names: Sequence[str],
    progress: Progress | None,
) -> int:
    """Keep all images; return of how many of them the profile is not kept."""
    profiles = 0
    for index, still in stills:
        name = names[index]
        profiles += still.profile  # which the images between have not
        if not job.has(name):
            job.add(name, encoded(job.folder / name, still))
        if progress:
            progress(index + 1, len(names))
    return profiles


def _filled_up(
    interpolate: Interpolator,
    images: Sequence[Path],
    factor: int,
    max_pixels: int,
    job: ImageJob,
    names: Sequence[str],
) -> Iterator[tuple[int, Still]]:
    """Yield images and their numbers, but for those between two that are made."""
    times = [step / factor for step in range(1, factor)]
    before = read_for(interpolate, images[0], max_pixels)
    yield 0, before
    for number, image in enumerate(images[1:]):
        after = read_for(interpolate, image, max_pixels)
        for first in range(0, len(times), PORTION):
            portion = times[first : first + PORTION]
            at = number * factor + first + 1
            if not all(map(job.has, names[at : at + len(portion)])):
                yield from enumerate(interpolate_stills(interpolate, before, after, portion), at)
        yield (number + 1) * factor, after
        before = after


def _checked_output(output: Path, folder: Path, overwrite: bool) -> FolderPublication:
    if folder.suffix.lower() in _NO_FOLDERS and not folder.is_dir():
        raise OptionError(
            f"{folder}: is named as a file; images are written to a folder, or to a pattern as "
            f"{folder.stem}/{_NAME}"
        )
    publication = FolderPublication(folder, overwrite=overwrite)
    if folder.is_dir():
        ours = _matching(output)[0] if is_pattern(output) else _images_in(folder)
        if len(ours) < len(contents(folder)):
            raise MediaError(
                f"{folder}: holds more than what would be replaced; choose another folder"
            )
    return publication


def _check_pattern(name: str) -> None:
    if len(_NUMBER.findall(name)) != 1 or name.count("%") != 1:
        raise OptionError(f"{name}: expected one number in the pattern, as in {_NAME}")


def _named(pattern: str, number: int) -> str:
    return _NUMBER.sub(lambda match: str(number).zfill(int(match[1] or 0)), pattern)


def _matching(pattern: Path) -> tuple[list[Path], list[Path]]:
    """Return the files of a numbered pattern, by number, and those of another padding."""
    before, after = (re.escape(part) for part in _NUMBER.sub("%", pattern.name).split("%"))
    ours, others = {}, []
    for path in pattern.parent.iterdir():
        match = re.fullmatch(f"{before}([0-9]+){after}", path.name)
        if match and path.is_file():
            number = int(match[1])
            if path.name == _named(pattern.name, number):
                ours[number] = path
            else:
                others.append(path)
    return [ours[number] for number in sorted(ours)], sorted(others)


def _numbered(pattern: Path) -> list[Path]:
    _check_pattern(pattern.name)
    if not pattern.parent.is_dir():
        raise InputNotFoundError(f"{pattern.parent}: no such folder")
    ours, others = _matching(pattern)
    if others:
        raise OptionError(
            f"{pattern}: is beside {others[0].name}, whose number is padded otherwise; give the "
            f"pattern its digits, as in {_NAME}, or move it away"
        )
    return ours


def _images_in(folder: Path) -> list[Path]:
    """Return the images of a folder, frame9 before frame10; hidden files are none."""
    if not folder.is_dir():
        raise InputNotFoundError(f"{folder}: no such folder")
    images = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and path.name[0] != "."
    ]
    return sorted(images, key=_natural)


def _natural(path: Path) -> tuple[list[int | str], str]:
    return _parts(path), path.name


def _parts(path: Path) -> list[int | str]:
    parts = re.split(r"(\d+)", path.name)  # every second one a number
    return [int(part) if at % 2 else part for at, part in enumerate(parts)]


def _missing(images: Sequence[Path]) -> str:
    """Say which numbers are missing, if the names differ by one number alone.

    A sequence that counts by tens, all through, misses none; and where more are missing than there
    are, the numbers are times or the like.
    """
    names = [_parts(path) for path in images]
    if len({len(parts) for parts in names}) > 1:
        return ""
    differing = [column for column in zip(*names, strict=True) if len(set(column)) > 1]
    if len(differing) != 1:
        return ""
    numbers = sorted({part for part in differing[0] if isinstance(part, int)})
    step = math.gcd(*(after - before for before, after in pairwise(numbers)))
    gaps = [pair for pair in pairwise(numbers) if pair[1] - pair[0] > step]
    count = sum((after - before) // step - 1 for before, after in gaps)
    where = ", ".join(f"{before} and {after}" for before, after in gaps[:3])
    more = f" and in {len(gaps) - 3} more places" if len(gaps) > 3 else ""
    are = "number is" if count == 1 else "numbers are"
    return f"{count} {are} missing, between {where}{more}" if 0 < count <= len(images) else ""
