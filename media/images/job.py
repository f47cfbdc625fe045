"""An unfinished folder of images: those that are made, and what they belong to.

See `media.waiting` on where it lies. Images have the names that they will have in the output.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from media.errors import MediaError
from media.images.numbering import names_of
from media.images.stills import CODECS, read_still
from media.waiting import RECORD, begun, claimed, cleared, partial_of, published, remove
from runtime.errors import OutputError, OutputExistsError
from runtime.records import Between, Format, Matching, Sha256

_LOCK = "run"
_OURS = re.compile(rf"{_LOCK}\.lock")  # without a record nobody can say whose images are there


@dataclass(frozen=True)
class ImageIdentity:
    """All that an image depends on, but for which one it is.

    Attributes:
        sources: the hash of the sources' names, sizes and dates.
        artifact: see `Interpolator.identity`.
        factor, name, cut_threshold, dedup: as they were given; the name is a pattern.
    """

    sources: Sha256
    artifact: Annotated[str, Matching(r"[ -~]{0,300}", "a line of ASCII")]
    factor: Annotated[int, Between(2, 1_000_000)]
    name: str
    cut_threshold: Annotated[float, Between(0, 1)] | None
    dedup: bool

    @classmethod
    def of(
        cls,
        images: Sequence[Path],
        artifact: str,
        factor: int,
        name: str,
        cut_threshold: float | None,
        dedup: bool,
    ) -> ImageIdentity:
        """Say what is to be made."""
        about = [(path, path.stat()) for path in images]
        lines = [f"{path.name} {info.st_size} {info.st_mtime_ns}" for path, info in about]
        digest = hashlib.sha256("\n".join(lines).encode(errors="surrogateescape"))
        return cls(digest.hexdigest(), artifact, factor, name, cut_threshold, dedup)

    def difference(self, other: ImageIdentity) -> str:
        """Say in what another one differs; empty where it does not."""
        if self.sources != other.sources:
            return "other images, or some that were changed since"
        if self.artifact != other.artifact:
            return "another artifact, backend, tiling or skip_still"
        return "another factor, pattern, cut threshold or dedup" if self != other else ""


_FORMAT = Format(ImageIdentity, "unfinished folder", 2, "remove its folder")


class ImageJob:
    """The images of an unfinished folder.

    Args:
        output: the folder that they will be in.
        max_pixels: of an image, as `read_still` takes it.

    Attributes:
        folder: where they wait.
    """

    def __init__(self, output: Path, identity: ImageIdentity, max_pixels: int) -> None:
        self.folder = _folder_of(output)
        self._identity = identity
        self._max_pixels = max_pixels
        self._whole: dict[str, bool] = {}

    def begin(self) -> int:
        """Begin, or find the same job begun; return how many images there are.

        Raises:
            OutputError: it is another job, or the folder cannot be written.
            ArtifactError: its record is damaged.
        """
        if not cleared(self.folder, _OURS):
            document = {"format_version": 2, **asdict(self._identity)}
            with suppress(OutputExistsError):  # it may be the same one
                begun(self.folder, json.dumps(document).encode())
                return 0
        if difference := self._identity.difference(_FORMAT.read(self.folder / RECORD)):
            raise OutputError(
                f"{self.folder}: is the unfinished job of {difference}; run it again as it was to "
                "finish it, or remove the folder to begin anew"
            )
        return _count(self.folder)

    def claimed(self) -> AbstractContextManager[bool]:
        """Hold off other runs; see `media.waiting.claimed`."""
        return claimed(self.folder, _LOCK)

    def has(self, name: str) -> bool:
        """Say whether an image is made, and whole."""
        if name not in self._whole:
            path = self.folder / name
            try:
                still = read_still(path, max_pixels=self._max_pixels) if path.is_file() else None
                self._whole[name] = still is not None
            except MediaError:
                self._whole[name] = False
        return self._whole[name]

    def add(self, name: str, content: bytes) -> None:
        """Keep an image.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            published(self.folder / name).write(content)
        except OSError as error:
            raise OutputError(f"{self.folder / name}: not written: {error.strerror}") from error
        self._whole[name] = True

    def copy_to(self, folder: Path, name: str) -> None:
        """Put an image into a folder; it stays here, too."""
        try:
            (folder / name).hardlink_to(self.folder / name)
        except OSError:  # a file system without links
            shutil.copyfile(self.folder / name, folder / name)

    def remove(self) -> None:
        """Remove the images and the folder."""
        remove(self.folder, re.compile(f"{names_of(self._identity.name).pattern}|{_OURS.pattern}"))


def _folder_of(output: Path) -> Path:
    # One that is there may be a mount point, and then its images have to wait in it.
    return output / ".partial" if output.is_dir() else partial_of(output.resolve())


def _count(folder: Path) -> int:
    return sum(path.suffix.lower() in CODECS for path in folder.iterdir())


@dataclass(frozen=True)
class KeptImages:
    """What an unfinished folder has: how many images, and where they wait."""

    folder: Path
    images: int


def images_kept_for(output: Path) -> KeptImages | None:
    """Return what of a folder's images is kept; None where none is, or it cannot be told."""
    folder = _folder_of(output)
    if not (folder / RECORD).is_file() or not (images := _count(folder)):
        return None
    return KeptImages(folder, images)
