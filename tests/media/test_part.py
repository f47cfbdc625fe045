"""A part of a video holds the very frames that are shown in it, and the sound beside them."""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest

from media.options import Share, VideoOptions
from media.video import interpolate_share, interpolate_video
from media.waiting import partial_of
from runtime import Interpolator, OptionError, OutputError
from tests.marks import others_long
from tests.media.test_segments import (
    LOSSLESS,
    OPEN,
    SOURCES,
    Blend,
    StoppedError,
    clip,
    decoded,
    packets,
    stopping,
)
from tests.media.test_video import rich_source

TICK = Fraction(1, 1000)  # of Matroska, in which results are written
Shown = list[tuple[Fraction, bytes]]


@pytest.fixture
def interpolate() -> Interpolator:
    return cast(Interpolator, Blend())


def shown(path: Path) -> tuple[Shown, Fraction]:
    """When frames are shown, from the first on, and when the last one ends."""
    frames = decoded(path)
    first = frames[0][0]
    return [(at - first, frame) for at, *_, frame in frames], frames[-1][0] + frames[-1][1] - first


def made_of(part: Path, source: Path, whole: Path, start: Fraction, end: Fraction) -> None:
    """Hold a part made by factor 2 against its source, and against the whole made so."""
    theirs, length = shown(source)
    every, _ = shown(whole)
    ours, lasts = shown(part)
    kept = [index for index, (at, _) in enumerate(theirs) if start <= at < end]
    origin = theirs[kept[0]][0]
    assert [frame for _, frame in ours[::2]] == [theirs[index][1] for index in kept]
    for (at, _), index in zip(ours[::2], kept, strict=True):
        assert abs(at - (theirs[index][0] - origin)) <= TICK
    between = [frame for _, frame in ours[1::2]]
    assert between == [*(every[2 * index + 1][1] for index in kept[:-1]), ours[-2][1]]
    with av.open(str(source)) as reader:
        clock = reader.streams.video[0].time_base
    assert abs(lasts - (min(end, length) - origin)) <= 2 * TICK + (clock or 0)


def part(
    interpolate: Interpolator,
    source: Path,
    name: str = "part.mkv",
    **options: Any,
) -> tuple[Path, Any]:
    output = source.with_name(name)
    chosen = VideoOptions(**{"factor": 2, "encoding": LOSSLESS, **options})
    return output, interpolate_video(interpolate, source, output, chosen)


RANGES = [(Fraction(0), Fraction(1)), (Fraction(41, 50), Fraction(7, 4)), (Fraction(11, 5), 9)]
WITH_TIMES = {**SOURCES, "AVI": lambda folder: clip(folder / "in.avi", "mpeg4", bf="2")}


@pytest.mark.parametrize("name", WITH_TIMES)
@pytest.mark.parametrize("segment", others_long([0.4, 0]))
def test_the_first_and_the_last_frame_are_those_shown(
    name: str,
    segment: float,
    interpolate: Interpolator,
    tmp_path: Path,
) -> None:
    source, whole = WITH_TIMES[name](tmp_path), tmp_path / "whole.mkv"
    options = VideoOptions(factor=2, encoding=LOSSLESS, segment=0)
    interpolate_video(interpolate, source, whole, options)
    for number, (start, end) in enumerate(RANGES):
        result, _ = part(
            interpolate, source, f"{number}.mkv", start=start, end=end, segment=segment
        )
        made_of(result, source, whole, start, Fraction(end))
        assert not partial_of(result).exists()


def test_every_frame_can_be_the_first_and_the_first_left_out(
    interpolate: Interpolator,
    tmp_path: Path,
) -> None:
    source = clip(tmp_path / "in.mkv", **OPEN)
    theirs, _ = shown(source)
    for index in range(8, 32):
        result, summary = part(
            interpolate, source, start=theirs[index][0], end=theirs[index + 3][0], overwrite=True
        )
        frames, lasts = shown(result)
        assert [frame for _, frame in frames[::2]] == [frame for _, frame in theirs[index:][:3]]
        assert lasts == Fraction(3, 25)
        assert summary.frames_read == 3


def test_a_frame_whose_time_was_rounded_down_is_at_its_exact_time(
    interpolate: Interpolator,
    tmp_path: Path,
) -> None:
    with av.open(str(tmp_path / "in.mkv"), "w") as writer:
        encoder = writer.add_stream("ffv1", rate=Fraction(30000, 1001))
        encoder.width, encoder.height, encoder.pix_fmt = 96, 64, "yuv420p"
        for index in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((96, 96), 10 * index, np.uint8), "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1001, 30000)
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    theirs, _ = shown(tmp_path / "in.mkv")
    beat = Fraction(1001, 30000)  # Matroska says 33 ms
    assert theirs[1][0] < beat
    result, summary = part(
        interpolate, tmp_path / "in.mkv", start=beat, end=4 * beat, factor=None, fps=60 / 1.001
    )
    frames, _ = shown(result)
    assert [frame for _, frame in frames[::2]] == [frame for _, frame in theirs[1:4]]
    assert (summary.frames_read, summary.frames_written) == (3, 6)


