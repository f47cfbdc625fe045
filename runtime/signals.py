"""The signals that end a program: what is begun has to be taken back, or finished, before."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# A terminal that closes sends SIGHUP, which Windows does not have.
ENDING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


@contextmanager
def signals_held() -> Iterator[Callable[[], bool]]:
    """Call the handlers of signals only after the block; yield a function that says if one came.

    For blocks that end soon and must not end halfway. Python runs a handler in whatever Python code
    is next, which may also be one that native code calls, as TensorRT does while it builds: what is
    raised there, KeyboardInterrupt for one, is dropped.
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
