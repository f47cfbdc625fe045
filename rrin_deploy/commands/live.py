"""`rrin-deploy live`"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from rrin_deploy.console import errors, parse_pairs, parse_rational, parse_seconds, say
from rrin_deploy.given import Given
from rrin_deploy.options import (
    Backend,
    Crf,
    Device,
    Memory,
    Overlap,
    Overwrite,
    PixFmt,
    Providers,
    SkipStill,
    Threads,
    Tile,
    Trust,
)
from rrin_deploy.pipes import ending_unread
from rrin_deploy.results import apart
from runtime.cuts import THRESHOLD
from runtime.interpolator import Interpolator
from runtime.publishing import Publication

if TYPE_CHECKING:
    from media.live.stats import LiveStats

_STDOUT = ("-", "pipe:", "pipe:1", "/dev/stdout")


def command(
    source: Annotated[
        str,
        typer.Argument(
            help="What FFmpeg opens: a URL (udp, rtp, rtsp, srt, rtmp, tcp, http, HLS), a file, - "
            "for standard input, /dev/video0, or another device as FORMAT:NAME, such as "
            "avfoundation:0 or dshow:video=Camera."
        ),
    ],
    sink: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            help="A URL, a device, or a file (.mp4, .mkv, .mov, .webm, .ts, .m3u8); window, where "
            "FFmpeg has SDL; - for standard output.",
        ),
    ],
    fps: Annotated[str, typer.Option(help="Frames a second, such as 60 or 60000/1001.")],
    latency: Annotated[
        str,
        typer.Option(help="From a frame's arrival until it is shown, such as 200ms or 0.5s."),
    ] = "200ms",
    seconds: Annotated[
        float | None, typer.Option(help="End by itself after so many seconds.", min=0)
    ] = None,
    stats: Annotated[
        Path | None, typer.Option(help="A new file for a line of JSON every second.")
    ] = None,
    source_option: Annotated[
        list[str] | None,
        typer.Option(
            help="FFmpeg's option for a device or a URL, as in framerate=60; may be repeated."
        ),
    ] = None,
    sink_option: Annotated[
        list[str] | None, typer.Option(help="FFmpeg's option for the sink; may be repeated.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="An artifact such as rrin.onnx; by default the bundled model."),
    ] = None,
    cut_threshold: Annotated[
        float, typer.Option(help="Cuts: lower finds more.", min=0, max=1)
    ] = THRESHOLD,
    no_cuts: Annotated[bool, typer.Option("--no-cuts", help="Look for no scene cuts.")] = False,
    codec: Annotated[
        str | None, typer.Option(help="FFmpeg's encoder, such as h264_nvenc; default H.264.")
    ] = None,
    crf: Crf = None,
    preset: Annotated[
        str | None, typer.Option(help="The encoder's preset; default veryfast.")
    ] = None,
    pix_fmt: PixFmt = None,
    overwrite: Overwrite = False,
    backend: Backend = None,
    device: Device = None,
    threads: Threads = None,
    providers: Providers = None,
    tile: Tile = None,
    overlap: Overlap = None,
    memory: Memory = None,
    skip_still: SkipStill = None,
    trusted: Trust = False,
) -> None:
    """Make the frames between those of a camera or a stream, as they come.

    What is shown comes a fixed time after the source, `--latency`, and never later. A frame that
    cannot be made by then is replaced by the nearest one; where the machine is too slow for all,
    fewer are made, at last none, and that is said. What is lost is opened again. Audio is left out.

    Ends with the source, where that is a file or a pipe; after `--seconds`; or by Ctrl-C, which
    leaves a whole file behind.

    With `-o -` all but the stream goes to standard error. Where nobody reads it any more it ends
    with 141, as by SIGPIPE.

    Examples:

    - `rrin-deploy live /dev/video0 -o window --fps 60`
    - `rrin-deploy live udp://@:5000 -o udp://127.0.0.1:5001 --fps 50 --latency 150ms`
    - `rrin-deploy live rtsp://camera/stream -o out.mkv --fps 60 --stats stats.jsonl`
    """
    from media.encoding import Encoding
    from media.live.address import Address
    from media.live.stream import Live, LiveOptions

    options = LiveOptions(
        fps=parse_rational(fps),
        latency=parse_seconds(latency),
        seconds=seconds,
        cut_threshold=None if no_cuts else cut_threshold,
        encoding=Encoding(codec, crf, preset, pix_fmt),
        source_options=parse_pairs(source_option or []),
        sink_options=parse_pairs(sink_option or []),
        overwrite=overwrite,
    )
    where: Given = {
        "backend": backend, "device": device, "threads": threads, "providers": providers,
        "tile": tile, "overlap": overlap, "memory_limit": memory,
        "skip_still": skip_still,
    }  # fmt: skip
    to = Address.of(sink)
    if stats:
        ends = [Path(end.name) for end in (Address.of(source), to) if end.is_file]
        _check_stats(stats, [*ends, *filter(None, [model])], overwrite)
    shown = to.shown
    with ExitStack() as stack:
        stack.enter_context(ending_unread())
        if sink in _STDOUT:
            sink, shown = f"pipe:{stack.enter_context(apart())}", "standard output"
        interpolate = stack.enter_context(Interpolator(model, trusted=trusted, **where))
        status = stack.enter_context(errors.status("waiting for the source"))
        file: TextIO | None = None

        def watch(now: LiveStats) -> None:
            nonlocal file
            status.update(_line(now))
            if stats and now.read:  # until then the source may turn out to be none
                file = file or stack.enter_context(stats.open("w", encoding="utf-8"))
                print(json.dumps(asdict(now)), file=file, flush=True)

        def tell(line: str) -> None:
            errors.print(line, soft_wrap=True)

        done = Live(interpolate, source, sink, options, tell=tell, watch=watch).run()
        status.stop()
        say(f": {_line(done)}", subject=shown)


def _check_stats(stats: Path, taken: Sequence[Path], overwrite: bool) -> None:
    """Raise where the statistics would replace what is there, or is to be."""
    if any(
        stats.resolve() == path.resolve()
        or (stats.exists() and path.exists() and stats.samefile(path))
        for path in taken
    ):
        raise typer.BadParameter(
            f"--stats {stats} is the source, the output or the model; choose another file"
        )
    if stats.is_file() or not stats.exists():  # pipes and devices are written as they are
        Publication(stats, overwrite=overwrite)  # which says what stands in the way


def _line(now: LiveStats) -> str:
    median, most = (
        "-" if value is None else f"{1000 * value:.0f}"
        for value in (now.latency_median, now.latency_p99)
    )
    return (
        f"{now.fps_in:.1f} fps in, {now.fps_out:.1f} out; latency {median} ms, 99 % within {most} "
        f"ms; {now.passed} passed, {now.made} made, {now.repeated} repeated, {now.skipped} "
        f"skipped, {now.dropped} of {now.read} dropped, {now.reconnects} reconnects"
    )