def sounding(folder: Path, suffix: str, **options: str) -> Path:
    """A clip beside whose pictures sound begins 50 ms late."""
    silent = clip(folder / "silent.mp4", **options)
    path = folder / f"sounding{suffix}"
    with av.open(str(silent)) as reader, av.open(str(path), "w") as writer:
        pictures = reader.streams.video[0]
        video = writer.add_stream_from_template(pictures)
        audio = writer.add_stream("aac", rate=48000)
        every = []
        for packet in reader.demux(pictures):
            if packet.size:
                packet.stream = video
                every.append((packet.dts * packet.time_base, packet))
        noise = np.random.default_rng(0).normal(0, 0.1, (112, 1, 1024)).astype(np.float32)
        for index, samples in enumerate(noise):
            frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
            frame.rate, frame.pts = 48000, 2400 + 1024 * index
            every += [(p.dts * p.time_base, p) for p in audio.encode(frame)]
        every += [(p.dts * p.time_base, p) for p in audio.encode(None)]
        writer.start_encoding()
        for _, packet in sorted(every, key=lambda timed: timed[0]):
            writer.mux(packet)
    return path


def heard(path: Path) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as reader:
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in reader.demux(audio=0)
            if packet.size
        ]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
@pytest.mark.parametrize("output", ["part.mkv", "part.mp4"])
@pytest.mark.parametrize("segment", others_long([0.4, 0]))
def test_sound_is_cut_with_the_pictures(
    suffix: str,
    output: str,
    segment: float,
    interpolate: Interpolator,
    tmp_path: Path,
) -> None:
    source = sounding(tmp_path, suffix, **OPEN)
    start, end = Fraction(13, 10), Fraction(21, 10)
    codec = {} if output.endswith("mp4") else {"encoding": LOSSLESS}
    result = tmp_path / output
    options = VideoOptions(factor=2, start=start, end=end, segment=segment, **codec)
    interpolate_video(interpolate, source, result, options)
    first = decoded(source)[0][0]
    origin = next(at for at, *_ in decoded(source) if at - first >= start)
    theirs = [each for each in heard(source) if origin <= each[0] < first + end]
    ours = heard(result)
    header = 7 if suffix == ".ts" else 0  # of ADTS
    assert [content for _, content in ours] == [content[header:] for _, content in theirs]
    assert len(ours) > 30
    begins = decoded(result)[0][0]
    assert begins == 0
    for (ours_at, _), (theirs_at, _) in zip(ours, theirs, strict=True):
        assert abs(ours_at - (theirs_at - origin)) <= 2 * TICK


def test_subtitles_and_chapters_are_clipped(
    interpolate: Interpolator,
    tmp_path: Path,
) -> None:
    source = rich_source(tmp_path)  # its first frame is at 0.08 s, a chapter from 0 to 0.5 s
    with av.open(str(source)) as reader:
        texts = [(p.pts, p.pts + p.duration) for p in reader.demux(subtitles=0) if p.size]
    result, _ = part(interpolate, source, start=0.2, end=0.6)
    origin, end = 280, 680  # of the source's milliseconds
    expected = [(max(a, origin) - origin, min(b, end) - origin) for a, b in texts]
    with av.open(str(result)) as reader:
        ours = [(p.pts, p.pts + p.duration) for p in reader.demux(subtitles=0) if p.size]
        chapters = reader.chapters()
    assert ours == [(a, b) for a, b in expected if a < b] != []
    assert [c["end"] * c["time_base"] for c in chapters] == [Fraction(220, 1000)]
    assert [c["start"] for c in chapters] == [0]
    later, _ = part(interpolate, source, "later.mkv", start=0.6)
    with av.open(str(later)) as reader:
        assert reader.chapters() == []


@pytest.mark.parametrize(
    "options", [{"factor": 2.5}, {"factor": None, "fps": 60}, {"factor": None, "slow": 3}]
)
def test_segments_of_a_part_are_what_it_is_in_one_piece(
    options: dict[str, Any],
    interpolate: Interpolator,
    tmp_path: Path,
) -> None:
    source = clip(tmp_path / "in.mkv", cuts=(25, 41), **OPEN)
    asked = {"start": 0.5, "end": 2.1, **options}
    one, _ = part(interpolate, source, "one.mkv", segment=0, **asked)
    cut, _ = part(interpolate, source, "cut.mkv", segment=0.4, **asked)
    assert decoded(cut) == decoded(one)
    _, lasts = shown(one)
    assert abs(lasts - Fraction(79, 50) * (3 if "slow" in options else 1)) <= Fraction(1, 50)


