"""An unfinished video: its finished segments in `NAME.partial/`, and what they belong to.

    job.json            what is made, from what, by what; a folder without it holds nothing of worth
    segment-00000.packets and so on, each moved there when it is whole
    *.lock              locked by the run that makes that segment, or joins them

A run that goes on, or that works beside another, finds its own job there or none: what differs is
an error. Files come from whoever may write there, and are read as data that may be damaged.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import av

from media.encoding import Encoding
from media.options import VideoOptions
from media.packet_file import SegmentSummary, read_summary
from media.schedule import rational
from media.segments import Segment
from runtime.errors import OutputError, OutputExistsError
from runtime.locks import lock
from runtime.partials import contents, settle
from runtime.publishing import Publication
from runtime.records import Between, Format, Matching, Sha256

_RECORD = "job.json"
_JOINING = "join"
_OURS = re.compile(r"(segment-\d{5,}\.(packets|lock)|join\.lock)")
_ENDS = 2**20  # bytes at either end of a source that are hashed
_Line = Annotated[str, Matching(r"[ -~]{0,300}", "a line of ASCII")]


@dataclass(frozen=True)
class Source:
    """Which file is the source.

    Attributes:
        size: bytes.
        mtime_ns: when it was changed.
        ends: the hash of its beginning and its end.
    """

    size: Annotated[int, Between(0, 2**62)]
    mtime_ns: Annotated[int, Between(-(2**63), 2**63)]
    ends: Sha256

    @classmethod
    def of(cls, path: Path) -> Source:
        """Look at a file."""
        about, digest = path.stat(), hashlib.sha256()
        with path.open("rb") as file:
            digest.update(file.read(_ENDS))
            file.seek(max(0, about.st_size - _ENDS))
            digest.update(file.read(_ENDS))
        return cls(about.st_size, about.st_mtime_ns, digest.hexdigest())


@dataclass(frozen=True)
class Identity:
    """All that a segment depends on, but for which one it is.

    Attributes:
        artifact: see `Interpolator.identity`.
        options: those that were given, as text, and the output's suffix.
        libraries: what decodes and encodes.
    """

    source: Source
    artifact: _Line
    options: Mapping[str, str]
    libraries: _Line

    @classmethod
    def of(cls, source: Path, artifact: str, options: VideoOptions, output: Path) -> Identity:
        """Say what is to be made."""
        rates = {name: getattr(options, name) for name in ("factor", "fps", "slow")}
        given = {
            **{name: rational(name, rate) for name, rate in rates.items() if rate is not None},
            **{name: getattr(options, name) for name in ("stream", "cut_threshold", "segment")},
            **{name: getattr(options.encoding, name) for name in Encoding.__dataclass_fields__},
            "suffix": output.suffix.lower(),
        }
        versions = (
            f"{name} {'.'.join(map(str, version))}"
            for name, version in av.library_versions.items()
            if name in ("libavcodec", "libavformat", "libswscale")
        )
        return cls(
            Source.of(source),
            artifact,
            {name: str(value) for name, value in given.items()},
            ", ".join((f"PyAV {av.__version__}", *versions)),
        )

    def difference(self, other: Identity) -> str:
        """Say in what another one differs; empty where it does not."""
        if self.source != other.source:
            return "another source, or one that was changed since"
        if self.artifact != other.artifact:
            return "another artifact or backend"
        if self.libraries != other.libraries:
            return f"other libraries ({other.libraries})"
        names = self.options.keys() | other.options.keys()
        differing = {
            name: other.options.get(name, "none")
            for name in sorted(names)
            if self.options.get(name, "none") != other.options.get(name, "none")
        }
        listed = ", ".join(f"{name} {value}" for name, value in differing.items())
        return f"other options ({listed})" if differing else ""


@dataclass(frozen=True)
class _Record:
    identity: Identity
    segments: Annotated[tuple[Segment, ...], Between(2, 1_000_000)]

    def __post_init__(self) -> None:
        ends = [segment.end for segment in self.segments]
        begins = [segment.begin for segment in self.segments]
        cuts = [cut for cut in begins if cut is not None]
        whole = begins == [None, *ends[:-1]] and ends[-1] is None and cuts == sorted(set(cuts))
        if not whole or len(cuts) < len(begins) - 1:
            raise ValueError("has segments that leave gaps, expected one after the other")


_FORMAT = Format(_Record, "unfinished video", 1, "remove its folder", max_bytes=2**28)


class Job:
    """The folder of an unfinished video.

    Attributes:
        folder: `NAME.partial`.
        segments: all that there are, finished or not.
    """

    def __init__(self, folder: Path, segments: tuple[Segment, ...]) -> None:
        self.folder = folder
        self.segments = segments
        self._summaries: dict[int, SegmentSummary] = {}

    @classmethod
    def found(cls, output: Path, identity: Callable[[], Identity]) -> Job | None:
        """Return the job that lies beside an output; None if there is none.

        Args:
            identity: makes that of what is to be done; called if there is a job.

        Raises:
            OutputError: it is another one, or the folder is not ours.
            ArtifactError: its record is damaged.
        """
        folder = partial_of(output)
        _clear(folder)
        if not folder.exists():
            return None
        record = _FORMAT.read(folder / _RECORD)
        if difference := identity().difference(record.identity):
            raise OutputError(
                f"{folder}: is the unfinished job of {difference}; run it again as it was to "
                "finish it, or remove the folder to begin anew"
            )
        return cls(folder, record.segments)

    @classmethod
    def begun(cls, output: Path, identity: Identity, segments: tuple[Segment, ...]) -> Job:
        """Begin a job; or join one that another run has begun meanwhile.

        Raises:
            OutputError: the folder cannot be written.
        """
        folder = partial_of(output)
        document = {"format_version": 1, **asdict(_Record(identity, segments))}
        try:
            folder.mkdir(exist_ok=True)
            Publication(folder / _RECORD, overwrite=False).write(json.dumps(document).encode())
        except OutputExistsError:
            if (job := cls.found(output, lambda: identity)) is not None:
                return job
            raise
        except OSError as error:
            with suppress(OSError):
                folder.rmdir()
            raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from error
        return cls(folder, segments)

    @property
    def record(self) -> Path:
        """The file that goes when the video comes."""
        return self.folder / _RECORD

    def file(self, index: int) -> Path:
        """Return where a segment lies, or will lie."""
        return self.folder / f"segment-{index:05d}.packets"

    def summary(self, index: int) -> SegmentSummary | None:
        """Return what was done with a segment; None if that is still to be done.

        Raises:
            ArtifactError: its file is damaged.
        """
        if index not in self._summaries:
            try:
                self._summaries[index] = read_summary(self.file(index))
            except FileNotFoundError:
                return None
        return self._summaries[index]

    def known(self, index: int) -> SegmentSummary | None:
        """Return `summary` where this run has made or read it already."""
        return self._summaries.get(index)

    @contextmanager
    def claimed(self, what: int | None) -> Iterator[bool]:
        """Hold off other runs from a segment, or from joining; yield False if one is at it.

        Raises:
            OutputError: the folder is gone.
        """
        name = _JOINING if what is None else self.file(what).stem
        try:
            handle = os.open(self.folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError as error:
            raise OutputError(
                f"{self.folder}: was removed meanwhile, or another run has finished the video"
            ) from error
        try:
            try:
                lock(handle)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(handle)

    @contextmanager
    def cleared(self) -> Iterator[None]:
        """Remove the folder where the block fails before any segment is finished."""
        try:
            yield
        except BaseException:
            if not self.kept()[0]:
                self.remove()
            raise

    def remove(self) -> None:
        """Remove the folder."""
        with suppress(OSError):
            self.record.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def kept(self) -> tuple[int, int]:
        """Return how many segments are finished, and the bytes that they take."""
        sizes = [path.stat().st_size for path in self.folder.glob("segment-*.packets")]
        return len(sizes), sum(sizes)


def partial_of(output: Path) -> Path:
    """Return where a video's segments wait until all are finished."""
    return output.with_name(f"{output.name}.partial")


def _clear(folder: Path) -> None:
    """Clear away what a run left that ended just after it began, or just before its end.

    Raises:
        OutputError: something else is there.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise OutputError(f"{folder}: is in the way of a folder for segments; move it away")
    settle(folder, _RECORD)
    if not folder.exists() or (folder / _RECORD).exists():
        return
    others = [path.name for path in contents(folder) if not _OURS.fullmatch(path.name)]
    if others:
        raise OutputError(
            f"{folder}: holds {others[0]}, and no unfinished video; move it away, or name the "
            "output otherwise"
        )
    shutil.rmtree(folder, ignore_errors=True)
