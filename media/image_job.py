"""An unfinished folder of images: those that are made, and what they belong to.

See `media.waiting` on where it lies. Images have the names that they will have in the output.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from media.errors import MediaError
from media.images import read_still
from media.waiting import RECORD, begun, claimed, cleared, partial_of, remove
from runtime.errors import OutputError
from runtime.records import Between, Format, Matching, Sha256

_WRITING = "image.writing"
_OURS = re.compile(r".*\.(png|jpg|jpeg|lock|writing)", re.I)


@dataclass(frozen=True)
class ImageIdentity:
    """All that an image depends on, but for which one it is.

    Attributes:
        sources: the hash of the sources' names, sizes and dates.
        artifact: see `Interpolator.identity`.
        factor, name: as they were given; the name is a pattern.
    """

    sources: Sha256
    artifact: Annotated[str, Matching(r"[ -~]{0,300}", "a line of ASCII")]
    factor: Annotated[int, Between(2, 1_000_000)]
    name: str

    @classmethod
    def of(cls, images: Sequence[Path], artifact: str, factor: int, name: str) -> ImageIdentity:
        """Say what is to be made."""
        about = [(path, path.stat()) for path in images]
        lines = [f"{path.name} {info.st_size} {info.st_mtime_ns}" for path, info in about]
        digest = hashlib.sha256("\n".join(lines).encode(errors="surrogateescape"))
        return cls(digest.hexdigest(), artifact, factor, name)

    def difference(self, other: ImageIdentity) -> str:
        """Say in what another one differs; empty where it does not."""
        if self.sources != other.sources:
            return "other images, or some that were changed since"
        if self.artifact != other.artifact:
            return "another artifact or backend"
        return "another factor or pattern" if self != other else ""


_FORMAT = Format(ImageIdentity, "unfinished folder", 1, "remove its folder")


class ImageJob:
    """The images of an unfinished folder.

    Attributes:
        folder: where they wait.
    """

    def __init__(self, output: Path) -> None:
        # One that is there may be a mount point, and then its images have to wait in it.
        self.folder = output / ".partial" if output.is_dir() else partial_of(output.resolve())
        self._whole: dict[str, bool] = {}

    def begin(self, identity: ImageIdentity) -> int:
        """Begin, or find the same job begun; return how many images there are.

        Raises:
            OutputError: it is another job, or the folder cannot be written.
            ArtifactError: its record is damaged.
        """
        if not cleared(self.folder, _OURS):
            document = {"format_version": 1, **asdict(identity)}
            begun(self.folder, json.dumps(document).encode())
            return 0
        if difference := identity.difference(_FORMAT.read(self.folder / RECORD)):
            raise OutputError(
                f"{self.folder}: is the unfinished job of {difference}; run it again as it was to "
                "finish it, or remove the folder to begin anew"
            )
        return self.count()

    def count(self) -> int:
        """Return how many images there are."""
        suffixes = (".png", ".jpg", ".jpeg")
        return sum(path.suffix.lower() in suffixes for path in self.folder.iterdir())

    def claimed(self) -> AbstractContextManager[bool]:
        """Hold off other runs; see `media.waiting.claimed`."""
        return claimed(self.folder, "run")

    def has(self, name: str) -> bool:
        """Say whether an image is made, and whole."""
        if name not in self._whole:
            path = self.folder / name
            try:
                self._whole[name] = path.is_file() and bool(read_still(path).rgb.size)
            except MediaError:
                self._whole[name] = False
        return self._whole[name]

    def add(self, name: str, content: bytes) -> None:
        """Keep an image.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            (self.folder / _WRITING).write_bytes(content)
            (self.folder / _WRITING).replace(self.folder / name)
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
        """Remove the folder."""
        remove(self.folder)


@dataclass(frozen=True)
class KeptImages:
    """What an unfinished folder has: how many images, and where they wait."""

    folder: Path
    images: int


def images_kept_for(output: Path) -> KeptImages | None:
    """Return what of a folder's images is kept; None where none is, or it cannot be told."""
    job = ImageJob(output)
    if not (job.folder / RECORD).is_file() or not (images := job.count()):
        return None
    return KeptImages(job.folder, images)
