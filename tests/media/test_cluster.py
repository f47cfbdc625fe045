"""Videos that a Ray cluster makes: a real one, on this machine."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from media.cluster.remote_file import BLOCK, RemoteFile, read_block
from media.encoding import Encoding
from media.options import VideoOptions
from media.video import interpolate_video
from runtime import Interpolator
from runtime.errors import BackendError
from tests.models import SMALL_MODEL
from tests.rrin_deploy.kills import ROOT, command, decoded, source_of

ray = pytest.importorskip("ray")

from media.cluster.cluster import Cluster  # noqa: E402 - it needs Ray

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="finds processes in /proc"),
    pytest.mark.long,
]
OPTIONS = VideoOptions(factor=2, segment=0.4, encoding=Encoding("ffv1"))
WHERE: dict[str, Any] = {
    "backend": "onnxruntime", "threads": 1, "providers": ["CPUExecutionProvider"],
}  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return source_of(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def whole(source: Path) -> Path:
    output = source.with_name("whole.mkv")
    with Interpolator(SMALL_MODEL, **WHERE) as interpolate:
        interpolate_video(interpolate, source, output, OPTIONS)
    return output


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster("local", SMALL_MODEL, WHERE) as opened:
        yield opened


def workers() -> list[int]:
    """Return the processes that are making a segment: Ray titles them with their task."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::segment_made" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_a_cluster_makes_what_one_process_makes(
    cluster: Cluster, source: Path, whole: Path, tmp_path: Path
) -> None:
    short = VideoOptions(factor=2, segment=20, encoding=Encoding("ffv1"))
    for options, name in ((OPTIONS, "segments.mkv"), (short, "piece.mkv")):
        output = tmp_path / name
        ((_, made, done),) = cluster.interpolate_videos([(source, output)], options)
        assert made == output
        assert not isinstance(done, Exception)
        assert decoded(output) == decoded(whole)
        assert (done.frames_made, done.frames_written) == (49, 100)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["piece.mkv", "segments.mkv"]


def test_several_videos_one_of_which_cannot_be_made(
    cluster: Cluster, source: Path, whole: Path, tmp_path: Path
) -> None:
    other = tmp_path / "no.mkv"
    other.write_bytes(b"no video")
    orders = [
        (source, tmp_path / "a.mkv"),
        (other, tmp_path / "b.mkv"),
        (source, tmp_path / "c.mkv"),
    ]
    told: list[tuple[int, int, float]] = []
    outcomes = {
        made.name: done
        for _, made, done in cluster.interpolate_videos(
            orders, OPTIONS, progress=lambda *what: told.append(what)
        )
    }
    assert "not an image or a video" in str(outcomes["b.mkv"])
    for name in ("a.mkv", "c.mkv"):
        assert decoded(tmp_path / name) == decoded(whole)
    assert told[-1][:2] == (200, 200)


