"""What `rrin-deploy estimate` finds, as JSON types: for programs, and for the report's page."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from rrin_deploy.estimate.bounds import Estimate, Footage, Job, Verdict, estimate
from rrin_deploy.estimate.devices import Device
from rrin_deploy.estimate.remedies import Remedy, find_remedy
from rrin_deploy.estimate.workload import Workload
from runtime.architecture import padded

FORMAT = 1


@dataclass(frozen=True)
class Outlook:
    """What is expected of a file on a device.

    Attributes:
        estimates: one for each precision that the device has a rate for.
        found: that of the file's own precision.
        fps: frames a second of the result that are wanted.
        footage: what decoding and encoding cost; None where they are not counted in.
        remedy: what else would reach them, or may; None where nothing does, or nothing need be.
    """

    workload: Workload
    device: Device
    estimates: list[Estimate]
    found: Estimate
    fps: float
    footage: Footage | None
    remedy: Remedy | None

    @classmethod
    def of(
        cls,
        workload: Workload,
        device: Device,
        job: Job,
        fps: float,
        footage: Footage | None = None,
        source_fps: float | None = None,
    ) -> Outlook:
        """Estimate; the device has a rate for the file's own precision.

        Args:
            footage: see `estimate`.
            source_fps: see `find_remedy`.
        """
        estimates = [estimate(workload, device, job, each, footage) for each in device.rates]
        found = next(each for each in estimates if each.precision == workload.metadata.precision)
        reaches = found.verdict(fps) == "reaches"
        remedy = None if reaches else find_remedy(workload, device, found, fps, footage, source_fps)
        return cls(workload, device, estimates, found, fps, footage, remedy)

    @property
    def verdict(self) -> Verdict:
        """Of the file as it is."""
        return self.found.verdict(self.fps)

    def levels(self) -> list[dict[str, Any]]:
        """Return the sums over the U-Nets' levels, and over what lies between the U-Nets."""
        found, device = self.found, self.device
        sums: dict[tuple[int, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
        for layer, pixels in self.workload.runs(found.job.size, found.job.times):
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

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, as `estimate --json` prints it beside its format and the file."""
        job, device, remedy = self.found.job, self.device, self.remedy
        return {
            "size": job.size,
            "padded_size": [padded(side) for side in job.size],
            "factor": job.factor,
            "fps": self.fps,
            "device": {
                "name": device.name,
                "multiply_adds_per_second": dict(device.rates),
                "bytes_per_second": device.bandwidth,
                "memory_bytes": device.memory,
                "link_bytes_per_second": device.link,
                "source": device.source,
            },
            "video": self.footage
            and {
                "file": self.footage.file,
                "seconds": self.footage.seconds,
                "processor_seconds": self.footage.processor_seconds,
                "cores": self.footage.cores,
            },
            "levels": self.levels(),
            "precision": self.found.precision,
            "estimates": [
                _fields(each) | {"verdict": each.verdict(self.fps)} for each in self.estimates
            ],
            "verdict": self.verdict,
            "remedy": remedy
            and {
                "change": remedy.change,
                "fps": remedy.fps,
                "verdict": remedy.verdict,
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
        "video_seconds": found.video,
        "least_seconds": found.least,
        "expected_seconds": found.expected,
        "best_fps": found.rate(found.least),
        "expected_fps": [found.rate(seconds) for seconds in reversed(found.expected)],
        "bound_by": found.limit,
        "device_memory_bytes": found.context,
        "fits": found.fits,
    }
