"""Signals that end the command, wherever it is: nothing is left behind, and nothing is said."""

from __future__ import annotations

import signal
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ExtensionFileLoader
from types import FrameType
from typing import Any

from runtime.signals import ENDING

_AGAIN = 0.25  # seconds until an exception that was swallowed, or held back, is raised anew
_TIMER = hasattr(signal, "setitimer")  # Windows has none
_LOADING = {ExtensionFileLoader.create_module.__code__, ExtensionFileLoader.exec_module.__code__}


class Stopped(SystemExit):
    """A signal came. Its code is 128 + the signal's number, as a shell reports it."""


def raise_stopped(error: BaseException | None) -> None:
    """Raise the signal that is at the bottom of an error, as of an import that it broke off."""
    while error is not None:
        if isinstance(error, Stopped):
            raise error
        error = error.__cause__ or error.__context__


class _Ending:
    """The handler: raises `Stopped` in the main thread, again and again until it has got through.

    Python runs it wherever the main thread happens to be: also inside a weak reference's callback,
    or in Python that native code calls, and there an exception is dropped; and libraries make
    another error of it, and try something else. While it is on its way upward, though, further
    signals are not to disturb what cleans up. Nor is it raised in Python that a native library
    calls while it is loaded: some crash of it, as onnx's does.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        self._raised: weakref.ref[Stopped] | None = None
        self._unraisable = sys.unraisablehook

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.code is None:
            self.code = 128 + number
            if _TIMER:
                signal.signal(signal.SIGALRM, self)
                signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
        if not self._on_its_way(frame) and not (_TIMER and _loads_library(frame)):
            raise self._stopped(self.code)  # bound to no name, for a frame would keep it alive

    def _on_its_way(self, frame: FrameType | None) -> bool:
        """True while what runs was called by the frame that the exception has come to."""
        stopped = self._raised() if self._raised else None
        if stopped is None:
            return False
        # A generator may be closed between two frames, and before Python 3.12 a traceback is only
        # attached where the exception is caught.
        if stopped.__traceback__ is None or isinstance(sys.exc_info()[1], GeneratorExit):
            return True
        reached = stopped.__traceback__.tb_frame
        while frame is not None and frame is not reached:
            frame = frame.f_back
        return frame is reached

    def _stopped(self, code: int) -> Stopped:
        stopped = Stopped(code)
        self._raised = weakref.ref(stopped)
        return stopped

    def report(self, unraisable: Any) -> None:
        """Say what Python says of a dropped exception, but of ours, which will come again."""
        if not isinstance(unraisable.exc_value, Stopped):
            self._unraisable(unraisable)

    def over(self) -> None:
        """Ignore signals from here on: all is written or cleaned up, and Python shuts down."""
        if self.code is not None and _TIMER:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number in ENDING:
            if signal.getsignal(number) is self:
                signal.signal(number, signal.SIG_IGN)


def _loads_library(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code in _LOADING:
            return True
        frame = frame.f_back
    return False


@contextmanager
def ending_signals() -> Iterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into an exception that ends the process.

    A signal that is ignored stays so, as SIGHUP under nohup.

    Raises:
        Stopped: one came, whatever else the block has raised since.
    """
    ending = _Ending()
    sys.unraisablehook = ending.report
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, ending)
    try:
        yield
    finally:
        ending.over()
        if ending.code is not None:
            raise Stopped(ending.code) from None
