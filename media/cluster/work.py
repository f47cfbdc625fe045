"""What the nodes of a Ray cluster do: open the artifact, and make segments.

A node has this package, and neither the artifact nor the source: both come from the machine that
the command runs on, the artifact once through Ray's object store, the source block by block.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO

import ray

from media.cluster.remote_file import RemoteFile, read_block
from media.options import VideoOptions
from media.reading.segments import Segment
from media.resuming.identity import libraries
from media.resuming.segment_work import interpolate_segment
from runtime.errors import BackendError
from runtime.interpolator import Interpolator
from runtime.metadata import Metadata
from runtime.session import Backend

_TELL_EVERY = 1.0  # seconds between two words of how far a segment is


@dataclass(frozen=True)
class Opening:
    """How a node opens the artifact.

    Attributes:
        name: of its file; empty for the model that comes with the package.
        content: names and bytes of the files, in the object store.
        options: of `Interpolator`, as pairs.
        on_gpu: whether it runs on the GPU that Ray gives the task.
    """

    name: str
    content: ray.ObjectRef
    options: tuple[tuple[str, Any], ...]
    on_gpu: bool


@dataclass(frozen=True)
class OpenedThere:
    """What an artifact is where it is opened; the fields are those of `Interpolator`.

    Attributes:
        libraries: see `Identity`.
        inferred: None, as the nodes' shares are not added up.
    """

    identity: str
    backend: Backend
    metadata: Metadata
    libraries: str
    inferred: float | None = None


@dataclass(frozen=True)
class Assignment:
    """A segment to make; the fields are the arguments of `interpolate_segment`.

    Attributes:
        size: of the source, bytes.
        key: under which its progress is noted.
    """

    source: Path
    size: int
    output: Path
    options: VideoOptions
    segment: Segment
    first: Segment
    job: str
    key: str


class Desk:
    """An actor beside the command: hands out the sources' bytes, and notes how far segments are."""

    def __init__(self) -> None:
        self._frames: dict[str, int] = {}

    def block(self, source: str, number: int) -> bytes:
        """Return a block of a source; see `read_block`."""
        return read_block(source, number)

    def note(self, key: str, frames: int) -> None:
        """Note how many frames of a segment there are."""
        self._frames[key] = frames

    def noted(self) -> dict[str, int]:
        """Return how many frames of each segment there are."""
        return self._frames


def described(opening: Opening) -> OpenedThere:
    """Open an artifact, and say what it is on this node."""
    interpolate = _opened(opening, _device(opening))
    return OpenedThere(interpolate.identity, interpolate.backend, interpolate.metadata, libraries())


def segment_made(opening: Opening, expected: OpenedThere, desk: Any, work: Assignment) -> bytes:
    """Make a segment; return its file.

    Raises:
        BackendError: this node would make other frames than the one that was asked first.
    """
    interpolate = _opened(opening, _device(opening))
    found = (interpolate.identity, libraries())
    if found != (expected.identity, expected.libraries):
        raise BackendError(
            f"node {ray.util.get_node_ip_address()} would make other frames than the one that was "
            f"asked first: {interpolate.backend} and {found[1]}, not {expected.backend} and "
            f"{expected.libraries}; install the same on all, or name --backend"
        )

    def block(number: int) -> bytes:
        return ray.get(desk.block.remote(str(work.source), number))  # type: ignore[no-any-return]

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "segment"
        interpolate_segment(
            interpolate,
            work.source,
            work.output,
            work.options,
            work.segment,
            work.first,
            work.job,
            target,
            _Noting(desk, work.key),
            partial(_opened_remotely, block, work.size),
        )
        return target.read_bytes()


def _opened_remotely(block: Any, size: int) -> BinaryIO:
    return RemoteFile(block, size)  # type: ignore[return-value]


class _Noting:
    """Tells the desk now and then how far a segment is."""

    def __init__(self, desk: Any, key: str) -> None:
        self._desk, self._key = desk, key
        self._told = time.monotonic()

    def __call__(self, frames: int, _: float) -> None:
        if time.monotonic() - self._told > _TELL_EVERY:
            self._told = time.monotonic()
            self._desk.note.remote(self._key, frames)


# A process makes many segments; a second artifact or GPU takes the first one's place.
@lru_cache(1)
def _opened(opening: Opening, device: int | None) -> Interpolator:
    options = dict(opening.options) | ({} if device is None else {"device": device})
    if not opening.name:
        return Interpolator(**options)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in ray.get(opening.content).items():
            (Path(folder) / name).write_bytes(content)
        interpolate = Interpolator(Path(folder) / opening.name, **options)
        interpolate.identity  # noqa: B018 - it is kept, and the file goes
        return interpolate


def _device(opening: Opening) -> int | None:
    """Return the index, for CUDA, of the GPU that the task was given."""
    if not opening.on_gpu:
        return None
    given = str(ray.get_gpu_ids()[0])
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",").index(given) if visible else int(given)
