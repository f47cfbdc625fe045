"""A preview shows where a video moves, and source and result at the same moment."""

import math
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from media import MediaError, VideoOptions, interpolate_video
from media.encoding import Encoding
from media.images.file import upright
from media.preview import strongest_motion, write_side_by_side
from runtime import Interpolator, OutputExistsError
from runtime.scene import render_bytes
from tests.marks import others_long
from tests.media.test_segments import LOSSLESS, Blend

FILM = Fraction(24000, 1001)


@pytest.fixture
def interpolate() -> Interpolator:
    return cast(Interpolator, Blend())


def clip(path: Path, pictures: Iterable[NDArray[np.uint8]], width: int = 96) -> Path:
    """Show these, 10 a second."""
    with av.open(str(path), "w") as writer:
        encoder = writer.add_stream("libx264", rate=10, options={"g": "20", "crf": "10"})
        encoder.width, encoder.height, encoder.pix_fmt = width, 64, "yuv444p"
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            writer.mux(encoder.encode(frame.reformat(format="yuv444p")))
        writer.mux(encoder.encode(None))
    return path


@pytest.mark.parametrize(("suffix", "moves"), [(".mp4", 6), (".mkv", 31), (".ts", 56)])
def test_it_is_where_the_video_moves(suffix: str, moves: int, tmp_path: Path) -> None:
    # It crawls, but for three seconds, and every two there is a cut.
    steps = np.where(np.abs(np.arange(600) / 10 - moves) < 1.5, 6, 1)
    still = render_bytes(96, 64, 0)
    pictures = (
        np.roll(255 - still if index // 20 % 2 else still, int(shift), axis=1)
        for index, shift in enumerate(np.cumsum(steps))
    )
    start, end = strongest_motion(clip(tmp_path / f"in{suffix}", pictures))
    assert end - start == 10
    assert 0 <= start <= moves - 1 <= moves + 1 <= end <= 60


def test_motion_behind_a_long_still_is_where_it_is(tmp_path: Path) -> None:
    # As screens are recorded: no frame while nothing moves.
    with av.open(str(tmp_path / "in.mkv"), "w") as writer:
        encoder = writer.add_stream("libx264", rate=10)
        encoder.width, encoder.height, encoder.pix_fmt = 96, 64, "yuv420p"
        for index, tick in enumerate((0, *range(400, 450), 600)):
            picture = render_bytes(96, 64, index / 2)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = tick, Fraction(1, 10)
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    start, end = strongest_motion(tmp_path / "in.mkv")
    assert start <= 41 <= end


def scene(count: int, width: int = 96) -> Iterable[NDArray[np.uint8]]:
    return (render_bytes(width, 64, time / 4) for time in range(count))


def test_of_a_short_video_it_is_all(tmp_path: Path) -> None:
    assert strongest_motion(clip(tmp_path / "in.mp4", scene(30))) == (0, 10)


def decoded(path: Path) -> list[tuple[Fraction, NDArray[np.uint8]]]:
    with av.open(str(path)) as reader:
        return [(f.pts * f.time_base, f.to_ndarray()) for f in reader.decode(video=0)]


@pytest.mark.parametrize("width", [96, 75])
@pytest.mark.parametrize("rate", [{"factor": 2}, {"fps": 25}])
def test_source_and_result_stand_side_by_side(
    rate: dict[str, Any], width: int, interpolate: Interpolator, tmp_path: Path
) -> None:
    source = clip(tmp_path / "in.mkv", scene(40, width), width)
    options = VideoOptions(**rate, start=0.85, end=2.5, encoding=LOSSLESS, segment=0)
    interpolate_video(interpolate, source, tmp_path / "made.mkv", options)
    both = tmp_path / "both.mkv"
    count = write_side_by_side(source, tmp_path / "made.mkv", both, options)
    theirs, results, frames = map(decoded, (source, tmp_path / "made.mkv", both))
    assert count == len(frames) == len(results)
    for (at, frame), (time, result) in zip(frames, results, strict=True):
        assert at == time
        planes, halves = frame.reshape(3, 64, 2 * width), result.reshape(3, 64, width)
        np.testing.assert_array_equal(planes[..., width:], halves)
        held = [picture for shown, picture in theirs if shown <= Fraction(9, 10) + at][-1]
        off = planes[..., :width].astype(int) - held.reshape(3, 64, width)
        assert np.abs(off).max() <= 1  # repeated frames went through RGB


def halves(path: Path) -> list[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """The left and the right half of each frame, as players turn it."""
    with av.open(str(path)) as reader:
        frames = [upright(f, f.to_ndarray(format="rgb24")) for f in reader.decode(video=0)]
    middle = frames[0].shape[1] // 2
    return [(f[:, :middle].astype(np.int32), f[:, middle:].astype(np.int32)) for f in frames]


def film(path: Path, count: int, **tags: Any) -> Path:
    """Show pictures at a film's rate, each twice; after the middle others, and as bright."""
    with av.open(str(path), "w") as writer:
        encoder = writer.add_stream("libx264rgb", rate=FILM, options={"crf": "0"})
        encoder.width, encoder.height, encoder.pix_fmt = 96, 64, "rgb24"
        if tags:
            encoder.set_display_matrix(tags["matrix"])
        for index in range(count):
            picture = render_bytes(96, 64, index // 2)
            if index >= count // 2:
                picture = np.ascontiguousarray(picture[::-1])
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, 1 / FILM
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    return path


@pytest.mark.parametrize("start", others_long([0.09, 0.3]))
@pytest.mark.parametrize(
    "asked", [{"fps": 60}, {"slow": Fraction(5, 2)}, {"factor": 4}, {"factor": 4, "dedup": True}]
)
def test_the_source_stays_until_its_next_frame(
    start: float, asked: dict[str, Any], interpolate: Interpolator, tmp_path: Path
) -> None:
    source, made, both = film(tmp_path / "in.mp4", 48), tmp_path / "made.mkv", tmp_path / "b.mkv"
    options = VideoOptions(**asked, start=start, end=start + 1, encoding=LOSSLESS, segment=0)
    done = interpolate_video(interpolate, source, made, options)
    assert done.cuts == 1
    assert bool(done.repeats) == options.dedup
    assert write_side_by_side(source, made, both, options) == done.frames_written
    with av.open(str(source)) as reader:
        theirs = [frame.to_ndarray(format="rgb24") for frame in reader.decode(video=0)]
    first = math.ceil(start * FILM)
    each = FILM / done.rate / asked.get("slow", 1)  # source frames
    for number, (left, _) in enumerate(halves(both)):
        index = first + math.floor(number * each)
        assert np.abs(left - theirs[index]).mean() < 1


TURN = 1 << 16


@pytest.mark.parametrize(
    "turns", [(0, TURN, -TURN, 0), (0, -TURN, TURN, 0), (-TURN, 0, 0, -TURN), (-TURN, 0, 0, TURN)]
)
def test_the_source_is_on_the_left_of_a_turned_video(
    turns: tuple[int, ...], interpolate: Interpolator, tmp_path: Path
) -> None:
    a, b, c, d = turns
    source = film(tmp_path / "in.mp4", 10, matrix=[a, b, 0, c, d, 0, 0, 0, 1 << 30])
    made, both = tmp_path / "made.mp4", tmp_path / "both.mp4"
    options = VideoOptions(factor=2, segment=0, encoding=Encoding(crf=5))
    interpolate_video(interpolate, source, made, options)
    write_side_by_side(source, made, both, options)
    with av.open(str(source)) as reader:
        theirs = [upright(f, f.to_ndarray(format="rgb24")) for f in reader.decode(video=0)]
    left, right = halves(both)[3]  # between two pictures
    assert left.shape == theirs[0].shape
    assert np.abs(left - theirs[1]).mean() < 3
    assert np.abs(right - (theirs[1] / 2 + theirs[2] / 2)).mean() < 3


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("made.mov", Encoding(codec="png")),
        ("made.mkv", Encoding(codec="ffv1", pix_fmt="bgr0")),
        ("made.mkv", Encoding(codec="rawvideo", pix_fmt="nv12")),
    ],
)
def test_encoders_whose_colours_share_a_plane(
    name: str, encoding: Encoding, interpolate: Interpolator, tmp_path: Path
) -> None:
    source, made = film(tmp_path / "in.mp4", 6), tmp_path / name
    options = VideoOptions(factor=2, segment=0, encoding=encoding)
    interpolate_video(interpolate, source, made, options)
    both = tmp_path / f"both{made.suffix}"
    assert write_side_by_side(source, made, both, options) == 12
    for left, right in halves(both)[::2]:  # the source's own
        assert np.abs(left - right).mean() < 2


def test_refusals(interpolate: Interpolator, tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mkv", scene(20))
    options = VideoOptions(factor=2, encoding=LOSSLESS)
    made, both = tmp_path / "made.mkv", tmp_path / "both.mkv"
    interpolate_video(interpolate, source, made, VideoOptions(factor=2, encoding=LOSSLESS, end=1))
    with pytest.raises(MediaError, match=r"made\.mkv: has 20 frames; expected more"):
        write_side_by_side(source, made, both, options)
    assert not both.exists()
    both.write_bytes(b"kept")
    with pytest.raises(OutputExistsError, match=r"both\.mkv: exists"):
        write_side_by_side(source, made, both, options)
    assert both.read_bytes() == b"kept"
