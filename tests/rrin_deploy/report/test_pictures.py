"""Pictures of the report: what colours say, what is kept of large ones, the flow of the network."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from export import RRIN
from rrin_deploy.report.flow import seen_flow
from rrin_deploy.report.pictures import (
    MAX_SIDE,
    error_colours,
    flow_colours,
    level_colours,
    picture,
)
from runtime.parity import psnr_db
from runtime.scene import render_bytes
from tests.conftest import unit
from tests.models import SMALL_MODEL


def brightness(rgb: np.ndarray) -> np.ndarray:
    """Rec. 709 luma, 0 to 255."""
    return rgb @ np.array([0.2126, 0.7152, 0.0722])


def shown(uri: str) -> np.ndarray:
    return np.asarray(
        Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")
    )


def test_a_larger_error_is_brighter_up_to_the_limit() -> None:
    errors = np.array([[0, 1e-9, 1e-7, 1e-6, 1e-5, 1e-4, 1, np.inf]])
    bright = brightness(error_colours(errors, 1e-4))[0]
    assert bright[0] == bright[1] < 2  # four decades below the limit it is black
    assert (np.diff(bright[1:6]) > 10).all()
    assert bright[5] == bright[6] == bright[7] > 240
    made = np.arange(0, 128, dtype=np.uint8).reshape(1, -1, 1).repeat(3, axis=2)
    bright = brightness(level_colours(made, np.zeros_like(made), 64))[0]
    assert (np.diff(bright[:65]) >= 0).all()
    assert (bright[64:] == bright[64]).all()


@pytest.mark.parametrize(
    ("motion", "colour"),
    [
        ((0, 0), (255, 255, 255)),
        ((4, 0), (255, 0, 0)),  # right
        ((-4, 0), (0, 255, 255)),  # left
        ((0, 4), (128, 255, 0)),  # down
        ((0, -4), (128, 0, 255)),  # up
        ((2, 0), (255, 128, 128)),  # half as far
        ((9, 0), (255, 0, 0)),  # further than the longest
    ],
)
def test_hue_is_direction_and_saturation_length(
    motion: tuple[float, float], colour: tuple[int, int, int]
) -> None:
    found = flow_colours(np.array([[motion]], np.float32), 4)[0, 0]
    np.testing.assert_allclose(found.astype(int), colour, atol=1)


def test_large_pictures_are_made_smaller_and_small_ones_are_kept() -> None:
    small = render_bytes(200, 100, 0)
    kept = picture(small)
    assert (kept.width, kept.height, kept.scale) == (200, 100, 1)
    assert psnr_db(shown(kept.uri) / 255, small / 255) > 30
    np.testing.assert_array_equal(shown(picture(small, of="pixels").uri), small)
    large = np.random.default_rng(0).integers(0, 256, (1083, 1925, 3)).astype(np.uint8)
    made = picture(large, of="pixels")
    assert (made.width, made.height, made.scale) == (641, 361, 3)
    assert max(made.width, made.height) <= MAX_SIDE
    mean = large[:3, :3].reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(shown(made.uri)[0, 0], mean, atol=0.5)
    assert picture(np.zeros((1, 5000, 3), np.uint8)).height == 1


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_flow_is_that_of_pytorch(
    small_network: RRIN, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    if backend == "openvino":
        monkeypatch.setattr("rrin_deploy.report.flow.is_installed", lambda _: False)
    frames = [render_bytes(70, 50, time) for time in (0, 1)]
    found = seen_flow(SMALL_MODEL, *frames, threads=1)
    padded = [np.pad(unit(each), ((0, 14), (0, 26), (0, 0)), mode="edge") for each in frames]
    given = [torch.from_numpy(each.transpose(2, 0, 1)[None]) for each in padded]
    window = torch.tensor([0, 0, 96, 64.0])
    with torch.no_grad():
        flow = small_network.stages(*given, torch.tensor([0.5]), window).flow[0].numpy()
    expected = (flow[2:] - flow[:2]).transpose(1, 2, 0)[:50, :70]
    assert found.shape == (50, 70, 2)
    assert np.abs(expected).max() > 1  # pixels, so that there is something to be right about
    np.testing.assert_allclose(found, expected, atol=1e-3)
