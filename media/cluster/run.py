"""A pass of a Ray cluster over several videos: their segments fly, land and are joined."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import ray

from media.cluster.connection import result
from media.cluster.work import Assignment, OpenedThere
from media.options import Progress, VideoOptions
from media.reading.source import SourceVideo
from media.resuming.job import Job
from media.resuming.segmented import Video, checked, is_made, job_in_any_case, join, suited
from media.summary import VideoSummary
from media.waiting import published
from runtime.errors import OutputError, RrinError

# A source, its output, and what was done, or why it was not.
Outcome = tuple[Path, Path, VideoSummary | Exception]

_IN_FLIGHT = 256  # tasks; each holds a lock, and a process may open some thousand files


class Workers(Protocol):
    """What makes segments; see `Cluster`."""

    opened: OpenedThere

    def fly(self, work: Assignment) -> ray.ObjectRef:
        """Send a segment's task off."""

    def noted(self) -> Mapping[str, int]:
        """Return how many frames of each segment there are."""


@dataclass(eq=False)
class _Ongoing:
    """A video of which segments are being made."""

    video: Video
    job: Job
    size: int  # of the source, bytes
    expected: int  # frames
    elsewhere: int = 0
    frames: int = 0
    flying: int = 0
    error: Exception | None = None


@dataclass(frozen=True)
class _Flight:
    """A segment's task, and the lock that keeps other runs from it."""

    ongoing: _Ongoing
    index: int
    key: str
    claim: ExitStack = field(repr=False)


class Run:
    """A pass over several videos; see `Cluster.interpolate_videos`."""

    def __init__(
        self,
        cluster: Workers,
        orders: Sequence[tuple[Path, Path]],
        options: VideoOptions,
        tell: Callable[[Path, str], None],
    ) -> None:
        self._cluster, self._options, self._tell = cluster, options, tell
        self._orders = deque(orders)
        self._waiting: deque[tuple[_Ongoing, int]] = deque()
        self._flying: dict[ray.ObjectRef, _Flight] = {}
        self._begun: list[_Ongoing] = []
        self._finished = 0

    def outcomes(self, progress: Progress) -> Iterator[Outcome]:
        """Fly and land segments until there are none."""
        while self._orders or self._waiting or self._flying:
            while len(self._flying) < _IN_FLIGHT and (self._waiting or self._orders):
                yield from self._send() if self._waiting else self._begin()
            landed, _ = ray.wait(list(self._flying), timeout=0.5) if self._flying else ([], None)
            for ref in landed:
                yield from self._land(ref)
            self._report(progress)

    def leave(self) -> None:
        """Call off what still flies, and keep what is finished."""
        for ref, flight in self._flying.items():
            ray.cancel(ref, force=True)
            flight.claim.close()
        for ongoing in self._begun:
            if ongoing.job.folder.exists():
                ongoing.job.leave()

    def _begin(self) -> Iterator[Outcome]:
        source, output = self._orders.popleft()
        try:
            video = Video(
                self._cluster.opened,
                source,
                output,
                suited(source, output, self._options),
                lambda *_: None,
                lambda line: self._tell(output, line),
            )
            checked(video)
            job = job_in_any_case(video)
        except (RrinError, OSError) as error:
            yield source, output, error
            return
        try:
            with SourceVideo.opened(source, video.options) as opened:
                size, expected = source.stat().st_size, opened.frames_expected
        except (RrinError, OSError) as error:
            job.leave()
            yield source, output, error
            return
        ongoing = _Ongoing(video, job, size, expected)
        self._begun.append(ongoing)
        self._waiting.extend((ongoing, index) for index in range(len(job.segments)))

    def _send(self) -> Iterator[Outcome]:
        ongoing, index = self._waiting.popleft()
        with ExitStack() as claim:
            try:
                ours = claim.enter_context(ongoing.job.claimed(index))
                ongoing.elsewhere += not ours
                if ours and not is_made(ongoing.video, ongoing.job, index):
                    self._fly(ongoing, index, claim.pop_all())
            except (RrinError, OSError) as error:
                self._fail(ongoing, error)
        yield from self._ended(ongoing)

    def _fly(self, ongoing: _Ongoing, index: int, claim: ExitStack) -> None:
        job, video = ongoing.job, ongoing.video
        work = Assignment(
            video.source.absolute(),
            ongoing.size,
            video.output,
            video.options,
            job.segments[index],
            job.segments[0],
            job.hash,
            key=str(job.file(index)),
        )
        self._flying[self._cluster.fly(work)] = _Flight(ongoing, index, work.key, claim)
        ongoing.flying += 1

    def _fail(self, ongoing: _Ongoing, error: Exception) -> None:
        ongoing.error = ongoing.error or error
        self._waiting = deque(each for each in self._waiting if each[0] is not ongoing)

    def _land(self, ref: ray.ObjectRef) -> Iterator[Outcome]:
        flight = self._flying.pop(ref)
        ongoing = flight.ongoing
        ongoing.flying -= 1
        with flight.claim:
            try:
                content = result(ref)
                with published(ongoing.job.file(flight.index)) as target:
                    target.path.write_bytes(content)
                summary = ongoing.job.summary(flight.index)
                ongoing.frames += summary.frames_written if summary else 0
            except (RrinError, OSError) as error:
                self._fail(ongoing, error)
        yield from self._ended(ongoing)

    def _ended(self, ongoing: _Ongoing) -> Iterator[Outcome]:
        """Join a video of which all segments are there."""
        if ongoing.flying or any(waiting is ongoing for waiting, _ in self._waiting):
            return
        source, output = ongoing.video.source, ongoing.video.output
        self._begun.remove(ongoing)
        self._finished += ongoing.expected
        try:
            if ongoing.error:
                ongoing.job.leave()
                raise ongoing.error
            if ongoing.elsewhere:
                raise OutputError(
                    f"{output}: other runs still make {ongoing.elsewhere} of its "
                    f"{len(ongoing.job.segments)} segments; run it again when they have ended"
                )
            yield source, output, join(ongoing.video, ongoing.job, ongoing.frames)
        except (RrinError, OSError) as error:
            yield source, output, error

    def _report(self, progress: Progress) -> None:
        noted = self._cluster.noted()
        flying = sum(noted.get(flight.key, 0) for flight in self._flying.values())
        made = sum(ongoing.frames for ongoing in self._begun)
        expected = sum(ongoing.expected for ongoing in self._begun)
        progress(self._finished + made + flying, self._finished + expected, 0)
