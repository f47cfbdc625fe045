"""Interlaced sources: what fields showed is shown at their times, and a film's frames are found."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from av.filter import Graph
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio

from media import MediaError, VideoOptions, interpolate_video, write_video
from runtime import Interpolator, OptionError
from runtime.scene import render_bytes
from tests.media.test_segments import LOSSLESS, Blend, decoded

HEIGHT, WIDTH = 96, 128
TICK = Fraction(1, 1000)  # of Matroska, in which results are written
Planes = list[NDArray[np.uint8]]


@pytest.fixture
def interpolate() -> Interpolator:
    return cast(Interpolator, Blend())


def pictures(count: int) -> list[Planes]:
    """Planes of 4:2:0 of a scene that moves on."""
    frames = (
        av.VideoFrame.from_ndarray(render_bytes(WIDTH, HEIGHT, time / 8), format="rgb24")
        for time in range(count)
    )
    return [planes_of(frame.reformat(format="yuv420p")) for frame in frames]


def planes_of(frame: av.VideoFrame) -> Planes:
    sizes = (frame.height, frame.width), *[(frame.height // 2, frame.width // 2)] * 2
    return [
        np.frombuffer(bytes(plane), np.uint8).reshape(height, plane.line_size)[:, :width]
        for plane, (height, width) in zip(frame.planes, sizes, strict=True)
    ]


def woven(top: Planes, bottom: Planes) -> av.VideoFrame:
    """Even lines of one picture, odd ones of another."""
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for plane, even, odd in zip(frame.planes, top, bottom, strict=True):
        lines = np.zeros((even.shape[0], plane.line_size), np.uint8)
        lines[::2, : even.shape[1]], lines[1::2, : odd.shape[1]] = even[::2], odd[1::2]
        plane.update(lines.tobytes())
    return frame


def interlaced(
    path: Path, frames: Sequence[tuple[Planes, Planes]], rate: Fraction, top_first: bool = True
) -> Path:
    """Write frames of two fields, (top, bottom) each, without loss."""
    options = {"flags": "+ildct+ilme", "x264-params": "qp=0:keyint=5", "bf": "2"}
    return written(path, "libx264", options, frames, rate, top_first)


def written(
    path: Path,
    codec: str,
    options: dict[str, str],
    frames: Sequence[tuple[Planes, Planes]],
    rate: Fraction,
    top_first: bool,
    gap: int = 0,
    pix_fmt: str = "yuv420p",
) -> Path:
    """Show them one after the other, and `gap` intervals nothing before the second half."""
    marked = Graph()
    marked.link_nodes(
        marked.add_buffer(width=WIDTH, height=HEIGHT, format=pix_fmt, time_base=1 / rate),
        marked.add("setfield", "tff" if top_first else "bff"),
        marked.add("buffersink"),
    ).configure()
    with av.open(str(path), "w") as writer:
        encoder = writer.add_stream(codec, rate=rate, options=options)
        encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, pix_fmt
        for index, (top, bottom) in enumerate(frames):
            frame = woven(top, bottom).reformat(format=pix_fmt)
            late = gap if 2 * index >= len(frames) else 0
            frame.pts, frame.time_base = index + late, 1 / rate
            marked.push(frame)
            writer.mux(encoder.encode(cast(av.VideoFrame, marked.pull())))
        writer.mux(encoder.encode(None))
    return path


def shown(path: Path) -> list[tuple[Fraction, Planes]]:
    with av.open(str(path)) as reader:
        return [(frame.pts * frame.time_base, planes_of(frame)) for frame in reader.decode(video=0)]


def likeness(ours: Planes, theirs: Planes) -> float:
    """PSNR of the luma, dB."""
    return float(peak_signal_noise_ratio(theirs[0], ours[0]))


def made(interpolate: Interpolator, source: Path, name: str = "out.mkv", **options: Any) -> Path:
    output = source.with_name(name)
    chosen = VideoOptions(**{"factor": 2, "encoding": LOSSLESS, **options})
    interpolate_video(interpolate, source, output, chosen)
    return output


@pytest.mark.parametrize("top_first", [True, False])
def test_each_field_becomes_the_frame_of_its_time(
    top_first: bool, interpolate: Interpolator, tmp_path: Path
) -> None:
    truth = pictures(24)
    halves = [(truth[i], truth[i + 1])[:: 1 if top_first else -1] for i in range(0, 24, 2)]
    source = interlaced(tmp_path / "in.mkv", halves, Fraction(25), top_first)
    frames = shown(made(interpolate, source, deinterlace="fields"))
    assert len(frames) == 2 * 24
    for index, (at, _) in enumerate(frames):
        assert abs(at - Fraction(index, 100)) <= TICK
    for index in range(1, 23):  # the first and the last have a neighbour on one side alone
        planes, near = frames[2 * index][1], range(index - 1, index + 2)
        assert max(near, key=lambda other: likeness(planes, truth[other])) == index
        weave = planes_of(woven(*halves[index // 2]))
        assert likeness(planes, truth[index]) > likeness(weave, truth[index]) + 3


def test_the_frames_of_a_film_are_found_again(interpolate: Interpolator, tmp_path: Path) -> None:
    film = pictures(40)
    pulled = [
        halves
        for a, b, c, d in zip(*(iter(film),) * 4, strict=True)
        for halves in ((a, a), (b, b), (b, c), (c, d), (d, d))
    ]
    source = interlaced(tmp_path / "in.mkv", pulled, Fraction(30000, 1001))
    frames = shown(made(interpolate, source, deinterlace="telecine"))
    rate = Fraction(24000, 1001)
    assert len(frames) == 2 * 40
    for index, (at, _) in enumerate(frames):
        assert abs(at - index / rate / 2) <= 2 * TICK
    for index, (_, planes) in enumerate(frames[::2]):
        for ours, theirs in zip(planes, film[index], strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("how", "factor"), [("fields", 2), ("telecine", Fraction(4, 5))])
def test_times_are_kept_where_frames_are_missing(
    how: str, factor: Fraction, interpolate: Interpolator, tmp_path: Path
) -> None:
    truth, rate, gap = pictures(41), Fraction(25), 30
    halves = [(truth[i], truth[i + 1]) for i in range(40)]
    options = {"flags": "+ildct+ilme", "x264-params": "qp=0:keyint=5"}
    source = written(tmp_path / "in.mkv", "libx264", options, halves, rate, True, gap)
    times = [at for at, _ in shown(made(interpolate, source, deinterlace=how))][::2]
    expected = [i / factor / rate for i in range(int(40 * factor))]
    for index, (at, due) in enumerate(zip(times, expected, strict=True)):
        late = gap / rate if 2 * index >= len(expected) else 0
        assert abs(at - due - late) <= 2 * TICK


def test_segments_and_parts_are_those_of_one_piece(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    truth = pictures(60)
    halves = [(truth[i], truth[i + 1]) for i in range(0, 60, 2)]
    source = interlaced(tmp_path / "in.mkv", halves, Fraction(25))
    whole = decoded(made(interpolate, source, "whole.mkv", deinterlace="fields", segment=0))
    pieces = decoded(made(interpolate, source, "pieces.mkv", deinterlace="fields", segment=0.2))
    assert pieces == whole
    part = made(
        interpolate, source, "part.mkv", deinterlace="fields", start=0.34, end=0.8, segment=0
    )
    # The last one is shown until the end, and nothing is made behind it.
    assert [frame for *_, frame in decoded(part)][:-1] == [frame for *_, frame in whole][34:79]


def test_whole_frames_pass_as_they_are(interpolate: Interpolator, tmp_path: Path) -> None:
    truth = pictures(9)
    with av.open(str(tmp_path / "in.mkv"), "w") as writer:
        encoder = writer.add_stream("ffv1", rate=25)
        encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for planes in truth:
            writer.mux(encoder.encode(woven(planes, planes)))
        writer.mux(encoder.encode(None))
    plain = made(interpolate, tmp_path / "in.mkv", "plain.mkv")
    assert decoded(made(interpolate, tmp_path / "in.mkv", deinterlace="fields")) == decoded(plain)


@pytest.mark.parametrize("how", ["fields", "telecine"])
def test_it_is_said_where_nothing_looks_interlaced(
    how: Any, interpolate: Interpolator, tmp_path: Path
) -> None:
    film = pictures(15)
    woven = interlaced(tmp_path / "woven.mkv", [(each, each) for each in film], Fraction(30))
    whole = tmp_path / "whole.mkv"
    write_video(whole, (render_bytes(WIDTH, HEIGHT, time / 8) for time in range(15)), 30)
    damaged = tmp_path / "damaged.ts"
    interlaced(damaged, [(each, each) for each in film], Fraction(30))
    content = bytearray(damaged.read_bytes())
    content[188 * 4 : 188 * 5] = bytes(188)
    damaged.write_bytes(content)
    for source, expected in ((woven, 0), (damaged, 0), (whole, 1)):
        said: list[str] = []
        options = VideoOptions(factor=2, encoding=LOSSLESS, deinterlace=how)
        output = source.with_suffix(".out.mkv")
        interpolate_video(interpolate, source, output, options, tell=said.append)
        assert len([line for line in said if "are not interlaced" in line]) == expected


@pytest.mark.parametrize("suffix", [".ts", ".avi", ".mpg"])
def test_formats_that_interlaced_video_comes_in(
    suffix: str, interpolate: Interpolator, tmp_path: Path
) -> None:
    truth = pictures(24)
    options = {"flags": "+ildct+ilme", "b": "20M"}
    halves = [(truth[i], truth[i + 1]) for i in range(0, 24, 2)]
    source = written(
        tmp_path / f"in{suffix}", "mpeg2video", options, halves, Fraction(25), top_first=True
    )
    frames = shown(made(interpolate, source, deinterlace="fields"))
    assert len(frames) == 48
    assert all(abs(at - Fraction(index, 100)) <= TICK for index, (at, _) in enumerate(frames))


def test_refusals(interpolate: Interpolator, tmp_path: Path) -> None:
    truth = pictures(4)
    source = interlaced(
        tmp_path / "in.mkv", [(truth[0], truth[1]), (truth[2], truth[3])], Fraction(25)
    )
    with pytest.raises(MediaError, match=r"in\.mkv: is interlaced") as caught:
        made(interpolate, source)
    assert caught.value.remedy == ("deinterlace", "fields")
    with pytest.raises(OptionError, match="deinterlace is 'bob'; expected fields or telecine"):
        made(interpolate, source, deinterlace="bob")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]
    halves = [(truth[0], truth[1])] * 9
    deep = written(
        tmp_path / "deep.mkv", "ffv1", {}, halves, Fraction(25), True, pix_fmt="yuv422p10le"
    )
    with pytest.raises(MediaError, match=r"deep\.mkv: .* yuv422p10le \(only as yuv422p\)"):
        made(interpolate, deep, deinterlace="telecine")
    made(interpolate, deep, deinterlace="fields")
