"""How fast a device runs a workload: at best, and as expected from what was measured elsewhere.

At best a device computes as fast as its ceiling and moves each tensor once, both at the same time.
What is expected is a share of that, from the least to the greatest that was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from rrin_deploy.estimate.devices import Device
from rrin_deploy.estimate.workload import Workload
from runtime.architecture import padded
from runtime.metadata import Precision

Limit = Literal["arithmetic", "memory", "PCIe", "decoding and encoding"]
Verdict = Literal["reaches", "may reach", "does not reach"]

# Shares of the bound that whole calls reached on CPUs, least and greatest, by base width; see
# docs/estimate.md. At width 8 the range of 16 is widened downwards: on another CPU it was less.
_CPU_SHARES: dict[Precision, dict[int, tuple[float, float]]] = {
    "fp32": {8: (0.40, 0.95), 16: (0.50, 0.95), 32: (0.50, 0.98)},
    "int8": {8: (0.15, 0.85), 16: (0.33, 0.85), 32: (0.33, 0.93)},
}
# Of PyTorch on an H100, docs/gpu/: in float32 0.37 to 0.57, in half 0.12 to 0.18. No engine of
# TensorRT was timed, which fuses more: in half and INT8 the greatest is that of float32.
_GPU_SHARES: dict[Precision, tuple[float, float]] = {
    "fp32": (0.37, 0.57),
    "fp16": (0.12, 0.57),
    "int8": (0.12, 0.57),
}
# Seconds for a pixel of a made frame that is only copied to the GPU and back, docs/gpu/: 8.1 ms at
# 1920x1088, uint8.
_SESSION = 8.1e-3 / (1920 * 1088)
# Bytes of a context for a pixel and a time: a * width * itemsize + b, of plans of TensorRT-RTX for
# one size, base widths 8 and 32; docs/targets.md. INT8 plans write float32 between kernels.
_CONTEXT: dict[Precision, tuple[float, float]] = {
    "fp32": (5.77 * 4, 71),
    "fp16": (5.77 * 2, 71),
    "int8": (7.7, 71),
}
_PIXEL = 3  # bytes of RGB in uint8


@dataclass(frozen=True)
class Job:
    """What is to be made.

    Attributes:
        size: frames' (width, height), pixels.
        factor: frames of the result for each of the source; one less is made of each pair.
    """

    size: tuple[int, int]
    factor: int

    @property
    def times(self) -> int:
        """How many frames are made of a pair."""
        return self.factor - 1

    @property
    def pixels(self) -> int:
        """How many a padded frame has."""
        return padded(self.size[0]) * padded(self.size[1])


@dataclass(frozen=True)
class Footage:
    """What a video costs the CPU beside the network, for a frame of the result.

    Attributes:
        file: its name.
        seconds: from one to the next, where nothing else is done.
        processor_seconds: of all cores together.
        cores: how many this machine has.
    """

    file: str
    seconds: float
    processor_seconds: float
    cores: int

    def beside(self, network: float, threads: int, frames: int) -> float:
        """Return the least seconds of so many frames, of which the network's take `network`.

        The stages run at the same time, on the same cores where the network has `threads` of them.
        """
        busy = network * min(threads, self.cores) + self.processor_seconds * frames
        return max(network, busy / self.cores)


@dataclass(frozen=True)
class Estimate:
    """How long a pair takes, seconds.

    Attributes:
        job, precision, base_width: what of.
        arithmetic, memory, link: least time of each: the convolutions, the device's memory, PCIe.
        video: time of decoding and encoding on all cores; 0 where they are not counted in.
        least: the least time that a pair takes, whatever runs it.
        expected: shortest and longest that is expected.
        context: bytes of device memory for the tensors and weights; None on a CPU.
        fits: whether the device has that memory.
    """

    job: Job
    precision: Precision
    base_width: int
    arithmetic: float
    memory: float
    link: float
    video: float
    least: float
    expected: tuple[float, float]
    context: float | None
    fits: bool

    @property
    def limit(self) -> Limit:
        """What takes the least time, or most of it."""
        times: dict[Limit, float] = {
            "arithmetic": self.arithmetic,
            "memory": self.memory,
            "PCIe": self.link,
            "decoding and encoding": self.video,
        }
        return max(times, key=lambda name: times[name])

    def rate(self, seconds: float) -> float:
        """Return the frames a second of the result, where a pair takes so long."""
        return self.job.factor / seconds

    def verdict(self, fps: float) -> Verdict:
        """Say whether the result has so many frames a second as it is made."""
        if not self.fits or self.rate(self.least) < fps:
            return "does not reach"
        return "reaches" if self.rate(self.expected[1]) >= fps else "may reach"


def estimate(
    workload: Workload,
    device: Device,
    job: Job,
    precision: Precision,
    footage: Footage | None = None,
) -> Estimate:
    """Bound the time of a pair, and say what is expected.

    Args:
        device: one that has a rate for `precision`.
        footage: of a video that the frames come from and go to; None counts neither in.
    """
    arithmetic = sum(
        layer.multiply_adds * pixels / device.rates[_type_of(layer.quantizes, precision, device)]
        for layer, pixels in workload.runs(job.size, job.times)
    )
    memory = workload.bytes(job.size, job.times, precision) / device.bandwidth
    # One frame of the source goes up, for the other is there already, and those made come back;
    # the link carries both ways at once.
    link = _PIXEL * job.pixels * job.times / device.link if device.link else 0.0
    width = workload.metadata.base_width
    low, high = _shares(device, precision, width)
    bound = max(arithmetic, memory)
    around = 0.0 if device.is_cpu else _SESSION * job.pixels * job.times
    context = None if device.is_cpu else _context(workload, job, precision)

    def beside(network: float) -> float:
        return network if footage is None else footage.beside(network, device.threads, job.factor)

    as_measured = 0.0 if footage is None else footage.seconds * job.factor
    return Estimate(
        job=job,
        precision=precision,
        base_width=width,
        arithmetic=arithmetic,
        memory=memory,
        link=link,
        video=beside(0.0),
        least=beside(max(bound, link)),
        expected=(beside(max(bound / high, link)), max(beside(bound / low + around), as_measured)),
        context=context,
        fits=context is None or device.memory is None or context <= device.memory,
    )


def _type_of(quantizes: bool, precision: Precision, device: Device) -> Precision:
    """Return the type that a layer runs in: what is not INT8 is half on GPUs, float on CPUs."""
    if precision != "int8" or quantizes:
        return precision
    return "fp32" if device.is_cpu else "fp16"


def _shares(device: Device, precision: Precision, width: int) -> tuple[float, float]:
    """Return the least and the greatest share of the bound; between two widths, in between."""
    if not device.is_cpu:
        return _GPU_SHARES[precision]
    known = _CPU_SHARES[precision]
    low, high = zip(*known.values(), strict=True)
    return float(np.interp(width, [*known], low)), float(np.interp(width, [*known], high))


def _context(workload: Workload, job: Job, precision: Precision) -> float:
    """Return the bytes of one context, and of the weights."""
    slope, rest = _CONTEXT[precision]
    tensors = job.pixels * (slope * workload.metadata.base_width + rest)
    weights = workload.weights * {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}[precision]
    return tensors + weights
