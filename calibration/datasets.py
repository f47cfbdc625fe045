"""Image triplets in the layouts that data sets are published in.

Only lists and folder names are read here; an image is opened when its triplet is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from media.errors import MediaError
from media.images.stills import read_still
from media.suffixes import IMAGE_SUFFIXES
from runtime.cuts import CutDetector
from runtime.errors import InputNotFoundError, shown

Split = Literal["train", "test"]

_MAX_LIST_BYTES = 16 * 2**20  # of the official lists the longest has less than one MiB
_MAX_NAME = 200

_VIMEO = (
    "expected the folder of the official archive: tri_trainlist.txt, tri_testlist.txt and "
    "sequences/00001/0001/im1.png, im2.png, im3.png (or sep_trainlist.txt, sep_testlist.txt, "
    "im1.png to im7.png)"
)
_UCF101 = "expected one folder a triplet, with frame_00.png, frame_01_gt.png, frame_02.png"
_MIDDLEBURY = (
    "expected other-data/NAME/frame10.png, frame11.png and other-gt-interp/NAME/frame10i11.png"
)
_TRIPLETS = "expected folders with im1, im2 and im3, im2 being the true middle frame"


class Frames(NamedTuple):
    """The images of a triplet, each (H, W, 3) uint8 RGB of one size."""

    frame0: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    frame1: NDArray[np.uint8]


class Sample(Protocol):
    """What ranges are measured on, a `Triplet` or a `ClipTriplet`: named, and read at its turn."""

    @property
    def name(self) -> str:
        """Tells it from all others of its data set."""

    def read(self) -> Frames:
        """Return its frames."""


def has_cut(frames: Frames) -> bool:
    """Say whether a scene begins between the three, and not motion alone; see `CutDetector`."""
    return any([*map(CutDetector(), frames)])


@dataclass(frozen=True)
class Triplet:
    """Two frames and the true one halfway between them, by path.

    Attributes:
        name: for people, such as 00001/0001.
        root: of the data set, out of which its images may not lead.
    """

    name: str
    root: Path
    frame0: Path
    truth: Path
    frame1: Path

    def read(self) -> Frames:
        """Decode the three images.

        Raises:
            InputNotFoundError: one is missing.
            MediaError: one is damaged, of more than 8 bits, of another size, or a link out of the
                data set.
        """
        paths = self.frame0, self.truth, self.frame1
        frames = Frames(*(_read(path, self.root) for path in paths))
        sizes = sorted({f"{frame.shape[1]}x{frame.shape[0]}" for frame in frames})
        if len(sizes) > 1:
            raise MediaError(
                f"{self.frame0.parent}: triplet {self.name} has images of {', '.join(sizes)}; "
                "expected one size"
            )
        return frames


def vimeo90k(root: str | Path, split: Split) -> list[Triplet]:
    """Return the triplets of Vimeo90K's official lists.

    Of a septuplet, where the root holds septuplets, its third, fourth and fifth frames.

    Raises:
        InputNotFoundError: the root or its list is missing, or the list is empty.
        MediaError: the list is not text, too long, or leads out of the root.
    """
    root = _folder(root, _VIMEO)
    numbers = {root / f"tri_{split}list.txt": (1, 2, 3), root / f"sep_{split}list.txt": (3, 4, 5)}
    listing = next((path for path in numbers if path.is_file()), None)
    if listing is None:
        raise InputNotFoundError(f"{root}: holds no tri_{split}list.txt; {_VIMEO}")
    names = _names_in(listing)
    triplets = [
        Triplet(
            name,
            root,
            *(root / "sequences" / name / f"im{number}.png" for number in numbers[listing]),
        )
        for name in names
    ]
    return _some(triplets, listing, _VIMEO)


def ucf101(root: str | Path) -> list[Triplet]:
    """Return the triplets of the UCF101 interpolation test set.

    Raises:
        InputNotFoundError: no such folder, or no triplets in it.
        MediaError: a folder's name is too long or cannot be printed.
    """
    root = _folder(root, _UCF101)
    names = ("frame_00.png", "frame_01_gt.png", "frame_02.png")
    folders = {path.parent for name in names for path in root.glob(f"*/{name}")}
    triplets = [
        Triplet(folder.name, root, *(folder / name for name in names))
        for folder in sorted(folders, key=lambda folder: (len(folder.name), folder.name))
    ]
    return _some(triplets, root, _UCF101)


def middlebury(root: str | Path) -> list[Triplet]:
    """Return those triplets of Middlebury's 'other' set that have a true middle frame.

    Raises:
        InputNotFoundError: no such folder, or no triplets in it.
        MediaError: a folder's name is too long or cannot be printed.
    """
    root = _folder(root, _MIDDLEBURY)
    truths = sorted((root / "other-gt-interp").glob("*/frame10i11.png"))
    triplets = []
    for truth in truths:
        data = root / "other-data" / truth.parent.name
        triplets.append(
            Triplet(truth.parent.name, root, data / "frame10.png", truth, data / "frame11.png")
        )
    return _some(triplets, root, _MIDDLEBURY)


def triplet_folders(root: str | Path) -> list[Triplet]:
    """Return the triplets in a folder, at any depth: im1, im2 and im3 of any image format.

    Hidden folders are left out: what others are just writing lies in some.

    Raises:
        InputNotFoundError: no such folder, no triplets in it, or one that is not whole.
        MediaError: a folder's name is too long or cannot be printed.
    """
    root = _folder(root, _TRIPLETS)
    folders = sorted(
        {
            path.parent
            for path in root.rglob("im1.*")
            if _is_image(path) and not _is_hidden(path.relative_to(root))
        }
    )
    triplets = [
        Triplet(str(folder.relative_to(root)), root, *(_image(folder, f"im{n}") for n in (1, 2, 3)))
        for folder in folders
    ]
    return _some(triplets, root, _TRIPLETS)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _read(path: Path, root: Path) -> NDArray[np.uint8]:
    if not path.is_file():
        raise InputNotFoundError(f"{path}: no such image, though its triplet is listed")
    if not path.resolve().is_relative_to(root.resolve()):
        raise MediaError(f"{path}: is a link that leads out of {root}; copy the images into it")
    still = read_still(path)
    if still.rgb.dtype != np.uint8:
        raise MediaError(f"{path}: has more than 8 bits; these data sets have 8")
    return still.rgb


def _names_in(listing: Path) -> list[str]:
    """Return the names of a list, without blank lines."""
    with listing.open("rb") as file:
        content = file.read(_MAX_LIST_BYTES + 1)
    if len(content) > _MAX_LIST_BYTES:
        raise MediaError(f"{listing}: has more than {_MAX_LIST_BYTES} bytes; {_VIMEO}")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise MediaError(f"{listing}: is not text ({error.reason}); {_VIMEO}") from error
    names = [line.strip() for line in lines if line.strip()]
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise MediaError(
                f"{listing}: names {shown(name)}, which leads out of the data set; {_VIMEO}"
            )
    return names


def _folder(root: str | Path, layout: str) -> Path:
    root = Path(root)
    if not root.is_dir():
        raise InputNotFoundError(f"{root}: no such folder; {layout}")
    return root


def _some(triplets: list[Triplet], source: Path, layout: str) -> list[Triplet]:
    if not triplets:
        raise InputNotFoundError(f"{source}: names no triplets; {layout}")
    for triplet in triplets:
        if not triplet.name.isprintable() or len(triplet.name) > _MAX_NAME:
            raise MediaError(
                f"{source}: names {shown(triplet.name)}; expected at most {_MAX_NAME} characters "
                "that can be printed"
            )
    return triplets


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _image(folder: Path, stem: str) -> Path:
    found: Sequence[Path] = sorted(path for path in folder.glob(f"{stem}.*") if _is_image(path))
    if not found:
        raise InputNotFoundError(f"{folder}: has no {stem} beside its im1; {_TRIPLETS}")
    return found[0]
