"""`rrin-deploy interpolate`"""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rrin_deploy.console import frame_progress, parse_rational, say
from rrin_deploy.options import Device, Overwrite, Providers, Threads
from runtime.cuts import THRESHOLD
from runtime.interpolator import Interpolator

if TYPE_CHECKING:
    from media.video import VideoOptions


def command(
    inputs: Annotated[
        list[Path],
        typer.Argument(help="Two images, a video, a folder or a pattern of images."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="The image (.png, .jpg); the video (.mp4, .mkv, .mov, .webm); the folder, for "
            "frame_00000.png and so on, or a pattern.",
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(help="An artifact such as rrin.onnx; by default the bundled small model."),
    ] = None,
    t: Annotated[
        float | None, typer.Option("--t", help="When between two images, 0 to 1; default 0.5.")
    ] = None,
    factor: Annotated[
        str | None, typer.Option(help="Times the frame rate, such as 4 or 2.5; default 2.")
    ] = None,
    fps: Annotated[
        str | None, typer.Option(help="Video: frames a second, such as 60 or 60000/1001.")
    ] = None,
    slow: Annotated[
        str | None,
        typer.Option(help="Video: as many times as long, at its frame rate or --fps; no audio."),
    ] = None,
    stream: Annotated[
        int | None, typer.Option(help="Which of several video streams, from 0.", min=0)
    ] = None,
    cut_threshold: Annotated[
        float | None,
        typer.Option(help=f"Scene cuts: lower finds more; default {THRESHOLD:g}.", min=0, max=1),
    ] = None,
    no_cuts: Annotated[bool, typer.Option("--no-cuts", help="Look for no scene cuts.")] = False,
    codec: Annotated[
        str | None, typer.Option(help="FFmpeg's encoder, such as libx265; default H.264, or VP9.")
    ] = None,
    crf: Annotated[
        int | None, typer.Option(help="Constant rate factor; lower is better; default 17.", min=0)
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="The encoder's preset, such as veryfast.")
    ] = None,
    pix_fmt: Annotated[
        str | None, typer.Option(help="Pixel format, such as yuv420p; default the source's.")
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
    device: Device = None,
    threads: Threads = None,
    providers: Providers = None,
) -> None:
    """Make the frames between two images, or between all frames of a video or folder.

    A video keeps its length, up to a whole frame of the output, audio, subtitles, chapters and
    colours. Nothing is made across a scene cut or between identical frames; there the nearer frame
    is shown again. Of a damaged video what can be made is made and kept, what is missing is said,
    and the exit code is 1.

    Examples: `rrin-deploy interpolate a.png b.png -o mid.png`;
    `rrin-deploy interpolate clip.mp4 -o out.mp4 --factor 4`;
    `rrin-deploy interpolate clip.mkv -o out.mkv --fps 60000/1001 --codec libx265 --crf 20`;
    `rrin-deploy interpolate clip.mp4 -o slow.mp4 --slow 8 --fps 60`;
    `rrin-deploy interpolate frames/ -o more/ --factor 2`;
    `rrin-deploy interpolate in/frame_%05d.png -o out/frame_%05d.png`
    """
    if len(inputs) > 2:
        raise typer.BadParameter(f"{len(inputs)} inputs; expected two images, a video or a folder")
    from media.images import MAX_PIXELS
    from media.sequence import is_pattern
    from media.suffixes import IMAGE_SUFFIXES

    pair = len(inputs) == 2
    if pair and not all(path.suffix.lower() in IMAGE_SUFFIXES for path in inputs):
        raise typer.BadParameter(f"two inputs have to be images ({', '.join(IMAGE_SUFFIXES)})")
    folder = not pair and (inputs[0].is_dir() or is_pattern(inputs[0]))
    rates = {"--factor": factor, "--fps": fps, "--slow": slow}
    given = [name for name, value in rates.items() if value is not None]
    if "--factor" in given and len(given) > 1:
        raise typer.BadParameter("--factor goes with neither --fps nor --slow; leave it out")
    if pair and given:
        raise typer.BadParameter(f"{given[0]} is for videos and folders; a pair takes --t")
    if not pair and t is not None:
        raise typer.BadParameter("--t is for two images; videos and folders take --factor")
    if t is not None and not 0 <= t <= 1:
        raise typer.BadParameter(f"--t is {t:g}; expected a number from 0 to 1")
    of_video = (stream, cut_threshold, codec, crf, preset, pix_fmt)
    if (pair or folder) and (
        fps or slow or no_cuts or allow_damaged or any(option is not None for option in of_video)
    ):
        raise typer.BadParameter("only videos take more options than --factor")
    if not (pair or folder) and max_pixels is not None:
        raise typer.BadParameter("--max-pixels is for images")
    from media.encoding import Encoding
    from media.video import VideoOptions

    pixels = MAX_PIXELS if max_pixels is None else max_pixels
    times = {name: parse_rational(value) for name, value in rates.items() if value is not None}
    for name, value in times.items():
        if value <= (0 if name == "--fps" else 1):
            raise typer.BadParameter(f"{name} is {rates[name]}; expected more")
    options = VideoOptions(
        factor=times.get("--factor", None if given else Fraction(2)),
        fps=times.get("--fps"),
        slow=times.get("--slow"),
        stream=stream,
        cut_threshold=None if no_cuts else THRESHOLD if cut_threshold is None else cut_threshold,
        encoding=Encoding(codec, crf, preset, pix_fmt),
        overwrite=overwrite,
    )
    damage: list[str] = []
    started = time.perf_counter()
    with Interpolator(model, device=device, threads=threads, providers=providers) as interpolate:
        if pair:
            done = _pair(interpolate, inputs, output, 0.5 if t is None else t, pixels, overwrite)
        elif folder:
            factor_of = options.factor or Fraction(2)
            if factor_of.denominator != 1:
                raise typer.BadParameter(f"--factor {factor} of a folder; expected a whole number")
            done = _folder(interpolate, inputs[0], output, int(factor_of), pixels, overwrite)
        else:
            done, damage = _video(interpolate, inputs[0], output, options)
        seconds = time.perf_counter() - started
        say(f": {done}; {seconds:.1f} s with {interpolate.backend}", subject=output)
    for found in damage:
        say(f": damaged: {found}", subject=inputs[0])
    if damage and not allow_damaged:
        from media.errors import MediaError

        raise MediaError(
            f"{inputs[0]}: is damaged, as said above; what could be made is kept in {output}; "
            "--allow-damaged makes this no failure"
        )


def _pair(
    interpolate: Interpolator,
    inputs: list[Path],
    output: Path,
    t: float,
    max_pixels: int,
    overwrite: bool,
) -> str:
    from media.images import interpolate_stills, read_for, still_codec, write_still
    from runtime.publishing import Publication

    still_codec(output)
    if output.exists() and any(path.exists() and output.samefile(path) for path in inputs):
        raise typer.BadParameter(f"{output} is an input as well; choose another output")
    Publication(output, overwrite=overwrite)  # refuses now what could not be written after the work
    still0, still1 = (read_for(interpolate, path, max_pixels) for path in inputs)
    (middle,) = interpolate_stills(interpolate, still0, still1, [t])
    write_still(output, middle, overwrite=overwrite)
    for path, still in zip(inputs, (still0, still1), strict=True):
        if still.profile:
            say(": not kept: ICC profile", subject=path)
    height, width = middle.rgb.shape[:2]
    return f"{width}x{height}, t = {t:g}"


def _folder(
    interpolate: Interpolator,
    source: Path,
    output: Path,
    factor: int,
    max_pixels: int,
    overwrite: bool,
) -> str:
    from media.sequence import interpolate_folder

    with frame_progress(source.name) as progress:
        done = interpolate_folder(
            interpolate,
            source,
            output,
            factor,
            overwrite=overwrite,
            max_pixels=max_pixels,
            progress=progress,
        )
    if done.profiles:
        say(f": not kept: ICC profile of {done.profiles} images", subject=source)
    if done.missing:
        say(f": {done.missing}; the images beside are taken for neighbours", subject=source)
    return f"{done.images_written} images from {done.images_read}"


def _video(
    interpolate: Interpolator, source: Path, output: Path, options: VideoOptions
) -> tuple[str, list[str]]:
    from media.suffixes import IMAGE_SUFFIXES
    from media.video import interpolate_video

    if source.suffix.lower() in IMAGE_SUFFIXES:
        raise typer.BadParameter(f"{source} is one image; give two, or a video, or a folder")
    started = time.perf_counter()
    with frame_progress(source.name) as progress:
        done = interpolate_video(interpolate, source, output, options, progress=progress)
    for stream in done.left_out:
        say(f": not kept: {stream}", subject=source)
    unshown = f", {done.frames_left_out} left out, for they have the time of the one before"
    return (
        f"{done.frames_written} frames from {done.frames_read}, {done.width}x{done.height} "
        f"at {float(done.rate):.6g} fps; {done.frames_made} made, {done.frames_repeated} shown "
        f"again{unshown if done.frames_left_out else ''}, {done.cuts} cuts; decoding "
        f"{done.decode_seconds:.1f} s, inference {done.inference_seconds:.1f} s, encoding "
        f"{done.encode_seconds:.1f} s, all at once; "
        f"{done.frames_written / done.rate / (time.perf_counter() - started):.2f}x real time"
    ), done.damage
