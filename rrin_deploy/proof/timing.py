"""Times on the GPU by events, once a card's clocks and caches have settled; and its ceilings."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from rrin_deploy.proof.roofline import Ceiling

_BATCH, _MOST_BATCHES, _MOST_SECONDS, _STABLE = 5, 20, 1.5, 0.02

# Of the matrices, and of the copy in bytes: large enough that nothing but the card matters.
_SIDE, _COPIED = 8192, 2**29


@dataclass(frozen=True)
class Timing:
    """Times of a call, seconds.

    Attributes:
        gpu: median between the events before and after it, gaps included.
        host: median until the call returned, nothing waited for.
        warm_up: calls before.
        stable: whether the last two batches of the warm-up differed by less than 2 %.
    """

    gpu: float
    host: float
    warm_up: int
    stable: bool


def time_on_gpu(call: Callable[[], object], calls: int = 10) -> Timing:
    """Time a call that only begins its work on the current stream."""
    call()
    began, before, batches, stable = time.perf_counter(), 0.0, 0, False
    while not stable and batches < _MOST_BATCHES and time.perf_counter() - began < _MOST_SECONDS:
        now, _ = _batch(call, _BATCH)
        stable = abs(now - before) < _STABLE * now
        before, batches = now, batches + 1
    gpu, host = _batch(call, calls)
    return Timing(gpu, host, 1 + _BATCH * batches, stable)


def _batch(call: Callable[[], object], calls: int) -> tuple[float, float]:
    gpu, host = [], []
    for _ in range(calls):
        event: Any = torch.cuda.Event
        start, end = event(enable_timing=True), event(enable_timing=True)
        start.record()
        began = time.perf_counter()
        call()
        host.append(time.perf_counter() - began)
        end.record()
        end.synchronize()
        gpu.append(start.elapsed_time(end) / 1e3)
    return median(gpu), median(host)


def ceilings() -> dict[str, Ceiling]:
    """Measure large matrix products and a copy: 'float32', 'TF32' and 'half'."""
    moved = _bytes_a_second()
    found = {}
    for name, dtype, tf32 in (
        ("float32", torch.float32, False),
        ("TF32", torch.float32, True),
        ("half", torch.float16, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        found[name] = Ceiling(_multiply_adds_a_second(dtype), moved)
    torch.backends.cuda.matmul.allow_tf32 = False
    return found


def _bytes_a_second() -> float:
    source = torch.empty(_COPIED, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * _COPIED / time_on_gpu(lambda: target.copy_(source)).gpu


def _multiply_adds_a_second(dtype: torch.dtype) -> float:
    a, b = (torch.randn(_SIDE, _SIDE, dtype=dtype, device="cuda") for _ in range(2))
    out = torch.empty_like(a)
    return _SIDE**3 / time_on_gpu(lambda: torch.mm(a, b, out=out)).gpu
