"""Videos without their repeats: what is shown instead, when, and in segments as in one piece."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest

from media.images.sequence import interpolate_folder
from media.images.stills import Still, read_still, write_still
from media.options import VideoOptions
from media.video import interpolate_video
from media.waiting import partial_of
from runtime import Interpolator, OptionError, OutputError
from tests.marks import others_long
from tests.media.test_segments import LOSSLESS, Blend, StoppedError, both, decoded, stopping
from tests.repeated import HOLDS, encoded, found_in, quality, rendered, repeats_in, shown

# A level for each frame: on twos, ones and threes; a hold of 6 frames; and on twos again.
TWOS = (20, 20, 40, 40, 60, 72, 90, 90, 90, 110)
HELD = (*TWOS, 130, 130, 130, 130, 130, 130, 150, 150, 164, 164)
REPEATS = {3, 7, 8, 17}


@pytest.fixture
def blend() -> Interpolator:
    return cast(Interpolator, Blend())


def grey(
    path: Path, levels: Sequence[int], ticks: Sequence[int] = (), every: int = 10, rate: int = 25
) -> Path:
    """Encode frames of these levels without loss, one a tick or at these ticks."""
    with av.open(str(path), "w") as writer:
        encoder = writer.add_stream("ffv1", rate=rate, options={"g": str(every)})
        encoder.width = encoder.height = 64
        encoder.pix_fmt = "yuv444p"
        for tick, level in zip(ticks or range(len(levels)), levels, strict=True):
            frame = av.VideoFrame(64, 64, "yuv444p")
            for plane, value in zip(frame.planes, (level, 128, 128), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.pts, frame.time_base = tick, Fraction(1, rate)
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    return path


def luma(path: Path) -> list[tuple[Fraction, float]]:
    """When each frame is shown, and its level."""
    with av.open(str(path)) as reader:
        return [
            (frame.pts * frame.time_base, float(frame.to_ndarray()[0].mean()))
            for frame in reader.decode(video=0)
        ]


def expected(
    times: Sequence[Fraction], source: Sequence[Fraction], levels: Sequence[int]
) -> list[float]:
    """The levels at some times, linear between those of the frames that are no repeats."""
    kept = [index for index in range(len(levels)) if index not in REPEATS]
    return [
        float(value)
        for value in np.interp(
            [float(time) for time in times],
            [float(source[index]) for index in kept],
            [levels[index] for index in kept],
        )
    ]


@pytest.mark.parametrize(
    "options", [{"factor": 2}, {"factor": 3}, {"fps": 60}, {"fps": 59.94}, {"slow": 2}]
)
@pytest.mark.parametrize("varying", [False, True])
def test_motion_is_spread_exactly(
    options: dict[str, Any], varying: bool, blend: Interpolator, tmp_path: Path
) -> None:
    # A frame in a hundred is late by a fifth of a frame, and shown as much shorter.
    gaps = [1, 1, 1, 1, 2, 1, 1, 2, 1, 2] if varying else [1] * 10
    ticks = [0, *np.cumsum(gaps * 2)[:-1].tolist()]
    source = grey(tmp_path / "in.mkv", HELD, ticks)
    results = {}
    for dedup in (False, True):
        output = tmp_path / f"{dedup}.mkv"
        given = VideoOptions(**options, dedup=dedup, cut_threshold=None, encoding=LOSSLESS)
        summary = interpolate_video(blend, source, output, given)
        assert summary.repeats == (len(REPEATS) if dedup else None)
        assert (summary.frames_read, summary.cuts) == (len(HELD), 0)
        results[dedup] = luma(output)
    times = [time for time, _ in results[True]]
    assert times == [time for time, _ in results[False]]  # nothing is shown at another time
    slow = Fraction(options.get("slow", 1))
    at = [Fraction(tick, 25) * slow for tick in ticks]
    wanted = expected(times, at, HELD)
    ends = at[-1]  # the last frame is shown until the end
    for (time, level), value in zip(results[True], wanted, strict=True):
        # A level is lost to whole ones, and half a millisecond of Matroska's is less.
        assert abs(level - (value if time < ends else HELD[-1])) < 2, float(time)
    assert any(abs(a - b) > 5 for (_, a), (_, b) in zip(*results.values(), strict=True))


def test_pictures_of_the_source_pass_as_decoded(blend: Interpolator, tmp_path: Path) -> None:
    pictures = shown(HOLDS["mixed"])
    source = encoded(tmp_path / "in.mp4", rendered(1), pictures, crf=24)
    options = VideoOptions(factor=2, dedup=True, encoding=LOSSLESS)
    summary = interpolate_video(blend, source, tmp_path / "out.mkv", options)
    theirs = [frame for *_, frame in decoded(source)]
    ours = [frame for *_, frame in decoded(tmp_path / "out.mkv")]
    repeats = repeats_in(pictures)
    assert len(ours) == 2 * len(theirs)
    assert [ours[2 * n] == theirs[n] for n in range(36)] == [n not in repeats for n in range(36)]
    assert summary.repeats == len(repeats)
    assert (summary.frames_made, summary.frames_repeated) == (35 + len(repeats), 1)
    assert summary.frames_written == summary.frames_read + summary.frames_made + 1 - len(repeats)


def test_nothing_is_spread_over_a_cut(blend: Interpolator, tmp_path: Path) -> None:
    levels = (20, 20, 30, 30, 40, 40, 220, 220, 210, 210, 200)
    source = grey(tmp_path / "in.mkv", levels)
    options = VideoOptions(factor=2, dedup=True, encoding=LOSSLESS)
    summary = interpolate_video(blend, source, tmp_path / "out.mkv", options)
    assert (summary.repeats, summary.cuts) == (3, 1)
    made = [round(level) for _, level in luma(tmp_path / "out.mkv")]
    assert made[8:13] == [40, 40, 40, 220, 220]  # half way to the cut what follows is shown
    assert np.abs(np.subtract(made[4:8], [30, 32.5, 35, 37.5])).max() < 1


@pytest.mark.parametrize(
    ("holds", "every", "rate", "frames"),
    [
        ((2,), 7, 25, 7),
        ((1, 2, 3, 2, 4), 7, 25, 7),
        ((3,), 1, 25, 2),  # some of which are repeats alone
        ((9, 13), 1, 100, 5),  # the most that there may be
    ],
)
def test_segments_are_those_of_one_piece(
    holds: tuple[int, ...],
    every: int,
    rate: int,
    frames: int,
    blend: Interpolator,
    tmp_path: Path,
) -> None:
    levels = [30 + 2 * picture for picture in shown(holds, 64)]
    source = grey(tmp_path / "in.mkv", levels, every=every, rate=rate)
    whole, cut = both(blend, source, dedup=True, segment=frames / rate)
    assert decoded(cut) == decoded(whole)


def test_a_part_begins_with_its_first_frame(blend: Interpolator, tmp_path: Path) -> None:
    source = grey(tmp_path / "in.mkv", [30 + 2 * picture for picture in shown((3,), 80)], every=1)
    for start in (40, 41, 42):  # a picture, and its repeats
        part = {"start": Fraction(start, 25), "end": Fraction(65, 25), "overwrite": True}
        whole, cut = both(blend, source, dedup=True, segment=0.08, **part)
        assert decoded(cut) == decoded(whole)
        levels = [round(level) for _, level in luma(cut)]
        assert levels[0] == 30 + 2 * (start // 3 * 3)
        assert len(levels) == 2 * (65 - start)
        assert levels[-5] < 156
        assert levels[-4:] == [156] * 4  # 64 repeats 63, and what follows is not in it
        assert len(set(levels)) > 30


def test_a_job_goes_on_with_dedup_alone(blend: Interpolator, tmp_path: Path) -> None:
    source = grey(tmp_path / "in.mkv", [30 + 2 * picture for picture in shown((2,), 80)])
    chosen: dict[str, Any] = {"factor": 2, "encoding": LOSSLESS, "segment": 0.4}
    with pytest.raises(StoppedError):
        interpolate_video(
            blend, source, tmp_path / "out.mkv", VideoOptions(**chosen, dedup=True),
            progress=stopping(100),
        )  # fmt: skip
    assert partial_of(tmp_path / "out.mkv").exists()
    with pytest.raises(OutputError, match=r"other options \(dedup True\)"):
        interpolate_video(blend, source, tmp_path / "out.mkv", VideoOptions(**chosen))
    summary = interpolate_video(
        blend, source, tmp_path / "out.mkv", VideoOptions(**chosen, dedup=True)
    )
    assert 0 < summary.frames_resumed < summary.frames_written == 160
    assert summary.repeats == 38


@pytest.mark.parametrize(("holds", "crf"), others_long([("twos", 28), ("mixed", 18)]))
def test_made_frames_are_nearer_to_the_truth(
    holds: str, crf: int, interpolate: Interpolator, tmp_path: Path
) -> None:
    pictures = shown(HOLDS[holds], 12)
    source = encoded(tmp_path / "in.mp4", rendered(0.5), pictures, crf)
    without, with_ = quality(interpolate, source, rendered(0.5), pictures)
    assert with_ > without + 3


def test_real_clips(data: Path) -> None:
    # Film of 24 frames a second, to 28 by showing every sixth twice; 232 to 267 stand still.
    film = found_in(data / "clips" / "arm_wrestling.mp4")
    assert len(film) >= 34
    gaps = np.diff(sorted(frame for frame in film if frame < 205))
    assert 6.5 < gaps.mean() < 7
    assert not any(231 < frame < 268 for frame in film)
    for clip in ("carphone_pristine.mp4", "h264_10bits.mp4"):  # a hand-held camera's among them
        assert found_in(data / "clips" / clip) == set()


@pytest.mark.parametrize("alpha", [False, True])
def test_a_folder(alpha: bool, tmp_path: Path) -> None:
    levels = (20, 20, 40, 40, 60, 60, 60, 90, 100)
    (tmp_path / "in").mkdir()
    for index, level in enumerate(levels):
        rgb = np.full((16, 16, 3), level, np.uint8)
        clear = np.full((16, 16), 255, np.uint8) if alpha else None
        write_still(tmp_path / "in" / f"{index}.png", Still(rgb, clear, grey=False))
    caller = cast(Interpolator, Calling())
    done = interpolate_folder(caller, tmp_path / "in", tmp_path / "out", 2, dedup=True)
    assert (done.images_read, done.images_written, done.repeats) == (9, 17, 3)
    made = [
        int(read_still(tmp_path / "out" / f"frame_{index:05d}.png").rgb[0, 0, 0])
        for index in range(17)
    ]
    kept = {0: 20, 2: 20, 4: 40, 8: 60, 14: 90, 16: 100}  # the first repeat has no motion before it
    assert made == [round(level) for level in np.interp(range(17), list(kept), list(kept.values()))]
    plain = interpolate_folder(caller, tmp_path / "in", tmp_path / "plain", 2)
    assert plain.repeats is None


class Calling(Blend):
    """A blend that is called with pairs, too."""

    metadata = type("Metadata", (), {"io": "uint8"})

    def __call__(self, frame0: Any, frame1: Any, times: Any) -> Any:
        return np.rint([(1 - t) * frame0 + t * frame1 for t in times]).astype(frame0.dtype)


def test_dedup_is_true_or_false() -> None:
    with pytest.raises(OptionError, match="dedup is 'yes'; expected True or False"):
        VideoOptions(factor=2, dedup="yes")  # type: ignore[arg-type]
