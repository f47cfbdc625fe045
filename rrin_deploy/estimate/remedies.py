"""What else would reach a rate: another precision, factor, width or size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rrin_deploy.estimate.bounds import Estimate, Job, estimate
from rrin_deploy.estimate.devices import Device
from rrin_deploy.estimate.workload import Workload
from runtime.architecture import PADDING_MULTIPLE
from runtime.metadata import Precision

_WIDTHS = 24, 16, 8
_FASTER: dict[Precision, tuple[Precision, ...]] = {
    "fp32": ("fp16", "int8"),
    "fp16": ("int8",),
    "bf16": ("int8",),
    "int8": (),
}


@dataclass(frozen=True)
class Remedy:
    """A change, as words, and the estimate with it."""

    change: str
    estimate: Estimate


def find_remedy(workload: Workload, device: Device, found: Estimate, fps: float) -> Remedy | None:
    """Return the first change that reaches a rate, or else the first that may; None if none may.

    One thing is changed at a time: the precision, the factor, the base width, the size.
    """
    remedies = list(_changes(workload, device, found, fps))
    for verdict in ("reaches", "may reach"):
        for remedy in remedies:
            if remedy.estimate.verdict(fps) == verdict:
                return remedy
    return None


def _changes(workload: Workload, device: Device, found: Estimate, fps: float) -> Iterator[Remedy]:
    job, precision = found.job, found.precision
    for other in _FASTER[precision]:
        if other in device.rates:
            yield Remedy(f"{other}", estimate(workload, device, job, other))
    for factor in range(job.factor - 1, 1, -1):
        fewer = estimate(workload, device, replace(job, factor=factor), precision)
        yield Remedy(f"factor {factor}", fewer)
    for width in _WIDTHS:
        if width < workload.metadata.base_width:
            narrower = estimate(workload.of_width(width), device, job, precision)
            yield Remedy(f"base width {width}", narrower)
    if size := _largest(workload, device, found, fps):
        smaller = estimate(workload, device, Job(size, job.factor), precision)
        yield Remedy(f"{size[0]}x{size[1]}", smaller)


def _largest(
    workload: Workload, device: Device, found: Estimate, fps: float
) -> tuple[int, int] | None:
    """Return the largest size of the same shape, its width padded to nothing, that reaches."""
    width, height = found.job.size
    for narrower in range((width - 1) // PADDING_MULTIPLE * PADDING_MULTIPLE, 0, -PADDING_MULTIPLE):
        size = narrower, max(1, round(height * narrower / width))
        job = Job(size, found.job.factor)
        if estimate(workload, device, job, found.precision).verdict(fps) == "reaches":
            return size
    return None
