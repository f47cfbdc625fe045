"""What is proved of a session: an engine, real or a double's, run as applications run it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rrin_deploy.proof.report import Finding, NotRunError, verdict
from runtime.frames import Frame
from runtime.golden import Golden
from runtime.interpolator import Interpolator
from runtime.parity import check_parity
from runtime.scene import render_bytes
from runtime.verdicts import CaseResult

_DRAWN = 16  # pictures, of which a clip of any length is made
_LATE = 450, 250  # size of the frames that are still being filled; no multiples of 32


@dataclass(frozen=True)
class Clip:
    """A clip for the streams.

    Attributes:
        size: (width, height), pixels.
        frames: how many.
        settled: from this frame on no more device memory may be taken.
    """

    size: tuple[int, int] = (320, 192)
    frames: int = 500
    settled: int = 100

    def drawn(self) -> list[Frame]:
        """Return the frames, no two alike."""
        pictures = [render_bytes(*self.size, time) for time in range(_DRAWN)]
        frames = []
        for index in range(self.frames):
            frame = pictures[index % _DRAWN].copy()
            frame[:8, :8] = np.array([index % 256, index // 256, 128], np.uint8)
            frames.append(frame)
        return frames


def parity(name: str, engine: Path, goldens: Sequence[Golden]) -> Iterator[Finding]:
    """Hold an engine against the reference's outputs, as `check_parity` does."""
    cases: list[CaseResult] = []
    backend = ""
    for golden in goldens:
        report = check_parity(engine, golden)
        cases += report.cases
        backend = report.backend
    rows = [
        {
            "size": f"{case.width}x{case.height}",
            "t": case.t,
            "max error": case.max_abs_error,
            "its limit": case.limits.max_abs_error,
            "PSNR dB": case.psnr_db,
            "equal in 8 bits": case.equal_share,
        }
        for case in cases
    ]
    largest = max(case.max_abs_error for case in cases)
    least = min((case.psnr_db for case in cases if case.psnr_db is not None), default=None)
    sizes = len({(case.width, case.height) for case in cases})
    psnr = "all equal" if least is None else f"least PSNR {least:.1f} dB"
    text = f"{len(cases)} frames of {sizes} sizes: largest error {largest:.1e}, {psnr}; {backend}"
    passed = all(case.passed for case in cases)
    yield verdict(f"parity, {name}", passed, text, {"backend": backend, "rows": rows})


def streams(name: str, engine: Path, clip: Clip) -> Iterator[Finding]:
    """Run a clip as single calls, and as streams of two threads at once; compare bit for bit."""
    frames = clip.drawn()
    with Interpolator(engine) as interpolate:
        interpolate.warm_up(*frames[0].shape[:2])
        started = time.perf_counter()
        single = [interpolate(*pair) for pair in pairwise(frames)]
        calls = (len(frames) - 1) / (time.perf_counter() - started)
        gate = _Gate(parties=2, at=clip.settled)
        started = time.perf_counter()
        with ThreadPoolExecutor(2) as threads:
            both = [threads.submit(_stream, interpolate, frames, single, gate) for _ in range(2)]
            different = [thread.result() for thread in both]
        together = 2 * (len(frames) - 1) / (time.perf_counter() - started)
    taken = gate.before - min(gate.after)
    figures = {
        "different_frames": different,
        "device_bytes_taken_after_settling": taken,
        "free_device_bytes": [gate.before, *gate.after],
        "frames_a_second_in_single_calls": calls,
        "frames_a_second_in_two_streams": together,
    }
    width, height = clip.size
    text = (
        f"{len(frames)} frames of {width}x{height} from two threads: {sum(different)} differ from "
        f"single calls; device memory grew by {taken} bytes after frame {clip.settled}; "
        f"{calls:.0f} fps in calls, {together:.0f} in both streams"
    )
    yield verdict(f"streams, {name}", not sum(different) and taken <= 0, text, figures)


class _Gate:
    """Where two streams meet once memory should have settled, and are watched from then on.

    Attributes:
        before, after: bytes of free device memory when they met, and later.
    """

    def __init__(self, parties: int, at: int) -> None:
        self.at = at
        self.before = 0
        self.after: list[int] = []
        self._barrier = threading.Barrier(parties, self._met, timeout=120)

    def _met(self) -> None:
        self.before = free_memory()

    def watch(self, index: int, last: bool) -> None:
        if index == self.at:
            self._barrier.wait()
        elif index > self.at and (index % 50 == 0 or last):
            self.after.append(free_memory())

    def abort(self) -> None:
        self._barrier.abort()


