"""The TensorRT session on the real drivers' packages, over a libcuda of ours; see `simulation`."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.simulation.libcuda import build_libcuda

SESSION = """
import gc, json, sys, tempfile, threading
from pathlib import Path
import numpy as np
from rrin_deploy.proof.double import double_of_tensorrt, write_engine
from runtime import Interpolator
from runtime.device import DRIVER, compute_capability
from runtime.scene import render_bytes
from tests.simulation import host_engine

def same(found, expected):
    found, expected = list(found), list(expected)
    assert len(found) == len(expected)
    return all(np.array_equal(*pair) for pair in zip(found, expected))

def graphs():
    return [host_engine.count(name) for name in ("captures", "broken captures", "launches")]

load = host_engine.host_rrin_that_waits if "waits" in sys.argv else host_engine.host_rrin
frames = [render_bytes(96, 64, time) for time in range(12)]
clip = [render_bytes(101, 70, time) for time in range(40)]
larger = [render_bytes(130, 70, time) for time in range(12)]
with Interpolator(threads=1) as reference:
    streamed, one = list(reference.stream(clip, 2)), reference(*clip[:2], [0.2, 0.5, 0.8])
    singles = [reference(frames[i], frames[i + 1]) for i in range(4)]
    more = list(reference.stream(larger, 2))
equal, counted = {}, {}
with tempfile.TemporaryDirectory() as folder, double_of_tensorrt(load):
    ours = Interpolator(write_engine(Path(folder), "float32", compute_capability(0)))
    equal["stream"] = same(ours.stream(clip, 2), streamed)
    bound, counted["stream"] = list(host_engine.bound), graphs()
    equal["larger"] = same(ours.stream(larger, 2), more)
    counted["larger"] = graphs()
    equal["call"] = same(ours(*clip[:2], [0.2, 0.5, 0.8]), one)
    backend = str(ours.backend)
    made = [None] * 4
    def call(i):
        made[i] = ours(frames[i], frames[i + 1])
    threads = [threading.Thread(target=call, args=(i,)) for i in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    equal["threads"] = same(made, singles)
    if "leave open" not in sys.argv:
        ours.close()
names = ["device blocks", "host blocks", "streams", "events", "graphs", "depth", "without context",
         "bad copies", "pageable copies", "legacy streams", "spinning events"]
counts = {name: host_engine.count(name) for name in names}
print(json.dumps({"driver": DRIVER, "backend": backend, "equal": equal, "counts": counts,
                  "graphs": counted, "runs": len(bound), "address sets": len(set(bound)),
                  "changes": sum(a != b for a, b in zip(bound, bound[1:])),
                  "failures": list(map(repr, host_engine.failures))}))
"""

# An engine that, while it is captured, lets another thread wait for the whole GPU.
SETTLED_MEANWHILE = """
import tempfile, threading
from pathlib import Path
from rrin_deploy.proof.double import double_of_tensorrt, write_engine
from runtime import Interpolator
from runtime.device import Gpu, compute_capability
from runtime.scene import render_bytes
from tests.simulation import host_engine

gpu, errors, runs = Gpu(0), [], []

def settle():
    try:
        with gpu.current():
            gpu.settle()
    except Exception as error:
        errors.append(error)

def load(model):
    execute = host_engine.host_rrin(model)
    def watched(handle, bindings):
        runs.append(threading.Thread(target=settle))
        if len(runs) > 1:  # the first is no capture
            runs[-1].start()
            runs[-1].join(0.5)
        return execute(handle, bindings)
    return watched

with tempfile.TemporaryDirectory() as folder, double_of_tensorrt(load):
    engine = write_engine(Path(folder), "float32", compute_capability(0))
    with Interpolator(engine) as ours:
        list(ours.stream([render_bytes(64, 64, time) for time in range(4)], 2))
    runs[-1].join()
print(len(runs), host_engine.count("captures"), errors)
"""

PACKAGES = {"cuda.bindings": "cuda-bindings", "pycuda": "pycuda"}


@pytest.fixture(scope="module")
def libcuda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the fake libcuda."""
    return build_libcuda(tmp_path_factory.mktemp("libcuda"))


def run_on(libcuda: Path, package: str, *arguments: str, code: str = SESSION) -> Any:
    """Run code in a process that has this package alone, and the fake libcuda."""
    if package == "pycuda" and importlib.util.find_spec("pycuda") is None:
        pytest.skip("pycuda is not installed")
    other = next(each for each in PACKAGES if each != package)
    hide = f"import sys; sys.modules[{other!r}] = None\n" if other == "pycuda" else ""
    done = subprocess.run(
        [sys.executable, "-c", hide + code, *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "LD_LIBRARY_PATH": str(libcuda),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "FAKE_LIBCUDA_REPORT": str(libcuda / "report.json"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


@pytest.mark.parametrize("package", PACKAGES)
def test_session_gives_the_frames_of_onnx_runtime_and_leaves_nothing(
    package: str, libcuda: Path
) -> None:
    found = json.loads(run_on(libcuda, package))
    assert found["driver"].startswith(PACKAGES[package])
    assert not found["failures"]
    assert found["equal"] == dict.fromkeys(("stream", "larger", "call", "threads"), True)
    assert found["counts"] == dict.fromkeys(found["counts"], 0)
    assert (found["runs"], found["address sets"], found["changes"]) == (39, 1, 0)
    # One plain run, a capture, and nothing but launches; the same for the other size.
    assert found["graphs"] == {"stream": [1, 0, 38], "larger": [2, 0, 48]}
    assert found["backend"].endswith("Fake GPU with CUDA graphs")


@pytest.mark.parametrize("package", PACKAGES)
def test_engine_that_cannot_be_captured_gives_the_same_frames(package: str, libcuda: Path) -> None:
    found = json.loads(run_on(libcuda, package, "waits"))
    assert not found["failures"]
    assert found["equal"] == dict.fromkeys(("stream", "larger", "call", "threads"), True)
    assert found["counts"] == dict.fromkeys(found["counts"], 0)
    assert found["graphs"] == {"stream": [0, 1, 0], "larger": [0, 1, 0]}  # tried once
    assert found["backend"].endswith("Fake GPU")


def test_nobody_waits_for_the_whole_gpu_while_a_run_is_captured(libcuda: Path) -> None:
    assert run_on(libcuda, "cuda.bindings", code=SETTLED_MEANWHILE) == "2 1 []\n"


@pytest.mark.parametrize("package", PACKAGES)
def test_session_that_nobody_closed_is_freed_at_exit_without_a_word(
    package: str, libcuda: Path
) -> None:
    run_on(libcuda, package, "leave open")
    report = json.loads((libcuda / "report.json").read_text())
    assert report == {"left": 0, "without context": 0, "bad copies": 0}
