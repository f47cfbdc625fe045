"""`rrin-deploy estimate`"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rrin_deploy.bench.benchmark import usable_cores
from rrin_deploy.console import out, parse_size, say, table
from rrin_deploy.progress import waiting
from rrin_deploy.results import AsJson, document
from runtime.architecture import padded
from runtime.bundled import BUNDLED_MODEL
from runtime.errors import OptionError
from runtime.options import MAX_THREADS, check_file, check_sizes

if TYPE_CHECKING:
    from rrin_deploy.estimate.bounds import Estimate
    from rrin_deploy.estimate.devices import Device
    from rrin_deploy.estimate.remedies import Remedy
    from rrin_deploy.estimate.workload import Workload

FORMAT = 1
_SAID = {
    "reaches": "reaches {fps:g} frames/s",
    "may reach": "may reach {fps:g} frames/s",
    "does not reach": "does not reach {fps:g} frames/s",
}


def command(
    file: Annotated[
        Path | None, typer.Argument(help="An ONNX file; by default the bundled model.")
    ] = None,
    size: Annotated[str, typer.Option(help="Frame size.")] = "1920x1080",
    fps: Annotated[
        float, typer.Option(help="Frames a second of the result that are wanted.", min=0.001)
    ] = 60,
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
    machines for GPUs. Nothing is run but, without --device, a few convolutions. Decoding and
    encoding are not in it.

    Example: `rrin-deploy estimate rrin.onnx --size 1920x1080 --fps 60 --device "RTX 4060"`
    """
    with document(as_json) as give:
        from rrin_deploy.estimate.bounds import Job, estimate
        from rrin_deploy.estimate.devices import find_device, this_machine
        from rrin_deploy.estimate.remedies import find_remedy
        from rrin_deploy.estimate.workload import read_workload

        path = file or BUNDLED_MODEL
        check_file(path, "expected an ONNX file")
        job = Job(parse_size(size), factor)
        check_sizes("size", [job.size])
        if device and threads:
            raise typer.BadParameter("--threads is for this machine; leave out --device")
        chosen = find_device(device) if device else None
        workload = read_workload(path)
        if chosen is None:
            with waiting("measuring this machine"):
                chosen = this_machine(threads or usable_cores())
        own = workload.metadata.precision
        if own not in chosen.rates:
            known = ", ".join(chosen.rates)
            raise OptionError(f"{path} is {own}; {chosen.name} has figures for {known} alone")
        estimates = [estimate(workload, chosen, job, each) for each in chosen.rates]
        found = next(each for each in estimates if each.precision == own)
        verdict = found.verdict(fps)
        remedy = None if verdict == "reaches" else find_remedy(workload, chosen, found, fps)
        report = _report(workload, chosen, estimates, found, fps, remedy)
        give({"format": FORMAT, "file": str(path)} | report)
        _print(path, workload, chosen, estimates, found)
        _conclude(chosen, found, fps, remedy)


def _print(
    path: Path, workload: Workload, device: Device, estimates: list[Estimate], found: Estimate
) -> None:
    job = found.job
    name = f"{job.size[0]}x{job.size[1]}"
    say(
        f": base width {found.base_width}, {name}, factor {job.factor}, on {device.name} "
        f"({device.source})",
        subject=path,
    )
    levels = table("level", "multiply-adds", f"bytes in {found.precision}", "arithmetic", "memory")
    for row in _levels(workload, device, found):
        levels.add_row(
            row["name"],
            f"{row['multiply_adds'] / 1e9:.1f} G",
            f"{row['bytes'] / 1e9:.2f} GB",
            f"{row['arithmetic_seconds'] * 1e3:.2f} ms",
            f"{row['memory_seconds'] * 1e3:.2f} ms",
        )
    out.print(levels)
    rows = table("frames/s", "at best", "expected", "bound by", "PCIe", "device memory")
    for each in estimates:
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


def _memory(found: Estimate) -> str:
    if found.context is None:
        return "-"
    return f"{found.context / 1e9:.2f} GB" + ("" if found.fits else ", too much")


def _conclude(device: Device, found: Estimate, fps: float, remedy: Remedy | None) -> None:
    verdict = _SAID[found.verdict(fps)].format(fps=fps)
    why = f"bound by {found.limit}" if found.fits else "its memory is too small"
    line = f" {verdict}, {why}"
    if found.verdict(fps) != "reaches":
        line += "; " + (
            _advice(remedy, fps) if remedy else "no other precision, width or size does"
        )
    say(line, subject=device.name)


def _advice(remedy: Remedy, fps: float) -> str:
    found = remedy.estimate
    may = "would" if found.verdict(fps) == "reaches" else "might"
    slow, fast = found.rate(found.expected[1]), found.rate(found.expected[0])
    return f"{remedy.change} {may}: {slow:.3g} to {fast:.3g} expected"


def _levels(workload: Workload, device: Device, found: Estimate) -> list[dict[str, Any]]:
    """Return the sums over the U-Nets' levels, and over what lies between the U-Nets."""
    sums: dict[tuple[int, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for layer, pixels in workload.runs(found.job.size, found.job.times):
        name = f"U-Nets, level {layer.level}" if layer.unet else "flow, warps, blend"
        place = layer.level if layer.unet else -1, name
        sums[place][0] += layer.multiply_adds * pixels
        sums[place][1] += layer.bytes(found.precision) * pixels
    rate = device.rates[found.precision]
    return [
        {
            "name": name,
            "multiply_adds": multiply_adds,
            "bytes": moved,
            "arithmetic_seconds": multiply_adds / rate,
            "memory_seconds": moved / device.bandwidth,
        }
        for (_, name), (multiply_adds, moved) in sorted(sums.items())
    ]


def _report(
    workload: Workload,
    device: Device,
    estimates: list[Estimate],
    found: Estimate,
    fps: float,
    remedy: Remedy | None,
) -> dict[str, Any]:
    job = found.job
    return {
        "size": job.size,
        "padded_size": [padded(side) for side in job.size],
        "factor": job.factor,
        "fps": fps,
        "device": {
            "name": device.name,
            "multiply_adds_per_second": dict(device.rates),
            "bytes_per_second": device.bandwidth,
            "memory_bytes": device.memory,
            "link_bytes_per_second": device.link,
            "source": device.source,
        },
        "levels": _levels(workload, device, found),
        "precision": found.precision,
        "estimates": [_fields(each) | {"verdict": each.verdict(fps)} for each in estimates],
        "verdict": found.verdict(fps),
        "remedy": remedy
        and {
            "change": remedy.change,
            "verdict": remedy.estimate.verdict(fps),
            **_fields(remedy.estimate),
        },
    }


def _fields(found: Estimate) -> dict[str, Any]:
    return {
        "precision": found.precision,
        "base_width": found.base_width,
        "size": found.job.size,
        "factor": found.job.factor,
        "arithmetic_seconds": found.arithmetic,
        "memory_seconds": found.memory,
        "link_seconds": found.link,
        "least_seconds": found.least,
        "expected_seconds": found.expected,
        "best_fps": found.rate(found.least),
        "expected_fps": [found.rate(seconds) for seconds in reversed(found.expected)],
        "bound_by": found.limit,
        "device_memory_bytes": found.context,
        "fits": found.fits,
    }
