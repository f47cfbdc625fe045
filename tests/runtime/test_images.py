"""Images against Pillow, which shares no code with FFmpeg."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime import FrameError, InputNotFoundError, Interpolator, MediaError
from runtime.images import Still, interpolate_stills, read_still, write_still
from runtime.scene import render
from tests.conftest import Exporter


def scene(time: float) -> Image.Image:
    return Image.fromarray(np.rint(render(45, 70, time) * 255).astype(np.uint8))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def with_orientation(path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    scene(0).save(path, exif=exif, quality=98)


KINDS = {
    "rgb.png": lambda path: Image.fromarray(noise(20, 30, 3)).save(path),
    "rgba.png": lambda path: Image.fromarray(noise(20, 30, 4)).save(path),
    "grey.png": lambda path: Image.fromarray(noise(20, 30)).save(path),
    "grey alpha.png": lambda path: Image.fromarray(noise(20, 30, 2), "LA").save(path),
    "palette.png": lambda path: Image.fromarray(noise(20, 30, 3)).quantize(50).save(path),
    "clear palette.png": lambda path: (
        Image.fromarray(noise(20, 30, 3)).quantize(50).save(path, transparency=3)
    ),
    "black and white.png": lambda path: Image.fromarray(noise(20, 30)).convert("1").save(path),
    "photo.jpg": lambda path: scene(0).save(path, quality=98, subsampling=0),
    "grey.jpg": lambda path: scene(0).convert("L").save(path, quality=98),
    "upright.bmp": lambda path: scene(0).save(path),
    "scan.tif": lambda path: scene(0).save(path),
    "web.webp": lambda path: scene(0).save(path, lossless=True),
}


@pytest.mark.parametrize("kind", KINDS)
def test_reads_what_pillow_reads(kind: str, tmp_path: Path) -> None:
    path = tmp_path / kind
    KINDS[kind](path)
    still = read_still(path)
    expected = np.asarray(Image.open(path).convert("RGBA")).astype(int)
    tolerance = 1 if path.suffix == ".jpg" else 0
    assert np.abs(still.rgb - expected[..., :3]).mean() <= tolerance
    assert still.grey == (Image.open(path).mode in ("L", "LA", "1"))
    if still.alpha is None:
        assert (expected[..., 3] == 255).all()
    else:
        np.testing.assert_array_equal(still.alpha, expected[..., 3])


@pytest.mark.parametrize(("orientation", "turn"), [(3, 2), (6, -1), (8, 1)])
def test_photos_come_upright(orientation: int, turn: int, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    with_orientation(path, orientation)
    expected = np.rot90(np.asarray(scene(0)).astype(int), turn)
    assert np.abs(read_still(path).rgb - expected).mean() < 2


@pytest.mark.parametrize("kind", KINDS)
def test_png_written_is_the_image_read(kind: str, tmp_path: Path) -> None:
    path, copy = tmp_path / kind, tmp_path / "copy.png"
    KINDS[kind](path)
    still = read_still(path)
    write_still(copy, still)
    written = np.asarray(Image.open(copy).convert("RGBA"))
    np.testing.assert_array_equal(written[..., :3], still.rgb)
    if still.alpha is None:
        assert Image.open(copy).mode == ("L" if still.grey else "RGB")
    else:
        np.testing.assert_array_equal(written[..., 3], still.alpha)


def test_sixteen_bits_stay_sixteen(tmp_path: Path) -> None:
    levels = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30) * 100
    Image.fromarray(levels).save(tmp_path / "deep.png")
    still = read_still(tmp_path / "deep.png")
    assert still.rgb.dtype == np.float32
    write_still(tmp_path / "copy.png", still)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "copy.png")), levels)


def test_jpeg_written_is_near(tmp_path: Path) -> None:
    rgb = np.asarray(scene(0))
    write_still(tmp_path / "x.jpg", Still(rgb, None, grey=False))
    assert np.abs(np.asarray(Image.open(tmp_path / "x.jpg")).astype(int) - rgb).mean() < 2


def test_grey_and_grey_give_grey_colour_and_grey_give_colour(interpolate: Interpolator) -> None:
    rgb = np.asarray(scene(0))
    grey = Still(np.repeat(rgb[..., :1], 3, axis=2), None, grey=True)
    colour = Still(rgb, None, grey=False)
    (both,) = interpolate_stills(interpolate, grey, grey, [0.5])
    (mixed,) = interpolate_stills(interpolate, grey, colour, [0.5])
    assert (both.grey, mixed.grey) == (True, False)


def test_invisible_colours_do_not_bleed_into_visible_ones(interpolate: Interpolator) -> None:
    # A white disc on nothing; the colour stored where nothing is seen is a loud green.
    y, x = np.mgrid[0:64, 0:64]
    stills = []
    for left in (30, 32):
        disc = np.hypot(x - left, y - 32) < 15
        rgb = np.where(disc[..., None], 255, np.array([0, 255, 0])).astype(np.uint8)
        stills.append(Still(rgb, (disc * 255).astype(np.uint8), grey=False))
    (made,) = interpolate_stills(interpolate, *stills, [0.5])
    assert made.alpha is not None
    assert made.alpha[32, 31] > 250
    assert made.alpha[2, 2] < 5
    seen = made.rgb[made.alpha > 100].astype(int)
    assert (seen[:, 1] - seen[:, 0]).max() < 40  # no green


def test_opaque_and_transparent_make_a_pair(interpolate: Interpolator) -> None:
    rgb = np.asarray(scene(0))
    clear = Still(rgb, np.zeros(rgb.shape[:2], np.uint8), grey=False)
    (made,) = interpolate_stills(interpolate, Still(rgb, None, grey=False), clear, [0.0])
    np.testing.assert_array_equal(made.rgb, rgb)
    (made,) = interpolate_stills(interpolate, Still(rgb, None, grey=False), clear, [0.5])
    assert made.alpha is not None
    assert 60 < np.median(made.alpha) < 195


def test_eight_and_sixteen_bits_give_sixteen(interpolate: Interpolator) -> None:
    rgb = np.asarray(scene(0))
    deep = Still(rgb.astype(np.float32) / 255, None, grey=False)
    (made,) = interpolate_stills(interpolate, Still(rgb, None, grey=False), deep, [0.5])
    assert made.rgb.dtype == np.float32
    assert np.abs(made.rgb - deep.rgb).max() < 0.1


def test_sixteen_bits_need_a_float32_artifact(exported: Exporter) -> None:
    deep = Still(np.asarray(scene(0)).astype(np.float32) / 255, None, grey=False)
    interpolate = Interpolator(exported(io="uint8"))
    with interpolate, pytest.raises(FrameError, match="--io float32"):
        interpolate_stills(interpolate, deep, deep, [0.5])


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_broken_images(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    if content is None:
        scene(0).save(path)
        content = path.read_bytes()[:300]
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"x\.png: not an image .* or a damaged one"):
        read_still(path)


def test_missing_image(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="no such file"):
        read_still(tmp_path / "x.png")


def test_unknown_or_unfit_suffix(tmp_path: Path) -> None:
    rgb = np.asarray(scene(0))
    with pytest.raises(MediaError, match=r"written as \.png or \.jpg, not \.gif"):
        write_still(tmp_path / "x.gif", Still(rgb, None, grey=False))
    with pytest.raises(MediaError, match="JPEG holds no transparency"):
        write_still(tmp_path / "x.jpg", Still(rgb, rgb[..., 0], grey=False))
