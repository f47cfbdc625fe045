"""What a report says of the machine that its figures are of."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from rrin_deploy.bench.benchmark import usable_cores
from rrin_deploy.proof.machine import facts, software
from runtime.errors import BackendError


def machine() -> dict[str, str]:
    """Return facts of this machine, by name; neither its host's name nor a user's."""
    found = {
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "CPU": _cpu(),
        "cores": f"{usable_cores()} usable",
    }
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        found["memory"] = f"{total / 2**30:.1f} GiB"
    try:
        rest = facts()
        rest["GPU memory"] = rest.pop("memory")
    except BackendError:
        rest = {"GPU": "none that engines could run on", **software()}
    return found | {name: str(value) for name, value in rest.items()}


def _cpu() -> str:
    about = Path("/proc/cpuinfo")
    if about.exists():
        lines = about.read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if names:
            return names[0]
    return platform.processor() or platform.machine()
