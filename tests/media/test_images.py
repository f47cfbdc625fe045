"""Images against Pillow, which shares no code with FFmpeg."""

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av.logging
import numpy as np
import pytest
from PIL import Image, ImageOps

from media.errors import MediaError
from media.images.file import decode_image
from media.images.png import SIGNATURE, read_png
from media.images.stills import Still, interpolate_stills, read_for, read_still, write_still
from runtime import FrameError, InputNotFoundError, Interpolator
from runtime.scene import render
from tests.conftest import Exporter


def scene(time: float) -> Image.Image:
    return Image.fromarray(np.rint(render(45, 70, time) * 255).astype(np.uint8))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def chunk(kind: bytes, content: bytes) -> bytes:
    """A part of a PNG, with a true checksum."""
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png_of_zeros(path: Path, width: int, height: int) -> None:
    """Write a true PNG of one bit a pixel, small on disk."""

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((1 + (width + 7) // 8) * height))
    path.write_bytes(
        SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


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


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_come_upright(orientation: int, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"photo{suffix}"
    exif = Image.Exif()
    exif[0x112] = orientation
    options = {".jpg": {"quality": 98}, ".webp": {"lossless": True}}.get(suffix, {})
    scene(0).save(path, exif=exif, **options)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB")).astype(int)
    rgb = read_still(path).rgb
    assert rgb.shape == expected.shape
    assert np.abs(rgb - expected).mean() < (2 if suffix == ".jpg" else 1e-9)


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
    with interpolate, pytest.raises(FrameError, match="the artifact takes uint8"):
        interpolate_stills(interpolate, deep, deep, [0.5])


def test_sixteen_bits_for_an_artifact_of_uint8_are_refused_by_name(tmp_path: Path) -> None:
    artifact: Any = SimpleNamespace(metadata=SimpleNamespace(io="uint8"))
    Image.fromarray(np.zeros((20, 30), np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / "plain.png")
    with pytest.raises(FrameError, match=r"deep\.png: has 16 bits, .* save it with 8 bits, or"):
        read_for(artifact, tmp_path / "deep.png", 1000)
    assert read_for(artifact, tmp_path / "plain.png", 1000).rgb.dtype == np.uint8


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n", b"RIFF", b"BM", None])
def test_broken_images(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    if content is None:
        scene(0).save(path)
        content = path.read_bytes()[:300]
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"x\.png: not an image .* or a damaged one"):
        read_still(path)


@pytest.mark.parametrize("progressive", [False, True])
def test_photo_cut_short_is_refused_and_what_follows_its_end_is_not(
    progressive: bool, tmp_path: Path
) -> None:
    path = tmp_path / "x.jpg"
    scene(0).save(path, progressive=progressive)
    whole = path.read_bytes()
    before = read_still(path).rgb
    path.write_bytes(whole + whole[:200])
    np.testing.assert_array_equal(read_still(path).rgb, before)
    for cut in (8, 300, len(whole) // 2):
        path.write_bytes(whole[:-cut])
        with pytest.raises(MediaError, match=r"x\.jpg: is cut short"):
            read_still(path)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_animation_is_no_still(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    scene(0).save(path, kind, save_all=True, append_images=[scene(1)])
    with pytest.raises(MediaError, match=r"is an animation|not an image in PNG"):
        read_still(path)


def test_playlist_named_as_an_image_opens_nothing(tmp_path: Path) -> None:
    scene(0).save(tmp_path / "private.png")
    path = tmp_path / "x.png"
    path.write_text("ffconcat version 1.0\nfile private.png\n")
    with pytest.raises(MediaError, match="not an image in PNG"):
        read_still(path)


def test_tiff_that_would_come_black_is_refused(tmp_path: Path) -> None:
    scene(0).save(tmp_path / "x.tif", compression="jpeg")
    with pytest.raises(MediaError, match="a TIFF compressed as JPEG"):
        read_still(tmp_path / "x.tif")


@pytest.mark.parametrize(
    ("compression", "damage"), [("tiff_lzw", 255), ("tiff_adobe_deflate", 0), ("packbits", 255)]
)
def test_damaged_tiff_does_not_come_black(
    compression: str, damage: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.tif"
    exif = Image.Exif()
    exif[0x10F] = "a camera"  # which FFmpeg, when it is strict, counts as damage
    scene(0).resize((700, 450)).save(path, compression=compression, exif=exif)
    read_still(path)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes([damage]) * 200
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(MediaError, match="a damaged TIFF; FFmpeg says: "):
            read_still(path)
    assert capfd.readouterr() == ("", "")


def test_damaged_tiff_is_refused_beside_threads_that_read_other_images(tmp_path: Path) -> None:
    # PNGs, which took the log level back while the TIFF was read; and TIFFs, which need it too.
    scene(0).resize((700, 450)).save(tmp_path / "x.tif", compression="tiff_lzw")
    scene(0).resize((700, 450)).save(tmp_path / "whole.tif", compression="tiff_lzw")
    scene(0).save(tmp_path / "x.png")
    content = bytearray((tmp_path / "x.tif").read_bytes())
    content[-200:-100] = bytes([255]) * 100
    (tmp_path / "x.tif").write_bytes(content)
    level = av.logging.get_level()

    def accepted(_: int) -> bool:
        for name in ("x.png", "whole.tif", "x.png"):
            read_still(tmp_path / name)
        try:
            read_still(tmp_path / "x.tif")
        except MediaError:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(accepted, range(60))) == 0
    assert av.logging.get_level() == level


def test_percent_in_a_name_is_but_a_letter(tmp_path: Path) -> None:
    scene(0).save(tmp_path / "a%d.png")
    scene(5).save(tmp_path / "a0.png")
    still = read_still(tmp_path / "a%d.png")
    np.testing.assert_array_equal(still.rgb, np.asarray(scene(0)))
    write_still(tmp_path / "b%d.png", still)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b%d.png")), still.rgb)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp", "lossy.webp"])
def test_pixel_limit_names_the_size_and_what_to_do(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    scene(0).save(path, lossless=suffix == ".webp")
    with pytest.raises(MediaError, match=r"has 70x45 pixels.* limit of 3149; .*max_pixels to 3150"):
        read_still(path, max_pixels=3149)
    assert read_still(path, max_pixels=3150).rgb.shape == (45, 70, 3)


def test_small_file_of_many_pixels_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    png_of_zeros(path, 16000, 16000)
    assert path.stat().st_size < 100_000
    with pytest.raises(MediaError, match="16000x16000"):
        read_still(path)


def png_of(path: Path, pixels: bytes, kind: tuple[int, int], interlaced: int, pieces: int) -> None:
    """Write a PNG of 13x11 pixels, (bit depth, colour type), of compressed pixels in many IDATs."""
    header = struct.pack(">IIBBBBB", 13, 11, *kind, 0, 0, interlaced)
    step = -(-len(pixels) // pieces)
    parts = [chunk(b"IDAT", pixels[at : at + step]) for at in range(0, len(pixels), step)]
    path.write_bytes(SIGNATURE + chunk(b"IHDR", header) + b"".join(parts) + chunk(b"IEND", b""))


# Bytes of all rows, with a filter's number each; of Adam7's passes as the standard draws them.
SIZES = [((8, 2), 0, 11 * 40), ((1, 0), 0, 11 * 3), ((16, 6), 0, 11 * 105), ((8, 2), 1, 451),
         ((1, 0), 1, 49)]  # fmt: skip


@pytest.mark.parametrize(("kind", "interlaced", "size"), SIZES)
def test_png_whose_pixels_end_early_is_refused(
    kind: tuple[int, int], interlaced: int, size: int, tmp_path: Path
) -> None:
    path = tmp_path / "x.png"
    rows = zlib.compress(bytes(size))
    png_of(path, rows, kind, interlaced, pieces=3)
    with Image.open(path) as truth:
        truth.load()
    assert read_still(path).rgb.shape == (11, 13, 3)
    for damaged in (zlib.compress(bytes(size - 1)), rows[:-6], rows[:-1], zlib.compress(b"")):
        png_of(path, damaged, kind, interlaced, pieces=2)
        with pytest.raises(
            MediaError, match=r"x\.png: .*, or a damaged one: .* expected " + str(size)
        ):
            read_still(path)


@pytest.mark.parametrize("name", ["zTXt", "iTXt", "iCCP", "teSt"])
def test_what_a_picture_does_not_need_never_reaches_ffmpeg(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    scene(0).save(path)
    before, whole = read_still(path), path.read_bytes()
    bomb = b"name\0" + (b"\1\0\0\0" if name == "iTXt" else b"\0") + zlib.compress(bytes(10**6))
    path.write_bytes(whole[:33] + chunk(name.encode(), bomb) + whole[33:])
    assert read_png(path).picture == whole
    still = read_still(path)
    np.testing.assert_array_equal(still.rgb, before.rgb)
    assert still.profile == (name == "iCCP")
    frame, _ = decode_image(path, 10**6)
    assert not frame.metadata


def test_file_that_is_too_large_for_its_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.bmp"
    scene(0).save(path)
    with path.open("r+b") as file:
        file.truncate(2**20 + 16 * 5000 + 1)  # sparse: takes no disk
    with pytest.raises(MediaError, match=r"has 1128577 bytes, .* max_pixels to 5001") as refused:
        read_still(path, max_pixels=5000)
    assert refused.value.remedy == ("max_pixels", 5001)
    assert read_still(path, max_pixels=5001).rgb.shape == (45, 70, 3)


@pytest.mark.parametrize("part", [bytes(12), chunk(b"IHDR", bytes(13)), b"\xff\xff\xff\xfftEXt"])
def test_png_that_is_not_made_of_chunks(part: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    scene(0).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:33] + part + whole[33:])
    with pytest.raises(MediaError, match=r"x\.png: not an image in PNG, or a damaged one"):
        read_still(path)


def test_file_that_lies_of_its_size_gets_no_more_than_it_told(tmp_path: Path) -> None:
    path = tmp_path / "x.webp"
    exif = Image.Exif()
    exif[0x112] = 1  # so that the canvas has a size of its own, at 24
    scene(0).resize((300, 200)).save(path, lossless=True, exif=exif)
    content = bytearray(path.read_bytes())
    assert content[12:16] == b"VP8X"
    content[24:30] = bytes([9, 0, 0, 9, 0, 0])
    path.write_bytes(content)
    with pytest.raises(MediaError, match="or a damaged one"):
        read_still(path, max_pixels=100)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (65535, 1), (1, 65535)])
def test_extreme_sizes(width: int, height: int, tmp_path: Path) -> None:
    rgb = noise(height, width, 3)
    write_still(tmp_path / "x.png", Still(rgb, None, grey=False))
    np.testing.assert_array_equal(read_still(tmp_path / "x.png").rgb, rgb)


def test_too_large_for_jpeg(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"x\.jpg: 65536x1 could not be encoded"):
        write_still(tmp_path / "x.jpg", Still(noise(1, 65536, 3), None, grey=False))
    assert not list(tmp_path.iterdir())


def test_missing_image(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="no such file"):
        read_still(tmp_path / "x.png")
    (tmp_path / "x.png").mkdir()
    with pytest.raises(InputNotFoundError, match="is no file; expected an image"):
        read_still(tmp_path / "x.png")


@pytest.mark.parametrize(
    ("rgb", "alpha", "message"),
    [
        (np.full((4, 4, 3), 1.2, np.float32), None, "rgb has values from 1.2 to 1.2; expected"),
        (np.full((4, 4, 3), np.nan, np.float32), None, "rgb holds NaN"),
        (np.zeros((4, 4, 3)), None, "rgb is float64; expected uint8, or float32"),
        (np.zeros((4, 4, 3), np.int16), None, "rgb is int16"),
        (np.zeros((4, 4), np.uint8), None, r"rgb has shape \(4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), None, r"rgb has shape \(0, 4, 3\)"),
        ([1], None, "rgb is a list"),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8), r"of shape \(4, 5\); expected"),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32), "alpha is float32 of shape"),
        (
            np.zeros((4, 4, 3), np.float32),
            np.full((4, 4), -0.1, np.float32),
            "alpha has values from -0.1",
        ),
    ],
)
def test_what_is_no_still_is_refused_and_does_not_wrap_around(
    rgb: Any, alpha: Any, message: str
) -> None:
    with pytest.raises(FrameError, match=message):
        Still(rgb, alpha, grey=False)


def test_an_array_is_no_still_and_one_time_not_several(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    array: Any = np.asarray(scene(0))
    still, half = Still(array, None, grey=False), cast(Any, 0.5)
    with pytest.raises(FrameError, match="still is a ndarray; expected a Still"):
        write_still(tmp_path / "x.png", array)
    with pytest.raises(FrameError, match="still1 is a ndarray; expected a Still"):
        interpolate_stills(interpolate, still, array, [0.5])
    with pytest.raises(FrameError, match=r"t is 0\.5; expected several times, as in \[0\.5\]"):
        interpolate_stills(interpolate, still, still, half)
    with pytest.raises(FrameError, match=r"expected a number in \[0, 1\]"):
        interpolate_stills(interpolate, still, still, [2])


def test_unknown_or_unfit_suffix(tmp_path: Path) -> None:
    rgb = np.asarray(scene(0))
    with pytest.raises(MediaError, match=r"x\.gif: ends in \.gif; expected the name of"):
        write_still(tmp_path / "x.gif", Still(rgb, None, grey=False))
    with pytest.raises(MediaError, match=r"x: has no suffix; expected the name of an image"):
        write_still(tmp_path / "x", Still(rgb, None, grey=False))
    with pytest.raises(MediaError, match="JPEG holds no transparency"):
        write_still(tmp_path / "x.jpg", Still(rgb, rgb[..., 0], grey=False))
    with pytest.raises(MediaError, match="JPEG holds 8 bits"):
        write_still(tmp_path / "x.jpg", Still(rgb / np.float32(255), None, grey=False))
