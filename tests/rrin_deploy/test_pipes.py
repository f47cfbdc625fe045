"""The command between two programs: y4m alone on standard output, and an end when either ends."""

import fcntl
import os
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from media import VideoOptions, interpolate_video
from media.encoding import Encoding
from runtime import Interpolator
from tests import y4m
from tests.models import SMALL_MODEL

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="pipes as Linux has them"),
    pytest.mark.long,
]
RATE = Fraction(30000, 1001)
COMMAND = [sys.executable, "-m", "rrin_deploy", "interpolate"]

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., "subprocess.Popen[bytes]"]:
    def start(*arguments: object) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments), "--model", str(SMALL_MODEL)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return start


@pytest.fixture
def run(start: Callable[..., "subprocess.Popen[bytes]"]) -> Run:
    def run(given: bytes, *arguments: object) -> "subprocess.CompletedProcess[bytes]":
        process = start(*arguments)
        out, said = process.communicate(given, timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, out, said)

    return run


def clip(count: int = 3) -> bytes:
    return y4m.written(y4m.scene(count, "yuv420p"), RATE)


def test_nothing_but_y4m_is_on_standard_output(run: Run) -> None:
    done = run(clip(), "-", "-o", "-", "--factor", 3)
    assert done.returncode == 0, done.stderr
    frames, rate = y4m.read(done.stdout)
    assert (len(frames), rate) == (9, 3 * RATE)
    assert len(done.stdout.partition(b"\n")[2]) == 9 * (len(b"FRAME\n") + 66 * 48 * 3 // 2)
    assert done.stderr.startswith(b"standard output: 9 frames from 3, 66x48 at 89.9101 fps")


def test_libraries_that_print_print_elsewhere() -> None:
    code = (
        "import os, runtime.interpolator as module\n"
        "def noisy(*arguments):\n"
        "    os.write(1, b'noise'); print('noise')\n"
        "    yield from filled(*arguments)\n"
        "filled, module.filled = module.filled, noisy\n"
        "from rrin_deploy.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "interpolate", "-", "-o", "-", "--model", str(SMALL_MODEL)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input=clip(),
        capture_output=True,
        check=False,
    )
    assert done.stderr.count(b"noise") == 2
    assert b"noise" not in done.stdout
    assert len(y4m.read(done.stdout)[0]) == 6


@pytest.mark.parametrize("given", [b"", b"hello\n", b"\x1a\x45\xdf\xa3" * 100])
def test_what_is_no_y4m_is_refused_in_one_line(given: bytes, run: Run) -> None:
    done = run(given, "-", "-o", "-")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"error: standard input: ")
    assert b"expected YUV4MPEG2" in done.stderr
    assert done.stderr.count(b"\n") == 1


