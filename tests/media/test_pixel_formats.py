"""Videos in formats that nothing computes with: palettes, bits, and samples that share bytes."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from media import MediaError, VideoOptions, interpolate_video
from runtime import Interpolator

RED = (200, 40, 90)
DOUBLED = VideoOptions(factor=Fraction(2))


def bar(time: int) -> np.ndarray:
    """A bar on black that moves by four pixels a frame, (64, 96)."""
    shown = np.zeros((64, 96), np.uint8)
    shown[:, 8 + 4 * time : 40 + 4 * time] = 1
    return shown


def frame_of(pix_fmt: str, time: int, opacity: int) -> av.VideoFrame:
    if pix_fmt == "pal8":
        palette = np.full((256, 4), (255, 0, 0, 0), np.uint8)
        palette[1] = (opacity, *RED)
        return av.VideoFrame.from_ndarray((bar(time), palette), format="pal8")
    colour = 255 if pix_fmt.startswith("mono") else RED
    rgb = bar(time)[..., np.newaxis] * np.array(colour, np.uint8) * np.ones(3, np.uint8)
    return av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pix_fmt)


def write(path: Path, codec: str, pix_fmt: str, opacity: int = 255) -> Path:
    with av.open(str(path), "w") as writer:
        encoder = writer.add_stream(codec, rate=25)
        encoder.width, encoder.height, encoder.pix_fmt = 96, 64, pix_fmt
        for time in range(3):
            frame = frame_of(pix_fmt, time, opacity)
            frame.pts, frame.time_base = time, Fraction(1, 25)
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "colour"),
    [
        ("in.mov", "png", "pal8", RED),
        ("in.avi", "msrle", "pal8", RED),
        ("in.mov", "png", "monob", (255, 255, 255)),
        ("in.mov", "rawvideo", "rgb555be", RED),
    ],
)
def test_made_frames_have_the_colours_of_their_sources(
    name: str,
    codec: str,
    pix_fmt: str,
    colour: tuple[int, int, int],
    interpolate: Interpolator,
    tmp_path: Path,
) -> None:
    source = write(tmp_path / name, codec, pix_fmt)
    summary = interpolate_video(interpolate, source, tmp_path / "out.mp4", DOUBLED)
    assert summary.frames_made == 2
    with av.open(str(tmp_path / "out.mp4")) as reader:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in reader.decode(video=0)]
    assert len(frames) == 6
    for frame in frames:
        assert np.abs(frame[32, 24] - colour).max() <= 8
        assert frame[32, 80].max() <= 8


def test_palettes_with_colours_that_can_be_seen_through_are_refused(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.mov", "png", "pal8", opacity=100)
    with pytest.raises(MediaError, match="has alpha, which is not interpolated"):
        interpolate_video(interpolate, source, tmp_path / "out.mp4", DOUBLED)


def test_what_ffmpeg_does_not_convert_is_no_fault_of_the_output(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.nut", "rawvideo", "rgb4")
    with pytest.raises(MediaError, match=r"in\.nut: FFmpeg does not convert its .* rgb4"):
        interpolate_video(interpolate, source, tmp_path / "out.mp4", DOUBLED)
