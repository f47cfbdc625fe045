"""On a machine with an RTX GPU: a real engine, run for real."""

from pathlib import Path

import pytest

from engines import BuildOptions, build
from runtime import check_parity
from runtime.golden import golden_beside
from runtime.interpolator import BUNDLED_MODEL


@pytest.mark.needs_gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_engine_gives_the_reference_frames(precision: str, tmp_path: Path) -> None:
    from runtime.device import compute_capability

    options = BuildOptions(target="rtx", compute_capabilities=(compute_capability(0),))
    engine = build(
        BUNDLED_MODEL,
        tmp_path / "rrin.engine",
        precision=precision,  # type: ignore[arg-type]
        options=options,
    ).engine
    assert check_parity(engine, golden_beside(BUNDLED_MODEL)).passed
