"""Activation ranges, against what hooks in the PyTorch network see."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from calibration import Ranges, Triplet, measure_ranges, vimeo90k
from calibration.measurement import PERCENTILE, _enlarged
from export import RRIN, Reference
from runtime.errors import OptionError
from runtime.interpolator import BUNDLED_MODEL
from tests.conftest import unit


def hooked(network: RRIN, triplets: list[Triplet], stride: int = 1) -> dict[str, np.ndarray]:
    """Values of some modules' outputs, [C, N], over the runs that a calibration makes."""
    modules = {
        "Flow_L.down_path.0.block.1/LeakyRelu": network.Flow_L.down_path[0].block[1],
        "Mask.up_path.1.up.1/Conv": network.Mask.up_path[1].up[1],
        "final.up_path.2.conv_block.block.3/LeakyRelu": network.final.up_path[2].conv_block.block[
            3
        ],
    }
    seen: dict[str, list[np.ndarray]] = {name: [] for name in modules}

    def keep(name: str) -> Any:
        def hook(_module: object, _inputs: object, output: torch.Tensor) -> None:
            seen[name].append(output[0, :, ::stride, ::stride].flatten(1).numpy())

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    for triplet in triplets:
        frame0, _, frame1 = triplet.read()
        for a, b, t in (
            (frame0, frame1, 0.25),
            (frame0, frame1, 0.75),
            (_enlarged(frame0), _enlarged(frame1), 0.5),
        ):
            Reference(network)(unit(a), unit(b), t)
    for handle in handles:
        handle.remove()
    return {name: np.concatenate(values, axis=1) for name, values in seen.items()}


def test_max_is_what_pytorch_sees(ranges: Ranges, vimeo: Path, small_network: RRIN) -> None:
    assert ranges.samples == 3
    assert len(ranges.tensors) == 64 + 13  # the LeakyReLUs, and the steps upward
    for name, values in hooked(small_network, vimeo90k(vimeo, "train")).items():
        measured = ranges.tensors[name]
        np.testing.assert_allclose(measured.low, values.min(1), atol=1e-4)
        np.testing.assert_allclose(measured.high, values.max(1), atol=1e-4)


def test_percentile_is_what_numpy_finds(vimeo: Path, small_network: RRIN) -> None:
    triplets = vimeo90k(vimeo, "train")
    ranges = measure_ranges(BUNDLED_MODEL, triplets, method="percentile")
    outside = (100 - PERCENTILE) / 2
    for name, values in hooked(small_network, triplets, stride=2).items():
        measured = ranges.tensors[name]
        bin_width = 4 * np.abs(values).max() / 2048  # of a span that has doubled once too often
        for found, percent in ((measured.low, outside), (measured.high, 100 - outside)):
            expected = np.percentile(values, percent, axis=1, method="inverted_cdf")
            np.testing.assert_allclose(found, expected, atol=2 * bin_width)


def test_the_choice_is_random_but_repeatable(vimeo: Path) -> None:
    triplets = vimeo90k(vimeo, "train")
    runs = [measure_ranges(BUNDLED_MODEL, triplets, samples=1, seed=seed) for seed in (0, 0, 1, 2)]
    highest = [run.tensors["Mask/LeakyRelu"].high.tolist() for run in runs]
    assert highest[0] == highest[1]
    assert highest[2:] != highest[:2]
    assert runs[0].samples == 1


def test_motion_is_enlarged_about_the_middle() -> None:
    ramp = np.tile(np.arange(0, 128, 2, dtype=np.uint8)[:, np.newaxis, np.newaxis], (1, 96, 3))
    enlarged = _enlarged(ramp)
    assert enlarged.shape == ramp.shape
    inner = enlarged[4:-4, 48, 0].astype(float)
    np.testing.assert_allclose(np.diff(inner), 1, atol=1)  # half as steep: twice as large
    assert inner.mean() == pytest.approx(ramp.mean(), abs=1)


def test_options_are_checked(vimeo: Path) -> None:
    with pytest.raises(OptionError, match="samples 0"):
        measure_ranges(BUNDLED_MODEL, vimeo90k(vimeo, "train"), samples=0)


def test_progress_counts_triplets(vimeo: Path) -> None:
    seen: list[tuple[int, int]] = []
    measure_ranges(
        BUNDLED_MODEL,
        vimeo90k(vimeo, "train"),
        samples=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 2), (2, 2)]
