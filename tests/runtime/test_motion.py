"""What does not move is not inferred: it stays as it is, and what moves is as in whole frames."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import Interpolator, OptionError
from runtime.backends import BackendName
from runtime.layout import Span
from runtime.motion import what_moves
from runtime.scene import render_bytes
from runtime.tiles import Extent, Tiling
from tests.conftest import Exporter, unit
from tests.harsh import harsh_network, with_weights
from tests.marks import others_long
from tests.models import SMALL_MODEL

Box = tuple[slice, slice]
WIDTH, HEIGHT = 416, 288
ALL: Box = slice(0, HEIGHT), slice(0, WIDTH)
TIMES = [0.25, 0.5]
# Rectangles that move, and how much is inferred of the frame at most, their surroundings included.
MOVING: dict[str, tuple[list[Box], float]] = {
    "between bars": ([(slice(112, 176), slice(0, WIDTH))], 0.67),
    "in a corner": ([(slice(0, 48), slice(0, 64))], 0.14),
    "one pixel": ([(slice(HEIGHT - 1, HEIGHT), slice(WIDTH - 1, WIDTH))], 0.08),
    "far apart": ([(slice(0, 16), slice(0, 16)), (slice(272, 288), slice(400, 416))], 0.16),
}


def pair(boxes: list[Box]) -> list[np.ndarray]:
    """Two frames of the scene, of which the second moves in these rectangles alone."""
    frame0, moved = (render_bytes(WIDTH, HEIGHT, time) for time in (0, 1))
    frame1 = frame0.copy()
    for box in boxes:
        frame1[box] = moved[box]
    return [frame0, frame1]


def psnr(found: np.ndarray, expected: np.ndarray) -> float:
    error = np.mean(np.square(found.astype(np.float64) - expected)) / 255**2
    return float(-10 * np.log10(error + 1e-20))


def check(found: np.ndarray, expected: np.ndarray, source: np.ndarray, boxes: list[Box]) -> None:
    """Check made frames, [T, H, W, 3]: what moves against whole frames', the rest against both."""
    still = np.ones((HEIGHT, WIDTH), bool)
    for rows, columns in boxes:
        assert psnr(found[:, rows, columns], expected[:, rows, columns]) > 60
        assert not np.array_equal(found[0, rows, columns], source[rows, columns])
        # What is still is known in blocks of 16 pixels.
        still[rows.start // 16 * 16 : rows.stop, columns.start // 16 * 16 : columns.stop] = False
    for frame in found:
        np.testing.assert_array_equal(frame[still], source[still])


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("name", others_long(MOVING))
def test_what_moves_is_made_and_the_rest_stays(name: str, backend: BackendName) -> None:
    boxes, most = MOVING[name]
    frame0, frame1 = pair(boxes)
    with Interpolator(SMALL_MODEL, backend=backend, skip_still=False) as whole:
        expected = whole(frame0, frame1, TIMES)
        assert whole.inferred is None
    with Interpolator(SMALL_MODEL, backend=backend) as interpolate:
        found = interpolate(frame0, frame1, TIMES)
        assert interpolate.inferred is not None
        assert 0 < interpolate.inferred < most
        filled = interpolate.fill([(frame1, []), (frame0, [0.5]), (frame1, TIMES)])
        np.testing.assert_array_equal(list(filled)[2][1], found)
    check(found, expected, frame0, boxes)


@pytest.mark.parametrize("align_corners", others_long([True, False]))
def test_large_flows_stay_in_what_is_inferred(
    align_corners: bool, exported: Exporter, tmp_path: Path
) -> None:
    network = harsh_network(8, align_corners=align_corners)
    path = with_weights(exported(8, "float32", align_corners), network, tmp_path / "harsh.onnx")
    boxes = [(slice(112, 176), slice(144, 256))]
    frames = pair(boxes)
    with Interpolator(path, skip_still=False) as whole, Interpolator(path) as interpolate:
        check(interpolate(*frames, TIMES), whole(*frames, TIMES), frames[0], boxes)


@pytest.mark.long
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_where_all_moves_frames_are_the_very_ones_of_whole_frames(backend: BackendName) -> None:
    frames = pair([ALL])
    with Interpolator(SMALL_MODEL, backend=backend, skip_still=False) as whole:
        expected = whole(*frames, TIMES)
    with Interpolator(SMALL_MODEL, backend=backend) as interpolate:
        interpolate(*pair([(slice(0, 16), slice(0, 16))]))
        np.testing.assert_array_equal(interpolate(*frames, TIMES), expected)


def test_where_nothing_moves_the_frame_is_shown_again(interpolate: Interpolator) -> None:
    for frame in (render_bytes(100, 70, 0), unit(render_bytes(100, 70, 0))):
        made = interpolate(frame, frame.copy(), TIMES)
        assert made.dtype == frame.dtype
        np.testing.assert_array_equal(made, [frame, frame])


@pytest.mark.long
def test_still_tiles_are_left_out() -> None:
    boxes, _ = MOVING["in a corner"]
    frames = pair(boxes)
    cut: dict[str, Any] = {"backend": "onnxruntime", "tile": (224, 160), "overlap": 64}
    with Interpolator(SMALL_MODEL, **cut, skip_still=False) as all_tiles:
        expected = all_tiles(*frames, TIMES)
    limited = Interpolator(SMALL_MODEL, **cut, memory_limit=10**8)
    with limited, Interpolator(SMALL_MODEL, **cut) as parts:
        found = limited(*frames, TIMES)
        assert limited.inferred == 224 * 160 / (WIDTH * HEIGHT)  # the first tile's
        check(parts(*frames, TIMES), expected, frames[0], boxes)
        assert parts.inferred is not None
        assert parts.inferred < 0.14
        identities = {limited.identity, parts.identity, all_tiles.identity}
    changed = (found != expected).any((0, 3))
    assert not changed[:128, :192].any()  # what the first tile keeps
    np.testing.assert_array_equal(found[:, 144:, :], [frames[0][144:]] * 2)
    assert len(identities) == 3  # who goes on with a job is told of it


def test_what_tiles_share_counts_once_as_inferred() -> None:
    cut: dict[str, Any] = {"backend": "onnxruntime", "tile": (224, 160), "overlap": 64}
    with Interpolator(SMALL_MODEL, **cut) as interpolate:
        interpolate(*pair([ALL]))
        assert interpolate.inferred == 1
    # What moves lies in the middle of two tiles in a row, which are run, and share 64 columns.
    with Interpolator(SMALL_MODEL, **cut, memory_limit=10**8) as interpolate:
        interpolate(*pair([(slice(0, 16), slice(16, 272))]))
        assert interpolate.inferred == (224 + 160) * 160 / (WIDTH * HEIGHT)


@pytest.mark.parametrize("least", [(32, 32), (160, 128), (416, 288)])
@pytest.mark.parametrize("most", [(160, 128), (416, 288)])
def test_layouts_keep_what_moves_and_fit_the_session(
    least: tuple[int, int], most: tuple[int, int]
) -> None:
    if least > most:
        pytest.skip("no such session")
    tiling = Tiling(Extent(least, most), overlap=64, skip_still=True, any_size=True)
    random = np.random.default_rng(0)
    black = np.zeros((1, HEIGHT, WIDTH, 3), np.uint8)
    for _ in range(100):
        other = black.copy()
        for _ in range(random.integers(1, 5)):
            x, y = random.integers(0, WIDTH), random.integers(0, HEIGHT)
            width, height = random.integers(1, 120, 2)
            other[:, y : y + height, x : x + width] = 1
        layout = what_moves(tiling, black, other)
        kept = np.zeros((1, HEIGHT, WIDTH, 3), int)
        for tile in layout.tiles:
            assert tiling.extent.takes(tile.of(kept).shape[2], tile.of(kept).shape[1])
            tile.put(tile.of(kept) + 1, kept)
            for span, whole in ((tile.rows, HEIGHT), (tile.columns, WIDTH)):
                check_span(span, whole)
        assert kept.max() == 1
        assert kept[other > 0].all()
        assert layout.pixels <= tiling.layout(WIDTH, HEIGHT).pixels


def check_span(span: Span, whole: int) -> None:
    assert span.start % 16 == (span.stop - span.start) % 32 == 0
    assert 0 <= span.start <= span.first < span.last <= span.stop <= whole
    assert span.start == 0 or span.first - span.start >= 32
    assert span.stop == whole or span.stop - span.last >= 32


def test_what_is_neither_yes_nor_no_is_refused() -> None:
    skip_still: Any = "no"
    with pytest.raises(OptionError, match="skip_still is 'no'; expected True or False"):
        Interpolator(SMALL_MODEL, skip_still=skip_still)
