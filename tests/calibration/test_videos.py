"""Triplets out of videos: which there are, what is in them, and that a clip is decoded once."""

import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import calibration.videos
from calibration import clips, measure_ranges
from calibration.datasets import has_cut
from media.errors import MediaError
from media.video import write_video
from runtime.errors import InputNotFoundError
from runtime.scene import render_bytes
from tests.models import SMALL_MODEL


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    root = tmp_path / "videos"
    (root / "deep").mkdir(parents=True)
    for name, start, count in (("b.mp4", 0, 6), ("deep/a.mkv", 20, 4), ("short.mp4", 0, 2)):
        frames = [render_bytes(96, 64, start + time) for time in range(count)]
        write_video(root / name, frames, Fraction(25))
    (root / "notes.txt").write_text("no video")
    return root


def test_every_three_neighbours_are_a_triplet(videos: Path) -> None:
    triplets = clips(videos)
    assert [triplet.name for triplet in triplets] == [
        *(f"b.mp4 frame {first:06}" for first in range(4)),
        *(f"deep/a.mkv frame {first:06}" for first in range(2)),
    ]
    with av.open(str(videos / "b.mp4")) as reader:
        decoded = [frame.to_ndarray(format="rgb24") for frame in reader.decode(video=0)]
    for first in (2, 0, 3):  # in any order
        for index, frame in enumerate(triplets[first].read()):
            truth = decoded[first + index].astype(int)
            assert np.abs(frame - truth).mean() < 4  # PyAV's own conversion is coarser
            others = [np.abs(frame - other.astype(int)).mean() for other in decoded]
            assert int(np.argmin(others)) == first + index


def test_a_clip_is_decoded_once(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    decode = calibration.videos.decoded

    def counted(path: Path) -> object:
        opened.append(path.name)
        return decode(path)

    monkeypatch.setattr("calibration.videos.decoded", counted)
    ranges = measure_ranges(SMALL_MODEL, clips(videos)[::-1])
    assert opened == ["b.mp4", "a.mkv"]
    assert ranges.samples == 6


def test_triplets_across_a_cut_are_left_out(tmp_path: Path) -> None:
    scene = [render_bytes(96, 64, time) for time in range(4)]
    other = [255 - frame for frame in scene]
    write_video(tmp_path / "cut.mp4", scene + other, Fraction(25))
    triplets = clips(tmp_path)
    cuts = [has_cut(triplet.read()) for triplet in triplets]
    assert cuts == [False, False, True, True, False, False]
    assert measure_ranges(SMALL_MODEL, triplets).samples == 4
    with pytest.raises(InputNotFoundError, match=r"2 triplets chosen, and each .* scene cut"):
        measure_ranges(SMALL_MODEL, triplets[2:4])


def test_what_is_wrong_is_said(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="no such folder"):
        clips(tmp_path / "none")
    (tmp_path / "short").mkdir()
    shutil.copy(videos / "short.mp4", tmp_path / "short")
    with pytest.raises(InputNotFoundError, match="no video of three frames"):
        clips(tmp_path / "short")
    (tmp_path / "short" / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(MediaError, match=r"broken\.mp4: not an image or a video"):
        clips(tmp_path / "short")


@pytest.mark.parametrize("open_gop", [0, 1])
def test_a_recording_that_starts_in_the_middle_begins_at_its_key_frame(
    open_gop: int, tmp_path: Path
) -> None:
    path = tmp_path / "clip.ts"
    params = f"keyint=10:bframes=3:open-gop={open_gop}"
    with av.open(str(path), "w") as writer:
        encoder = writer.add_stream("libx264", rate=25, options={"x264-params": params, "qp": "8"})
        encoder.width, encoder.height, encoder.pix_fmt = 96, 64, "yuv420p"
        for time in range(30):
            frame = av.VideoFrame.from_ndarray(render_bytes(96, 64, time), format="rgb24")
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    whole = path.read_bytes()
    tables, rest = whole[: 3 * 188], whole[len(whole) // 3 // 188 * 188 :]
    path.write_bytes(tables + rest)
    with av.open(str(path)) as reader:
        frames = sum(1 for _ in reader.decode(video=0))
    triplets = clips(tmp_path)
    assert len(triplets) == frames - 2 == 18
    assert triplets[-1].read().frame0.shape == (64, 96, 3)


def test_a_clip_that_cannot_be_decoded_to_its_end(videos: Path) -> None:
    triplets = clips(videos)
    write_video(videos / "b.mp4", [render_bytes(96, 64, time) for time in range(3)], Fraction(25))
    with pytest.raises(MediaError, match=r"b\.mp4: only 3 of its frames can be decoded"):
        triplets[3].read()
