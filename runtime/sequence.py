"""Image sequences: a folder of images filled up with the frames between."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import InputNotFoundError, MediaError, OptionError
from .files import IMAGE_SUFFIXES, check_writable, replacing_folder
from .images import Still, interpolate_stills, read_still, write_still
from .interpolator import Interpolator
from .video import Progress


@dataclass(frozen=True)
class SequenceSummary:
    """What `interpolate_folder` did."""

    output: Path
    images_read: int
    images_written: int


def interpolate_folder(
    interpolate: Interpolator,
    source: str | Path,
    output: str | Path,
    factor: int,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> SequenceSummary:
    """Fill up a folder of images, in natural order of their names, into a new folder of PNGs.

    n images become (n - 1) * factor + 1, named frame_00000.png and so on. The new folder appears
    when all are written.

    Args:
        source: a folder of two or more images of one size.
        output: the folder; `overwrite` replaces one that holds nothing but images.
        factor: 2 or more.
        progress: called after each image with the images written and the total.

    Raises:
        InputNotFoundError, OutputExistsError: the folders are not as expected.
        MediaError: an image cannot be decoded, or the output holds more than images.
        FrameError: the images are of several sizes.
        OptionError: factor is less than 2, or the output is the source.
    """
    source, output = Path(source), Path(output)
    if factor < 2:
        raise OptionError(f"factor is {factor}; expected a whole number, 2 or more")
    images = _images_in(source)
    if len(images) < 2:
        raise InputNotFoundError(
            f"{source}: holds {len(images)} images ({', '.join(IMAGE_SUFFIXES)}); "
            "expected two or more"
        )
    if output.resolve() == source.resolve():
        raise OptionError(f"{output}: is the source as well; choose another -o")
    check_writable(output, overwrite=overwrite)
    if output.exists() and not (
        output.is_dir() and len(_images_in(output)) == len(list(output.iterdir()))
    ):
        raise MediaError(f"{output}: holds more than images, so it is not replaced; choose another")
    total = (len(images) - 1) * factor + 1
    with replacing_folder(output) as partial:
        for index, still in enumerate(_filled_up(interpolate, images, factor)):
            write_still(partial / f"frame_{index:05d}.png", still)
            if progress:
                progress(index + 1, total)
    return SequenceSummary(output, len(images), total)


def _filled_up(interpolate: Interpolator, images: Sequence[Path], factor: int) -> Iterator[Still]:
    times = [step / factor for step in range(1, factor)]
    before = read_still(images[0])
    yield before
    for image in images[1:]:
        after = read_still(image)
        yield from interpolate_stills(interpolate, before, after, times)
        yield after
        before = after


def _images_in(folder: Path) -> list[Path]:
    return _natural(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    )


def _natural(paths: Iterable[Path]) -> list[Path]:
    """Sort so that frame9 comes before frame10."""

    def key(path: Path) -> list[tuple[bool, int, str]]:
        parts = re.split(r"(\d+)", path.name)
        return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]

    return sorted(paths, key=key)
