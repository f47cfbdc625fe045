"""A video of images shows those images, each as long as the rate says."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from PIL import Image

from media.encoding import Encoding
from media.errors import MediaError
from media.images.footage import interpolate_images
from media.images.stills import Still, write_still
from media.options import VideoOptions
from runtime import FrameError, InputNotFoundError, Interpolator, OptionError, OutputExistsError
from runtime.scene import render_bytes
from tests.media.test_segments import Blend

LOSSLESS = Encoding(codec="ffv1")


@pytest.fixture
def interpolate() -> Interpolator:
    return cast(Interpolator, Blend())


def images(folder: Path, count: int = 5, suffix: str = ".png", mode: str = "RGB") -> Path:
    folder.mkdir(exist_ok=True)
    for index in range(count):
        image = Image.fromarray(render_bytes(96, 64, index)).convert(mode)
        image.save(folder / f"f{index}{suffix}", lossless=True)
    return folder


def shown(path: Path, pix_fmt: str = "rgb24") -> list[tuple[Fraction, np.ndarray]]:
    with av.open(str(path)) as reader:
        base = cast(Fraction, reader.streams.video[0].time_base)
        return [
            (frame.pts * base, frame.to_ndarray(format=pix_fmt))
            for frame in reader.decode(video=0)
            if frame.pts is not None
        ]


@pytest.mark.parametrize("rate", [24, Fraction(24000, 1001), 12.5])
@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp"])
def test_each_image_is_shown_at_its_time(
    rate: float, suffix: str, interpolate: Interpolator, tmp_path: Path
) -> None:
    folder = images(tmp_path / "in", suffix=suffix)
    seen: list[tuple[int, int]] = []
    summary = interpolate_images(
        interpolate, folder, tmp_path / "out.mkv", rate,
        VideoOptions(factor=2, encoding=LOSSLESS, cut_threshold=None),
        progress=lambda *done: seen.append(done[:2]),
    )  # fmt: skip
    frames = shown(tmp_path / "out.mkv")
    exact = Fraction(str(rate))
    assert (summary.frames_read, summary.frames_written, summary.rate) == (5, 10, 2 * exact)
    assert seen == [(index, 10) for index in range(1, 11)]
    for index, (at, frame) in enumerate(frames):
        assert abs(at - index / (2 * exact)) <= Fraction(1, 1000)
        if index % 2 == 0:
            theirs = np.asarray(Image.open(folder / f"f{index // 2}{suffix}").convert("RGB"))
            assert np.array_equal(frame, theirs)


def test_sixteen_bits_are_kept(interpolate: Interpolator, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    deep = [rng.integers(0, 65536, (64, 96, 3)).astype(np.float32) / 65535 for _ in range(2)]
    for index, rgb in enumerate(deep):
        write_still(tmp_path / f"{index}.png", Still(rgb, None, grey=False))
    options = VideoOptions(factor=2, encoding=LOSSLESS, cut_threshold=None)
    interpolate_images(interpolate, tmp_path / "%d.png", tmp_path / "out.mkv", 24, options)
    frames = shown(tmp_path / "out.mkv", "rgb48le")
    assert np.array_equal(frames[0][1], np.rint(deep[0] * 65535))
    assert np.array_equal(frames[2][1], np.rint(deep[1] * 65535))


def test_usual_encoders_give_the_colours_of_the_images(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    folder = images(tmp_path / "in", mode="L")
    summary = interpolate_images(
        interpolate, folder, tmp_path / "out.mp4", 10, VideoOptions(fps=20, cut_threshold=None)
    )
    assert summary.left_out == ["pixel format rgb24, written as yuv420p: RGB to YUV 4:2:0"]
    with av.open(str(tmp_path / "out.mp4")) as reader:
        frame = next(reader.decode(video=0))
    assert (frame.colorspace, frame.color_range, frame.color_trc) == (1, 1, 1)
    rgb = frame.reformat(format="rgb24", src_colorspace="itu709").to_ndarray().astype(int)
    theirs = np.asarray(Image.open(folder / "f0.png").convert("RGB")).astype(int)
    assert abs(rgb - theirs).mean() < 2


def clear(folder: Path) -> None:
    Image.new("RGBA", (96, 64), (9, 9, 9, 99)).save(folder / "f3.png")


REFUSED: dict[str, tuple[Callable[[Path], Any], type[Exception], str]] = {
    "alpha": (clear, MediaError, "f3.png: has alpha"),
    "size": (
        lambda folder: Image.new("RGB", (95, 64)).save(folder / "f3.png"),
        FrameError,
        "f3.png: is 95x64 of 8 bits, and f0.png 96x64 of 8 bits",
    ),
    "damage": (
        lambda folder: (folder / "f3.png").write_bytes((folder / "f3.png").read_bytes()[:99]),
        MediaError,
        "f3.png: not an image in PNG, or a damaged one",
    ),
    "none": (
        lambda folder: [path.unlink() for path in folder.iterdir()],
        InputNotFoundError,
        "holds no images",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_images_at_fault_are_named_and_nothing_is_left(
    fault: str, interpolate: Interpolator, tmp_path: Path
) -> None:
    folder = images(tmp_path / "in")
    spoil, error, message = REFUSED[fault]
    spoil(folder)
    with pytest.raises(error, match=message):
        interpolate_images(interpolate, folder, tmp_path / "out.mp4", 24, VideoOptions(factor=2))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_alpha_is_left_out_on_demand(interpolate: Interpolator, tmp_path: Path) -> None:
    folder = images(tmp_path / "in")
    clear(folder)
    options = VideoOptions(factor=2, encoding=Encoding(pix_fmt="yuv420p"))
    summary = interpolate_images(interpolate, folder, tmp_path / "out.mp4", 24, options)
    assert "alpha of 1 images" in summary.left_out


def test_wrong_rates_parts_and_existing_outputs(interpolate: Interpolator, tmp_path: Path) -> None:
    folder, doubled = images(tmp_path / "in"), VideoOptions(factor=2)
    with pytest.raises(OptionError, match="rate is 0"):
        interpolate_images(interpolate, folder, tmp_path / "out.mp4", 0, doubled)
    with pytest.raises(OptionError, match="leave out start and end"):
        interpolate_images(
            interpolate, folder, tmp_path / "out.mp4", 24, VideoOptions(factor=2, start=1)
        )
    (tmp_path / "out.mp4").write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        interpolate_images(interpolate, folder, tmp_path / "out.mp4", 24, doubled)
    assert (tmp_path / "out.mp4").read_bytes() == b"mine"


def test_missing_numbers_are_said(interpolate: Interpolator, tmp_path: Path) -> None:
    folder = images(tmp_path / "in")
    (folder / "f2.png").unlink()
    told: list[str] = []
    interpolate_images(
        interpolate, folder, tmp_path / "out.mp4", 24, VideoOptions(factor=2), tell=told.append
    )
    assert told == [
        "1 number is missing, between 1 and 3; the images beside are taken for neighbours"
    ]
