"""`rrin-deploy bench`"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rrin_deploy.console import errors, frame_progress, out, parse_size, say, short_names, table
from rrin_deploy.options import Backend, Providers, Trust
from runtime.interpolator import BUNDLED_MODEL
from runtime.options import MAX_THREADS, check_file
from runtime.publishing import Publication

if TYPE_CHECKING:
    from rrin_deploy.bench.benchmark import Report


def command(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Artifacts; the first is the base. By default the bundled model."),
    ] = None,
    size: Annotated[str, typer.Option(help="Frame size.")] = "448x256",
    times: Annotated[int, typer.Option(help="Frames made in one call.", min=1)] = 1,
    rounds: Annotated[int, typer.Option(help="Timed calls of each.", min=1)] = 10,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads; by default all cores.", min=1, max=MAX_THREADS)
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
    backend: Backend = None,
    providers: Providers = None,
    trusted: Trust = False,
) -> None:
    """Time whole calls, uint8 frames in and out, in interleaved rounds of one run.

    Each contender has a process of its own. Ratios are medians over the rounds; the ceiling is what
    this machine reaches on one large convolution; the start is from nothing to the first frame.

    Example: `rrin-deploy bench rrin.onnx rrin.ort.int8.onnx --peers --chart bench.png`
    """
    from rrin_deploy.bench.benchmark import Load, Report, run_benchmark
    from rrin_deploy.bench.ceiling import cpu_ceilings, gpu_ceiling
    from rrin_deploy.bench.peers import Contender, write_peers

    paths = files or [BUNDLED_MODEL]
    for path in paths:
        check_file(path, "expected an artifact")
    load = Load(parse_size(size), times, threads or _cores(), rounds)
    if chart:
        from rrin_deploy.bench.chart import draw

        if chart.suffix.lower() != ".png":
            raise typer.BadParameter(f"{chart}: the chart is a PNG; give a name that ends in .png")
        target = Publication(chart)
    with tempfile.TemporaryDirectory() as folder:
        contenders = [
            Contender(
                name, "artifact", path, backend, tuple(providers) if providers else None, trusted
            )
            for path, name in zip(paths, short_names(paths), strict=True)
        ]
        if peers:
            with errors.status("exporting the network for its peers"):
                contenders += write_peers(paths[0], Path(folder), load.size, times)
        with errors.status("measuring this machine"):
            ceilings = cpu_ceilings(load.threads)
            ceilings |= gpu_ceiling()
        with frame_progress("timing", unit="rounds/s") as progress:
            timings = run_benchmark(contenders, load, progress)
    report = Report(load, timings, ceilings)
    if as_json:
        print(json.dumps(report.to_dict(), indent=2, allow_nan=False))
    else:
        _print(report)
        shown = ", ".join(f"{kind} {rate / 1e9:.0f}" for kind, rate in ceilings.items())
        say(f"{size}, {times} a call, {load.threads} threads; ceilings, G multiply-adds/s: {shown}")
    if chart:
        draw(target, timings, f"RRIN, {size}, frames a call: {times}, CPU threads: {load.threads}")
        if not as_json:
            say(": the times as bars", subject=chart)


def _print(report: Report) -> None:
    timings = report.timings
    rows = table("file", "median", "quartiles", "as fast", "ceiling", "memory", "start")
    for column in rows.columns[1:]:
        column.no_wrap = True
    for timing in timings:
        if timing.failure:
            rows.add_row(timing.name, "not run")
            continue
        low, high = timing.quartiles
        share = report.share_of_ceiling(timing)
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


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # what this process may use, on Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
