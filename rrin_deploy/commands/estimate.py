"""`rrin-deploy estimate`"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rrin_deploy.bench.benchmark import usable_cores
from rrin_deploy.console import out, parse_size, say, table
from rrin_deploy.interpolation import refuse_images
from rrin_deploy.options import Deinterlace
from rrin_deploy.progress import waiting
from rrin_deploy.results import AsJson, document
from runtime.bundled import BUNDLED_MODEL, bundled_for
from runtime.errors import OptionError
from runtime.metadata import Precision
from runtime.options import MAX_THREADS, check_file, check_sizes

if TYPE_CHECKING:
    from media.rehearsal import Rehearsal
    from rrin_deploy.estimate.bounds import Estimate
    from rrin_deploy.estimate.devices import Device
    from rrin_deploy.estimate.outlook import Outlook
    from rrin_deploy.estimate.remedies import Remedy


def command(
    file: Annotated[
        Path | None, typer.Argument(help="An ONNX file; by default the bundled model.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="Frame size; by default the video's, or else 1920x1080."),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            help="Frames a second of the result that are wanted; by default as many as the result "
            "of the video has, or else 60.",
            min=0.001,
        ),
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option(
            help="Count decoding and encoding in, as measured here on some seconds of this video."
        ),
    ] = None,
    deinterlace: Deinterlace = None,
    factor: Annotated[
        int, typer.Option(help="Frames of the result for each of the source.", min=2, max=64)
    ] = 2,
    device: Annotated[
        str | None,
        typer.Option(
            help="One of the table, such as 'RTX 4060'; by default this machine's CPU, measured."
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            help="CPU threads for this machine; by default all cores.", min=1, max=MAX_THREADS
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a rate can be reached: on this machine's CPU, or on a device that is not here.

    At best is a bound that no kernel beats; expected is the range of what was measured, on other
    machines for GPUs. Nothing is run but, without --device, a few convolutions, and with --video
    its way through this machine's CPU, with blends in the place of frames that the network makes.

    Examples:

    - `rrin-deploy estimate rrin.onnx --size 1920x1080 --fps 60 --device "RTX 4060"`
    - `rrin-deploy estimate --video holiday.mp4 --factor 2 --device "RTX 4060"`
    """
    with document(as_json) as give:
        from rrin_deploy.estimate.bounds import Footage, Job
        from rrin_deploy.estimate.devices import find_device, this_machine
        from rrin_deploy.estimate.outlook import FORMAT, Outlook
        from rrin_deploy.estimate.workload import read_workload

        path = file or (BUNDLED_MODEL if device is not None else bundled_for())
        check_file(path, "expected an ONNX file")
        if device is not None and threads:
            raise typer.BadParameter("--threads is for this machine; leave out --device")
        if fps is not None and not math.isfinite(fps):
            raise typer.BadParameter(f"--fps is {fps:g}; expected a finite number")
        if deinterlace and not video:
            raise typer.BadParameter("--deinterlace is for --video, which is not given")
        if video and size:
            raise typer.BadParameter("the video has its own size; leave out --size")
        chosen = None if device is None else find_device(device)
        sides = parse_size(size or "1920x1080")
        check_sizes("size", [sides])
        workload = read_workload(path)
        own = workload.metadata.precision
        if chosen:
            _check_known(path, own, chosen)
        rehearsal = _rehearsed(video, factor, deinterlace) if video else None
        if chosen is None:
            with waiting("measuring this machine"):
                chosen = this_machine(threads or usable_cores())
            _check_known(path, own, chosen)
        if video is None or rehearsal is None:
            outlook = Outlook.of(workload, chosen, Job(sides, factor), fps or 60)
        else:
            costs = rehearsal.seconds, rehearsal.processor_seconds
            outlook = Outlook.of(
                workload,
                chosen,
                Job(rehearsal.size, factor),
                fps or rehearsal.rate,
                Footage(video.name, *costs, usable_cores()),
                None if fps else rehearsal.rate / factor,
            )
        give({"format": FORMAT, "file": str(path)} | outlook.to_dict())
        _print(path, outlook)
        _conclude(outlook)


def _check_known(path: Path, precision: Precision, device: Device) -> None:
    if precision not in device.rates:
        known = ", ".join(device.rates)
        raise OptionError(f"{path} is {precision}; {device.name} has figures for {known} alone")


def _rehearsed(video: Path, factor: int, deinterlace: Deinterlace) -> Rehearsal:
    from media.options import VideoOptions
    from media.rehearsal import rehearse

    refuse_images([video])
    with waiting("decoding and encoding"):
        return rehearse(video, VideoOptions(factor=factor, deinterlace=deinterlace))


def _print(path: Path, outlook: Outlook) -> None:
    device, found, footage = outlook.device, outlook.found, outlook.footage
    job = found.job
    name = f"{job.size[0]}x{job.size[1]}"
    say(
        f": base width {found.base_width}, {name}, factor {job.factor}, on {device.name} "
        f"({device.source})",
        subject=path,
    )
    levels = table("level", "multiply-adds", f"bytes in {found.precision}", "arithmetic", "memory")
    for row in outlook.levels():
        levels.add_row(
            row["name"],
            f"{row['multiply_adds'] / 1e9:.1f} G",
            f"{row['bytes'] / 1e9:.2f} GB",
            f"{row['arithmetic_seconds'] * 1e3:.2f} ms",
            f"{row['memory_seconds'] * 1e3:.2f} ms",
        )
    out.print(levels)
    rows = table("frames/s", "at best", "expected", "bound by", "PCIe", "device memory")
    for each in outlook.estimates:
        slow, fast = each.rate(each.expected[1]), each.rate(each.expected[0])
        rows.add_row(
            each.precision + (", this file" if each is found else ""),
            f"{each.rate(each.least):.3g}",
            f"{slow:.3g} to {fast:.3g}",
            each.limit,
            f"{each.link * 1e3:.3g} ms" if each.link else "-",
            _memory(each),
        )
    out.print(rows)
    if footage is not None:
        say(
            f"decoding and encoding take {footage.seconds * 1e3:.3g} ms a frame of the result on "
            f"this machine, {footage.processor_seconds * 1e3:.3g} ms of its {footage.cores} cores' "
            "time"
        )


def _memory(found: Estimate) -> str:
    if found.context is None:
        return "-"
    return f"{found.context / 1e9:.2f} GB" + ("" if found.fits else ", too much")


def _conclude(outlook: Outlook) -> None:
    found, fps, remedy = outlook.found, outlook.fps, outlook.remedy
    why = f"bound by {found.limit}" if found.fits else "its memory is too small"
    line = f" {outlook.verdict} {fps:.6g} frames/s, {why}"
    if outlook.verdict != "reaches":
        faster = "CPU or encoder" if found.limit == "decoding and encoding" else "device"
        line += f"; {_advice(remedy) if remedy else f'it takes a faster {faster}'}"
    say(line, subject=outlook.device.name)


def _advice(remedy: Remedy) -> str:
    found = remedy.estimate
    may = "would" if remedy.verdict == "reaches" else "might"
    slow, fast = found.rate(found.expected[1]), found.rate(found.expected[0])
    return f"{remedy.change} {may} reach {remedy.fps:.6g}: {slow:.3g} to {fast:.3g} expected"
