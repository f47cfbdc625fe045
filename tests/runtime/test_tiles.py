"""Tiles: that they cover the frame, sample as the whole frame does, and bound the memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import FrameError, Interpolator, OptionError
from runtime.backends import BackendName
from runtime.bundled import BUNDLED_INT8
from runtime.scene import render_bytes
from runtime.tiles import Extent, Tiling, tiling
from tests.conftest import Exporter
from tests.harsh import harsh_network, with_weights
from tests.marks import others_long
from tests.models import SMALL_MODEL

CPU = ["CPUExecutionProvider"]


def psnr(found: np.ndarray, expected: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean(np.square(found - expected, dtype=np.float64))))


@pytest.mark.parametrize("width", [32, 64, 96, 512, 736, 1280, 3840])
@pytest.mark.parametrize("size", [192, 256, 512, 4096])
@pytest.mark.parametrize("overlap", [0, 32, 128, 160])
def test_tiles_keep_every_pixel_once_and_see_half_the_overlap_beyond(
    width: int, size: int, overlap: int
) -> None:
    height = 320
    layout = tiling(Extent(), (size, 256), overlap).layout(width, height)
    kept = np.zeros((1, height, width, 3), int)
    for tile in layout.tiles:
        tile.put(tile.of(kept) + 1, kept)
        for span, whole in ((tile.rows, height), (tile.columns, width)):
            assert span.start % 32 == span.stop % 32 == 0
            assert 0 <= span.start <= span.first < span.last <= span.stop <= whole
            assert span.start == 0 or span.first - span.start >= overlap // 2
            assert span.stop == whole or span.stop - span.last >= overlap // 2
    assert (kept == 1).all()


@pytest.mark.parametrize(
    "extent",
    [
        Extent((512, 512), (512, 512)),
        Extent((32, 32), (1280, 384)),
        Extent((320, 32), (640, 640), pixels=200_000),
        Extent(pixels=1280 * 736 - 1),
        Extent(pixels=300_000),
        Extent(pixels=80_000),
    ],
)
def test_the_tiles_of_fewest_pixels_are_chosen(extent: Extent) -> None:
    def pixels(tiling: Tiling) -> int:
        tiles = tiling.layout(1280, 736).tiles
        sizes = {(tile.columns.stop - tile.columns.start, tile.rows.stop - tile.rows.start)
                 for tile in tiles}  # fmt: skip
        assert len(sizes) == 1
        assert all(extent.takes(*size) for size in sizes)
        return sum(width * height for width, height in sizes) * len(tiles)

    tried = []
    for width in range(224, 1281, 32):
        for height in range(224, 737, 32):
            if extent.takes(width, height):
                tried.append(pixels(Tiling(extent, (width, height))))
    assert pixels(Tiling(extent)) == min(tried)


@pytest.mark.parametrize("align_corners", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.parametrize("harsh", [False, True])
def test_tiled_frames_are_those_of_whole_frames(
    align_corners: bool, harsh: bool, exported: Exporter, tmp_path: Path
) -> None:
    path = exported(8, "float32", align_corners)
    if harsh:  # flows of 40 pixels and more
        network = harsh_network(8, align_corners=align_corners)
        path = with_weights(path, network, tmp_path / "harsh.onnx")
    pair = [render_bytes(416, 288, time) / np.float32(255) for time in (0, 1)]
    times = [0.25, 0.5]
    with Interpolator(path, providers=CPU) as whole:
        expected = whole(*pair, times)
    with Interpolator(path, providers=CPU, tile=(320, 256)) as tiled:
        found = tiled(*pair, times)
        streamed = list(tiled.stream(pair, 4))
    np.testing.assert_array_equal(streamed[1], found[0])
    assert 50 < psnr(found, expected) < 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tile": (192, 512)}, r"tile is 192x512, and neighbours share 192 pixels; expected more"),
        ({"tile": (512,)}, r"tile holds \(512,\); expected \(width, height\), pixels"),
        ({"tile": (512, 0)}, "a side among tile is 0; expected a whole number from 1"),
        ({"overlap": -1}, "overlap is -1; expected a whole number from 0"),
        ({"memory_limit": 0}, "memory_limit is 0; expected a whole number, 1 or more"),
    ],
)
def test_what_is_no_tile_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Interpolator(SMALL_MODEL, **options)


@pytest.mark.parametrize(
    ("model", "backend", "limit"),
    others_long(
        [
            (SMALL_MODEL, "onnxruntime", 52 * 10**6),
            (SMALL_MODEL, "openvino", 32 * 10**6),
            (BUNDLED_INT8, "onnxruntime", 103 * 10**6),
            (BUNDLED_INT8, "openvino", 39 * 10**6),
        ],
        2,
    ),
)
def test_a_memory_limit_cuts_frames_and_bounds_them(
    model: Path, backend: BackendName, limit: int
) -> None:
    pair = [render_bytes(448, 320, time) for time in (0, 1)]
    with Interpolator(model, backend=backend) as whole:
        expected = whole(*pair)
    with Interpolator(model, backend=backend, memory_limit=limit) as limited:
        found = limited(*pair)
        identity = limited.identity
    with Interpolator(model, backend=backend) as again:
        assert again.identity != identity  # who compares runs is told of it
    assert 45 < psnr(found / 255, expected / 255) < 200


def test_a_limit_that_no_tile_keeps_says_so() -> None:
    pair = [render_bytes(640, 480, time) for time in (0, 1)]
    with (
        Interpolator(SMALL_MODEL, backend="onnxruntime", memory_limit=10**7) as interpolate,
        pytest.raises(
            FrameError,
            match=r"room for frames of 32x32 and more, 19531 pixels at most.*give more memory",
        ),
    ):
        interpolate(*pair)