def _stream(
    interpolate: Interpolator, frames: Sequence[Frame], single: Sequence[Frame], gate: _Gate
) -> int:
    """Return how many of a stream's frames differ from the originals or from single calls."""
    different = 0
    try:
        filled = interpolate.fill((frame, [0.5]) for frame in frames)
        for index, (frame, made) in enumerate(filled):
            different += not np.array_equal(frame, frames[index])
            if index:
                different += not np.array_equal(made[0], single[index - 1])
            gate.watch(index, last=index == len(frames) - 1)
    except BaseException:
        gate.abort()
        raise
    return different


def free_memory() -> int:
    """Return the bytes that are free on the first GPU."""
    from runtime.device import Gpu

    gpu = Gpu(0)
    with gpu.current():
        return gpu.free_memory()


class _Named:
    """A tensor that says on which stream it is being filled; None: it is filled."""

    def __init__(self, tensor: Any, stream: int | None) -> None:
        self._facts = {**tensor.__cuda_array_interface__, "version": 3, "stream": stream}

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self._facts


class _Lent:
    """A tensor that offers DLPack alone."""

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    def __dlpack_device__(self) -> tuple[Any, int]:
        device: tuple[Any, int] = self._tensor.__dlpack_device__()
        return device

    def __dlpack__(self, *, stream: Any = None) -> Any:
        return self._tensor.__dlpack__(stream=stream)


def device_arrays(name: str, engine: Path, *, busy_cycles: int = 200_000_000) -> Iterator[Finding]:
    """Hand over tensors that a side stream of PyTorch is still filling when the call is made."""
    import torch

    if not torch.cuda.is_available():
        raise NotRunError("PyTorch finds no GPU")
    torch_cuda: Any = torch.cuda
    side, t = torch_cuda.Stream(), [0.25, 0.5, 0.75]
    with Interpolator(engine) as interpolate:
        frames = [render_bytes(*_LATE, time) for time in (0, 1)]
        given: list[NDArray[Any]] = list(frames)
        if interpolate.metadata.io == "float32":
            given = [frame / np.float32(255) for frame in frames]
        ready = [torch.as_tensor(frame, device="cuda") for frame in given]
        expected = interpolate(given[0], given[1], t)

        torch_cuda.synchronize()  # the side stream does not wait for the one that copied them

        def attempt(wrapped: Any) -> tuple[bool, bool]:
            """Return whether the frames were still being filled, and whether the result is right.

            Args:
                wrapped: makes of a tensor what is handed over.
            """
            with torch_cuda.stream(side):
                late = [torch.zeros_like(frame) for frame in ready]
                side.synchronize()
                torch_cuda._sleep(busy_cycles)
                for target, source in zip(late, ready, strict=True):
                    target.copy_(source)
                filled = side.record_event()
                frame0, frame1 = map(wrapped, late)
                busy = not filled.query()
                made = torch.as_tensor(interpolate.on_device(frame0, frame1, t), device="cuda")
                found = made.cpu().numpy()
                side.synchronize()
            return busy, bool(np.array_equal(found, expected))

        attempts = {
            "as PyTorch hands it over": attempt(lambda tensor: tensor),
            "by DLPack": attempt(_Lent),
            "naming its stream": attempt(lambda tensor: _Named(tensor, side.cuda_stream)),
        }
        _, unwaited = attempt(lambda tensor: _Named(tensor, None))
    busy, right = (all(each) for each in zip(*attempts.values(), strict=True))
    text = (
        f"frames {'right' if right else 'WRONG'}, producer {'still running' if busy else 'DONE'} "
        f"at the call, handed over in {len(attempts)} ways; as a control, told that it was done, "
        f"the frames are {'right all the same' if unwaited else 'wrong, as they must be'}"
    )
    figures = {"busy_and_right": attempts, "right_without_waiting": unwaited}
    yield verdict(f"device arrays, {name}", busy and right and not unwaited, text, figures)
