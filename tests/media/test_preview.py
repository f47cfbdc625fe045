"""A preview shows where a video moves, and source and result at the same moment."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from media import MediaError, VideoOptions, interpolate_video
from media.preview import strongest_motion, write_side_by_side
from runtime import Interpolator, OutputExistsError
from runtime.scene import render_bytes
from tests.media.test_segments import LOSSLESS, Blend


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


def scene(count: int, width: int = 96) -> Iterable[NDArray[np.uint8]]:
    return (render_bytes(width, 64, time / 4) for time in range(count))


def test_of_a_short_video_it_is_all(tmp_path: Path) -> None:
    assert strongest_motion(clip(tmp_path / "in.mp4", scene(30))) == (0, 10)


def decoded(path: Path) -> list[tuple[Fraction, NDArray[np.uint8]]]:
    with av.open(str(path)) as reader:
        return [(f.pts * f.time_base, f.to_ndarray()) for f in reader.decode(video=0)]


@pytest.mark.parametrize("width", [96, 75])
@pytest.mark.parametrize(
    ("rate", "first"), [({"factor": 2}, Fraction(9, 10)), ({"fps": 25}, Fraction(23, 25))]
)
def test_source_and_result_stand_side_by_side(
    rate: dict[str, Any], first: Fraction, width: int, interpolate: Interpolator, tmp_path: Path
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
        held = [picture for shown, picture in theirs if shown <= first + at][-1]
        off = planes[..., :width].astype(int) - held.reshape(3, 64, width)
        assert np.abs(off).max() <= 1  # repeated frames went through RGB


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
