"""`rrin-deploy interpolate`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rrin_deploy.given import FACTOR
from rrin_deploy.options import (
    LONG,
    RUNS,
    WRITTEN,
    Backend,
    Crf,
    Deinterlace,
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
from rrin_deploy.orders import make, order_of
from rrin_deploy.pipes import is_stdout
from rrin_deploy.progress import ProgressAs, progress_as
from rrin_deploy.results import FORMAT, AsJson, Outputs, document
from runtime.cuts import THRESHOLD


def command(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            help="Two images, a video, a folder or a pattern of images; or several videos; or - "
            "for y4m from standard input."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="The image (.png, .tif, .jpg); the video (.mp4, .mkv, .mov, .webm, .ts, .y4m, "
            "animated .gif or .webp); the folder, for frame_00000.png and so on, or a pattern; of "
            "several videos the folder; - for y4m to standard output.",
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(help="An artifact such as rrin.onnx; by default the bundled model."),
    ] = None,
    t: Annotated[
        float | None, typer.Option("--t", help="When between two images, 0 to 1; default 0.5.")
    ] = None,
    factor: Annotated[
        str | None, typer.Option(help=f"Times the frame rate, such as 4 or 2.5; default {FACTOR}.")
    ] = None,
    fps: Annotated[
        str | None, typer.Option(help="Video: frames a second, such as 60 or 60000/1001.")
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(help="Folder to a video: images a second, such as 24 or 24000/1001."),
    ] = None,
    slow: Annotated[
        str | None,
        typer.Option(help="Video: as many times as long, at its frame rate or --fps; no audio."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            help="Video: leave out what is shown before, in seconds or HH:MM:SS.mmm as players "
            "count them, exact to the frame."
        ),
    ] = None,
    end: Annotated[
        str | None, typer.Option(help="Video: leave out what is shown from then on, as --start.")
    ] = None,
    stream: Annotated[
        int | None, typer.Option(help="Which of several video streams, from 0.", min=0)
    ] = None,
    preview: Annotated[
        bool,
        typer.Option(
            "--preview",
            help="Video: make only the ten seconds that move most, and beside them, in "
            "NAME.beside.mp4 or so, source and result side by side.",
        ),
    ] = False,
    deinterlace: Deinterlace = None,
    cut_threshold: Annotated[
        float | None,
        typer.Option(
            help=f"Cuts: lower finds more; default {THRESHOLD:g}; see docs/video.md.", min=0, max=1
        ),
    ] = None,
    no_cuts: Annotated[bool, typer.Option("--no-cuts", help="Look for no scene cuts.")] = False,
    dedup: Annotated[
        bool,
        typer.Option(
            "--dedup",
            help="Make frames in place of those that only repeat the one before, as in animation "
            "on twos, so that motion goes on evenly.",
        ),
    ] = False,
    codec: Annotated[
        str | None,
        typer.Option(
            help="FFmpeg's encoder, such as libx265 or hevc_nvenc; default H.264, H.265 for more "
            "than 8 bits; VP9 for .webm, AV1 for more.",
            rich_help_panel=WRITTEN,
        ),
    ] = None,
    crf: Crf = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="The encoder's preset, such as veryfast.",
            rich_help_panel=WRITTEN,
        ),
    ] = None,
    pix_fmt: PixFmt = None,
    no_transcode: Annotated[
        bool,
        typer.Option(
            "--no-transcode",
            help="Video: fail where sound or subtitles would have to be encoded anew, for the "
            "output's kind of file does not hold them as they are.",
            rich_help_panel=WRITTEN,
        ),
    ] = False,
    segment: Annotated[
        float | None,
        typer.Option(
            help="Video: seconds that are made at a time, at least, and kept where a run ends "
            "early; default 20; 0 makes it in one piece.",
            min=0,
            rich_help_panel=LONG,
        ),
    ] = None,
    share: Annotated[
        str | None,
        typer.Option(
            help="Video: make this share of its segments alone, such as 3/16, for a run without "
            "--share to join; or auto in a job array, or auto/16; see docs/cluster.md.",
            rich_help_panel=LONG,
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="address",
            help="Videos: make the segments on a Ray cluster: local for one of this machine alone, "
            "auto for the one that it is a node of, or HOST:PORT; see docs/cluster.md.",
            rich_help_panel=LONG,
        ),
    ] = None,
    allow_damaged: Annotated[
        bool, typer.Option("--allow-damaged", help="Video: exit 0 where the source is damaged.")
    ] = False,
    max_pixels: Annotated[
        int | None,
        typer.Option(
            help="Images: width times height at most; 108 megapixels pass by default.",
            min=1,
        ),
    ] = None,
    overwrite: Overwrite = False,
    backend: Backend = None,
    device: Device = None,
    threads: Threads = None,
    providers: Providers = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="A folder for what OpenVINO compiles, so that the next start is quick; it is as "
            "trusted as code.",
            rich_help_panel=RUNS,
        ),
    ] = None,
    tile: Tile = None,
    overlap: Overlap = None,
    memory: Memory = None,
    skip_still: SkipStill = None,
    trusted: Trust = False,
    as_json: AsJson = False,
    progress: ProgressAs = "bar",
) -> None:
    """Make the frames between two images, or between all frames of a video or folder.

    A video keeps its length, up to a whole frame of the output, audio, subtitles, chapters and
    colours. Nothing is made across a scene cut or between identical frames; there the nearer frame
    is shown again. Of a damaged video what can be made is made and kept, what is missing is said,
    and the exit code is 1.

    A video of over 40 seconds is made in segments, which wait in `OUTPUT.partial` until all are
    there, as images do. Where a run ends early, the same command goes on from there.

    GIFs, animated WebPs and the images of a video are made of a lossless video, which takes room on
    the disk beside them until they are there.

    With `-`, or a named pipe, y4m is read or written, as of `ffmpeg -f yuv4mpegpipe -`; all else
    goes to standard error. Where nobody reads it any more it ends with 141, as by SIGPIPE.

    Examples:

    - `rrin-deploy interpolate a.png b.png -o mid.png`
    - `rrin-deploy interpolate clip.mp4 -o out.mp4 --factor 4`
    - `rrin-deploy interpolate clip.mkv -o out.mkv --fps 60000/1001 --codec libx265 --crf 20`
    - `rrin-deploy interpolate clip.mp4 -o slow.mp4 --slow 8 --fps 60`
    - `rrin-deploy interpolate cartoon.mkv -o smooth.mkv --factor 2 --dedup`
    - `rrin-deploy interpolate clip.mkv -o clip.webm --no-transcode`
    - `rrin-deploy interpolate film.mkv -o scene.mkv --start 1:02:30 --end 1:03:15.480`
    - `rrin-deploy interpolate film.mkv -o look.mp4 --preview`
    - `rrin-deploy interpolate tape.avi -o smooth.mp4 --deinterlace fields`
    - `ffmpeg -i a.ts -f yuv4mpegpipe - | rrin-deploy interpolate - -o - | ffmpeg -i - a.mkv`
    - `rrin-deploy interpolate *.mkv -o out/ --fps 60 --ray auto`
    - `rrin-deploy interpolate frames/ -o more/ --factor 2`
    - `rrin-deploy interpolate in/frame_%05d.png -o out/frame_%05d.png`
    - `rrin-deploy interpolate frames/ -o clip.mp4 --rate 24 --factor 2`
    - `rrin-deploy interpolate clip.mp4 -o frames/ --start 10 --end 12`
    - `rrin-deploy interpolate clip.mp4 -o tiffs/f%05d.tif`
    - `rrin-deploy interpolate clip.mp4 -o clip.gif --fps 50 --end 4`
    """
    if as_json and is_stdout(output):
        raise typer.BadParameter("--json prints to standard output, which is the video's here")
    order = order_of(
        inputs=inputs, output=output, overwrite=overwrite, model=model, ray=ray,
        t=t, factor=factor, fps=fps, rate=rate, slow=slow, start=start, end=end, stream=stream,
        preview=preview, deinterlace=deinterlace, dedup=dedup, no_transcode=no_transcode,
        cut_threshold=cut_threshold, no_cuts=no_cuts, codec=codec, crf=crf, preset=preset,
        pix_fmt=pix_fmt, segment=segment, share=share, allow_damaged=allow_damaged,
        max_pixels=max_pixels,
        backend=backend, device=device, threads=threads, providers=providers, cache=cache,
        tile=tile, overlap=overlap, memory=memory, skip_still=skip_still, trusted=trusted,
    )  # fmt: skip
    outputs: Outputs = []
    with document(as_json) as give, progress_as(progress):
        give({"format": FORMAT, "outputs": outputs})
        make(order, order.opened, outputs)
