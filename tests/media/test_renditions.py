"""GIFs, animated WebPs and folders of images show what a video of the same options shows."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from PIL import Image

from media.colour import ACCURATE
from media.encoding import Encoding
from media.errors import MediaError
from media.images.stills import read_still
from media.options import Share, VideoOptions
from media.video import interpolate_share, interpolate_video, write_video
from media.waiting import partial_of
from runtime import Interpolator, OptionError, OutputExistsError
from runtime.scene import render_bytes
from tests.marks import others_long
from tests.media.test_segments import LOSSLESS, Blend, StoppedError, clip, stopping
from tests.media.test_video import rich_source


@pytest.fixture
def interpolate() -> Interpolator:
    return cast(Interpolator, Blend())


def shown(path: Path) -> list[np.ndarray]:
    """The frames of a video as FFmpeg shows them, (H, W, 3)."""
    with av.open(str(path)) as reader:
        return [
            frame.reformat(format="rgb24", interpolation=ACCURATE).to_ndarray()
            for frame in reader.decode(video=0)
        ]


def animated(path: Path) -> Iterator[tuple[np.ndarray, int]]:
    """The frames of an animation as Pillow shows them, and their milliseconds."""
    with Image.open(path) as image:
        assert image.info["loop"] == 0
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            image.load()
            yield np.asarray(image.convert("RGB")), image.info["duration"]


def made(interpolate: Interpolator, source: Path, name: str, **options: Any) -> tuple[Path, Any]:
    output = source.parent / name
    chosen = VideoOptions(**{"factor": 2, "cut_threshold": None, **options})
    return output, interpolate_video(interpolate, source, output, chosen)


@pytest.mark.parametrize("segment", others_long([0.4, 0]))
@pytest.mark.parametrize(("name", "error"), [("out.gif", 4), ("out.webp", 4)])
def test_animations(
    name: str, error: float, segment: float, interpolate: Interpolator, tmp_path: Path
) -> None:
    source = clip(tmp_path / "in.mp4", g="10")
    truth, _ = made(interpolate, source, "truth.mkv", encoding=LOSSLESS, segment=0)
    result, summary = made(interpolate, source, name, segment=segment)
    frames, theirs = list(animated(result)), shown(truth)
    # The last is the one before shown again, which a WebP holds once.
    assert summary.frames_written == len(theirs) == 120
    assert len(frames) in (119, 120)
    assert {duration for _, duration in frames[:118]} == {20}
    assert sum(duration for _, duration in frames) == 120 * 20
    pairs = zip(frames, theirs, strict=False)
    assert max(abs(a.astype(int) - b).mean() for (a, _), b in pairs) < error
    assert not partial_of(result).exists()


def test_a_webp_of_a_lower_quality_is_smaller(interpolate: Interpolator, tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4")
    sizes = [
        made(interpolate, source, f"{crf}.webp", encoding=Encoding(crf=crf))[0].stat().st_size
        for crf in (95, 60, 20)
    ]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("name", ["out.gif", "out.webp"])
def test_a_variable_rate_stays_one(name: str, interpolate: Interpolator, tmp_path: Path) -> None:
    ticks = [0, 2, 4, 10, 12, 20]
    source = clip(tmp_path / "in.mkv", ticks=ticks)
    result, _ = made(interpolate, source, name)
    durations = [duration for _, duration in animated(result)]
    expected = np.repeat(np.diff(ticks) * 20, 2)
    assert durations[:10] == expected.tolist()


@pytest.mark.parametrize("segment", others_long([0.4, 0]))
@pytest.mark.parametrize("name", ["frames", "tiffs/f%03d.tif"])
def test_folders_hold_the_frames_of_the_video(
    name: str, segment: float, interpolate: Interpolator, tmp_path: Path
) -> None:
    source = clip(tmp_path / "in.mp4")
    truth, _ = made(interpolate, source, "truth.mkv", encoding=LOSSLESS, segment=0)
    result, summary = made(interpolate, source, name, segment=segment)
    folder = result if name == "frames" else result.parent
    names = [
        f"frame_{index:05d}.png" if name == "frames" else f"f{index:03d}.tif"
        for index in range(120)
    ]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert summary.frames_written == 120
    for path, theirs in zip(names, shown(truth), strict=True):
        assert abs(np.asarray(Image.open(folder / path)).astype(int) - theirs).max() <= 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        {folder.name, "in.mp4", "truth.mkv"}
    )


@pytest.mark.parametrize("name", ["frames", "tiffs/f%03d.tif"])
def test_ten_bits_become_images_of_sixteen(
    name: str, interpolate: Interpolator, tmp_path: Path
) -> None:
    source = clip(tmp_path / "in.mkv", pix_fmt="yuv420p10le")
    result, _ = made(interpolate, source, name, end=Fraction(1, 5))
    folder = result if name == "frames" else result.parent
    files = sorted(folder.iterdir())
    with av.open(str(source)) as reader:
        frame = next(reader.decode(video=0))
    theirs = frame.reformat(format="rgb48le", interpolation=ACCURATE).to_ndarray() / 65535
    ours = read_still(files[0]).rgb
    assert (len(files), ours.dtype) == (10, np.float32)
    assert abs(ours - theirs).max() < 1 / 255
    assert len(np.unique(ours)) > 256


def test_colours_of_rgb_and_grey_sources_pass_unchanged(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    for pix_fmt, mode in (("bgr0", "RGB"), ("gray", "L")):
        source = clip(tmp_path / f"{mode}.mkv", "ffv1", pix_fmt)
        result, summary = made(interpolate, source, mode)
        assert summary.left_out == []
        with Image.open(result / "frame_00002.png") as image:
            assert image.mode == mode
            assert np.array_equal(np.asarray(image.convert("RGB")), shown(source)[1])


def test_images_are_upright_and_the_rest_is_said(interpolate: Interpolator, tmp_path: Path) -> None:
    source = rich_source(tmp_path)
    result, summary = made(interpolate, source, "frames")
    assert summary.left_out == [
        "audio (aac), which a folder of images cannot hold",
        "subtitle (subrip), which a folder of images cannot hold",
    ]
    ours = np.asarray(Image.open(result / "frame_00000.png")).astype(int)
    theirs = np.rot90(shown(source)[0])
    assert ours.shape == (96, 64, 3)
    assert abs(ours - theirs).mean() < 2


def test_images_of_a_variable_rate_are_at_a_constant_one(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source = clip(tmp_path / "in.mkv", ticks=[0, 1, 2, 3, 7, 8, 9, 10])
    _, summary = made(interpolate, source, "frames", factor=None, fps=50)
    assert summary.frames_written == len(list((tmp_path / "frames").iterdir())) == 22


def test_a_folder_goes_on_where_a_run_was_stopped(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source = clip(tmp_path / "in.mp4")
    options = VideoOptions(factor=2, cut_threshold=None, segment=0.4)
    with pytest.raises(StoppedError):
        interpolate_video(interpolate, source, tmp_path / "frames", options, progress=stopping(40))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames.partial", "in.mp4"]
    _, summary = made(interpolate, source, "frames", segment=0.4)
    assert 0 < summary.frames_resumed < summary.frames_written == 120
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames", "in.mp4"]


def test_shares_of_a_folder_are_joined(interpolate: Interpolator, tmp_path: Path) -> None:
    source, output = clip(tmp_path / "in.mp4"), tmp_path / "frames"
    options = VideoOptions(factor=2, segment=0.4)
    for number in (1, 2):
        interpolate_share(interpolate, source, output, options, Share(number, 2))
    summary = interpolate_video(interpolate, source, output, options)
    assert summary.frames_resumed == 120
    assert len(list(output.iterdir())) == 120


def test_what_is_there_stays_unless_it_is_to_be_replaced(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source = clip(tmp_path / "in.mp4")
    made(interpolate, source, "frames", end=1)
    with pytest.raises(OutputExistsError):
        made(interpolate, source, "frames", end=Fraction(1, 2))
    made(interpolate, source, "frames", end=Fraction(1, 2), overwrite=True)
    assert len(list((tmp_path / "frames").iterdir())) == 25
    (tmp_path / "frames" / "mine.txt").write_text("mine")
    with pytest.raises(MediaError, match="holds more than what would be replaced"):
        made(interpolate, source, "frames", overwrite=True)
    with pytest.raises(MediaError, match="holds other files"):  # to overwrite would be no help
        made(interpolate, source, "frames")


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("out.gif", {"factor": 3}, "75 frames a second, of which players show 50 in a GIF"),
    ("out.gif", {"encoding": Encoding(codec="gif")}, "leave out codec"),
    ("out.gif", {"encoding": Encoding(crf=20)}, "leave out crf"),
    ("out.webp", {"encoding": Encoding(preset="photo")}, "leave out preset"),
    ("out.webp", {"encoding": Encoding(crf=101)}, "libwebp_anim has 100, the best, to 0"),
    ("frames", {"encoding": Encoding(codec="png", crf=1)}, "leave out codec and crf"),
    ("frames/f%d.jpg", {}, "images of a video are .png, .tif, .tiff"),
]


@pytest.mark.parametrize("segment", others_long([0.4, 0]))
@pytest.mark.parametrize(("name", "options", "message"), REFUSED)
def test_what_cannot_be_made_is_refused_before_the_work(
    name: str,
    options: dict[str, Any],
    message: str,
    segment: float,
    interpolate: Interpolator,
    tmp_path: Path,
) -> None:
    source = clip(tmp_path / "in.mp4")
    with pytest.raises(MediaError, match=message):
        made(interpolate, source, name, segment=segment, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_frames_of_python_become_a_gif(tmp_path: Path) -> None:
    frames = [render_bytes(96, 64, time) for time in range(4)]
    write_video(tmp_path / "out.gif", frames, 10)
    ours = list(animated(tmp_path / "out.gif"))
    assert [duration for _, duration in ours] == [100] * 4
    assert max(abs(a.astype(int) - b).mean() for (a, _), b in zip(ours, frames, strict=True)) < 4


@pytest.mark.parametrize("times", [(0, 100, 202, 203, 400), (0, 1, 200), (0, 1, 2)])
@pytest.mark.parametrize("name", ["out.gif", "out.webp"])
def test_frames_that_follow_at_once(
    name: str, times: tuple[int, ...], interpolate: Interpolator, tmp_path: Path
) -> None:
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as writer:
        stream = writer.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index, time in enumerate(times):
            levels = np.full((72, 64), 128, np.uint8)
            levels[:48] = 20 + 40 * index
            frame = av.VideoFrame.from_ndarray(levels, format="yuv420p")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))
    result, _ = made(interpolate, source, name, end=Fraction(times[-1] + 1, 1000))
    frames = list(animated(result))
    last = times[-1] / (2 * len(times) - 3)  # libwebp shows the last one as long as others
    error = 11 if name == "out.gif" else 11 + last
    assert sum(length for _, length in frames) == pytest.approx(times[-1], abs=error)


@pytest.mark.parametrize("segment", others_long([0.4, 0]))
@pytest.mark.parametrize("name", [".", "%03d.tif", "../here/%03d.tif"])
def test_images_go_into_the_working_directory(
    name: str,
    segment: float,
    interpolate: Interpolator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = clip(tmp_path / "in.mp4")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    options = VideoOptions(factor=2, cut_threshold=None, segment=segment)
    done = interpolate_video(interpolate, source, Path(name), options)
    assert len(list(here.iterdir())) == done.frames_written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "in.mp4"]


def test_a_pattern_has_one_number(interpolate: Interpolator, tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4")
    with pytest.raises(OptionError, match="expected one number"):
        interpolate_video(
            interpolate, source, tmp_path / "out" / "%d_%d.png", VideoOptions(factor=2)
        )
