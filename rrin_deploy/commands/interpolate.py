"""`rrin-deploy interpolate`"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from rrin_deploy.console import frame_progress, say
from rrin_deploy.options import Device, Overwrite, Providers, Threads
from runtime.files import IMAGE_SUFFIXES
from runtime.interpolator import Interpolator


def command(
    inputs: Annotated[
        list[Path], typer.Argument(help="Two images, or one video, or one folder of images.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The image, video or folder.")],
    model: Annotated[
        Path | None,
        typer.Option(help="An artifact such as rrin.onnx; by default the bundled small model."),
    ] = None,
    t: Annotated[
        float | None, typer.Option("--t", help="When between two images, 0 to 1; default 0.5.")
    ] = None,
    factor: Annotated[
        int | None, typer.Option(help="Times the frame rate, 2 or more; default 2.", min=2)
    ] = None,
    overwrite: Overwrite = False,
    device: Device = 0,
    threads: Threads = None,
    providers: Providers = None,
) -> None:
    """Make the frames between two images, or between all frames of a video or folder.

    Examples: `rrin-deploy interpolate a.png b.png -o mid.png`;
    `rrin-deploy interpolate clip.mp4 -o out.mp4 --factor 4`;
    `rrin-deploy interpolate frames/ -o more/ --factor 2`
    """
    if len(inputs) > 2:
        raise typer.BadParameter(f"{len(inputs)} inputs; expected two images, a video or a folder")
    pair = len(inputs) == 2
    if pair and not all(path.suffix.lower() in IMAGE_SUFFIXES for path in inputs):
        raise typer.BadParameter(f"two inputs have to be images ({', '.join(IMAGE_SUFFIXES)})")
    if pair and factor is not None:
        raise typer.BadParameter("--factor is for videos and folders; a pair takes --t")
    if not pair and t is not None:
        raise typer.BadParameter("--t is for two images; videos and folders take --factor")
    started = time.perf_counter()
    with Interpolator(model, device=device, threads=threads, providers=providers) as interpolate:
        if pair:
            done = _pair(interpolate, inputs, output, 0.5 if t is None else t, overwrite)
        elif inputs[0].is_dir():
            done = _folder(interpolate, inputs[0], output, factor or 2, overwrite)
        else:
            done = _video(interpolate, inputs[0], output, factor or 2, overwrite)
        seconds = time.perf_counter() - started
        say(f": {done}; {seconds:.1f} s with {interpolate.backend}", subject=output)


def _pair(
    interpolate: Interpolator, inputs: list[Path], output: Path, t: float, overwrite: bool
) -> str:
    from runtime.files import check_writable
    from runtime.images import interpolate_stills, read_still, write_still

    check_writable(output, overwrite=overwrite)
    still0, still1 = map(read_still, inputs)
    (middle,) = interpolate_stills(interpolate, still0, still1, [t])
    write_still(output, middle)
    height, width = middle.rgb.shape[:2]
    return f"{width}x{height}, t = {t:g}"


def _folder(
    interpolate: Interpolator, source: Path, output: Path, factor: int, overwrite: bool
) -> str:
    from runtime.sequence import interpolate_folder

    with frame_progress(source.name) as progress:
        done = interpolate_folder(
            interpolate, source, output, factor, overwrite=overwrite, progress=progress
        )
    return f"{done.images_written} images from {done.images_read}"


def _video(
    interpolate: Interpolator, source: Path, output: Path, factor: int, overwrite: bool
) -> str:
    from runtime.video import interpolate_video

    if source.suffix.lower() in IMAGE_SUFFIXES:
        raise typer.BadParameter(f"{source} is one image; give two, or a video, or a folder")
    with frame_progress(source.name) as progress:
        done = interpolate_video(
            interpolate, source, output, factor, overwrite=overwrite, progress=progress
        )
    return (
        f"{done.frames_written} frames from {done.frames_read}, {done.width}x{done.height} "
        f"at {float(done.rate):.6g} fps"
    )
