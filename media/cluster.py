"""Videos made by a Ray cluster: each segment a task, on whichever node has room for it."""

from __future__ import annotations

import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from media.cluster_work import Assignment, Desk, OpenedThere, Opening, described, segment_made
from media.job import Job
from media.options import Progress, VideoOptions
from media.segmented import Video, checked, is_made, job_in_any_case, join
from media.source import SourceVideo
from media.summary import VideoSummary
from media.waiting import published
from runtime.errors import BackendError, OutputError, RrinError, first_line
from runtime.graph_check import read_checked
from runtime.manifest import Manifest, is_engine, manifest_path
from runtime.options import check_file

# A source, its output, and what was done, or why it was not.
Outcome = tuple[Path, Path, VideoSummary | Exception]

LOCAL = "local"
_THREADS = 4  # CPUs of a task: more of them make more segments, which scales better than threads
_IN_FLIGHT = 256  # tasks; each holds a lock, and a process may open some thousand files
_RETRIES = 10  # of a task whose node dies
_DESK_THREADS = 8


@dataclass
class _Ongoing:
    """A video of which segments are being made."""

    video: Video
    job: Job
    expected: int
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


class Cluster:
    """A Ray cluster that has opened an artifact.

    Every node has this package, of the same version, with the backend that the artifact needs; the
    artifact and the sources are read here, and travel.

    Args:
        address: 'local' starts Ray on this machine for as long as this object lives; 'auto' is the
            cluster that this machine is a node of; or HOST:PORT of its head.
        artifact: see `Interpolator`, which each node opens it with.
        options: of `Interpolator`; `threads`, by default 4, are also the CPUs that a segment takes.
            A segment of an engine takes a GPU too, as one of an ONNX file does where the cluster
            has some and ONNX Runtime may run it.

    Attributes:
        opened: what the artifact is on the node that was asked first.

    Raises:
        BackendError: there is no such cluster, or its nodes cannot open the artifact.
        InputNotFoundError, ArtifactError, OptionError: see `Interpolator`.
    """

    def __init__(self, address: str, artifact: Path | None, options: Mapping[str, Any]) -> None:
        content = _content(artifact)  # what is no artifact is refused before a cluster starts
        _connect(address)
        try:
            on_gpu = _wants_gpu(artifact, options)
            cpus = options.get("threads") or min(_THREADS, int(_most("CPU")) or 1)
            given = {**options, "threads": options.get("threads") or cpus}
            if artifact is not None and is_engine(artifact):
                del given["threads"]
            self._opening = Opening(
                artifact.name if artifact else "",
                ray.put(content),
                tuple(given.items()),
                on_gpu,
            )
            self._takes = {"num_cpus": cpus, "num_gpus": int(on_gpu)}
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), False)
            self._desk = (
                ray.remote(Desk)
                .options(num_cpus=0, max_concurrency=_DESK_THREADS, scheduling_strategy=here)
                .remote()
            )
            self.opened: OpenedThere = _result(
                ray.remote(described).options(**self._takes).remote(self._opening)
            )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave the cluster; one that was started for this object ends."""
        ray.shutdown()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *caught: object) -> None:
        self.close()

    @property
    def room(self) -> str:
        """What it is made of, and what a segment takes, for people."""
        nodes = [node for node in ray.nodes() if node["Alive"]]
        has = ray.cluster_resources()
        takes = f"{self._takes['num_cpus']} CPUs" + (", 1 GPU" if self._takes["num_gpus"] else "")
        return (
            f"{len(nodes)} nodes with {has.get('CPU', 0):g} CPUs and {has.get('GPU', 0):g} GPUs; "
            f"a segment takes {takes}"
        )

    def interpolate_videos(
        self,
        orders: Sequence[tuple[Path, Path]],
        options: VideoOptions,
        *,
        progress: Progress = lambda *_: None,
        tell: Callable[[Path, str], None] = lambda *_: None,
    ) -> Iterator[Outcome]:
        """Make several videos, whose segments fill the cluster in order.

        What is finished waits in NAME.partial beside each output, as for `interpolate_video`, which
        makes the same frames, and goes on where this was ended, as this does where that was.

        Args:
            orders: sources and outputs.
            progress: called about every half second with the frames made of all videos, how many
                they will be as far as is known, and 0.
            tell: called with an output, and a line for people.

        Yields:
            Each, when it is made or has failed, by an `RrinError` or `OSError`.
        """
        run = _Run(self, list(orders), options, tell)
        try:
            yield from run.outcomes(progress)
        finally:
            run.leave()

    def fly(self, work: Assignment) -> ray.ObjectRef:
        """Send a segment's task off."""
        task = ray.remote(segment_made).options(**self._takes, max_retries=_RETRIES)
        return task.remote(self._opening, self.opened, self._desk, work)

    def noted(self) -> Mapping[str, int]:
        """Return how many frames of each segment there are."""
        return _result(self._desk.noted.remote())  # type: ignore[no-any-return]


