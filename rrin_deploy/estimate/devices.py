"""What devices can do at most: by data sheets, or as measured on this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from runtime.errors import OptionError
from runtime.metadata import Precision

_ROUNDS = 9
_COPIED = 128 * 2**20  # bytes, beyond what caches hold


@dataclass(frozen=True)
class Device:
    """A device's ceilings.

    Attributes:
        name: as its maker writes it.
        rates: multiply-adds a second by precision, dense; what is missing it does not run.
        bandwidth: bytes a second of its memory, read and written.
        memory: bytes; None for a CPU.
        link: bytes a second between host and device, one way; None where they share memory.
        source: where the figures stand.
        threads: of the CPU, that the network takes; 0 for a GPU.
    """

    name: str
    rates: Mapping[Precision, float]
    bandwidth: float
    memory: float | None
    link: float | None
    source: str
    threads: int = 0

    @property
    def is_cpu(self) -> bool:
        """Whether it is this machine's CPU."""
        return self.memory is None


_ADA = "NVIDIA Ada GPU Architecture whitepaper, appendix A, https://www.scribd.com/document/656196379/004"
_AMPERE = (
    "NVIDIA Ampere GA102 whitepaper, table 9, "
    "https://www.nvidia.com/content/PDF/nvidia-ampere-ga-102-gpu-architecture-whitepaper-v2.pdf"
)
_AMPERE_A100 = "NVIDIA A100 whitepaper's table, https://developer.nvidia.com/blog/nvidia-ampere-architecture-in-depth/"
_HOPPER = "NVIDIA's table, as https://archive-lib.hpctech.co.jp/gpuproduct/nvidia-h100.html has it"
_L40S = "NVIDIA's table, as https://www.mullet.se/product.html?product_id=355414 has it"
_L4 = "https://hmc-tech.com/gpu/nvidia-l4-vs-nvidia-grid-m40, not its maker's"
_4060 = (
    "https://hmc-tech.com/gpu/nvidia-geforce-rtx-4060-vs-nvidia-geforce-rtx-4060, not its maker's"
)
_TURING = "https://developer.nvidia.com/blog/nvidia-turing-architecture-in-depth/, Founders Edition"
_ORIN_NANO = "NVIDIA Jetson Orin Nano Series data sheet, https://connecttech.com/ftp/pdf/nvidia_jetson_orin_datasheet.pdf"
_ORIN_NX = (
    "NVIDIA Jetson Orin NX Series data sheet DS-10712, with its two DLAs, which do not run this, "
    "https://www.scribd.com/document/717939089/"
)
_ORIN_AGX = (
    "NVIDIA Jetson AGX Orin Series data sheet DS-10662, "
    "https://static.generation-robots.com/media/Jetson-AGX-Orin-Data-Sheet.pdf"
)
_PCIE = {3: 15.75, 4: 31.5, 5: 63.0}  # GB/s one way, 16 lanes


def _gpu(
    name: str,
    tera: tuple[float, float, float],
    bandwidth: float,
    memory: float,
    link: float | None,
    source: str,
) -> Device:
    """Return one by its sheet: dense tera-operations in FP32, FP16 and INT8; GB/s, GB, GB/s.

    FP16 with FP16 accumulation, where that is faster; FP32 without TF32, which engines leave out.
    """
    fp32, fp16, int8 = (operations * 1e12 / 2 for operations in tera)
    rates: dict[Precision, float] = {"fp32": fp32, "fp16": fp16, "int8": int8}
    return Device(name, rates, bandwidth * 1e9, memory * 1e9, link and link * 1e9, source)


DEVICES = (
    _gpu("RTX 4090", (82.6, 330.3, 660.6), 1008, 24, _PCIE[4], _ADA),
    _gpu("RTX 4060", (15.11, 60.46, 120.91), 272, 8, _PCIE[4] / 2, _4060),
    _gpu("RTX 3090", (35.6, 142, 284), 936, 24, _PCIE[4], _AMPERE),
    _gpu("RTX 2080 Ti", (14.2, 113.8, 227.7), 616, 11, _PCIE[3], _TURING),
    _gpu("L4", (31.33, 125.34, 250.68), 300, 24, _PCIE[4], _L4),
    _gpu("L40S", (91.6, 362.05, 733), 864, 48, _PCIE[4], _L40S),
    _gpu("A100 40GB", (19.5, 312, 624), 1555, 40, _PCIE[4], _AMPERE_A100),
    _gpu("H100 PCIe", (51, 756.5, 1513), 2000, 80, _PCIE[5], _HOPPER),
    _gpu("H100 SXM", (67, 989.5, 1979), 3350, 80, _PCIE[5], _HOPPER),
    _gpu("Jetson Orin Nano 8GB", (1.28, 10, 20), 68, 8, None, _ORIN_NANO),
    _gpu("Jetson Orin NX 16GB", (1.88, 25, 50), 102, 16, None, _ORIN_NX),
    _gpu("Jetson AGX Orin 64GB", (5.3, 42.5, 85), 204.8, 64, None, _ORIN_AGX),
)


def find_device(name: str) -> Device:
    """Return a device of the table by its name, however it is spaced and written.

    Raises:
        OptionError: there is none, or several begin or end so; the message lists those near.
    """
    wanted = _plain(name)
    known = {_plain(device.name): device for device in DEVICES}
    if wanted in known:
        return known[wanted]
    found = [device for plain, device in known.items() if wanted and wanted in plain]
    if len(found) == 1:
        return found[0]
    near = [device.name for device in found] or [
        known[each].name for each in get_close_matches(wanted, known, n=3, cutoff=0.5)
    ]
    listed = ", ".join(near or [device.name for device in DEVICES])
    raise OptionError(
        f"device {name!r} is not in the table; "
        f"{'near to it are' if near else 'expected one of'} {listed}"
    )


def this_machine(threads: int) -> Device:
    """Measure this machine's CPU: a large convolution in each precision, and copied memory.

    Takes some seconds.
    """
    from rrin_deploy.bench.ceiling import cpu_ceilings

    measured = cpu_ceilings(threads)
    rates: dict[Precision, float] = {"fp32": measured["FP32"], "int8": measured["INT8"]}
    source = f"measured, {threads} {'thread' if threads == 1 else 'threads'}"
    return Device("this CPU", rates, _copied_bytes(), None, None, source, threads)


def _copied_bytes() -> float:
    """Return the bytes a second that are read and written in copying."""
    source = np.zeros(_COPIED, np.uint8)
    target = np.ones_like(source)
    seconds = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        np.copyto(target, source)
        seconds.append(time.perf_counter() - started)
    return 2 * _COPIED / min(seconds)


def _plain(name: str) -> str:
    text = "".join(character for character in name.lower() if character.isalnum())
    return text.removeprefix("nvidia").removeprefix("geforce")
