"""What PyTorch does on this card: how exact it is, and how fast, beside the card's roofline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from export.network import BASE_WIDTH, RRIN
from export.reference import planes_of
from rrin_deploy.proof.report import Finding, verdict
from rrin_deploy.proof.roofline import Ceiling, least_seconds
from rrin_deploy.proof.timing import Timing, ceilings, time_on_gpu
from runtime.architecture import UNETS, padded
from runtime.golden import GoldenCase
from runtime.parity import psnr_db

Size = tuple[int, int]
_Ways = Callable[[RRIN, Size], Iterator[tuple[str, Timing]]]
# By name: whether the U-Nets run in half, channels last, and whether float32 may be TF32.
_WAYS = {"float32": (False, False), "TF32": (False, True), "half": (True, False)}


def exact(name: str) -> None:
    """Let PyTorch's float32 be float32, or TF32 where that is the way's name, and repeatable."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = _WAYS[name][1]
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True


def in_half(network: RRIN) -> RRIN:
    """Let a network's U-Nets run in half, channels last; all else stays float32."""
    for name in UNETS:
        unet = getattr(network, name).half().to(memory_format=torch.channels_last)
        unet.register_forward_pre_hook(_into_half)
        unet.register_forward_hook(_out_of_half)
    return network


def _into_half(_: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(each.to(torch.float16, memory_format=torch.channels_last) for each in inputs)


def _out_of_half(_: Any, __: Any, made: Tensor) -> Tensor:
    return made.float()


def exactness(network_of: Callable[[], RRIN], cases: Sequence[GoldenCase]) -> Iterator[Finding]:
    """Measure how far each way is from the reference's outputs, on the CPU in float32."""
    rows = []
    least = dict.fromkeys(_WAYS, 200.0)
    for name, (half, _) in _WAYS.items():
        exact(name)
        network = network_of().cuda()
        network = in_half(network) if half else network
        for case in cases:
            made = _frames(network, case.frame0, case.frame1, case.t)
            psnr = min(psnr_db(made, case.frames), 200.0)
            least[name] = min(least[name], psnr)
            rows.append(
                {
                    "U-Nets in": name,
                    "size": f"{case.frame0.shape[1]}x{case.frame0.shape[0]}",
                    "times": len(case.t),
                    "max error": float(np.abs(made - case.frames).max()),
                    "PSNR dB": psnr,
                }
            )
    exact("float32")
    text = "least PSNR " + ", ".join(f"{name} {db:.1f} dB" for name, db in least.items())
    passed = least["float32"] > 78 and least["half"] > 60
    yield verdict("PyTorch on this card beside the CPU", passed, text, {"rows": rows})


@torch.inference_mode()
def _frames(network: RRIN, frame0: Any, frame1: Any, t: Any) -> Any:
    height, width = frame0.shape[:2]
    planes = [planes_of(frame).cuda() for frame in (frame0, frame1)]
    made = network(*planes, torch.from_numpy(t).cuda())
    return made[:, :, :height, :width].permute(0, 2, 3, 1).cpu().numpy()


def benchmark(sizes: Sequence[Size], *, compiled: bool) -> Iterator[Finding]:
    """Time full-width RRIN, one time a call, eager and as a CUDA graph, at each size."""
    limits = ceilings()
    facts = {name: asdict(ceiling) for name, ceiling in limits.items()}
    text = ", ".join(
        f"{name} {2 * ceiling.multiply_adds / 1e12:.0f} TFLOP/s" for name, ceiling in limits.items()
    )
    moved = limits["half"].bytes
    yield verdict("ceilings of this card", True, f"{text}; {moved / 1e9:.0f} GB/s", facts)
    for name, ceiling in limits.items():
        yield _timed_way(name, ceiling, sizes, _as_it_is)
    if compiled:
        yield _timed_way("half", limits["half"], sizes, _compiled)


@torch.inference_mode()
def _timed_way(name: str, ceiling: Ceiling, sizes: Sequence[Size], ways: _Ways) -> Finding:
    half = _WAYS[name][0]
    exact(name)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, True
    torch.manual_seed(0)
    network = RRIN(BASE_WIDTH).eval().requires_grad_(False).cuda()
    network = in_half(network) if half else network
    rows: list[dict[str, Any]] = []
    told = []
    for size in sizes:
        shown = "x".join(map(str, size))
        bounds = least_seconds(size, BASE_WIDTH, 2 if half else 4, ceiling)
        try:
            timings = list(ways(network, size))
        except torch.OutOfMemoryError:
            told.append(f"{shown} out of memory")
            continue
        for how, timing in timings:
            rows.append({"size": shown, "how": how, **_row(timing, *bounds)})
            share = rows[-1]["share of roofline"]
            told.append(f"{shown} {how} {1e3 * timing.gpu:.2f} ms ({share:.0%})")
    del network
    torch.cuda.empty_cache()
    exact("float32")
    what = f"PyTorch, full width, one time, U-Nets in {name}"
    if ways is _compiled:
        what += ", torch.compile"
    return verdict(what, bool(rows), "; ".join(told), {"rows": rows})


def _row(timing: Timing, compute: float, memory: float) -> dict[str, Any]:
    return {
        "GPU ms": 1e3 * timing.gpu,
        "host ms": 1e3 * timing.host,
        "least ms by arithmetic": 1e3 * compute,
        "least ms by memory": 1e3 * memory,
        "share of roofline": max(compute, memory) / timing.gpu,
        "warm-up calls": timing.warm_up,
        "stable": timing.stable,
    }


def _as_it_is(network: RRIN, size: Size) -> Iterator[tuple[str, Timing]]:
    inputs = _inputs(size)

    def call() -> Tensor:
        return network.stages(*inputs).frames

    yield "eager", time_on_gpu(call)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    yield "CUDA graph", time_on_gpu(graph.replay)


def _compiled(network: RRIN, size: Size) -> Iterator[tuple[str, Timing]]:
    inputs = _inputs(size)
    stages = torch.compile(network.stages)
    yield "torch.compile", time_on_gpu(lambda: stages(*inputs).frames)


def _inputs(size: Size) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    width, height = map(padded, size)
    frame0, frame1 = torch.rand(2, 1, 3, height, width, device="cuda")
    window = torch.tensor([0.0, 0.0, width, height], device="cuda")
    return frame0, frame1, torch.tensor([0.5], device="cuda"), window