class _Run:
    """A pass over several videos; see `Cluster.interpolate_videos`."""

    def __init__(
        self,
        cluster: Cluster,
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
        video = Video(
            self._cluster.opened,
            source,
            output,
            self._options,
            lambda *_: None,
            lambda line: self._tell(output, line),
        )
        try:
            checked(video)
            job = job_in_any_case(video)
            with SourceVideo.opened(source, self._options) as opened:
                ongoing = _Ongoing(video, job, opened.frames_expected)
        except (RrinError, OSError) as error:
            yield source, output, error
            return
        self._begun.append(ongoing)
        self._waiting.extend((ongoing, index) for index in range(len(job.segments)))

    def _send(self) -> Iterator[Outcome]:
        ongoing, index = self._waiting.popleft()
        job, video = ongoing.job, ongoing.video
        claim = ExitStack()
        if not claim.enter_context(job.claimed(index)):
            ongoing.elsewhere += 1
        elif not is_made(video, job, index):
            key = str(job.file(index))
            work = Assignment(
                video.source.resolve(),
                video.source.stat().st_size,
                video.output,
                video.options,
                job.segments[index],
                job.hash,
                key,
            )
            self._flying[self._cluster.fly(work)] = _Flight(ongoing, index, key, claim)
            ongoing.flying += 1
            return
        claim.close()
        yield from self._ended(ongoing)

    def _land(self, ref: ray.ObjectRef) -> Iterator[Outcome]:
        flight = self._flying.pop(ref)
        ongoing = flight.ongoing
        ongoing.flying -= 1
        with flight.claim:
            try:
                content = _result(ref)
                with published(ongoing.job.file(flight.index)) as target:
                    target.path.write_bytes(content)
                summary = ongoing.job.summary(flight.index)
                ongoing.frames += summary.frames_written if summary else 0
            except (RrinError, OSError) as error:
                ongoing.error = ongoing.error or error
                self._waiting = deque(each for each in self._waiting if each[0] is not ongoing)
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


def _connect(address: str) -> None:
    if "://" in address:
        raise BackendError(
            f"{address}: the sources are read on this machine, which has to be a node of the "
            "cluster; run the command on one, with --ray auto"
        )
    # No word of it goes anywhere.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A process keeps an engine on the GPU that it was given first; see `cluster_work`.
    environment = {"env_vars": {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}}
    ours = signal.getsignal(signal.SIGTERM)  # Ray puts its own in place
    try:
        if address not in (LOCAL, "auto"):
            _knock(address)
        ray.init(
            address=address,
            runtime_env=environment,
            log_to_driver=False,
            logging_level="ERROR",
            include_dashboard=False if address == LOCAL else None,
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise BackendError(
            f"no Ray cluster at {address}: {first_line(error)}; start one with `ray start --head`, "
            "or take --ray local"
        ) from error
    finally:
        signal.signal(signal.SIGTERM, ours)


def _knock(address: str) -> None:
    """Raise a ConnectionError or ValueError where nobody answers, which takes Ray minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError("expected local, auto, or HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise ConnectionError(error.strerror or str(error)) from error


def _content(artifact: Path | None) -> dict[str, bytes]:
    if artifact is None:
        return {}
    if is_engine(artifact):
        manifest = Manifest.load(artifact).to_bytes()
        return {
            artifact.name: artifact.read_bytes(),
            manifest_path(artifact).name: manifest,
        }
    check_file(artifact, "expected an artifact such as rrin.onnx")
    return {artifact.name: read_checked(artifact)[0]}


def _wants_gpu(artifact: Path | None, options: Mapping[str, Any]) -> bool:
    if artifact is not None and is_engine(artifact):
        return True
    providers = options.get("providers")
    on_cpu = options.get("backend") == "openvino" or providers == ["CPUExecutionProvider"]
    return not on_cpu and artifact is not None and _most("GPU") > 0


def _most(resource: str) -> float:
    """Return how much of a resource the node has that has most of it."""
    found = [node["Resources"].get(resource, 0) for node in ray.nodes() if node["Alive"]]
    return max(found, default=0)


def _result(ref: ray.ObjectRef) -> Any:
    """Return what a task gave.

    Raises:
        RrinError, OSError: that it raised.
        BackendError: it could not run.
    """
    try:
        return ray.get(ref)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, (RrinError, OSError)):
            raise cause from None
        raise BackendError(
            f"a node of the cluster failed: {type(cause).__name__}: {first_line(cause)}; every "
            "node needs the same rrin-deploy, with what the artifact's backend needs"
        ) from error
    except RayActorError as error:
        raise BackendError(
            f"the process that hands out the source was ended: {first_line(error)}"
        ) from error
    except RayError as error:
        raise BackendError(
            f"a node of the cluster was ended {_RETRIES + 1} times by this segment, or left no "
            f"result: {first_line(error)}"
        ) from error
