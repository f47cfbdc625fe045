"""What goes through a pipe is what comes of the same pictures in a file."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from media import Encoding, MediaError, VideoOptions, interpolate_pipe, interpolate_video
from runtime import Interpolator, OptionError, OutputExistsError
from tests import y4m

NTSC = Fraction(30000, 1001)
LOSSLESS = Encoding(codec="ffv1")
Through = Callable[..., bytes]


@pytest.fixture
def through(interpolate: Interpolator, tmp_path: Path) -> Through:
    """Send y4m, or a file, through a pipe that ends in a file; return what came out."""

    def send(source: bytes | Path, **options: object) -> bytes:
        asked = VideoOptions(**{"factor": 2, **options})
        with (tmp_path / "out.y4m").open("wb+") as out:
            if isinstance(source, Path):
                interpolate_pipe(interpolate, source, out.fileno(), asked)
            else:
                (tmp_path / "in.y4m").write_bytes(source)
                with (tmp_path / "in.y4m").open("rb") as file:
                    interpolate_pipe(interpolate, file.fileno(), out.fileno(), asked)
            return (tmp_path / "out.y4m").read_bytes()

    return send


def header(content: bytes) -> list[bytes]:
    return content.partition(b"\n")[0].split()


def retagged(content: bytes, old: bytes, new: bytes) -> bytes:
    first, _, rest = content.partition(b"\n")
    assert old in first
    return first.replace(old, new) + b"\n" + rest


def same(ours: list[av.VideoFrame], theirs: list[av.VideoFrame]) -> bool:
    assert len(ours) == len(theirs)
    return all(
        a.format.name == b.format.name and pixels(a) == pixels(b)
        for a, b in zip(ours, theirs, strict=True)
    )


def pixels(frame: av.VideoFrame) -> list[bytes]:
    """Each plane, without what pads its rows."""
    sample = 2 if frame.format.components[0].bits > 8 else 1
    return [
        np.frombuffer(bytes(plane), np.uint8)
        .reshape(plane.height, plane.line_size)[:, : plane.width * sample]
        .tobytes()
        for plane in frame.planes
    ]


@pytest.mark.parametrize(
    ("pix_fmt", "size"),
    [
        ("yuv420p", (65, 47)),
        ("yuv411p", (66, 48)),
        ("yuv420p10le", (66, 48)),
        ("yuv422p12le", (65, 47)),
        ("yuv444p16le", (66, 48)),
        ("gray", (66, 48)),
    ],
)
def test_frames_and_rate_are_those_of_a_file(
    pix_fmt: str,
    size: tuple[int, int],
    through: Through,
    interpolate: Interpolator,
    tmp_path: Path,
) -> None:
    frames = y4m.scene(3, pix_fmt, size)
    content = y4m.written(frames, NTSC)
    shown, rate = y4m.read(through(content))
    assert rate == 2 * NTSC
    assert same(shown[::2], y4m.read(content)[0])
    source = tmp_path / "same.y4m"
    source.write_bytes(content)
    film = tmp_path / "out.mkv"
    interpolate_video(interpolate, source, film, VideoOptions(factor=2, encoding=LOSSLESS))
    with av.open(str(film)) as reader:
        assert same(shown, list(reader.decode(video=0)))


@pytest.mark.parametrize(
    ("options", "rate", "count"),
    [
        ({"factor": 3}, 3 * NTSC, 9),
        ({"factor": None, "fps": 60}, Fraction(60), 7),
        ({"factor": None, "slow": 4}, NTSC, 12),
    ],
)
def test_rates_are_exact(
    options: dict[str, int], rate: Fraction, count: int, through: Through
) -> None:
    shown, found = y4m.read(through(y4m.written(y4m.scene(3, "yuv420p"), NTSC), **options))
    assert (found, len(shown)) == (rate, count)


def test_a_rate_that_no_clock_of_a_container_holds_keeps_source_frames(through: Through) -> None:
    content = y4m.written(y4m.scene(4, "yuv420p"), Fraction(25))
    content = retagged(content, b"F25:1", b"F10000000:333667")
    out = through(content)
    assert b"F20000000:333667" in header(out)
    assert same(y4m.read(out)[0][::2], y4m.read(content)[0])


@pytest.mark.parametrize("tag", [b"C420jpeg", b"C420mpeg2", b"C420paldv", b"C420"])
@pytest.mark.parametrize("full", [b" XCOLORRANGE=FULL", b" XCOLORRANGE=LIMITED", b""])
def test_siting_range_and_pixel_aspect_are_kept(tag: bytes, full: bytes, through: Through) -> None:
    content = y4m.written(y4m.scene(2, "yuv420p"), NTSC)
    content = retagged(content, b"A0:0 C420jpeg XYSCSS=420JPEG", b"A128:117 " + tag + full)
    assert header(through(content)) == [*content.partition(b"\n")[0].replace(
        b"30000", b"60000").split()]  # fmt: skip


def test_a_film_goes_into_a_pipe_with_what_y4m_holds(through: Through, tmp_path: Path) -> None:
    frames = y4m.scene(3, "yuv420p")
    film = tmp_path / "film.mkv"
    with av.open(str(film), "w") as writer:
        stream = writer.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 66, 48, "yuv420p"
        stream.codec_context.color_range = 2
        # The second frame is shown twice as long as the others.
        for frame, pts in zip(frames, (0, 1, 3), strict=True):
            frame.pts, frame.time_base = pts, Fraction(1, 25)
            writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))
    out = through(film, factor=None, fps=50)
    shown, rate = y4m.read(out)
    assert {b"C420mpeg2", b"XCOLORRANGE=FULL"} <= set(header(out))
    assert (rate, len(shown)) == (50, 8)
    assert same([shown[0], shown[2], shown[6]], frames)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_chroma_is_taken_to_lie_where_a_film_has_it(
    pix_fmt: str, through: Through, interpolate: Interpolator, tmp_path: Path
) -> None:
    encoder = {"yuv420p": "libx264", "yuv420p10le": "libx265"}[pix_fmt]
    film, out = tmp_path / "film.mkv", tmp_path / "out.mkv"
    lossless = {"qp": "0"} if encoder == "libx264" else {"x265-params": "lossless=1:log-level=none"}
    with av.open(str(film), "w") as writer:
        stream = writer.add_stream(encoder, rate=25, options=lossless)
        stream.width, stream.height, stream.pix_fmt = 66, 48, pix_fmt
        for frame in y4m.scene(2, pix_fmt):
            writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))
    with av.open(str(film)) as reader:
        content = y4m.written(list(reader.decode(video=0)), Fraction(25))
    interpolate_video(interpolate, film, out, VideoOptions(factor=2, encoding=LOSSLESS))
    if pix_fmt == "yuv420p":
        content = retagged(content, b"C420jpeg XYSCSS=420JPEG", b"C420mpeg2")
    with av.open(str(out)) as reader:
        assert same(y4m.read(through(content))[0], list(reader.decode(video=0)))


@pytest.mark.parametrize(
    ("size", "matrix"), [((1280, 32), 1), ((32, 578), 1), ((1278, 32), 5), ((32, 576), 6)]
)
def test_a_matrix_that_y4m_cannot_hold_is_told_by_the_size(
    size: tuple[int, int], matrix: int, through: Through, interpolate: Interpolator, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    film, out = tmp_path / "film.mkv", tmp_path / "out.mkv"
    shown = []
    with av.open(str(film), "w") as writer:
        stream = writer.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.color_range, stream.codec_context.colorspace = 2, matrix
        for frame in y4m.scene(2, "yuv420p", size):
            for plane in frame.planes[1:]:  # colours that one matrix puts beyond RGB, one within
                plane.update(rng.integers(0, 256, plane.buffer_size, np.uint8))
            shown.append(frame)
            writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))
    interpolate_video(interpolate, film, out, VideoOptions(factor=2, encoding=LOSSLESS))
    content = retagged(y4m.written(shown, Fraction(25)), b" XYSCSS=420JPEG", b" XCOLORRANGE=FULL")
    with av.open(str(out)) as reader:
        assert same(y4m.read(through(content))[0], list(reader.decode(video=0)))


def test_y4m_becomes_a_film(interpolate: Interpolator, tmp_path: Path) -> None:
    content = y4m.written(y4m.scene(3, "yuv422p10le"), NTSC)
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    options = VideoOptions(factor=2, encoding=LOSSLESS)
    film = tmp_path / "film.mkv"
    with os.fdopen(reading):
        summary = interpolate_pipe(interpolate, reading, film, options)
    assert (summary.frames_written, summary.rate) == (6, 2 * NTSC)
    with av.open(str(film)) as reader:
        assert same(list(reader.decode(video=0))[::2], y4m.read(content)[0])
    with pytest.raises(OutputExistsError):
        interpolate_pipe(interpolate, film, film, options)


def test_another_pixel_format_is_written_where_it_is_asked_for(through: Through) -> None:
    content = y4m.written(y4m.scene(2, "yuv444p10le"), NTSC)
    out = through(content, encoding=Encoding(pix_fmt="yuv420p"))
    assert b"C420mpeg2" in header(out)
    assert len(y4m.read(out)[0]) == 4


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"YUV4MPEG2 ", b"RIFF", "begins with 'RIFF"),
        (b"YUV4MPEG2 W66 H48", b"YUV4MPEG2", "size"),
        (b"W66 H48", b"W99999 H99999", "its frames are 99999x99999; expected fewer than"),
        (b" Ip", b" Ip X" + b"a" * 128, "first line has more than 128 bytes"),
        (b" Ip", b" It", "is interlaced"),
        (b"F30000:1001", b"F0:0", "frame rate"),
        (b"C420jpeg", b"C444alpha", "chroma is 'C?444alpha'"),
    ],
)
def test_what_is_no_y4m_of_ours_is_refused(
    old: bytes, new: bytes, said: str, through: Through, tmp_path: Path
) -> None:
    content = y4m.written(y4m.scene(2, "yuv420p"), NTSC)
    with pytest.raises(MediaError, match=said) as caught:
        through(retagged(content, old, new))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.y4m").read_bytes()


def test_options_that_a_pipe_does_not_have_are_refused(through: Through) -> None:
    content = y4m.written(y4m.scene(2, "yuv420p"), NTSC)
    with pytest.raises(OptionError, match="codec"):
        through(content, encoding=LOSSLESS)
    with pytest.raises(MediaError, match="no pixel format nv12"):
        through(content, encoding=Encoding(pix_fmt="nv12"))


@pytest.mark.parametrize("missing", [1, 2000, 4752])
def test_a_stream_that_ends_within_a_frame_is_damaged(
    missing: int, interpolate: Interpolator, tmp_path: Path
) -> None:
    content = y4m.written(y4m.scene(3, "yuv420p"), NTSC)[:-missing]
    path = tmp_path / "in.y4m"
    path.write_bytes(content)
    with path.open("rb") as file, (tmp_path / "out.y4m").open("wb+") as out:
        done = interpolate_pipe(interpolate, file.fileno(), out.fileno(), VideoOptions(factor=2))
    assert (done.frames_read, done.frames_written) == (2, 4)
    assert "ends within a frame" in done.damage[0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"FRAME X" + b"a" * 128 + b"\n", "more than 128 bytes"),
        (b"FILM\n", "'FILM.*' is where FRAME was expected"),
    ],
)
def test_what_is_in_a_frames_place_is_said(line: bytes, said: str, through: Through) -> None:
    content = y4m.written(y4m.scene(1, "yuv420p"), NTSC)
    with pytest.raises(MediaError, match=said):
        through(content.replace(b"FRAME\n", line))


@pytest.mark.skipif(os.name == "nt", reason="pipes there always block")
def test_a_pipe_that_does_not_block_is_waited_for(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source = tmp_path / "in.y4m"
    source.write_bytes(y4m.written(y4m.scene(3, "yuv420p", (256, 192)), NTSC))
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def read() -> bytes:
        time.sleep(1)  # it is full by then
        return out.read()

    with ThreadPoolExecutor(1) as pool, os.fdopen(reading, "rb") as out:
        content = pool.submit(read)
        with os.fdopen(writing, "wb"):
            interpolate_pipe(interpolate, source, writing, VideoOptions(factor=2))
        assert len(y4m.read(content.result())[0]) == 6


@pytest.mark.parametrize("tag", [b"C420jpeg", b"C420mpeg2"])
def test_a_file_of_y4m_holds_what_a_pipe_gets(
    tag: bytes, through: Through, interpolate: Interpolator, tmp_path: Path
) -> None:
    content = retagged(y4m.written(y4m.scene(3, "yuv420p"), NTSC), b"C420jpeg", tag)
    source, output = tmp_path / "source.y4m", tmp_path / "made.y4m"
    source.write_bytes(content)
    interpolate_pipe(interpolate, source, output, VideoOptions(factor=2))
    assert output.read_bytes() == through(content)
    assert len(y4m.read(output.read_bytes())[0]) == 6
    with pytest.raises(OutputExistsError):
        interpolate_pipe(interpolate, source, output, VideoOptions(factor=2))
    options = VideoOptions(factor=2, encoding=LOSSLESS, overwrite=True)
    with pytest.raises(OptionError, match="leave out codec"):
        interpolate_pipe(interpolate, source, output, options)
    assert output.read_bytes() == through(content)
