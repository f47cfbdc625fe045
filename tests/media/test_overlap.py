"""Stages that work at the same time, and end together."""

import threading
import time
from collections.abc import Iterator

import pytest

from media.reading.overlap import overlapped


def test_order_and_a_bound_on_what_waits() -> None:
    made = 0

    def numbers() -> Iterator[int]:
        nonlocal made
        for number in range(50):
            made += 1
            yield number

    taken = []
    for number in overlapped(numbers(), 3):
        taken.append(number)
        assert made <= len(taken) + 3 + 1
    assert taken == list(range(50))


def test_stages_work_at_the_same_time() -> None:
    taken, second_made = threading.Event(), threading.Event()

    def stage() -> Iterator[int]:
        yield 1
        assert taken.wait(5)  # only once the first is being worked on
        second_made.set()
        yield 2

    numbers = overlapped(stage(), 1)
    assert next(numbers) == 1
    taken.set()
    assert second_made.wait(5)  # while nobody asks for it
    assert list(numbers) == [2]


def test_the_first_cause_is_what_is_raised() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("the cause")

    def second(numbers: Iterator[int]) -> Iterator[int]:
        for number in numbers:
            yield number * 2

    numbers = overlapped(second(overlapped(broken(), 2)), 2)
    assert next(numbers) == 2
    with pytest.raises(ValueError, match="the cause"):
        next(numbers)


def test_leaving_the_loop_ends_the_thread_and_closes_the_iterator() -> None:
    closed = threading.Event()
    threads = threading.active_count()

    def endless() -> Iterator[int]:
        try:
            while True:
                time.sleep(0.001)
                yield 1
        finally:
            closed.set()

    stage = overlapped(endless(), 2)
    assert next(stage) == 1
    stage.close()  # type: ignore[attr-defined]
    assert closed.wait(5)
    assert threading.active_count() == threads
