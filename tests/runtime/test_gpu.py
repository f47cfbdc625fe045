"""On a machine with an NVIDIA GPU: a real engine, run for real."""

import os
from pathlib import Path

import pytest

from engines import BuildOptions, build
from engines.flavours import load_flavour
from runtime import check_parity
from runtime.errors import BackendError
from runtime.golden import golden_beside
from runtime.metadata import Precision
from tests.models import SMALL_MODEL

# The golden file's frames are no larger: the smallest card has the memory.
SIZES = {"opt_size": (128, 96), "max_size": (128, 96), "max_times": 3}


def options_here() -> BuildOptions:
    """Options of a build for the GPU here: RTX knows some, TensorRT the others."""
    from runtime.device import compute_capability

    capability = compute_capability(0)
    try:
        load_flavour("rtx").capabilities((capability,))
        return BuildOptions(target="rtx", compute_capabilities=(capability,), **SIZES)  # type: ignore[arg-type]
    except BackendError as no_rtx:
        try:
            load_flavour("tensorrt")
        except BackendError as no_tensorrt:
            if os.environ.get("RRIN_REQUIRE_GPU") == "1":
                raise
            pytest.skip(f"nothing builds for SM{capability}: {no_rtx}; {no_tensorrt}")
        return BuildOptions(target="tensorrt", **SIZES)  # type: ignore[arg-type]


@pytest.mark.needs_gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_engine_gives_the_reference_frames(precision: Precision, tmp_path: Path) -> None:
    output = tmp_path / "rrin.engine"
    engine = build(SMALL_MODEL, output, precision=precision, options=options_here()).engine
    assert check_parity(engine, golden_beside(SMALL_MODEL)).passed
