"""The device memory of an execution context: what a card runs out of first."""

from __future__ import annotations

import re
from typing import Any

from engines.flavours import Flavour
from runtime.errors import BackendError
from runtime.tensorrt_library import load_engine

_BEGINNING = b"region = { name=devmem"
_REGION = re.compile(
    re.escape(_BEGINNING) + rb"(\w{0,64}) size=(\d{1,15}) [^{}\n]{0,256}place=accelerator"
)

# Of these many cards have 8 GB: GeForce RTX 2070, 3060 Ti, 4060 and 5060.
_OFTEN_8_GB = (75, 86, 89, 120)


def context_bytes(flavour: Flavour, plan: bytes, log: Any) -> int | None:
    """Return the device memory that each execution context of a plan takes, in bytes.

    A context serves one call or stream at a time; each that goes on beside it has another. It takes
    this much for the profile's largest shape: with TensorRT-RTX whatever is run, with TensorRT less
    for smaller ones. The weights, which all contexts share, and the frames come on top.

    Args:
        flavour: what built the plan.
        plan: an engine's bytes, built a moment ago.
        log: a TensorRT logger.

    Returns:
        What TensorRT says of the engine, or for TensorRT-RTX the sum of the regions that the plan
        names; None where TensorRT does not load it, or the plan does not name them as 1.7 does.
    """
    return _named(plan) if flavour.target == "rtx" else _asked(flavour.trt, plan, log)


def too_small(capabilities: tuple[int, ...], needed: int) -> str:
    """Say which GPUs have less memory than is needed, empty if none that is known of."""
    try:
        from runtime.device import compute_capability, total_memory

        here, memory = compute_capability(0), total_memory(0)
    except BackendError:
        here, memory = 0, 0
    if here in capabilities and memory < needed:
        return f"the GPU here has {memory / 1e9:.1f} GB"
    others = [f"SM{each}" for each in capabilities if each in _OFTEN_8_GB and each != here]
    if others and needed > 8e9:
        return f"many cards of {', '.join(others)} have 8 GB"
    return ""


def _named(plan: bytes) -> int | None:
    # TensorRT-RTX, too, could be asked, but it loads no plan without a GPU.
    regions = {region[1]: int(region[2]) for region in _REGION.finditer(plan)}
    # Regions in another form, or the same ones in several parts of a plan, would be summed wrongly.
    return sum(regions.values()) if 0 < len(regions) == plan.count(_BEGINNING) else None


def _asked(trt: Any, plan: bytes, log: Any) -> int | None:
    # The code in a version-compatible plan is ours.
    _runtime, engine = load_engine(trt, plan, log, host_code=True)
    return None if engine is None else int(engine.device_memory_size_v2)
