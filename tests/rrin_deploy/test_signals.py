"""Signals at any moment: the exit code is 128 + the signal, nothing is left, nothing is said."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from engines import BuildOptions, build
from media.video import write_video
from runtime.scene import render_bytes
from tests.conftest import write_png
from tests.models import SMALL_MODEL

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="watches processes through /proc"),
    pytest.mark.long,
]

Started = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Started]:
    """Start the command in an empty folder, in a process group of its own."""
    (tmp_path / "desk").mkdir()
    processes = []

    def start(*arguments: object) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "rrin_deploy", *map(str, arguments)],
            cwd=tmp_path / "desk",
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        wait_until(lambda: catches(process.pid, signal.SIGHUP) or process.poll() is not None)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def wait_until(happened: Callable[[], bool]) -> None:
    for _ in range(6000):
        if happened():
            return
        time.sleep(0.01)
    pytest.fail("did not happen within a minute")


def files_under(folder: Path) -> list[str]:
    """Return the names of files; `os.walk` minds no folder that goes meanwhile."""
    return [name for _, _, names in os.walk(folder) for name in names]


def catches(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.mark.parametrize("seconds", [0, 0.2, 0.5])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_python_imports(
    number: signal.Signals, seconds: float, start: Started, tmp_path: Path
) -> None:
    process = start("build", SMALL_MODEL, "-o", "x.engine", "--target", "rtx")
    time.sleep(seconds)
    process.send_signal(number)
    assert ended(process) == (128 + number, "", "")
    assert not list((tmp_path / "desk").iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_while_a_video_is_written(number: signal.Signals, start: Started, tmp_path: Path) -> None:
    clip, desk = tmp_path / "clip.mp4", tmp_path / "desk"
    write_video(clip, (render_bytes(320, 192, time) for time in range(30)), Fraction(25))
    # An encoder that does not look ahead: the file is there after a few frames.
    process = start("interpolate", clip, "-o", "x.mkv", "--factor", "4", "--codec", "ffv1")
    wait_until(lambda: any(desk.iterdir()))
    process.send_signal(number)
    process.send_signal(signal.SIGINT)  # an impatient second one does not disturb the clean-up
    code, out, err = ended(process)
    assert code in (128 + number, 128 + signal.SIGINT)
    assert (out, err) == ("", "")
    assert not list(desk.iterdir())


def test_while_images_are_written(start: Started, tmp_path: Path) -> None:
    for time_ in range(8):
        write_png(tmp_path / "frames" / f"{time_}.png", render_bytes(320, 192, time_))
    process = start("interpolate", tmp_path / "frames", "-o", "more", "--factor", "8")
    wait_until(lambda: any(file.endswith(".png") for file in files_under(tmp_path / "desk")))
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (143, "", "")
    assert not list((tmp_path / "desk").iterdir())


def test_ctrl_c_reaches_a_benchmark_and_not_its_processes(start: Started) -> None:
    process = start("bench", "--size", "64x48", "--rounds", "100000")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def contender_starts() -> bool:
        found = children.read_text().split()
        return any(b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in found)

    wait_until(contender_starts)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert ended(process) == (130, "", "")


@pytest.mark.parametrize("step", [1, 100, 400])
def test_while_tensorrt_builds(step: int, tmp_path: Path) -> None:
    # TensorRT calls `progress`, and drops whatever is raised in there.
    steps = 0

    def progress(*_: object) -> None:
        nonlocal steps
        steps += 1
        if steps == step:
            signal.raise_signal(signal.SIGINT)

    options = BuildOptions(target="rtx", compute_capabilities=(89,), max_size=(1280, 720))
    with pytest.raises(KeyboardInterrupt):
        build(SMALL_MODEL, tmp_path / "x.engine", options=options, progress=progress)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert steps - step < 20  # cancelled, not built to the end
    assert not list(tmp_path.iterdir())


def inside(code: str, **options: object) -> tuple[int, str, str]:
    """Run code whose signals end it; return exit code, stdout and stderr."""
    lines = "\n    ".join(code.strip().splitlines())
    program = f"import signal, time\nfrom rrin_deploy.signals import ending_signals\n{HELPERS}"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nwith ending_signals():\n    {lines}\n"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,  # type: ignore[call-overload]
    )
    return done.returncode, done.stdout, done.stderr


HELPERS = """
class Dying:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)
"""


def test_a_signal_that_is_swallowed_comes_again() -> None:
    assert inside("dying = Dying()\ndel dying\ntime.sleep(50)\nprint('slept')") == (143, "", "")


def test_a_signal_that_is_made_another_error_comes_again() -> None:
    code = """
def attempt():
    try:
        signal.raise_signal(signal.SIGTERM)
    except BaseException as error:
        return ValueError(error)
kept = attempt()
time.sleep(50)
print("slept")
"""
    assert inside(code) == (143, "", "")


def test_a_generator_is_closed_in_peace() -> None:
    code = """
def items():
    try:
        yield
    finally:
        time.sleep(0.7)
        print("closed", flush=True)
def caught_on_the_way():
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        pass
for _ in items():
    caught_on_the_way()
"""
    assert inside(code) == (143, "closed\n", "")


def test_a_second_signal_does_not_disturb_the_clean_up() -> None:
    code = """
try:
    signal.raise_signal(signal.SIGINT)
finally:
    signal.raise_signal(signal.SIGTERM)
    time.sleep(0.7)
    print("cleaned up")
"""
    assert inside(code) == (130, "cleaned up\n", "")


def test_what_is_made_of_it_on_the_way_does_not_count() -> None:
    code = """
try:
    signal.raise_signal(signal.SIGINT)
except BaseException:
    raise ImportError("as numpy does")
"""
    assert inside(code) == (130, "", "")


def test_a_native_library_is_loaded_to_its_end() -> None:
    # onnx imports modules of Python while it is loaded, and may crash the process if that raises.
    code = """
import sys
from importlib.machinery import ExtensionFileLoader
class Watch:
    seen = False
    def find_spec(self, name, *_):
        frame = sys._getframe()
        while frame and not isinstance(frame.f_locals.get("self"), ExtensionFileLoader):
            frame = frame.f_back
        if frame and not Watch.seen:
            Watch.seen = True
            signal.raise_signal(signal.SIGTERM)
            print("went on", flush=True)
sys.meta_path.insert(0, Watch())
import onnx
time.sleep(50)
print("slept")
"""
    assert inside(code) == (143, "went on\n", "")


def test_nohup_stays() -> None:
    def nohup() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    code = "signal.raise_signal(signal.SIGHUP)\nprint('still here')"
    assert inside(code, preexec_fn=nohup) == (0, "still here\n", "")
