"""Processes that read one file after another, watched by the one that started them."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from runtime.errors import RrinError

ROOT = Path(__file__).parents[2]
Kind = Literal["passed", "refused", "exception", "crash", "hang", "memory"]
Read = Callable[[Path], object]
_MIB = 2**20
_TRACE = "trace.txt"
_TICK = 0.02  # seconds between two looks at a worker's memory
_LIFE = 500  # files read, so that what libraries keep does not add up
_FAT = 800 * _MIB  # of a worker at rest


@dataclass(frozen=True)
class Limits:
    """What a file may cost: seconds, and bytes of memory of the process that reads it."""

    seconds: float = 20
    bytes: int = 2 * 2**30


@dataclass(frozen=True)
class Outcome:
    """What came of one file.

    Attributes:
        kind: 'passed' and 'refused', by one of our own errors, are as it should be.
        what: the exception's type or the signal, and the line of ours that it came through.
        detail: message and stack.
        seconds, peak_bytes: that it took.
    """

    kind: Kind
    what: str
    detail: str
    seconds: float
    peak_bytes: int

    @property
    def is_finding(self) -> bool:
        """True for what has to be mended."""
        return self.kind not in ("passed", "refused")


class Worker:
    """A process that reads files, replaced when it dies, hangs, grows or gets old.

    RLIMIT_AS would be of no use as a bound on memory: torch and ONNX Runtime reserve address space
    that they never touch.
    """

    def __init__(self, readers: Mapping[str, Read], limits: Limits) -> None:
        self._readers = readers
        self._limits = limits
        self._scratch = tempfile.TemporaryDirectory(prefix="rrin-fuzz-")
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(["tests.fuzz.targets"])
        self._process: Any = None
        self._started = 0.0
        self._spawn()

    def read(self, reader: str, name: str, content: bytes) -> Outcome:
        """Let the process read `content`, and wait for what comes of it."""
        self.start(reader, name, content)
        while True:
            outcome = self.outcome(patience=_TICK)
            if outcome is not None:
                return outcome

    def start(self, reader: str, name: str, content: bytes) -> None:
        """Let the process read `content` as a file of that name."""
        if self._process is None:
            self._spawn()
        path = Path(self._scratch.name) / name
        path.write_bytes(content)
        self._read += 1
        self._peak = 0
        self._started = time.monotonic()
        self.connection.send((reader, str(path)))

    def outcome(self, patience: float) -> Outcome | None:
        """Return what came of the file, None if nothing has within `patience` seconds."""
        try:
            if self.connection.poll(patience):
                outcome: Outcome = self.connection.recv()
                return self._judged(outcome)
        except (EOFError, ConnectionResetError):
            self._process.join()
            code = -(self._process.exitcode or 0)
            name = signal.Signals(code).name if code > 0 else f"exit code {-code}"
            return self._died("crash", name)
        now = _memory(self._process.pid, "VmRSS")
        self._peak = max(now, self._peak)
        if now > self._limits.bytes:
            return self._died("memory", f"over {self._limits.bytes // _MIB} MiB")
        if self._seconds() > self._limits.seconds:
            return self._died("hang", f"over {self._limits.seconds:g} s")
        return None

    def close(self) -> None:
        """End the process and remove what it wrote."""
        self._kill()
        self._scratch.cleanup()

    def _spawn(self) -> None:
        self.connection, theirs = self._context.Pipe()
        self._process = self._context.Process(
            target=_serve, args=(theirs, self._readers, self._scratch.name), daemon=True
        )
        self._process.start()
        theirs.close()
        self.connection.recv()  # it is ready
        self._read = 0

    def _judged(self, outcome: Outcome) -> Outcome:
        if outcome.peak_bytes > self._limits.bytes and not outcome.is_finding:
            outcome = replace(outcome, kind="memory", what=f"over {self._limits.bytes // _MIB} MiB")
        if self._read >= _LIFE or _memory(self._process.pid, "VmRSS") > _FAT:
            self._kill()
        return outcome

    def _died(self, kind: Kind, reason: str) -> Outcome:
        seconds = self._seconds()
        trace = Path(self._scratch.name) / _TRACE
        if self._process.is_alive():
            os.kill(self._process.pid, signal.SIGUSR1)  # faulthandler writes the stacks
            time.sleep(0.3)
        self._kill()
        stack = trace.read_text(errors="replace") if trace.exists() else ""
        return Outcome(kind, f"{reason} {_place_in(stack)}", stack, seconds, self._peak)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self.connection.close()
            self._process = None

    def _seconds(self) -> float:
        return time.monotonic() - self._started


def _serve(connection: Connection, readers: Mapping[str, Read], scratch: str) -> None:
    """Read files until the connection ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    with contextlib.suppress(ImportError):
        import torch

        torch.set_num_threads(1)
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):  # native libraries say there what is no concern of ours
        os.dup2(silence, descriptor)
    trace = (Path(scratch) / _TRACE).open("w")
    faulthandler.enable(trace)
    faulthandler.register(signal.SIGUSR1, trace)
    connection.send(None)
    with contextlib.suppress(EOFError):
        while True:
            reader, name = connection.recv()
            outcome = _tried(readers[reader], Path(name))
            for left in Path(scratch).iterdir():
                if left.name != _TRACE and left.is_file():
                    left.unlink()
            connection.send(outcome)


def _tried(read: Read, path: Path) -> Outcome:
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    kind: Kind = "passed"
    what = detail = ""
    started = time.monotonic()
    try:
        read(path)
    except RrinError as error:
        kind, what, detail = "refused", type(error).__name__, str(error)
        if not _can_be_printed(detail):
            kind, what = "exception", f"{what} that no terminal can print {_place_of(error)}"
    except BaseException as error:  # whatever it is, it was not promised
        kind, what = "exception", f"{type(error).__name__} {_place_of(error)}"
        detail = "".join(traceback.format_exception(error))
    seconds = time.monotonic() - started
    # NumPy makes strings of code points that there are not, and no pickle takes them.
    detail = detail[-20000:].encode("utf-8", "backslashreplace").decode("utf-8", "replace")
    return Outcome(kind, what, detail, seconds, _memory("self", "VmHWM"))


def _can_be_printed(text: str) -> bool:
    try:
        text.encode().decode()
    except UnicodeError:
        return False
    return True


def _place_of(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return _first_of_ours([(frame.filename, frame.name) for frame in reversed(frames)])


def _place_in(stack: str) -> str:
    """Return where the current thread of a faulthandler's stacks is."""
    _, _, current = stack.rpartition("Current thread")
    return _first_of_ours(re.findall(r'File "(.+)", line \d+ in (.+)', current))


def _first_of_ours(frames: list[tuple[str, str]]) -> str:
    """Return the innermost place in our own code; by function, for lines move."""
    for file, function in frames:
        if Path(file).is_relative_to(ROOT) and "tests" not in Path(file).relative_to(ROOT).parts:
            return f"in {Path(file).relative_to(ROOT)}, {function}"
    return f"in {Path(frames[0][0]).name}, {frames[0][1]}" if frames else "in native code"


def _memory(process: int | str, field: str) -> int:
    """Return a process's memory in bytes: 'VmRSS' as it is, 'VmHWM' the most that it was."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    found = re.search(rf"{field}:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


if not sys.platform.startswith("linux"):
    raise SystemExit("fuzzing watches memory through /proc, which Linux alone has")
