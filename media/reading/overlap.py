"""Stages of a pipeline that work at the same time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Literal, TypeVar

Item = TypeVar("Item")
_Kind = Literal["item", "end", "error"]
_PATIENCE = 0.05  # seconds between two looks at whether anybody still waits


def overlapped(
    items: Iterable[Item], depth: int, leave: Callable[[], None] = lambda: None
) -> Iterator[Item]:
    """Run an iterator in a thread of its own, at most `depth` items ahead of who takes them.

    Its exception is raised here, in its place among the items. When the loop that takes them is
    left, for whatever reason, the iterator is closed and its thread has ended.

    Args:
        leave: called before that is waited for; it ends what the iterator itself may wait for.
    """
    waiting: queue.Queue[tuple[_Kind, Any]] = queue.Queue(depth)
    begun, left = threading.Event(), threading.Event()

    def put(kind: _Kind, value: Any) -> bool:
        while not left.is_set():
            try:
                waiting.put((kind, value), timeout=_PATIENCE)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        begun.set()
        if left.is_set():
            return
        try:
            for item in items:
                if not put("item", item):
                    break
            _close(items)
        except BaseException as error:
            put("error", error)
        else:
            put("end", None)

    thread = threading.Thread(target=work, daemon=True)
    try:
        thread.start()
        while True:
            kind, value = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        left.set()
        leave()
        if begun.is_set():  # else a signal came in `start`, and it will touch nothing any more
            thread.join()


def awaited(call: Callable[[], Item], leave: Callable[[], None]) -> Item:
    """Return what a call in a thread of its own returns; its exception is raised here.

    For native calls that call Python back, and wait there: what a signal's handler raises would be
    raised in the callback, where not all gets through.

    Args:
        leave: called where this is broken off; it ends what the call may wait for.
    """
    made: list[Item] = []
    for item in overlapped((call() for _ in range(1)), 1, lambda: None if made else leave()):
        made.append(item)  # one by one, for `leave` looks
    return made[0]


def _close(items: Iterable[Any]) -> None:
    if isinstance(items, Generator):
        items.close()
