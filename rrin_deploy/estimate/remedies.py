"""What else would reach a rate: another precision, factor, width or size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rrin_deploy.estimate.bounds import Estimate, Footage, Job, Verdict, estimate
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
    """A change, as words, the estimate with it, and whether that reaches what is wanted then."""

    change: str
    estimate: Estimate
    fps: float

    @property
    def verdict(self) -> Verdict:
        """Whether it does."""
        return self.estimate.verdict(self.fps)


def find_remedy(
    workload: Workload,
    device: Device,
    found: Estimate,
    fps: float,
    footage: Footage | None = None,
    source_fps: float | None = None,
) -> Remedy | None:
    """Return the first change that reaches a rate, or else the first that may; None if none may.

    One thing is changed at a time: the precision, the factor, the base width, the size.

    Args:
        fps: frames a second of the result.
        footage: see `estimate`; a video is not made smaller.
        source_fps: of the video, where as many frames are wanted as the result has, which are fewer
            with a smaller factor.
    """
    remedies = [
        Remedy(change, changed, _wanted(fps, changed, source_fps))
        for change, changed in _changes(workload, device, found, fps, footage)
    ]
    for verdict in ("reaches", "may reach"):
        for remedy in remedies:
            if remedy.verdict == verdict:
                return remedy
    return None


def _wanted(fps: float, changed: Estimate, source_fps: float | None) -> float:
    return fps if source_fps is None else source_fps * changed.job.factor


def _changes(
    workload: Workload, device: Device, found: Estimate, fps: float, footage: Footage | None
) -> Iterator[tuple[str, Estimate]]:
    job, precision = found.job, found.precision
    for other in _FASTER[precision]:
        if other in device.rates:
            yield other, estimate(workload, device, job, other, footage)
    for factor in range(job.factor - 1, 1, -1):
        fewer_frames = replace(job, factor=factor)
        fewer = estimate(workload, device, fewer_frames, precision, _of_fewer(footage, job, factor))
        yield f"factor {factor}", fewer
    for width in _WIDTHS:
        if width < workload.metadata.base_width:
            narrower = estimate(workload.of_width(width), device, job, precision, footage)
            yield f"base width {width}", narrower
    if footage is None and (size := _largest(workload, device, found, fps)):
        smaller = estimate(workload, device, Job(size, job.factor), precision)
        yield f"{size[0]}x{size[1]}", smaller


def _of_fewer(footage: Footage | None, job: Job, factor: int) -> Footage | None:
    """Return what is no less than what a frame costs where fewer are made of each pair."""
    if footage is None:
        return None
    share = job.factor / factor
    return replace(
        footage,
        seconds=footage.seconds * share,
        processor_seconds=footage.processor_seconds * share,
    )


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
