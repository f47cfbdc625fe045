"""Signals during native calls that call back into Python."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from runtime.signals import ENDING


@contextmanager
def signals_held() -> Iterator[Callable[[], bool]]:
    """Call the handlers of signals only after the block; yield a function that says if one came.

    Python runs a handler in whatever Python code is next. While TensorRT builds, that is one of its
    callbacks, and what is raised there, KeyboardInterrupt for one, TensorRT drops.
    """
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    handlers = {
        number: handler for number in ENDING if callable(handler := signal.getsignal(number))
    }
    if threading.current_thread() is not threading.main_thread():
        handlers = {}  # they are the main thread's
    try:
        for number in handlers:
            signal.signal(number, note)
        yield lambda: bool(came)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if came:
            handlers[came[0]](came[0], None)
