"""Frames of a clip: those converted are shared by the threads that VapourSynth asks with."""

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from media.clips.frames import recent


@pytest.fixture
def busy_threads() -> Iterator[None]:
    """Threads that take turns as often as Python can have them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("busy_threads")
def test_what_is_kept_is_shared_by_threads() -> None:
    get = recent(8, lambda key, given: (key, given))

    def ask(seed: int) -> None:
        for key in np.random.default_rng(seed).integers(0, 40, 20_000).tolist():
            assert get(key, -key) == (key, -key)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(ask, range(4)))


def test_threads_make_side_by_side() -> None:
    both = threading.Barrier(2, timeout=30)
    get = recent(1, lambda key: (both.wait(), key)[1])
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(get, "ab")) == ["a", "b"]


def test_the_last_ones_asked_for_are_kept() -> None:
    made = []
    get = recent(2, lambda key: made.append(key) or key)
    for key in "abacab":
        assert get(key) == key
    assert made == ["a", "b", "c", "b"]
