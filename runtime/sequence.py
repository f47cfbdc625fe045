"""Image sequences: a folder or a numbered pattern of images, filled up with the frames between."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import InputNotFoundError, MediaError, OptionError
from .files import IMAGE_SUFFIXES, check_writable, replacing_folder
from .images import Still, interpolate_stills, read_still, write_still
from .interpolator import Interpolator

Progress = Callable[[int, int], None]

_NAME = "frame_%05d.png"
_NUMBER = re.compile(r"%(?:0?\d+)?d")


def is_pattern(path: Path) -> bool:
    """True for a numbered pattern such as frame_%05d.png, as FFmpeg writes it."""
    return _NUMBER.search(path.name) is not None


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
    """Fill up a sequence of images into a new folder.

    n images become (n - 1) * factor + 1; what has 16 bits keeps them. The new folder appears when
    all are written.

    Args:
        source: a folder of two or more images of one size, taken in natural order of their names;
            or a pattern such as in/frame_%05d.png, taken by number, whatever the first is.
        output: the folder, for frame_00000.png and so on; or a pattern for names in it, .png or
            .jpg. `overwrite` replaces a folder that holds nothing else than such images.
        factor: 2 or more.
        progress: called after each image with the images written and the total.

    Raises:
        InputNotFoundError, OutputExistsError: the folders are not as expected.
        MediaError: an image cannot be decoded, or the output holds more than images.
        FrameError: the images are of several sizes.
        OptionError: factor is less than 2, the output is the source, or a pattern has not one
            number in its name.
    """
    source, output = Path(source), Path(output)
    if factor < 2:
        raise OptionError(f"factor is {factor}; expected a whole number, 2 or more")
    images = _matching(source) if is_pattern(source) else _images_in(source)
    folder, name = (output.parent, output.name) if is_pattern(output) else (output, _NAME)
    _check_pattern(name)
    if len(images) < 2:
        raise InputNotFoundError(
            f"{source}: holds {len(images)} images ({', '.join(IMAGE_SUFFIXES)}); "
            "expected two or more"
        )
    if folder.resolve() in (source.resolve(), images[0].parent.resolve()):
        raise OptionError(f"{folder}: is the source as well; choose another -o")
    if not folder.is_dir() or any(folder.iterdir()):
        check_writable(folder, overwrite=overwrite)
    if folder.exists():
        ours = _matching(output) if is_pattern(output) else _images_in(folder)
        if not folder.is_dir() or len(ours) < len(list(folder.iterdir())):
            raise MediaError(
                f"{folder}: holds more than what would be replaced; choose another folder"
            )
    total = (len(images) - 1) * factor + 1
    with replacing_folder(folder) as partial:
        for index, still in enumerate(_filled_up(interpolate, images, factor)):
            write_still(partial / (name % index), still)
            if progress:
                progress(index + 1, total)
    return SequenceSummary(folder, len(images), total)


def _filled_up(interpolate: Interpolator, images: Sequence[Path], factor: int) -> Iterator[Still]:
    times = [step / factor for step in range(1, factor)]
    before = read_still(images[0])
    yield before
    for image in images[1:]:
        after = read_still(image)
        yield from interpolate_stills(interpolate, before, after, times)
        yield after
        before = after


def _check_pattern(name: str) -> None:
    if len(_NUMBER.findall(name)) != 1 or name.count("%") != 1:
        raise OptionError(f"{name}: expected one number in the pattern, as in {_NAME}")


def _matching(pattern: Path) -> list[Path]:
    """Return the files of a numbered pattern, by number."""
    _check_pattern(pattern.name)
    if not pattern.parent.is_dir():
        raise InputNotFoundError(f"{pattern.parent}: no such folder")
    before, after = (re.escape(part) for part in _NUMBER.sub("%", pattern.name).split("%"))
    found = {}
    for path in pattern.parent.iterdir():
        match = re.fullmatch(f"{before}(\\d+){after}", path.name)
        if match and path.is_file():
            found[int(match[1])] = path
    return [found[number] for number in sorted(found)]


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
