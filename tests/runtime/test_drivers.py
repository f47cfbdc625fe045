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
from runtime.bundled import BUNDLED_MODEL
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
frames = [render_bytes(64, 32, time) for time in range(12)]
clip = [render_bytes(37, 30, time) for time in range(40)]
larger = [render_bytes(70, 30, time) for time in range(12)]
with Interpolator(BUNDLED_MODEL, backend="onnxruntime", threads=1) as reference:
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

# Pairs that get two frames and three by turns, three being two runs. In the calls of the engine
# that the arguments number, from 1 on, another thread waits for the whole GPU.
TURNS = """
import json, sys, tempfile, threading
from pathlib import Path
import numpy as np
from rrin_deploy.proof.double import double_of_tensorrt, write_engine
from runtime import Interpolator
from runtime.bundled import BUNDLED_MODEL
from runtime.device import Gpu, compute_capability
from runtime.scene import render_bytes
from tests.simulation import host_engine

gpu, calls, spoiled = Gpu(0), [], set(map(int, sys.argv[1:]))

def wait_for_all():
    with gpu.current():
        calls.append(host_engine.driver.cuCtxSynchronize())

def load(model):
    execute = host_engine.host_rrin(model)
    def spoilt(handle, bindings):
        calls.append(0)
        if len(calls) in spoiled:
            thread = threading.Thread(target=wait_for_all)
            thread.start()
            thread.join()
            assert calls.pop() == 900  # the driver forbids it
        return execute(handle, bindings)
    return spoilt

frames = [render_bytes(64, 32, time) for time in range(10)]
times = [[], *([0.25, 0.5, 0.75][: 3 if i % 3 == 2 else 2] for i in range(9))]
with Interpolator(BUNDLED_MODEL, backend="onnxruntime", threads=1) as reference:
    expected = [made for _, made in reference.fill(zip(frames, times))]
with tempfile.TemporaryDirectory() as folder, double_of_tensorrt(load):
    with Interpolator(write_engine(Path(folder), "float32", compute_capability(0))) as ours:
        found = [made for _, made in ours.fill(zip(frames, times))]
        backend = str(ours.backend)
assert all(np.array_equal(*pair) for pair in zip(found, expected))
counts = [host_engine.count(name) for name in ("captures", "broken captures", "launches", "graphs")]
uses_graphs = backend.endswith("with CUDA graphs")
print(json.dumps([counts, uses_graphs, list(map(str, host_engine.failures))]))
"""

# What fails while it is captured.
FAILED_CAPTURE = """
from runtime.device import Gpu, cuda
from runtime.driver_library import Graph
from tests.simulation import host_engine

def fail():
    raise MemoryError("in the midst of it")

with Gpu(0).current():
    stream = cuda.Stream()
    try:
        Graph.captured(stream.handle, fail)
    except MemoryError as error:
        print(error, host_engine.count("graphs"))
    stream.synchronize()
    stream.free()
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

# Frames in the fake GPU's memory, which a stream of someone else's has still to fill.
DEVICE_ARRAYS = """
import ctypes, gc, json, tempfile
from pathlib import Path
import numpy as np
import torch
from rrin_deploy.proof.double import double_of_tensorrt, write_engine
from runtime import Interpolator
from runtime.device import Gpu, compute_capability
from runtime.scene import render_bytes
from tests.simulation import host_engine

driver = host_engine.driver
driver.fake_adopt.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
driver.cuMemcpyDtoDAsync_v2.argtypes = [ctypes.c_uint64, ctypes.c_uint64, ctypes.c_size_t,
                                        ctypes.c_void_p]
gpu, kept = Gpu(0), []

def stream():
    handle = ctypes.c_void_p()
    with gpu.current():
        driver.cuStreamCreate(ctypes.byref(handle), 1)
    return handle.value

def memory(array):
    driver.fake_adopt(array.ctypes.data, array.nbytes)
    kept.append(array)
    return array

producer, bystander = stream(), stream()

def wait(handle):  # lets a stream wait for the producer
    event = ctypes.c_void_p()
    driver.cuEventCreate(ctypes.byref(event), 1)
    driver.cuEventRecord(event, ctypes.c_void_p(producer))
    driver.cuStreamWaitEvent(ctypes.c_void_p(handle), event, 0)
    driver.cuEventDestroy_v2(event)