def redirected(redirection: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    command = [*COMMAND, *arguments, "--model", str(SMALL_MODEL)]
    return subprocess.run(
        ["bash", "-c", f'"$@" {redirection}', "bash", *command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input=clip(),
        capture_output=True,
        check=False,
        timeout=120,
    )


def test_a_closed_standard_error_leaves_y4m_as_it_is() -> None:
    done = redirected("2>&-", "-", "-o", "-")
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.partition(b"\n")[2]) == 6 * (len(b"FRAME\n") + 66 * 48 * 3 // 2)


@pytest.mark.parametrize(
    ("redirection", "said"),
    [(">&-", b"standard output is closed"), ("<&-", b"standard input is closed")],
)
def test_a_closed_pipe_is_wrong_usage(redirection: str, said: bytes) -> None:
    done = redirected(redirection, "-", "-o", "-")
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr


def test_a_full_disk_is_said_of_the_name_that_was_given() -> None:
    done = redirected("> /dev/full", "-", "-o", "-")
    assert done.returncode == 1
    assert done.stderr == b"error: standard output: not written: No space left on device\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-", "film.mkv", "-o", "out"), b"one video"),
        (("-", "-o", "-", "--segment", 5), b"--segment is not for"),
        (("-", "-o", "-", "--share", "1/2"), b"--share is not for"),
        (("-", "-o", "-", "--start", "1"), b"leave out start and end"),
        (("-", "-o", "-", "--ray", "auto"), b"--ray is not for pipes"),
        (("-", "-o", "-", "--codec", "ffv1"), b"leave out codec"),
        (("a.png", "-o", "-"), b"one image"),
    ],
)
def test_what_a_pipe_cannot_be_asked_is_wrong_usage(
    arguments: tuple[object, ...], said: bytes, run: Run
) -> None:
    done = run(clip(), *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr


def test_a_producer_that_failed_is_said_and_what_came_is_made(run: Run) -> None:
    done = run(clip()[:-10], "-", "-o", "-")
    assert done.returncode == 1
    assert len(y4m.read(done.stdout)[0]) == 4
    assert b"it ends within a frame" in done.stderr
    assert run(clip()[:-10], "-", "-o", "-", "--allow-damaged").returncode == 0


def test_a_consumer_that_goes_away_ends_it_quietly(
    start: Callable[..., "subprocess.Popen[bytes]"],
) -> None:
    process = start("-", "-o", "-")
    assert process.stdin
    assert process.stdout
    assert process.stderr
    process.stdin.write(clip(12))  # what a pipe holds
    process.stdin.flush()  # and stays open, as of a producer that goes on
    assert process.stdout.read(50).startswith(b"YUV4MPEG2")
    process.stdout.close()
    assert process.wait(60) == 128 + signal.SIGPIPE
    assert process.stderr.read() == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("output", ["-", "film.mkv"])
def test_a_signal_ends_it_while_the_producer_is_silent(
    number: signal.Signals,
    output: str,
    start: Callable[..., "subprocess.Popen[bytes]"],
    tmp_path: Path,
) -> None:
    process = start("-", "-o", output)
    assert process.stdin
    assert process.stdout
    assert process.stderr
    process.stdin.write(clip(12)[:-20])  # it waits for the rest of the last frame
    process.stdin.flush()
    if output == "-":
        process.stdout.read(20_000)
    else:
        wait_until(lambda: bool([*tmp_path.rglob("film.mkv")]), process)
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    assert process.stderr.read() == b""
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("beyond", [0, 300])
def test_a_signal_ends_it_before_the_first_frame_has_come(
    number: signal.Signals,
    beyond: int,
    start: Callable[..., "subprocess.Popen[bytes]"],
    tmp_path: Path,
) -> None:
    process = start("-", "-o", "film.mkv")
    assert process.stdin
    assert process.stderr
    process.stdin.write(clip()[: clip().index(b"\n") + 1 + beyond])
    process.stdin.flush()
    wait_until(lambda: unread(process.stdin) == 0, process)
    time.sleep(0.5)  # until FFmpeg asks for more
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    assert process.stderr.read() == b""
    assert not [*tmp_path.iterdir()]


def unread(pipe: Any) -> int:
    """How many bytes of what was written into a pipe wait in it."""
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]


def wait_until(happened: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    for _ in range(6000):
        if happened():
            return
        assert process.poll() is None
        time.sleep(0.01)
    pytest.fail("did not happen")


def test_named_pipes_are_read_and_written(run: Run, tmp_path: Path) -> None:
    for name in ("in", "out"):
        os.mkfifo(tmp_path / name)
    code = (
        "import sys, shutil; shutil.copyfileobj(open(sys.argv[1], 'rb'), open(sys.argv[2], 'wb'))"
    )
    (tmp_path / "clip").write_bytes(clip())
    ends = [
        subprocess.Popen([sys.executable, "-c", code, *map(str, way)])
        for way in ((tmp_path / "clip", tmp_path / "in"), (tmp_path / "out", tmp_path / "got"))
    ]
    done = run(b"", "in", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert [end.wait(60) for end in ends] == [0, 0]
    assert len(y4m.read((tmp_path / "got").read_bytes())[0]) == 6
    done = run(clip(), "/dev/stdin", "-o", "/dev/stdout")
    assert done.stdout == (tmp_path / "got").read_bytes()


def ffmpeg() -> str:
    try:
        import imageio_ffmpeg
    except ImportError:
        found = shutil.which("ffmpeg")
    else:
        found = imageio_ffmpeg.get_ffmpeg_exe()
    if found is None:
        pytest.skip("no ffmpeg here; pip install imageio-ffmpeg brings one")
    return found


def test_between_two_ffmpegs_frames_are_those_of_a_file(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    program = ffmpeg()
    (tmp_path / "in.y4m").write_bytes(y4m.written(y4m.scene(4, "yuv420p10le"), RATE))
    line = (
        f"{program} -v error -i in.y4m -strict -1 -f yuv4mpegpipe - | "
        f"{' '.join(COMMAND)} - -o - --model {SMALL_MODEL} | "
        f"{program} -v error -i - -c:v ffv1 piped.mkv"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], cwd=tmp_path, env=environment, check=True
    )
    options = VideoOptions(factor=2, encoding=Encoding(codec="ffv1"))
    interpolate_video(interpolate, tmp_path / "in.y4m", tmp_path / "filed.mkv", options)
    shown = {}
    for name in ("piped", "filed"):
        with av.open(str(tmp_path / f"{name}.mkv")) as reader:
            rate = reader.streams.video[0].average_rate
            frames = [frame.to_ndarray().tobytes() for frame in reader.decode(video=0)]
            shown[name] = (rate, frames)
    assert shown["piped"] == shown["filed"]
    assert len(shown["piped"][1]) == 8
