"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from rrin_deploy.console import parse_bytes, parse_size
from runtime.backends import BackendName
from runtime.errors import OptionError
from runtime.options import MAX_THREADS, checked_device

# Panels of a command's help, for what is not the task itself.
RUNS, WRITTEN, LONG = "Where it runs", "How it is written", "Long and many videos"


def _device(text: str) -> int | str:
    try:
        return checked_device(int(text) if text.lstrip("-").isdecimal() else text) or 0
    except OptionError as error:
        raise typer.BadParameter(str(error)) from error


Backend = Annotated[
    BackendName | None,
    typer.Option(
        help="For an ONNX file; by default ONNX Runtime where its CUDA provider loads, else "
        "OpenVINO where it is installed, else ONNX Runtime on the CPU.",
        rich_help_panel=RUNS,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        parser=_device,
        metavar="index or name",
        help="Index of the GPU, for backends that use one, by default the first; or a device of "
        "OpenVINO, such as GPU or NPU, by default the CPU.",
        rich_help_panel=RUNS,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        help="CPU threads; by default the backend chooses.",
        min=1,
        max=MAX_THREADS,
        rich_help_panel=RUNS,
    ),
]
Providers = Annotated[
    list[str] | None,
    typer.Option(
        "--provider",
        help="ONNX Runtime execution provider, such as CPUExecutionProvider; may be repeated, and "
        "all have to load. By default CUDA where it loads, else the CPU.",
        rich_help_panel=RUNS,
    ),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Open version-compatible engines: they hold code, which runs with your rights. For "
        "those whose builder you trust.",
        rich_help_panel=RUNS,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
Tile = Annotated[
    str | None,
    typer.Option(
        parser=parse_size,
        metavar="WxH",
        help="Cut frames into pieces of this size; by default whole frames where an engine's sizes "
        "and --memory have room for them, else the pieces that come to the fewest pixels in all.",
        rich_help_panel=RUNS,
    ),
]
Overlap = Annotated[
    int | None,
    typer.Option(
        help="Pixels that neighbouring pieces share, by default 192; more for faster motion.",
        min=0,
        rich_help_panel=RUNS,
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        parser=parse_bytes,
        metavar="bytes",
        help="What making frames may take on the CPU, such as 2GB or 512MiB, on top of the "
        "program itself.",
        rich_help_panel=RUNS,
    ),
]
SkipStill = Annotated[
    bool | None,
    typer.Option(
        "--skip-still/--no-skip-still",
        help="Infer only what differs between two frames, and 48 pixels around it; by default on "
        "the CPU and with CUDA, without --memory.",
        rich_help_panel=RUNS,
    ),
]
Crf = Annotated[
    int | None,
    typer.Option(
        help="Constant quality on the encoder's own scale, such as 0 to 51 of libx264, where "
        "lower is better; default 17 there.",
        min=0,
        rich_help_panel=WRITTEN,
    ),
]
PixFmt = Annotated[
    str | None,
    typer.Option(
        help="Pixel format, such as yuv420p; default the source's.",
        rich_help_panel=WRITTEN,
    ),
]
Deinterlace = Annotated[
    Literal["fields", "telecine"] | None,
    typer.Option(
        help="Video: of an interlaced one make each field a frame, at twice its rate, or find "
        "the 24 frames of a film in 30 telecined ones; --factor counts from there."
    ),
]
