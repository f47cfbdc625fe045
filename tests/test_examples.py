"""Every example is run, and gives the frames that it promises."""

import asyncio
import itertools
import json
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from fractions import Fraction
from http.client import HTTPConnection
from pathlib import Path
from time import sleep
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest

from media import read_still, write_video
from runtime import Interpolator
from runtime.scene import render_bytes
from tests import y4m
from tests.conftest import write_png
from tests.models import SMALL_MODEL
from tests.runtime import test_tensorrt_session as simulated

pytestmark = pytest.mark.long  # of whole processes

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
RUN_HERE = {"asyncio_server", "batch_threads", "camera", "camera_loop", "device_arrays",
            "judge_checkpoint"}  # fmt: skip

machine = simulated.machine
engine = simulated.engine


def load(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


def run(name: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run an example as its first lines say, from the checkout."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, arguments)]
    environment = {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_all_examples_are_run_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == RUN_HERE


def test_camera_loop_shows_right_frames_though_the_camera_has_one_buffer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert load("camera_loop")["main"](str(SMALL_MODEL)) == 0
    shown = re.findall(r"mean ([\d.]+)", capsys.readouterr().out)
    scene = [render_bytes(192, 128, time) for time in range(5)]
    expected = [scene[0]]
    with Interpolator(SMALL_MODEL) as interpolate:
        for frame0, frame1 in itertools.pairwise(scene):
            expected += [interpolate(frame0, frame1), frame1]
    assert shown == [f"{frame.mean():.1f}" for frame in expected]
    assert len(set(shown)) > 5  # else the means say nothing


def test_batch_makes_the_middle_of_every_pair(tmp_path: Path) -> None:
    frames = [render_bytes(96, 64, time) for time in range(5)]
    for time, frame in enumerate(frames):
        write_png(tmp_path / "in" / f"{time}.png", frame)
    done = run("batch_threads", tmp_path / "in", tmp_path / "deep" / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        str(tmp_path / "deep" / "out" / f"{time}.png") for time in range(4)
    ]
    with Interpolator() as interpolate:
        for time, (frame0, frame1) in enumerate(itertools.pairwise(frames)):
            made = read_still(tmp_path / "deep" / "out" / f"{time}.png").rgb
            assert np.abs(made.astype(int) - interpolate(frame0, frame1)).max() <= 1


def test_camera_writes_what_it_saw_and_what_lies_between(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / "film.mp4"
    write_video(film, (render_bytes(96, 64, time) for time in range(4)), 25)
    before = signal.getsignal(signal.SIGINT)
    try:
        camera = load("camera")["main"]
        assert camera(str(film), str(tmp_path / "seen.mkv"), str(SMALL_MODEL)) == 0
        assert camera(str(film), None, str(SMALL_MODEL)) == 0
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().out.count("\n7 frames\n") == 2
    with av.open(str(tmp_path / "seen.mkv")) as reader:
        assert reader.streams.video[0].average_rate == 50
        frames = [frame.to_ndarray(format="rgb24") for frame in reader.decode(video=0)]
    scene = [render_bytes(96, 64, time / 2) for time in range(7)]
    for index, frame in enumerate(frames):
        errors = [np.abs(frame.astype(int) - picture).mean() for picture in scene]
        assert int(np.argmin(errors)) == index
    assert len(frames) == 7


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a silent camera is a named pipe here")
@pytest.mark.parametrize("count", [0, 9])
def test_a_camera_that_falls_silent_is_left_at_once(count: int, tmp_path: Path) -> None:
    source, output = tmp_path / "camera", tmp_path / "seen.mkv"
    os.mkfifo(source)
    command = [sys.executable, EXAMPLES / "camera.py", source, output, SMALL_MODEL]
    environment = {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    with (
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process,
        source.open("wb") as camera,  # which waits until the other end is opened
    ):
        assert process.stdout
        camera.write(y4m.written(y4m.scene(count, "yuv420p"), Fraction(25)) if count else b"YUV4")
        camera.flush()
        found = ""
        while found.count("frames a second") < 2 * count - 1:
            found += process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert output.exists() == bool(count)
    if count:
        with av.open(str(output)) as reader:
            assert sum(1 for _ in reader.decode(video=0)) >= 2 * count - 1


# In a process of its own, as libraries that come with GStreamer must not be loaded into this one.
GST_PROGRAM = """
import json, runpy, sys
example = runpy.run_path(sys.argv[1])
Gst = example["Gst"]
pipeline = Gst.parse_launch(f"{sys.argv[2]} ! fakesink name=out signal-handoffs=true")
seen = []
def handed(sink, buffer, pad):
    caps = pad.get_current_caps().get_structure(0)
    _, over, under = caps.get_fraction("framerate")
    content = buffer.extract_dup(0, buffer.get_size()).hex()
    seen.append((over / under, buffer.pts, buffer.duration, content))
pipeline.get_by_name("out").connect("handoff", handed)
pipeline.set_state(Gst.State.PLAYING)
ends = Gst.MessageType.EOS | Gst.MessageType.ERROR
message = pipeline.get_bus().timed_pop_filtered(60 * Gst.SECOND, ends)
assert message.type == Gst.MessageType.EOS, message.parse_error()
pipeline.set_state(Gst.State.NULL)
print(json.dumps(seen))
"""


def test_gst_element_pushes_what_lies_between() -> None:
    known = "import gi; gi.require_version('GstVideo', '1.0')"
    if subprocess.run([sys.executable, "-c", known], capture_output=True, check=False).returncode:
        pytest.skip("GStreamer for Python is not here")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    width, height, stride = 97, 64, 292  # rows are padded

    def run_through(element: str) -> tuple[list[tuple[float, int, int]], list[np.ndarray]]:
        source = "videotestsrc num-buffers=4 pattern=ball ! video/x-raw,format=RGB,framerate=25/1"
        pipeline = f"{source},width={width},height={height} ! {element}"
        command = [sys.executable, "-c", GST_PROGRAM, EXAMPLES / "gst" / "rrin.py", pipeline]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout)
        planes = [np.frombuffer(bytes.fromhex(each[3]), np.uint8) for each in seen]
        rows = [plane.reshape(height, stride)[:, : 3 * width] for plane in planes]
        return [tuple(each[:3]) for each in seen], [
            row.reshape(height, width, 3) for row in rows
        ]  # fmt: skip

    _, sources = run_through("identity")
    times, shown = run_through(f"rrin factor=4 model={SMALL_MODEL}")
    assert times == [(100.0, 10_000_000 * n, 10_000_000) for n in range(16)]
    with Interpolator(SMALL_MODEL) as interpolate:
        for index, frame in enumerate(shown):
            before, after = (sources[min(index // 4 + step, 3)] for step in (0, 1))
            expected = interpolate(before, after, index % 4 / 4)
            assert np.abs(frame.astype(int) - expected).max() <= 1
    assert not np.array_equal(sources[0], sources[1])
    wrong = subprocess.run(
        [sys.executable, EXAMPLES / "gst" / "rrin.py", "videotestsrc ! rrin model=nope ! fakesink"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert wrong.returncode == 1
    assert re.search("^error: nope: no such file", wrong.stderr, re.M)


@pytest.fixture
def server() -> Iterator[int]:
    """The example's server, by its port."""
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "asyncio_server.py"), "0", str(SMALL_MODEL)],
        env={"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    found = re.fullmatch(r"listens on port (\d+)\n", process.stdout.readline())
    assert found
    yield int(found[1])
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def post(port: int, body: bytes) -> tuple[int, bytes]:
    connection = HTTPConnection("localhost", port, timeout=60)
    connection.request("POST", "/", body)
    reply = connection.getresponse()
    return reply.status, reply.read()


def test_server_makes_the_frame_between_two_and_says_what_is_wrong(
    server: int, tmp_path: Path
) -> None:
    scene = [render_bytes(96, 64, time) for time in range(2)]
    for name, frame in zip("ab", scene, strict=True):
        write_png(tmp_path / f"{name}.png", frame)
    write_png(tmp_path / "small.png", scene[0][:32])
    a, b, small = ((tmp_path / f"{name}.png").read_bytes() for name in ("a", "b", "small"))
    with ThreadPoolExecutor(4) as pool:
        replies = [*pool.map(lambda _: post(server, a + b), range(4))]
    with Interpolator(SMALL_MODEL) as interpolate:
        expected = interpolate(*scene)
    for status, body in replies:
        assert status == 200
        (tmp_path / "middle.png").write_bytes(body)
        made = read_still(tmp_path / "middle.png").rgb
        assert np.abs(made.astype(int) - expected).max() <= 1
    assert post(server, a)[0] == 400
    status, said = post(server, a + small)
    assert status == 422
    assert said.count(b"\n") == 1
    assert post(server, a + b[:50])[0] == 422


def test_server_sends_away_what_it_has_no_room_for(server: int) -> None:
    limits = load("asyncio_server")
    head = b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(limits["WORKERS"] + limits["WAITING"]):
            # A client that never sends its body takes one place.
            client = stack.enter_context(socket.create_connection(("localhost", server)))
            client.sendall(head)
        wait_until(lambda: post(server, b"x" * 100)[0] == 503)
        too_large = socket.create_connection(("localhost", server))
        stack.enter_context(too_large).sendall(head.replace(b"100", b"100000000000"))
        assert too_large.recv(100).startswith(b"HTTP/1.1 413")
    wait_until(lambda: post(server, b"x" * 100)[0] == 400)


@pytest.mark.parametrize("sent", [b"", b"POST / HTTP/1.1\r\n"])
def test_server_gives_up_a_client_that_stops_within_its_header(sent: bytes) -> None:
    example = load("asyncio_server")
    example["Server"]._reply.__globals__["PATIENCE"] = 0.01

    async def stopped() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(sent)
        replying = asyncio.ensure_future(example["Server"](None, None)._reply(reader))
        done, _ = await asyncio.wait({replying}, timeout=20)
        assert done
        with pytest.raises(asyncio.TimeoutError):
            replying.result()

    asyncio.run(stopped())


def wait_until(happened: Callable[[], bool]) -> None:
    for _ in range(1000):
        if happened():
            return
        sleep(0.01)
    pytest.fail("did not happen")


def test_mistakes_are_said_in_one_line(tmp_path: Path) -> None:
    for arguments in (
        ("camera_loop", "nope.onnx"),
        ("batch_threads", tmp_path / "nope", tmp_path / "out"),
        ("camera", tmp_path / "nope"),
        ("asyncio_server", 0, "nope.onnx"),
    ):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch("error: .*nope.*\n", done.stderr)
    assert not [*tmp_path.iterdir()]


def test_device_arrays_need_a_gpu_and_say_so() -> None:
    done = run("device_arrays", "rrin.engine")
    assert (done.returncode, done.stdout) == (3, "")
    assert re.fullmatch("error: .*no GPU.*\n", done.stderr)


class Tensor(simulated.Torch):
    """What the example takes of a torch tensor on the GPU."""

    def __init__(self, device: simulated.Machine, array: np.ndarray) -> None:
        super().__init__(device, array)
        self._device, self._array = device, array

    def clone(self) -> "Tensor":
        return Tensor(self._device, self._array)

    def cpu(self) -> "Tensor":
        return self

    def numpy(self) -> np.ndarray:
        return self._array


def test_device_arrays_on_a_simulated_gpu(
    machine: simulated.Machine,
    engine: simulated.MakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def as_tensor(source: Any, device: str) -> Tensor:
        assert device == "cuda"
        if isinstance(source, np.ndarray):
            return Tensor(machine, source)
        array = source.__cuda_array_interface__
        raw, dtype = machine.memory[array["data"][0]], np.dtype(array["typestr"])
        nbytes = int(np.prod(array["shape"])) * dtype.itemsize
        return Tensor(machine, raw[:nbytes].view(dtype).reshape(array["shape"]).copy())

    torch: Any = ModuleType("torch")
    torch.cuda, torch.as_tensor = ModuleType("torch.cuda"), as_tensor
    torch.cuda.is_available = lambda: True
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert load("device_arrays")["main"](str(engine())) == 0
    errors = re.findall(r": ([\d.]+) of the full range", capsys.readouterr().out)
    assert len(errors) == 2
    # A plain blend of the two frames is 0.011 away, the nearer one 0.018.
    assert max(map(float, errors)) < 0.01


def test_a_checkpoint_is_judged(
    skip_tracing: Callable[..., None],
    small_checkpoint: Path,
    vimeo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    skip_tracing("uint8")
    triplets = tmp_path / "triplets"
    shutil.copytree(vimeo / "sequences" / "00001" / "0001", triplets / "0001")
    judge = load("judge_checkpoint")["main"]
    assert judge(str(small_checkpoint), str(triplets), str(tmp_path / "own.onnx")) == 0
    shown = capsys.readouterr().out
    assert "parity: True" in shown
    assert "assumed" not in shown  # this checkpoint says what it was trained with
    quality = {name: float(db) for name, db in re.findall(r"^(.+): ([\d.]+) dB", shown, re.M)}
    assert abs(quality["PyTorch"] - quality["ONNX"]) < 0.05
    assert quality["ONNX"] > quality["plain average"] + 3