def filling(frame, beside=0):  # queued to be copied; rows may have more beside them
    height, width, _ = frame.shape
    whole = np.full((height, width + beside, 3), 77, frame.dtype)
    whole[:, :width] = frame
    source, target = memory(whole), memory(np.full_like(whole, 11))
    with gpu.current():
        for at in (producer, bystander):
            driver.cuMemcpyDtoDAsync_v2(target.ctypes.data, source.ctypes.data, whole.nbytes, at)
    return target[:, :width]

class Named:
    def __init__(self, frame, beside=0, **facts):
        array = filling(frame, beside)
        self.__cuda_array_interface__ = {**array.__array_interface__, "version": 3} | facts

class Lent:
    def __init__(self, frame, beside=0, device=(2, 0)):
        self.tensor, self.device = torch.from_numpy(filling(frame, beside)), device
    def __dlpack_device__(self):
        return self.device
    def __dlpack__(self, *, stream):
        assert stream > 2
        wait(stream)
        return self.tensor.__dlpack__()

class OnHost:  # the same memory, said to be the host's, which torch can look at
    def __init__(self, made):
        self.made = made
    def __dlpack_device__(self):
        assert self.made.__dlpack_device__() == (2, 0)
        return 1, 0
    def __dlpack__(self, **given):
        capsule = self.made.__dlpack__(**given)
        get = ctypes.pythonapi.PyCapsule_GetPointer
        get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        device = (ctypes.c_int32 * 2).from_address(get(capsule, b"dltensor") + 8)
        assert list(device) == [2, 0]
        device[0] = 1
        return capsule

def looked_at(made):
    return torch.from_dlpack(OnHost(made)).numpy()

def undone():
    with gpu.current():
        return driver.cuStreamQuery(ctypes.c_void_p(bystander)) == 600

equal, waited, errors = {}, {}, {}
with tempfile.TemporaryDirectory() as folder, double_of_tensorrt(host_engine.host_rrin):
    for io in ("float32", "uint8"):
        ours = Interpolator(write_engine(Path(folder), io, compute_capability(0)))
        t, scale = [0.2, 0.5, 0.8], np.float32(255) if io == "float32" else np.uint8(1)
        for width, height in ((37, 30), (64, 32), (33, 1), (1, 40)):
            pair = [render_bytes(width, height, time) for time in (0, 1)]
            if io == "float32":
                pair = [frame / scale for frame in pair]
            expected = ours(*pair, t)
            for beside in (0, 5):
                ours(*(pair[0].max() - frame for frame in pair), t)  # leaves other padding there
                # Takes the memory: where that grows, the driver waits for the whole GPU.
                for _ in range(3):
                    made = ours.on_device(*(Named(frame, stream=producer) for frame in pair), t)
                with gpu.current():
                    driver.cuCtxSynchronize()
                ways = {
                    "named": lambda frame: Named(frame, beside, stream=producer),
                    "lent": lambda frame: Lent(frame, beside),
                    "old": lambda frame: Named(frame, beside, version=2),
                }
                for way, wrap in ways.items():
                    made = ours.on_device(*map(wrap, pair), t)
                    name = f"{io} {width}x{height} {beside} {way}"
                    waited[name] = not undone()
                    equal[name] = bool(np.array_equal(looked_at(made), expected))
        tiles = {"tile": (96, 64), "overlap": 32}
        with Interpolator(write_engine(Path(folder), io, compute_capability(0)), **tiles) as tiled:
            wide = [render_bytes(150, 101, time) / scale for time in (0, 1)]
            pieces = tiled(*(each.astype(io) for each in wide), t)
            made = tiled.on_device(*(Lent(each.astype(io), 5) for each in wide), t)
            equal[f"{io} tiled"] = bool(np.array_equal(looked_at(made), pieces))
        # Handed over, it stays when the array itself is gone.
        seen = looked_at(ours.on_device(*map(ways["lent"], pair), t))
        del made
        gc.collect()
        ours.on_device(*map(ways["lent"], pair[::-1]), t)
        equal[f"{io} kept"] = bool(np.array_equal(seen, expected))
        told_done = ours.on_device(*(Named(frame, stream=None) for frame in pair), t)
        equal[f"{io} not waited for"] = bool(np.array_equal(looked_at(told_done), expected))
        elsewhere, host = Named(pair[0], stream=producer), Named(pair[0], stream=producer)
        driver.fake_move(ctypes.c_void_p(elsewhere.__cuda_array_interface__["data"][0]), 1)
        host.__cuda_array_interface__["data"] = pair[0].ctypes.data, False
        empty = Named(pair[0][:0], stream=producer)
        empty.__cuda_array_interface__["data"] = 0, False  # as torch has it
        refused = {"device": Lent(pair[0], device=(1, 0)), "type": object(),
                   "GPU": elsewhere, "host": host, "empty": empty}
        for why, wrong in refused.items():
            try:
                ours.on_device(wrong, wrong)
            except ValueError as error:
                errors[why] = str(error)
        del seen, told_done
        ours.close()