@pytest.mark.parametrize("first", [20, 21, 25])
def test_a_cut_where_it_begins_is_none_of_the_result(
    first: int,
    interpolate: Interpolator,
    tmp_path: Path,
) -> None:
    source = clip(tmp_path / "in.mkv", cuts=(20, 40), **OPEN)
    for start in (first - 1, first):
        _, summary = part(interpolate, source, start=Fraction(start, 25), overwrite=True)
        assert summary.cuts == (2 if start < 20 else 1)


def test_what_is_damaged_elsewhere_is_not_read(
    interpolate: Interpolator,
    tmp_path: Path,
) -> None:
    source = clip(tmp_path / "in.mkv", bf="0")
    with av.open(str(source)) as reader:
        every = [bytes(packet) for packet in reader.demux(video=0) if packet.size]
    content = source.read_bytes()
    for packet in every[5:25]:
        content = content.replace(packet, b"\xff" * len(packet))
    source.write_bytes(content)
    _, summary = part(interpolate, source, start=1.76)
    assert summary.damage == []
    assert summary.frames_read == 16
    _, summary = part(interpolate, source, "damaged.mkv", start=0.4)
    assert "could not be decoded" in summary.damage[0]


def test_a_part_goes_on_where_it_was_stopped(
    interpolate: Interpolator,
    tmp_path: Path,
) -> None:
    source, output = clip(tmp_path / "in.mkv", **OPEN), tmp_path / "out.mkv"
    asked = VideoOptions(factor=2, segment=0.4, start=0.5, end=2.1)
    interpolate_video(interpolate, source, tmp_path / "whole.mkv", asked)
    with pytest.raises(StoppedError):
        interpolate_video(interpolate, source, output, asked, progress=stopping(40))
    other = VideoOptions(factor=2, segment=0.4, start=0.5)
    with pytest.raises(OutputError, match=r"other options \(end 21/10\)"):
        interpolate_video(interpolate, source, output, other)
    summary = interpolate_video(interpolate, source, output, asked)
    assert summary.frames_resumed > 0
    assert packets(output, "video") == packets(tmp_path / "whole.mkv", "video")


def test_shares_of_a_part_are_joined(
    interpolate: Interpolator,
    tmp_path: Path,
) -> None:
    source, output = clip(tmp_path / "in.mkv", **OPEN), tmp_path / "out.mkv"
    asked = VideoOptions(factor=2, segment=0.4, start=0.5, end=2.1)
    totals: list[int] = []
    interpolate_video(
        interpolate,
        source,
        tmp_path / "whole.mkv",
        asked,
        progress=lambda *said: totals.append(said[1]),
    )
    assert set(totals) == {80}
    for number in (1, 2):
        interpolate_share(interpolate, source, output, asked, Share(number, 2))
    summary = interpolate_video(interpolate, source, output, asked)
    assert summary.frames_resumed == summary.frames_written == 80
    assert packets(output, "video") == packets(tmp_path / "whole.mkv", "video")


@pytest.mark.parametrize("make", [clip, lambda path: clip(path.with_suffix(".avi"), "mpeg4")])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 2.4}, r"shows no new frame from 2\.4 s on; it lasts 2\.4.. s"),
        ({"start": 1.01, "end": 1.03}, r"shows no new frame from 1\.01 s until 1\.03 s"),
    ],
)
def test_a_part_without_a_frame_is_refused(
    make: Callable[[Path], Path],
    options: dict[str, Any],
    message: str,
    interpolate: Interpolator,
    tmp_path: Path,
) -> None:
    source = make(tmp_path / "in.mkv")
    with pytest.raises(OptionError, match=message):
        part(interpolate, source, **options)
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": -1}, "start is -1 s; expected 0 or more"),
        ({"start": 2, "end": 1.5}, r"end is 1\.5 s, and start 2 s; expected an end after"),
        ({"end": 0}, "end is 0 s, and start 0 s"),
        ({"start": "1:00"}, "start is 1:00; expected a number"),
        ({"end": float("nan")}, "end is nan; expected a number"),
    ],
)
def test_what_is_no_part_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        VideoOptions(factor=2, **options)


def test_frames_of_the_test_sources_differ(tmp_path: Path) -> None:
    theirs, _ = shown(clip(tmp_path / "in.mkv", **OPEN))
    assert all(a[1] != b[1] for a, b in pairwise(theirs))
