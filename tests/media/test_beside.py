"""What a file carries beside pictures and sound arrives in the result, or is said to be missing."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import pytest
from av.stream import Disposition
from PIL import Image

from media.errors import MediaError
from media.options import VideoOptions
from media.video import interpolate_video
from runtime import Interpolator
from tests.marks import others_long
from tests.media.test_segments import Blend, clip

SRT = """1
00:00:00,200 --> 00:00:00,700
<i>first</i> ü

2
00:00:01,000 --> 00:00:02,000
second
line
"""
STYLES = "Name, Fontname, Fontsize, PrimaryColour, Bold, Italic"
ASS = f"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: {STYLES}
Style: Default,Arial,20,&H00FFFFFF,0,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.20,0:00:00.70,Default,,0,0,0,,{{\\i1}}first{{\\i0}} ü
Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,second\\Nline
"""


@pytest.fixture
def interpolate() -> Interpolator:
    return cast(Interpolator, Blend())


def made(interpolate: Interpolator, source: Path, name: str, **options: Any) -> tuple[Path, Any]:
    output = source.with_name(name)
    chosen = VideoOptions(**{"factor": 2, "cut_threshold": None, **options})
    return output, interpolate_video(interpolate, source, output, chosen)


def beside(path: Path, other: Path) -> Path:
    """A video, and the first stream of another file."""
    video = clip(path.with_name("plain.mp4"))
    with av.open(str(video)) as a, av.open(str(other)) as b, av.open(str(path), "w") as writer:
        copies = [writer.add_stream_from_template(reader.streams[0]) for reader in (a, b)]
        for reader, stream in zip((a, b), copies, strict=True):
            for packet in reader.demux():
                if packet.dts is not None:
                    packet.stream = stream
                    writer.mux(packet)
    return path


def texts(path: Path) -> list[tuple[float, float, str]]:
    """When subtitles begin, how long they are shown, and what they say, without styles."""
    shown = []
    with av.open(str(path)) as reader:
        stream = reader.streams.subtitles[0]
        for packet in reader.demux(stream):
            for text in packet.decode() if packet.size > 2 else ():
                said = cast(Any, text).dialogue.decode().replace("\\N", "\n")
                if said:
                    base = cast(Fraction, packet.time_base)
                    begin, length = cast(int, packet.pts) * base, cast(int, packet.duration) * base
                    shown.append((float(begin), float(length), said))
    return shown


@pytest.mark.parametrize(("name", "length"), others_long([("out.mp4", 2**16), ("out.webm", 2**20)]))
def test_a_text_that_is_too_long_does_not_cost_the_video(
    name: str, length: int, interpolate: Interpolator, tmp_path: Path
) -> None:
    text = tmp_path / "text.srt"
    text.write_text(SRT.replace("<i>first</i> ü", "x" * length))
    result, _ = made(interpolate, beside(tmp_path / "long.mkv", text), name)
    assert [said for _, _, said in texts(result)] == ["second\nline"]


def source_of(kind: str, folder: Path) -> Path:
    text = folder / f"text.{kind}"
    text.write_text(SRT if kind == "srt" else ASS)
    return beside(folder / f"{kind}.mkv", text)


TEXTS = [
    ("srt", "out.mp4", "mov_text"),
    ("ass", "out.mp4", "mov_text"),
    ("srt", "out.mov", "mov_text"),
    ("srt", "out.webm", "webvtt"),
]


@pytest.mark.parametrize(("kind", "name", "codec"), TEXTS)
@pytest.mark.parametrize("segment", others_long([0, 0.4]))
def test_text_is_written_as_the_container_holds_it(
    kind: str, name: str, codec: str, segment: float, interpolate: Interpolator, tmp_path: Path
) -> None:
    result, summary = made(interpolate, source_of(kind, tmp_path), name, segment=segment)
    named = "subrip" if kind == "srt" else "ass"
    assert summary.transcoded == [
        f"subtitle ({named}) as {codec}, for {result.suffix} does not hold it"
    ]
    assert summary.left_out == []
    with av.open(str(result)) as reader:
        assert reader.streams.subtitles[0].codec_context.name == codec
    first, second = texts(result)
    assert first[:2] == pytest.approx((0.2, 0.5), abs=0.002)
    assert second[:2] == pytest.approx((1, 1), abs=0.002)
    assert "first" in first[2]
    assert "ü" in first[2]
    assert "i" in first[2].partition("first")[0]  # still in italics
    assert second[2] == "second\nline"