for handle in (producer, bystander):
    with gpu.current():
        driver.cuStreamDestroy_v2(ctypes.c_void_p(handle))
names = ["device blocks", "host blocks", "streams", "events", "graphs", "depth", "without context",
         "bad copies"]
left = {name: host_engine.count(name) for name in names}
print(json.dumps({"equal": equal, "waited": waited, "errors": errors, "left": left,
                  "failures": list(map(repr, host_engine.failures))}))
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


@pytest.mark.long
@pytest.mark.parametrize("package", PACKAGES)
def test_engine_that_cannot_be_captured_gives_the_same_frames(package: str, libcuda: Path) -> None:
    found = json.loads(run_on(libcuda, package, "waits"))
    assert not found["failures"]
    assert found["equal"] == dict.fromkeys(("stream", "larger", "call", "threads"), True)
    assert found["counts"] == dict.fromkeys(found["counts"], 0)
    assert found["graphs"] == {"stream": [0, 2, 0], "larger": [0, 2, 0]}  # tried twice
    assert found["backend"].endswith("Fake GPU")


@pytest.mark.parametrize(
    ("spoiled", "counts", "uses_graphs"),
    [
        ((), [2, 0, 10], True),  # of 12 runs, the first of each of the two kinds is plain
        ((2,), [2, 1, 9], True),
        ((2, 4), [0, 2, 0], False),
        ((2, 6), [2, 2, 8], True),  # no two in a row
    ],
)
def test_runs_of_two_kinds_by_turns_are_captured_once_each(
    spoiled: tuple[int, ...], counts: list[int], uses_graphs: bool, libcuda: Path
) -> None:
    found = run_on(libcuda, "cuda.bindings", *map(str, spoiled), code=TURNS)
    assert json.loads(found) == [[*counts, 0], uses_graphs, []]


def test_what_fails_while_it_is_captured_leaves_no_graph(libcuda: Path) -> None:
    assert run_on(libcuda, "cuda.bindings", code=FAILED_CAPTURE) == "in the midst of it 0\n"


def test_nobody_waits_for_the_whole_gpu_while_a_run_is_captured(libcuda: Path) -> None:
    assert run_on(libcuda, "cuda.bindings", code=SETTLED_MEANWHILE) == "2 1 []\n"


@pytest.mark.long
@pytest.mark.parametrize("package", PACKAGES)
def test_session_that_nobody_closed_is_freed_at_exit_without_a_word(
    package: str, libcuda: Path
) -> None:
    run_on(libcuda, package, "leave open")
    report = json.loads((libcuda / "report.json").read_text())
    assert report == {"left": 0, "without context": 0, "bad copies": 0}


@pytest.mark.long
@pytest.mark.parametrize("package", PACKAGES)
def test_device_arrays_of_any_size_give_the_frames_of_a_call(package: str, libcuda: Path) -> None:
    found = json.loads(run_on(libcuda, package, code=DEVICE_ARRAYS))
    assert not found["failures"]
    # As a control, what its producer says is done, and is not, is wrong.
    wrong = {name for name, equal in found["equal"].items() if not equal}
    assert wrong == {"float32 not waited for", "uint8 not waited for"}
    # The whole GPU is waited for only where nobody says by whom a frame is filled.
    assert {name for name, waited in found["waited"].items() if waited} == {
        name for name in found["waited"] if name.endswith("old")
    }
    assert "frame0 lies on DLPack device (1, 0); expected (2, 0)" in found["errors"]["device"]
    assert "frame0 is a object; expected an array on the GPU" in found["errors"]["type"]
    assert "frame0 lies on GPU 1; expected GPU 0, that" in found["errors"]["GPU"]
    assert "frame0 lies not in a GPU's memory; expected GPU 0" in found["errors"]["host"]
    assert "frame0 has shape (0, 1, 3); expected (H, W, 3), RGB" in found["errors"]["empty"]
    assert found["left"] == dict.fromkeys(found["left"], 0)
