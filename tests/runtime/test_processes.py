"""An interpolator in other processes: opened anew where it is unpickled, refused where forked."""

import multiprocessing
import pickle
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from runtime import ArtifactError, BackendError, InputNotFoundError, Interpolator
from runtime.scene import render_bytes
from tests.marks import others_long
from tests.models import SMALL_MODEL

FRAMES = [render_bytes(96, 64, time) for time in range(2)]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_processes_that_are_spawned_make_the_same_frames(backend: str) -> None:
    with Interpolator(
        SMALL_MODEL, backend=backend, threads=1, tile=(64, 64), overlap=32
    ) as interpolate:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, spawn) as pool:
            made = pool.submit(interpolate, *FRAMES, [0.25, 0.5]).result(timeout=120)
        assert np.array_equal(made, interpolate(*FRAMES, [0.25, 0.5]))


def test_a_pickle_is_the_path_and_the_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(SMALL_MODEL.parent)
    with Interpolator(
        SMALL_MODEL.name, backend="onnxruntime", tile=(64, 64), overlap=32
    ) as interpolate:
        content, identity = pickle.dumps(interpolate), interpolate.identity
    assert len(content) < 2000
    monkeypatch.chdir(tmp_path)
    with pickle.loads(content) as again:  # noqa: S301 - our own
        assert again.identity == identity
        assert again.backend.library == "onnxruntime"
    with Interpolator(threads=1) as bundled, pickle.loads(pickle.dumps(bundled)) as again:  # noqa: S301
        assert again.metadata == bundled.metadata


def test_one_whose_artifact_is_gone_says_so(tmp_path: Path) -> None:
    artifact = tmp_path / "rrin.onnx"
    artifact.write_bytes(SMALL_MODEL.read_bytes())
    with Interpolator(artifact) as interpolate:
        content = pickle.dumps(interpolate)
    artifact.unlink()
    with pytest.raises((InputNotFoundError, ArtifactError), match=r"rrin\.onnx"):
        pickle.loads(content)  # noqa: S301 - our own


@pytest.mark.skipif(sys.platform != "linux", reason="forks as Linux does")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_forked_process_is_told_to_open_its_own(backend: str) -> None:
    def work() -> None:
        with interpolate:
            for use in (
                lambda: interpolate(*FRAMES),
                lambda: [*interpolate.stream(FRAMES, 2)],
                lambda: interpolate.warm_up(64, 96),
                lambda: interpolate.on_device(*FRAMES),
            ):
                try:
                    use()
                    queue.put("made")
                except BackendError as error:
                    queue.put(str(error))

    fork = multiprocessing.get_context("fork")
    queue = fork.SimpleQueue()
    with Interpolator(SMALL_MODEL, backend=backend) as interpolate:
        before = interpolate(*FRAMES)
        process = fork.Process(target=work)
        process.start()
        process.join(60)
        assert process.exitcode == 0
        said = [queue.get() for _ in range(4)]
        assert all("before the process was forked" in line for line in said)
        assert np.array_equal(interpolate(*FRAMES), before)  # the parent's goes on


@pytest.mark.parametrize("backend", others_long(["onnxruntime", "openvino"]))
def test_other_threads_run_while_a_backend_computes(backend: str) -> None:
    black, white = (np.full((1024, 1024, 3), level, np.uint8) for level in (0, 255))
    seen = 0

    def count() -> None:
        nonlocal seen
        while not done.wait(0.001):
            seen += 1

    done = threading.Event()
    with Interpolator(SMALL_MODEL, backend=backend, threads=1) as interpolate:
        thread = threading.Thread(target=count)
        thread.start()
        interpolate(black, white)
        done.set()
        thread.join()
    assert seen > 5
