"""`rrin-deploy bench`"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from rrin_deploy.console import out, parse_size, say, short_names, table
from rrin_deploy.options import Providers, Trust
from rrin_deploy.progress import frame_progress, waiting
from rrin_deploy.results import AsJson, document
from runtime.backends import BackendName
from runtime.bundled import BUNDLED_MODEL
from runtime.options import MAX_THREADS, check_file
from runtime.publishing import Publication

if TYPE_CHECKING:
    from rrin_deploy.bench.benchmark import Report
    from rrin_deploy.bench.peers import Contender


def _backend(text: str) -> str:
    if text not in get_args(BackendName):
        raise typer.BadParameter(f"{text!r} is not {' or '.join(get_args(BackendName))}")
    return text


def command(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Artifacts; the first is the base. By default the bundled model."),
    ] = None,
    sizes: Annotated[
        list[str] | None,
        typer.Option("--size", help="Frame size; may be repeated; default 448x256."),
    ] = None,
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
            "torch.compile, ONNX Runtime on the network exported the plain way, OpenVINO, ncnn.",
        ),
    ] = False,
    chart: Annotated[Path | None, typer.Option(help="Draw the times as a PNG.")] = None,
    as_json: AsJson = False,
    backends: Annotated[
        list[str] | None,  # typer takes no list of literals
        typer.Option(
            "--backend",
            parser=_backend,
            autocompletion=lambda: [*get_args(BackendName)],
            metavar="onnxruntime|openvino",
            help="For ONNX files; may be repeated, to compare them. By default as `interpolate`.",
        ),
    ] = None,
    providers: Providers = None,
    trusted: Trust = False,
) -> None:
    """Time whole calls, uint8 frames in and out, in interleaved rounds of one run.

    Each contender has a process of its own. Ratios are medians over the rounds; the ceiling is what
    this machine reaches on one large convolution; the start is from nothing to the first frame.
    Beside PyTorch, how near its frames everybody's are is shown as well.

    Examples:

    - `rrin-deploy bench rrin.onnx rrin.ort.int8.onnx --peers --chart bench.png`
    - `rrin-deploy bench rrin.onnx --backend onnxruntime --backend openvino --size 1280x720`
    """
    with document(as_json) as give:
        from rrin_deploy.bench.benchmark import Load, Report, run_benchmark, usable_cores
        from rrin_deploy.bench.ceiling import cpu_ceilings, gpu_ceiling
        from rrin_deploy.bench.peers import write_peers

        paths = files or [BUNDLED_MODEL]
        for path in paths:
            check_file(path, "expected an artifact")
        loads = [
            Load(parse_size(size), times, threads or usable_cores(), rounds)
            for size in sizes or ["448x256"]
        ]
        if chart:
            from rrin_deploy.bench.chart import draw

            if chart.suffix.lower() != ".png":
                raise typer.BadParameter(
                    f"{chart}: the chart is a PNG; give a name that ends in .png"
                )
            target = Publication(chart)
        artifacts = _artifacts(paths, backends, providers, trusted)
        with waiting("measuring this machine"):
            ceilings = cpu_ceilings(loads[0].threads) | gpu_ceiling()
        reports = []
        for load in loads:
            with tempfile.TemporaryDirectory() as folder:
                contenders = [*artifacts]
                if peers:
                    with waiting("exporting the network for its peers"):
                        contenders += write_peers(paths[0], Path(folder), load.size, times)
                with frame_progress(f"timing {load.name}", unit="rounds/s") as progress:
                    timings = run_benchmark(contenders, load, progress)
            reports.append(Report(load, timings, ceilings))
            _print(reports[-1])
        give([report.to_dict() for report in reports])
        shown = ", ".join(f"{kind} {rate / 1e9:.0f}" for kind, rate in ceilings.items())
        say(f"ceilings, G multiply-adds/s: {shown}")
        if chart:
            draw(target, reports)
            say(": the times as bars", subject=chart)


def _artifacts(
    paths: list[Path],
    backends: list[str] | None,
    providers: list[str] | None,
    trusted: bool,
) -> list[Contender]:
    """Return the artifacts as contenders: an ONNX file once a backend that is named."""
    from rrin_deploy.bench.peers import Contender

    found = []
    for path, name in zip(paths, short_names(paths), strict=True):
        wanted: list[Any] = [None]
        if backends and path.suffix.lower() == ".onnx":
            wanted = [*backends]
        for backend in wanted:
            shown = f"{name}, {backend}" if backend else name
            own = tuple(providers) if providers else None
            found.append(Contender(shown, "artifact", path, backend, own, trusted))
    return found


def _print(report: Report) -> None:
    timings, load = report.timings, report.load
    compared = any(timing.psnr_db is not None for timing in timings)
    columns = ["median", "frames/s", "as fast", "ceiling", "memory", "start"]
    rows = table("file", *columns, *(["to PyTorch"] if compared else []))
    for column in rows.columns[1:]:
        column.no_wrap = True
    for timing in timings:
        if timing.failure:
            rows.add_row(timing.name, "not run")
            continue
        share = report.share_of_ceiling(timing)
        rows.add_row(
            timing.name,
            f"{timing.median * 1e3:.0f} ms",
            f"{load.times / timing.median:.3g}",
            f"{timing.ratio_to(timings[0]):.2f}x",
            "" if share is None else f"{share:.0%}",
            "" if timing.peak_bytes is None else f"{timing.peak_bytes / 2**20:.0f} MiB",
            f"{timing.first_frame_seconds:.1f} s",
            *([_nearness(timing.psnr_db)] if compared else []),
        )
    say(f": {load.times} a call, {load.threads} threads", subject=load.name)
    out.print(rows)
    for timing in timings:
        if timing.failure:
            say(f": not run: {timing.failure}", subject=timing.name)


def _nearness(psnr_db: float | None) -> str:
    return "" if psnr_db is None else "equal" if math.isinf(psnr_db) else f"{psnr_db:.1f} dB"
