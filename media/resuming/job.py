"""An unfinished video: its finished segments, segment-00000.packets and so on, and its identity.

A run that goes on, or that works beside another, finds its own job there or none: what differs is
an error. See `media.waiting` on where it lies.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from media.reading.segments import Segment
from media.renditions import are_images, place_of
from media.resuming.identity import Identity
from media.resuming.packet_file import SegmentSummary, read_summary
from media.waiting import RECORD, begun, claimed, cleared, partial_of, remove
from runtime.errors import ArtifactError, OutputError, OutputExistsError
from runtime.records import Between, Format

_JOINING = "join"
_OURS = re.compile(r"(segment-\d{5,}\.(packets|lock)|join\.lock)")


@dataclass(frozen=True)
class _Record:
    identity: Identity
    segments: Annotated[tuple[Segment, ...], Between(1, 1_000_000)]

    def document(self) -> bytes:
        """Return the content of its file."""
        return json.dumps({"format_version": 2, **asdict(self)}).encode()

    def __post_init__(self) -> None:
        ends = [segment.end for segment in self.segments]
        begins = [segment.begin for segment in self.segments]
        times = [time for time in (begins[0], *ends) if time is not None]
        meet = begins[1:] == ends[:-1] and None not in ends[:-1] and times == sorted(set(times))
        closing = [segment.closes for segment in self.segments]
        if not meet or closing != [False] * (len(ends) - 1) + [ends[-1] is not None]:
            raise ValueError("has segments that leave gaps, expected one after the other")


_FORMAT = Format(_Record, "unfinished video", 2, "remove its folder", max_bytes=2**28)


class Job:
    """The folder of an unfinished video.

    Attributes:
        folder: `NAME.partial`.
        segments: all that there are, finished or not.
        hash: of its record, which its segments' files hold.
    """

    def __init__(self, folder: Path, record: _Record) -> None:
        self.folder = folder
        self.segments = record.segments
        self.hash = hashlib.sha256(record.document()).hexdigest()
        self._summaries: dict[int, SegmentSummary] = {}

    @staticmethod
    def tidied(output: Path) -> bool:
        """Clear away what a finished job has left; return whether there is an unfinished one.

        Raises:
            OutputError: something else is in its place.
        """
        return cleared(_folder_of(output), _OURS)

    @classmethod
    def found(cls, output: Path, identity: Callable[[], Identity]) -> Job | None:
        """Return the job that lies beside an output; None if there is none.

        Args:
            identity: makes that of what is to be done; called if there is a job.

        Raises:
            OutputError: it is another one, or the folder is not ours.
            ArtifactError: its record is damaged.
        """
        if not cls.tidied(output):
            return None
        folder = _folder_of(output)
        record = _FORMAT.read(folder / RECORD)
        if difference := identity().difference(record.identity):
            raise OutputError(
                f"{folder}: is the unfinished job of {difference}; run it again as it was to "
                "finish it, or remove the folder to begin anew"
            )
        return cls(folder, record)

    @classmethod
    def begin(cls, output: Path, identity: Identity, segments: tuple[Segment, ...]) -> Job:
        """Begin a job; or join one that another run has begun meanwhile.

        Raises:
            OutputError: the folder cannot be written.
        """
        folder, record = _folder_of(output), _Record(identity, segments)
        try:
            begun(folder, record.document())
        except OutputExistsError:
            if (job := cls.found(output, lambda: identity)) is not None:
                return job
            raise
        return cls(folder, record)

    @property
    def record(self) -> Path:
        """The file that goes when the video comes."""
        return self.folder / RECORD

    def file(self, index: int) -> Path:
        """Return where a segment lies, or will lie."""
        return self.folder / f"segment-{index:05d}.packets"

    def summary(self, index: int) -> SegmentSummary | None:
        """Return what was done with a segment; None if that is still to be done.

        Raises:
            ArtifactError: its file is damaged, or of another job.
        """
        if index not in self._summaries:
            try:
                summary = read_summary(self.file(index))
            except FileNotFoundError:
                return None
            if summary.job != self.hash:
                raise ArtifactError(f"{self.file(index)}: is of another job; make it again")
            self._summaries[index] = summary
        return self._summaries[index]

    def known(self, index: int) -> SegmentSummary | None:
        """Return `summary` where this run has made or read it already."""
        return self._summaries.get(index)

    def claimed(self, index: int) -> AbstractContextManager[bool]:
        """Hold off other runs from a segment; see `media.waiting.claimed`."""
        return claimed(self.folder, self.file(index).stem)

    def joining(self) -> AbstractContextManager[bool]:
        """Hold off other runs from joining; see `media.waiting.claimed`."""
        return claimed(self.folder, _JOINING)

    def leave(self) -> None:
        """Remove the folder where no segment is finished and no run is at one."""
        if not self.kept().finished and self._is_idle():
            self.remove()

    def _is_idle(self) -> bool:
        with ExitStack() as stack:
            locks = self.folder.glob("*.lock")
            return all(stack.enter_context(claimed(self.folder, path.stem)) for path in locks)

    def remove(self) -> None:
        """Remove the segments and the folder."""
        remove(self.folder, _OURS)

    def kept(self) -> Kept:
        """Say what is finished."""
        sizes = [path.stat().st_size for path in self.folder.glob("segment-*.packets")]
        return Kept(self.folder, len(sizes), len(self.segments), sum(sizes))


def _folder_of(output: Path) -> Path:
    if not are_images(output):
        return partial_of(output)
    return partial_of(place_of(output)[0].resolve())  # that the working directory has a name


@dataclass(frozen=True)
class Kept:
    """What an unfinished video has.

    Attributes:
        folder: where it waits.
        finished: how many segments, damaged ones among them.
        segments: how many there are in all.
        bytes: that they take.
    """

    folder: Path
    finished: int
    segments: int
    bytes: int


def kept_beside(output: Path) -> Kept | None:
    """Return what of an output's segments is kept; None where none is, or it cannot be told."""
    folder = _folder_of(output)
    try:
        return Job(folder, _FORMAT.read(folder / RECORD)).kept()
    except (OSError, ArtifactError):
        return None