TALK = """1
00:00:00,200 --> 00:00:01,400
<i>one</i>

2
00:00:00,600 --> 00:00:01,000
two

3
00:00:00,600 --> 00:00:01,800
three

4
00:00:02,000 --> 00:00:02,200
four
"""


@pytest.mark.parametrize("segment", others_long([0.4, 0]))
@pytest.mark.parametrize("name", ["out.mp4", "out.mov"])
def test_texts_that_overlap_are_all_shown(
    name: str, segment: float, interpolate: Interpolator, tmp_path: Path
) -> None:
    talk = tmp_path / "talk.srt"
    talk.write_text(TALK)
    result, _ = made(interpolate, beside(tmp_path / "in.mkv", talk), name, segment=segment)
    expected = [
        (0.2, 0.4, ["one"]),
        (0.6, 0.4, ["one", "two", "three"]),
        (1.0, 0.4, ["one", "three"]),
        (1.4, 0.4, ["three"]),
        (2.0, 0.2, ["four"]),
    ]
    found = texts(result)
    assert [each[:2] for each in found] == [pytest.approx(each[:2], abs=0.002) for each in expected]
    for (*_, said), (*_, lines) in zip(found, expected, strict=True):
        shown = said.split("\n")
        assert len(shown) == len(lines)
        assert all(line in text for line, text in zip(lines, shown, strict=True))
        assert ["\\i1" in text for text in shown] == [line == "one" for line in lines]


def shown_in_mp4(interpolate: Interpolator, folder: Path, kind: str, content: str) -> list[Any]:
    text = folder / f"text.{kind}"
    text.write_text(content)
    result, _ = made(interpolate, beside(folder / "in.mkv", text), "out.mp4")
    return [(begin, said.split("\n")) for begin, _, said in texts(result)]