def test_a_source_that_goes_meanwhile_costs_itself_alone(
    cluster: Cluster, source: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media.cluster.run._IN_FLIGHT", 1)
    going = tmp_path / "going.mp4"
    going.write_bytes(source.read_bytes())

    def remove(*_: float) -> None:
        going.unlink(missing_ok=True)

    orders = [(going, tmp_path / "a.mkv"), (source, tmp_path / "b.mkv")]
    first, second = cluster.interpolate_videos(orders, OPTIONS, progress=remove)
    assert isinstance(first[2], Exception)
    assert not isinstance(second[2], Exception)
    assert decoded(tmp_path / "b.mkv") == decoded(whole)


def test_a_worker_that_is_killed_costs_its_segment(
    cluster: Cluster, source: Path, whole: Path, tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill(made: int, *_: float) -> None:
        if made and not killed:
            for process in workers():
                os.kill(process, signal.SIGKILL)
                killed.append(process)

    orders = [(source, tmp_path / f"{number}.mkv") for number in range(2)]
    for _, made, done in cluster.interpolate_videos(orders, OPTIONS, progress=kill):
        assert not isinstance(done, Exception)
        assert decoded(made) == decoded(whole)
    assert killed


def test_a_run_that_ends_early_is_finished_without_a_cluster(
    cluster: Cluster, source: Path, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mkv"
    finished = output.with_name("out.mkv.partial")

    def stop(*_: float) -> None:
        if list(finished.glob("*.packets")):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(cluster.interpolate_videos([(source, output)], OPTIONS, progress=stop))
    assert list(finished.glob("*.packets"))
    with Interpolator(SMALL_MODEL, **WHERE) as interpolate:
        done = interpolate_video(interpolate, source, output, OPTIONS)
    assert done.frames_resumed
    assert decoded(output) == decoded(whole)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


def test_a_source_that_changes_its_place_is_said(cluster: Cluster, tmp_path: Path) -> None:
    ((_, _, done),) = cluster.interpolate_videos(
        [(tmp_path / "no.mkv", tmp_path / "a.mkv")], OPTIONS
    )
    assert "no such file" in str(done)
    assert not list(tmp_path.iterdir())


def test_the_command(source: Path, whole: Path, tmp_path: Path) -> None:
    line = command(source, tmp_path / "out.mkv", "ffv1", "--ray", "local")
    done = subprocess.run(
        line,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "a segment takes 1 of the CPUs" in done.stdout
    assert "100 frames from 50" in done.stdout
    assert decoded(tmp_path / "out.mkv") == decoded(whole)


@pytest.mark.parametrize("address", ["ray://somewhere:10001", "nonsense", "127.0.0.1:{free}"])
def test_a_cluster_that_is_not_there(address: str) -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(BackendError, match=r"--ray"):
        Cluster(address.format(free=port), SMALL_MODEL, WHERE)
    assert time.monotonic() - started < 60  # Ray itself gives up after two minutes


def test_the_model_is_looked_at_before_a_cluster_starts(source: Path, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "rrin_deploy", "interpolate", str(source), "-o", "b.mkv"]
    (tmp_path / "no.onnx").write_bytes(b"no model")
    for more, message in (
        (["--model", "none.onnx"], "none.onnx: no such file"),
        (["--model", "no.onnx"], "no.onnx: not an ONNX file"),
        (["--share", "1/2"], "--share is for runs without --ray"),
    ):
        done = subprocess.run(
            [*line, "--ray", "local", *more],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "1000"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (1, 2)
        assert message in done.stderr


def test_no_node_has_what_a_segment_takes(cluster: Cluster) -> None:
    cluster.close()  # a process is in one cluster at a time
    with pytest.raises(BackendError, match=r"has the GPUs for a segment: "):
        Cluster("local", SMALL_MODEL, {"providers": ["CUDAExecutionProvider"]})


def made_in_a_thread(source: Path, output: Path) -> Any:
    def make() -> list[Any]:
        with Cluster("local", SMALL_MODEL, WHERE) as opened:
            return list(opened.interpolate_videos([(source, output)], OPTIONS))

    with ThreadPoolExecutor(1) as pool:
        ((_, _, done),) = pool.submit(make).result()
    return done


def test_a_cluster_is_joined_from_any_thread(source: Path, whole: Path, tmp_path: Path) -> None:
    # In a process of its own, for this one may be in a cluster already.
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        done = process.submit(made_in_a_thread, source, tmp_path / "a.mkv").result()
    assert not isinstance(done, Exception)
    assert decoded(tmp_path / "a.mkv") == decoded(whole)


def test_a_remote_file_reads_as_the_file_itself(tmp_path: Path) -> None:
    path = tmp_path / "file"
    chance = random.Random(0)  # noqa: S311 - not for secrets
    path.write_bytes(chance.randbytes(2 * BLOCK + 1234))
    came: list[int] = []

    def block(number: int) -> bytes:
        came.append(number)
        return read_block(str(path), number)

    with path.open("rb") as truth:
        remote = RemoteFile(block, path.stat().st_size)
        for _ in range(200):
            offset, whence = chance.choice([(chance.randrange(3 * BLOCK), 0), (-1000, 2), (0, 1)])
            assert remote.seek(offset, whence) == truth.seek(offset, whence)
            count = chance.choice([1, 4096, BLOCK + 5])
            assert remote.read(0) == b""
            at, wanted = truth.tell(), truth.read(count)
            found = b""
            while len(found) < len(wanted):
                found += remote.read(len(wanted) - len(found)) or b""
            assert found == wanted
            assert remote.tell() == at + len(wanted) == truth.tell()
    assert sorted(came) == [0, 1, 2]  # each block came once
