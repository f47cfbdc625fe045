"""Videos made by a Ray cluster: each segment a task, on whichever node has room for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from media.cluster.connection import RETRIES, connect, most, result
from media.cluster.run import Outcome, Run
from media.cluster.work import Assignment, Desk, OpenedThere, Opening, described, segment_made
from media.options import Progress, VideoOptions
from runtime.errors import BackendError
from runtime.graph_check import read_checked
from runtime.manifest import Manifest, is_engine, manifest_path
from runtime.options import check_file

_THREADS = 4  # CPUs of a task: more of them make more segments, which scales better than threads
_DESK_THREADS = 8


class Cluster:
    """A Ray cluster that has opened an artifact.

    Every node has this package, of the same version, with the backend that the artifact needs; the
    artifact and the sources are read here, and travel.

    Args:
        address: 'local' starts Ray on this machine for as long as this object lives; 'auto' is the
            cluster that this machine is a node of; or HOST:PORT of its head.
        artifact: see `Interpolator`, which each node opens it with.
        options: of `Interpolator`; `threads`, by default 4, are also the CPUs that a segment takes.
            A segment of an engine takes a GPU too, as one of an ONNX file does where a provider or
            the index of a device asks for one; which GPU it is, Ray says.

    Attributes:
        opened: what the artifact is on the node that was asked first.

    Raises:
        BackendError: there is no such cluster, none of its nodes has what a segment takes, or they
            cannot open the artifact.
        InputNotFoundError, ArtifactError, OptionError: see `Interpolator`.
    """

    def __init__(self, address: str, artifact: Path | None, options: Mapping[str, Any]) -> None:
        content = _content(artifact)  # what is no artifact is refused before a cluster starts
        connect(address)
        try:
            on_gpu = _wants_gpu(artifact, options)
            cpus = options.get("threads") or min(_THREADS, int(most("CPU")) or 1)
            given = {**options, "threads": options.get("threads") or cpus}
            if artifact is not None and is_engine(artifact):
                del given["threads"]
            self._opening = Opening(
                artifact.name if artifact else "",
                ray.put(content),
                tuple((name, _hashable(value)) for name, value in given.items()),
                on_gpu,
            )
            self._takes = {"num_cpus": cpus, "num_gpus": int(on_gpu)}
            self._check_room()
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), False)
            self._desk = (
                ray.remote(Desk)
                .options(num_cpus=0, max_concurrency=_DESK_THREADS, scheduling_strategy=here)
                .remote()
            )
            self.opened: OpenedThere = result(
                ray.remote(described).options(**self._takes).remote(self._opening)
            )
        except BaseException:
            self.close()
            raise

    def _check_room(self) -> None:
        fits = {name: most(name) >= self._takes[f"num_{name.lower()}s"] for name in ("CPU", "GPU")}
        if not all(fits.values()):
            lacking = " nor ".join(f"the {name}s" for name, enough in fits.items() if not enough)
            raise BackendError(f"no node of the cluster has {lacking} for a segment: {self.room}")

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
        takes = f"{self._takes['num_cpus']} of the CPUs" + (
            " and a GPU" if self._takes["num_gpus"] else ""
        )
        return (
            f"{has.get('CPU', 0):g} CPUs and {has.get('GPU', 0):g} GPUs, nodes: {len(nodes)}; "
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
        run = Run(self, list(orders), options, tell)
        try:
            yield from run.outcomes(progress)
        finally:
            run.leave()

    def fly(self, work: Assignment) -> ray.ObjectRef:
        """Send a segment's task off."""
        task = ray.remote(segment_made).options(**self._takes, max_retries=RETRIES)
        return task.remote(self._opening, self.opened, self._desk, work)

    def noted(self) -> Mapping[str, int]:
        """Return how many frames of each segment there are."""
        return result(self._desk.noted.remote())  # type: ignore[no-any-return]


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
    named = {*(options.get("providers") or ())} - {"CPUExecutionProvider"}
    engine = artifact is not None and is_engine(artifact)
    return engine or bool(named) or isinstance(options.get("device"), int)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
