"""`rrin-deploy interpolate`"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rrin_deploy.console import frame_progress, parse_rational, say
from rrin_deploy.options import Backend, Device, Overwrite, Providers, Threads, Trust
from runtime.cuts import THRESHOLD
from runtime.interpolator import Interpolator

if TYPE_CHECKING:
    from media.options import VideoOptions

Artifact = Callable[[], Interpolator]  # opened when all that was asked for is known to fit
Given = dict[str, Any]  # the options that were given, by name
_FACTOR = "2"


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
        typer.Option(help="An artifact such as rrin.onnx; by default the bundled model."),
    ] = None,
    t: Annotated[
        float | None, typer.Option("--t", help="When between two images, 0 to 1; default 0.5.")
    ] = None,
    factor: Annotated[
        str | None, typer.Option(help=f"Times the frame rate, such as 4 or 2.5; default {_FACTOR}.")
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
    backend: Backend = None,
    device: Device = None,
    threads: Threads = None,
    providers: Providers = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="A folder for what OpenVINO compiles, so that the next start is quick; it is as "
            "trusted as code."
        ),
    ] = None,
    trusted: Trust = False,
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
    from media.sequence import is_pattern

    given = _without_none(
        t=t, factor=factor, fps=fps, slow=slow, stream=stream, cut_threshold=cut_threshold,
        no_cuts=no_cuts or None, codec=codec, crf=crf, preset=preset, pix_fmt=pix_fmt,
        allow_damaged=allow_damaged or None, max_pixels=max_pixels,
    )  # fmt: skip
    where: Given = {
        "backend": backend, "device": device, "threads": threads, "providers": providers,
        "cache": cache,
    }  # fmt: skip
    artifact = partial(Interpolator, model, trusted=trusted, **where)
    if len(inputs) == 2:
        _pair(artifact, inputs, output, overwrite, given)
    elif inputs[0].is_dir() or is_pattern(inputs[0]):
        _folder(artifact, inputs[0], output, overwrite, given)
    else:
        _video(artifact, inputs[0], output, overwrite, given)


def _without_none(**options: Any) -> Given:
    return {name: value for name, value in options.items() if value is not None}


def _refuse_others(given: Given, kind: str, *own: str) -> None:
    for name in given:
        if name not in own:
            raise typer.BadParameter(
                f"{_flag(name)} is not for {kind}; expected {', '.join(map(_flag, own))}"
            )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _pair(
    artifact: Artifact, inputs: list[Path], output: Path, overwrite: bool, given: Given
) -> None:
    from media.pair import interpolate_pair
    from media.suffixes import IMAGE_SUFFIXES

    if not all(path.suffix.lower() in IMAGE_SUFFIXES for path in inputs):
        raise typer.BadParameter(f"two inputs have to be images ({', '.join(IMAGE_SUFFIXES)})")
    _refuse_others(given, "two images", "t", "max_pixels")
    image0, image1 = inputs
    started = time.perf_counter()
    with artifact() as interpolate:
        done = interpolate_pair(interpolate, image0, image1, output, overwrite=overwrite, **given)
    for path in done.profiles:
        say(": not kept: ICC profile", subject=path)
    _say_made(output, f"{done.width}x{done.height}, t = {done.t:g}", started, interpolate)


def _folder(artifact: Artifact, source: Path, output: Path, overwrite: bool, given: Given) -> None:
    from media.sequence import interpolate_folder

    _refuse_others(given, "a folder", "factor", "max_pixels")
    factor = parse_rational(given.pop("factor", _FACTOR))
    if factor.denominator != 1:
        raise typer.BadParameter(f"--factor {factor} of a folder; expected a whole number")
    started = time.perf_counter()
    with artifact() as interpolate, frame_progress(source.name) as progress:
        done = interpolate_folder(
            interpolate,
            source,
            output,
            int(factor),
            overwrite=overwrite,
            progress=progress,
            **given,
        )
    if done.profiles:
        say(f": not kept: ICC profile of {done.profiles} images", subject=source)
    if done.missing:
        say(f": {done.missing}; the images beside are taken for neighbours", subject=source)
    made = f"{done.images_written} images from {done.images_read}"
    _say_made(output, made, started, interpolate)


def _video(artifact: Artifact, source: Path, output: Path, overwrite: bool, given: Given) -> None:
    from media.errors import MediaError
    from media.suffixes import IMAGE_SUFFIXES
    from media.video import interpolate_video

    if source.suffix.lower() in IMAGE_SUFFIXES:
        raise typer.BadParameter(f"{source} is one image; give two, or a video, or a folder")
    options = _video_options(given, overwrite)
    started = time.perf_counter()
    with artifact() as interpolate:
        begun = time.perf_counter()
        with frame_progress(source.name) as progress:
            done = interpolate_video(interpolate, source, output, options, progress=progress)
        seconds = time.perf_counter() - begun
    for stream in done.left_out:
        say(f": not kept: {stream}", subject=source)
    unshown = f", {done.frames_left_out} left out, for they have the time of the one before"
    made = (
        f"{done.frames_written} frames from {done.frames_read}, {done.width}x{done.height} "
        f"at {float(done.rate):.6g} fps; {done.frames_made} made, {done.frames_repeated} shown "
        f"again{unshown if done.frames_left_out else ''}, {done.cuts} cuts; decoding "
        f"{done.decode_seconds:.1f} s, inference {done.inference_seconds:.1f} s, encoding "
        f"{done.encode_seconds:.1f} s, all at once; "
        f"{done.frames_written / done.rate / seconds:.2f}x real time"
    )
    _say_made(output, made, started, interpolate)
    for found in done.damage:
        say(f": damaged: {found}", subject=source)
    if done.damage and "allow_damaged" not in given:
        raise MediaError(
            f"{source}: is damaged, as said above; what could be made is kept in {output}; "
            "--allow-damaged makes this no failure"
        )


def _video_options(given: Given, overwrite: bool) -> VideoOptions:
    from media.encoding import Encoding
    from media.options import VideoOptions

    encoding = ("codec", "crf", "preset", "pix_fmt")
    cuts = ("cut_threshold", "no_cuts")
    rates = ("factor", "fps", "slow")
    _refuse_others(given, "a video", *rates, "stream", *cuts, *encoding, "allow_damaged")
    if all(name in given for name in cuts):
        raise typer.BadParameter("--no-cuts looks for none; leave out --cut-threshold")
    chosen = {name: parse_rational(given[name]) for name in rates if name in given}
    if not chosen:
        chosen["factor"] = parse_rational(_FACTOR)
    return VideoOptions(
        **chosen,  # type: ignore[arg-type]
        stream=given.get("stream"),
        cut_threshold=None if "no_cuts" in given else given.get("cut_threshold", THRESHOLD),
        encoding=Encoding(*map(given.get, encoding)),
        overwrite=overwrite,
    )


def _say_made(output: Path, made: str, started: float, interpolate: Interpolator) -> None:
    seconds = time.perf_counter() - started
    how = f"{interpolate.backend}, {interpolate.metadata.precision}"
    say(f": {made}; {seconds:.1f} s with {how}", subject=output)
