"""Activation ranges, against what hooks in the PyTorch network see."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from calibration import Triplet, measure_ranges, measurement, triplet_folders, vimeo90k
from calibration.measurement import _enlarged
from calibration.observers import PERCENTILE, Extremes, Histogram
from export import RRIN, Reference
from precision import Ranges
from runtime.errors import ArtifactError, OptionError
from runtime.scene import render_bytes
from tests.conftest import unit, write_png
from tests.models import SMALL_MODEL


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
    names = b"00001/0001\n00001/0002\n00001/0003"
    assert ranges.data_sha256 == hashlib.sha256(names).hexdigest()
    assert len(ranges.tensors) == 64 + 13  # the LeakyReLUs, and the steps upward
    for name, values in hooked(small_network, vimeo90k(vimeo, "train")).items():
        measured = ranges.tensors[name]
        np.testing.assert_allclose(measured.low, values.min(1), atol=1e-4)
        np.testing.assert_allclose(measured.high, values.max(1), atol=1e-4)


def test_percentile_is_what_numpy_finds(vimeo: Path, small_network: RRIN) -> None:
    triplets = vimeo90k(vimeo, "train")
    ranges = measure_ranges(SMALL_MODEL, triplets, method="percentile")
    outside = (100 - PERCENTILE) / 2
    for name, values in hooked(small_network, triplets, stride=2).items():
        measured = ranges.tensors[name]
        bin_width = 4 * np.abs(values).max() / 2048  # of a span that has doubled once too often
        for found, percent in ((measured.low, outside), (measured.high, 100 - outside)):
            expected = np.percentile(values, percent, axis=1, method="inverted_cdf")
            np.testing.assert_allclose(found, expected, atol=2 * bin_width)


def test_percentile_leaves_an_outlier_out() -> None:
    histogram, extremes = Histogram(), Extremes()
    values = np.random.default_rng(0).uniform(-1, 1, (1, 2, 1000, 800)).astype(np.float32)
    values[0, 1, 0, 0] = 50
    for observer in (histogram, extremes):
        observer.add(values[..., :400])
        observer.add(values[..., 400:])
    np.testing.assert_allclose(extremes.range().high, [1, 50], atol=0.001)
    np.testing.assert_allclose(histogram.range().high, [1, 1], atol=0.1)
    np.testing.assert_allclose(histogram.range().low, [-1, -1], atol=0.1)


def test_values_that_are_not_finite_are_refused(vimeo: Path, tmp_path: Path) -> None:
    model = onnx.load(SMALL_MODEL)
    for tensor in model.graph.initializer:
        if tensor.name == "Mask.midconv.bias":
            bias = onnx.numpy_helper.to_array(tensor).copy()
            bias[3] = np.nan
            tensor.CopyFrom(onnx.numpy_helper.from_array(bias, tensor.name))
    onnx.save(model, tmp_path / "broken.onnx")
    with pytest.raises(ArtifactError, match="Mask/LeakyRelu gives values that are not finite"):
        measure_ranges(tmp_path / "broken.onnx", vimeo90k(vimeo, "train"))


def test_the_choice_is_random_but_repeatable(vimeo: Path) -> None:
    triplets = vimeo90k(vimeo, "train")
    runs = [measure_ranges(SMALL_MODEL, triplets, samples=1, seed=seed) for seed in (0, 0, 1, 2)]
    highest = [run.tensors["Mask/LeakyRelu"].high.tolist() for run in runs]
    assert highest[0] == highest[1]
    assert highest[2:] != highest[:2]
    assert runs[0].samples == 1


def test_the_choice_does_not_depend_on_the_order_of_the_list(vimeo: Path) -> None:
    triplets = vimeo90k(vimeo, "train")
    runs = [measure_ranges(SMALL_MODEL, order, samples=1) for order in (triplets, triplets[::-1])]
    first, second = (run.tensors["Mask/LeakyRelu"].high.tolist() for run in runs)
    assert first == second
    assert runs[0].data_sha256 == runs[1].data_sha256


@pytest.mark.long
def test_large_frames_are_cut_to_their_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measurement._LARGEST == (360, 640)
    monkeypatch.setattr(measurement, "_LARGEST", (72, 128))
    frames = [render_bytes(160, 80, time) for time in (0, 0.5, 1)]
    for folder, rows, columns in (("whole", 80, 160), ("middle", 72, 128)):
        top, left = (80 - rows) // 2, (160 - columns) // 2
        for index, frame in enumerate(frames, 1):
            middle = np.ascontiguousarray(frame[top : top + rows, left : left + columns])
            write_png(tmp_path / folder / "a" / f"im{index}.png", middle)
    whole, middle = (
        measure_ranges(SMALL_MODEL, triplet_folders(tmp_path / folder))
        for folder in ("whole", "middle")
    )
    for name, measured in whole.tensors.items():
        np.testing.assert_array_equal(measured.high, middle.tensors[name].high)


def test_motion_is_enlarged_about_the_middle() -> None:
    ramp = np.tile(np.arange(0, 128, 2, dtype=np.uint8)[:, np.newaxis, np.newaxis], (1, 96, 3))
    enlarged = _enlarged(ramp)
    assert enlarged.shape == ramp.shape
    inner = enlarged[4:-4, 48, 0].astype(float)
    assert np.diff(inner).mean() == pytest.approx(1, abs=0.1)  # half as steep: twice as large
    assert inner.mean() == pytest.approx(ramp.mean(), abs=1)


def test_options_are_checked(vimeo: Path) -> None:
    triplets = vimeo90k(vimeo, "train")
    with pytest.raises(OptionError, match="samples is 0; expected a whole number, 1 or more"):
        measure_ranges(SMALL_MODEL, triplets, samples=0)
    with pytest.raises(OptionError, match="seed is -1; expected a whole number, 0 or more"):
        measure_ranges(SMALL_MODEL, triplets, seed=-1)
    with pytest.raises(OptionError, match="method is 'median'; expected one of max, percentile"):
        measure_ranges(SMALL_MODEL, triplets, method="median")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="triplets is empty; expected at least one"):
        measure_ranges(SMALL_MODEL, [])


def test_progress_counts_triplets_left_out_for_cuts(tmp_path: Path) -> None:
    cut = np.full_like(render_bytes(96, 64, 0), 255)
    for name, times in (("a", (0, 0.5, 1)), ("b", (4, 4.5, 5)), ("c", (0, None, None))):
        for index, time in enumerate(times, 1):
            frame = cut if time is None else render_bytes(96, 64, time)
            write_png(tmp_path / name / f"im{index}.png", frame)
    seen: list[tuple[int, int]] = []
    ranges = measure_ranges(
        SMALL_MODEL,
        triplet_folders(tmp_path),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert ranges.samples == 2
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_progress_counts_triplets(vimeo: Path) -> None:
    seen: list[tuple[int, int]] = []
    measure_ranges(
        SMALL_MODEL,
        vimeo90k(vimeo, "train"),
        samples=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 2), (2, 2)]