def test_two_layers_of_a_text_are_one_and_styles_stay_its_own(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    layers = ASS.replace("[Events]", "Style: Sign,Arial,20,&H00FFFFFF,1,0\n\n[Events]")
    layers += "Dialogue: 1,0:00:01.00,0:00:02.00,Default,,0,0,0,,second\\Nline\n"
    layers += "Dialogue: 1,0:00:01.50,0:00:02.00,Sign,,0,0,0,,exit\n"
    found = shown_in_mp4(interpolate, tmp_path, "ass", layers)
    assert [begin for begin, _ in found] == pytest.approx([0.2, 1, 1.5], abs=0.002)
    assert found[1][1] == ["second", "line"]
    *_, exit_ = found[2][1]
    assert [line.strip() for line in found[2][1][:2]] == ["second", "line"]
    assert "exit" in exit_
    assert "\\b1" in exit_


def test_of_too_many_texts_the_newest_are_shown(interpolate: Interpolator, tmp_path: Path) -> None:
    lines = (
        f"{index}\n00:00:00,{index:03d} --> 00:00:02,000\n{index}\n" for index in range(1, 900)
    )
    found = shown_in_mp4(interpolate, tmp_path, "srt", "\n".join(lines))
    assert found[-1][1] == [str(index) for index in range(892, 900)]
    long = (f"{n}\n00:00:0{n},000 --> 00:00:09,000\n{str(n) * 30_000}\n" for n in (0, 1, 2))
    (tmp_path / "out.mp4").unlink()
    found = shown_in_mp4(interpolate, tmp_path, "srt", "\n".join(long))
    begun = [{line[0] for line in said} for _, said in found[:3]]
    assert begun == [{"0"}, {"0", "1"}, {"1", "2"}]  # three are more than 64 KB


def test_text_comes_back_from_mp4(interpolate: Interpolator, tmp_path: Path) -> None:
    film, _ = made(interpolate, source_of("srt", tmp_path), "film.mp4")
    result, summary = made(interpolate, film, "out.mkv")
    assert summary.transcoded == ["subtitle (mov_text) as subrip, for .mkv does not hold it"]
    assert [text[:2] for text in texts(result)] == [
        pytest.approx((0.2, 0.5), abs=0.002),
        pytest.approx((1, 1), abs=0.002),
    ]


def test_text_of_a_part_is_cut_to_it(interpolate: Interpolator, tmp_path: Path) -> None:
    source = source_of("srt", tmp_path)
    result, _ = made(interpolate, source, "out.mp4", start=Fraction(1, 2), end=Fraction(3, 2))
    first, second = texts(result)
    # The first frame is that of 0.52 s.
    assert first[:2] == pytest.approx((0, 0.18), abs=0.002)
    assert second[:2] == pytest.approx((0.48, 0.5), abs=0.002)


def test_text_is_not_rewritten_where_that_is_not_wanted(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    with pytest.raises(MediaError, match=r"\.mp4 does not hold subtitle \(subrip\)"):
        made(interpolate, source_of("srt", tmp_path), "out.mp4", transcode=False)


def covered(path: Path, kind: str) -> tuple[Path, bytes]:
    """A video with a cover, and the picture's bytes."""
    picture = path.with_name(f"cover.{kind}")
    Image.new("RGB", (40, 30), (200, 10, 10)).save(picture)
    content = picture.read_bytes()
    video = clip(path.with_name("plain.mp4"))
    with (
        av.open(str(video)) as reader,
        av.open(str(picture)) as pictures,
        av.open(str(path), "w") as writer,
    ):
        copied = writer.add_stream_from_template(reader.streams.video[0])
        if path.suffix == ".mkv":
            mimetype = "image/jpeg" if kind == "jpg" else "image/png"
            writer.add_attachment(picture.name, mimetype, content)
        else:
            cover = writer.add_stream_from_template(pictures.streams.video[0])
            cover.disposition = Disposition.attached_pic
            writer.start_encoding()
            packet: av.Packet[Any] = av.Packet(content)
            packet.pts = packet.dts = 0
            packet.time_base, packet.stream = Fraction(1), cover
            writer.mux(packet)
        for each in reader.demux():
            if each.dts is not None:
                each.stream = copied
                writer.mux(each)
    return path, content


def covers(path: Path) -> Iterator[bytes]:
    with av.open(str(path)) as reader:
        for stream in reader.streams.video:
            if stream.disposition & Disposition.attached_pic:
                yield next(bytes(packet) for packet in reader.demux(stream))


@pytest.mark.parametrize("kind", others_long(["jpg", "png"]))
@pytest.mark.parametrize("source", ["in.mp4", "in.mkv"])
@pytest.mark.parametrize("segment", others_long([0.4, 0]))
def test_covers_are_kept(
    kind: str, source: str, segment: float, interpolate: Interpolator, tmp_path: Path
) -> None:
    path, content = covered(tmp_path / source, kind)
    for name in ("out.mp4", "out.mkv"):
        result, summary = made(interpolate, path, name, segment=segment)
        assert summary.left_out == []
        assert list(covers(result)) == [content]
        with av.open(str(result)) as reader:
            assert len(list(reader.decode(video=0))) == 120
    for name in ("out.webm", "out.mov", "out.gif"):
        _, summary = made(interpolate, path, name, segment=segment, end=Fraction(1, 5))
        suffix = Path(name).suffix
        assert summary.left_out == [f"cover picture, stream 1, which {suffix} cannot hold"]


def test_data_with_times_is_kept_in_a_transport_stream(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    video, source = clip(tmp_path / "plain.mp4"), tmp_path / "in.ts"
    with av.open(str(video)) as reader, av.open(str(source), "w") as writer:
        copied = writer.add_stream_from_template(reader.streams.video[0])
        data = writer.add_data_stream("klv")
        packets = [packet for packet in reader.demux() if packet.dts is not None]
        for index, packet in enumerate(packets):
            packet.stream = copied
            writer.mux(packet)
            if index % 25 == 0:
                about: av.Packet[Any] = av.Packet(b"\x06\x0e+4" + bytes(12) + bytes([index]))
                about.pts = about.dts = index * 3600
                about.time_base, about.stream = Fraction(1, 90000), data
                writer.mux(about)

    def read(path: Path) -> list[tuple[float, bytes]]:
        with av.open(str(path)) as reader:
            stream = reader.streams.data[0]
            first = next(reader.decode(video=0)).time or 0
            reader.seek(0)
            packets = [packet for packet in reader.demux(stream) if packet.pts is not None]
            return [(round(float(p.pts * p.time_base) - first, 2), bytes(p)) for p in packets]  # type: ignore[operator]

    result, summary = made(interpolate, source, "out.ts")
    assert summary.left_out == []
    assert read(result) == read(source)
    assert len(read(source)) == 3
    _, summary = made(interpolate, source, "out.mp4")
    assert summary.left_out == [
        "data stream 1, for it may point at frames of the source (chapters are kept)"
    ]
