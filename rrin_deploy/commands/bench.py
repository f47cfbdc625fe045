"""`rrin-deploy bench`"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rrin_deploy.console import errors, frame_progress, out, parse_size, say, short_names, table
from rrin_deploy.options import Providers
from runtime.interpolator import BUNDLED_MODEL
from runtime.metadata import Metadata
from runtime.session import open_session

if TYPE_CHECKING:
    from rrin_deploy.benchmark import Timing

# Which ceiling an artifact's precision is held against.
_CEILINGS = {"fp32": "FP32", "int8": "INT8"}
_FP32_PEERS = ("pytorch", "torch.compile", "onnxruntime", "openvino f32")


def command(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Artifacts; the first is the base. By default the bundled model."),
    ] = None,
    size: Annotated[str, typer.Option(help="Frame size.")] = "448x256",
    times: Annotated[int, typer.Option(help="Frames made in one call.", min=1)] = 1,
    rounds: Annotated[int, typer.Option(help="Timed calls of each.", min=1)] = 10,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads; by default all cores.", min=1)
    ] = None,
    peers: Annotated[
        bool,
        typer.Option(
            "--peers",
            help="Also what one might use instead, on the first file's weights: PyTorch, "
            "torch.compile, ONNX Runtime on the network exported the plain way, OpenVINO.",
        ),
    ] = False,
    chart: Annotated[Path | None, typer.Option(help="Draw the times as a PNG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    providers: Providers = None,
) -> None:
    """Time whole calls, uint8 frames in and out, in interleaved rounds of one run.

    Each contender has a process of its own. Ratios are medians over the rounds; the ceiling is what
    this machine reaches on one large convolution.

    Example: `rrin-deploy bench rrin.onnx rrin.int8.onnx --peers --chart bench.png`
    """
    from rrin_deploy.benchmark import Load, multiply_adds, run_benchmark
    from rrin_deploy.ceiling import cpu_ceilings, gpu_ceiling
    from rrin_deploy.peers import Contender, write_peers

    paths = files or [BUNDLED_MODEL]
    load = Load(parse_size(size), times, threads or _cores(), rounds)
    about = [_metadata(path) for path in paths]
    with tempfile.TemporaryDirectory() as folder:
        contenders = [
            Contender(name, "artifact", path, tuple(providers) if providers else None)
            for path, name in zip(paths, short_names(paths), strict=True)
        ]
        if peers:
            with errors.status("exporting the network for its peers"):
                contenders += write_peers(paths[0], Path(folder), load.size, times)
        with errors.status("measuring this machine"):
            ceilings = cpu_ceilings(load.threads)
            on_gpu = gpu_ceiling()
        with frame_progress("timing", unit="rounds/s") as progress:
            timings = run_benchmark(contenders, load, progress)
    work = [multiply_adds(one.base_width, load.size, times) for one in about]
    work += work[:1] * (len(contenders) - len(paths))  # the peers have the first one's weights
    kinds = [_CEILINGS.get(one.precision) for one in about]
    kinds += ["FP32" if one.kind in _FP32_PEERS else None for one in contenders[len(paths) :]]
    shares = [
        None if timing.failure or not kind else amount / timing.median / ceilings[kind]
        for timing, kind, amount in zip(timings, kinds, work, strict=True)
    ]
    if as_json:
        report = {
            "size": load.size,
            "times": times,
            "threads": load.threads,
            "multiply_adds": work[0],
            "ceiling_multiply_adds_per_second": ceilings | {"GPU half": on_gpu},
            "contenders": [
                timing.to_dict(timings[0]) | {"share_of_ceiling": share}
                for timing, share in zip(timings, shares, strict=True)
            ],
        }
        print(json.dumps(report, indent=2))
    else:
        _print(timings, shares)
        shown = ", ".join(f"{kind} {rate / 1e9:.0f}" for kind, rate in ceilings.items())
        say(f"{size}, {times} a call, {load.threads} threads; ceilings, G multiply-adds/s: {shown}")
        if on_gpu:
            say(f"half matrix product on the GPU: {on_gpu / 1e12:.0f} T multiply-adds/s")
    if chart:
        from rrin_deploy.chart import draw

        draw(chart, timings, f"RRIN, {size}, {times} frame a call, {load.threads} CPU threads")
        if not as_json:
            say(": the times as bars", subject=chart)


def _print(timings: Sequence[Timing], shares: Sequence[float | None]) -> None:
    rows = table("file", "median", "quartiles", "as fast", "ceiling", "memory", "first frame")
    for column in rows.columns:
        column.no_wrap = True
    for timing, share in zip(timings, shares, strict=True):
        if timing.failure:
            rows.add_row(timing.name, "not run")
            continue
        low, high = timing.quartiles
        rows.add_row(
            timing.name,
            f"{timing.median * 1e3:.0f} ms",
            f"{low * 1e3:.0f}-{high * 1e3:.0f}",
            f"{timing.ratio_to(timings[0]):.2f}x",
            "" if share is None else f"{share:.0%}",
            "" if timing.peak_bytes is None else f"{timing.peak_bytes / 2**20:.0f} MiB",
            f"{timing.first_frame_seconds:.1f} s",
        )
    out.print(rows)
    for timing in timings:
        if timing.failure:
            say(f": not run: {timing.failure}", subject=timing.name)


def _metadata(path: Path) -> Metadata:
    with open_session(path) as session:
        return session.metadata


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # what this process may use, on Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
