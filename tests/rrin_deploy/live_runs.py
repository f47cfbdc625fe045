"""`python -m tests.rrin_deploy.live_runs`: live streams for minutes, watched from outside.

A camera sends over UDP to `rrin-deploy live`; what that sends is read, and when it was taken stands
in the pictures. One stream at a rate that a small machine holds, one at sixteen times the camera's,
which it does not; the camera stops for ten seconds in each. A third goes to a reader that stops for
five.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median, quantiles
from typing import IO, Any

import av

from tests.camera import RATE, number_of
from tests.models import SMALL_MODEL

ROOT = Path(__file__).parents[2]
CAMERA, SEEN = "udp://127.0.0.1:{0}?pkt_size=1316", "udp://127.0.0.1:{1}?pkt_size=1316"


class Viewer(threading.Thread):
    """Reads a stream; `seen` has (when, seconds since it was taken) of each source frame."""

    def __init__(self, stream: str | IO[bytes], origin: float) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[float, float]] = []
        self.frames = 0
        self.paused = threading.Event()
        self._stream = stream
        self._origin = origin

    def run(self) -> None:
        """Read until there is no more."""
        options = {"fflags": "nobuffer", "analyzeduration": "100000", "overrun_nonfatal": "1"}
        last = -1
        try:
            with av.open(
                self._stream, format="mpegts", options=options, timeout=30, buffer_size=4096
            ) as reader:
                for frame in reader.decode(video=0):
                    while self.paused.is_set():
                        time.sleep(0.01)
                    now = time.monotonic()
                    self.frames += 1
                    number, clear = number_of(frame.to_ndarray(format="rgb24"))
                    if clear and number != last:
                        last = number
                        self.seen.append((now, now - self._origin - number / RATE))
        except av.FFmpegError:
            pass  # it has ended


def camera(port: int, origin: float, seconds: float) -> subprocess.Popen[bytes]:
    """Start one."""
    url = CAMERA.format(port)
    line = [sys.executable, "-m", "tests.camera", url, "--origin", str(origin),
            "--seconds", str(seconds)]  # fmt: skip
    return subprocess.Popen(line, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})


def live(sink: str, port: int, fps: int, stats: Path, **how: Any) -> subprocess.Popen[bytes]:
    """Start the command."""
    line = [sys.executable, "-m", "rrin_deploy", "live", f"udp://127.0.0.1:{port}", "-o", sink,
            "--fps", str(fps), "--stats", str(stats), "--model", str(SMALL_MODEL),
            "--backend", "openvino", "--threads", "1", "--latency", "200ms"]  # fmt: skip
    return subprocess.Popen(line, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, **how)


def memory(pid: int) -> float:
    """Return what a process holds, MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1000


def long_run(name: str, fps: int, seconds: float, port: int, folder: Path) -> None:
    """Run a stream whose camera stops for ten seconds, at 40 % of the time."""
    origin = time.monotonic()
    viewer = Viewer(SEEN.format(0, port + 1), origin)
    viewer.start()
    process = live(SEEN.format(0, port + 1), port, fps, folder / f"{name}.jsonl")
    held: list[tuple[float, float]] = []
    for phase in (0.4 * seconds, 0.6 * seconds):
        sending = camera(port, origin, phase)
        while sending.poll() is None:
            time.sleep(5)
            held.append((time.monotonic(), memory(process.pid)))
        if phase < seconds / 2:
            stopped = time.monotonic() - origin
            time.sleep(10)
    process.send_signal(signal.SIGTERM)
    code = process.wait(timeout=30)
    print(f"{name}: {RATE} to {fps} fps, {seconds:.0f} s; exit code {code}; "
          f"camera stopped at {stopped:.0f} s for 10 s")  # fmt: skip
    lines = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
    _report(viewer.seen, held, lines, origin, seconds / 10)


def _report(
    seen: list[tuple[float, float]],
    held: list[tuple[float, float]],
    lines: list[dict[str, Any]],
    origin: float,
    span: float,
) -> None:
    print("  from s   latency ms: median  p99   own median  own p99   fps out   MB")
    for index in range(11):
        begin, end = index * span, (index + 1) * span
        latencies = [1000 * late for when, late in seen if begin <= when - origin < end]
        own = [line for line in lines if begin <= line["seconds"] < end and line["latency_p99"]]
        mb = [size for when, size in held if begin <= when - origin < end]
        if len(latencies) < 2 or not own:
            continue
        p99 = quantiles(latencies, n=100)[98]
        ours = (1000 * median(line["latency_median"] for line in own),
                1000 * max(line["latency_p99"] for line in own))  # fmt: skip
        out = median(line["fps_out"] for line in own)
        print(f"  {begin:6.0f} {median(latencies):18.0f} {p99:6.0f} {ours[0]:9.0f} "
              f"{ours[1]:9.0f} {out:11.1f} {median(mb or [0]):8.1f}")  # fmt: skip
    if lines:
        print("  " + ", ".join(f"{key} {value}" for key, value in lines[-1].items()))


def stalled(port: int, folder: Path) -> None:
    """Run a stream to a pipe whose reader stops for five seconds."""
    origin = time.monotonic()
    sending = camera(port, origin, 30)
    process = live("-", port, 2 * RATE, folder / "stalled.jsonl", stdout=subprocess.PIPE, bufsize=0)
    assert process.stdout is not None
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
    viewer = Viewer(process.stdout, origin)
    viewer.start()
    time.sleep(12)
    begin = time.monotonic()
    viewer.paused.set()
    time.sleep(5)
    viewer.paused.clear()
    end = time.monotonic()
    time.sleep(8)
    process.send_signal(signal.SIGTERM)
    code = process.wait(timeout=30)
    sending.wait()
    print(f"stalled: {RATE} to {2 * RATE} fps, the reader stops for 5 s; exit code {code}")
    for name, span in {"before": (0, begin), "within 1 s": (end, end + 1),
                       "later": (end + 1, end + 9)}.items():  # fmt: skip
        _say_span(name, (late for when, late in viewer.seen if span[0] <= when < span[1]))
    lines = (folder / "stalled.jsonl").read_text().splitlines()
    print(f"  {lines[-1]}")


def _say_span(name: str, latencies: Iterable[float]) -> None:
    found = [1000 * late for late in latencies] or [0]
    print(f"  {name}: latency median {median(found):.0f}, most {max(found):.0f} ms, {len(found)}")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.rrin_deploy.live_runs", description=__doc__
    )
    parser.add_argument("--minutes", type=float, default=10, help="of each of the long runs (10)")
    parser.add_argument("--runs", nargs="*", default=["held", "too-slow", "stalled"])
    parser.add_argument("--port", type=int, default=24000)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="live-"))
    for index, (name, fps) in enumerate({"held": 2 * RATE, "too-slow": 16 * RATE}.items()):
        if name in given.runs:
            long_run(name, fps, 60 * given.minutes, given.port + 2 * index, folder)
    if "stalled" in given.runs:
        stalled(given.port + 4, folder)
    print(f"statistics in {folder}")


if __name__ == "__main__":
    main()
