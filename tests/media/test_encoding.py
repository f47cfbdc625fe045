"""What a source has beside its pictures is in the output, or refused, or said on the result."""

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from media.encoding import Encoding
from media.errors import MediaError
from media.options import VideoOptions
from media.qualities import quality_of
from media.video import interpolate_video
from runtime import Interpolator, OptionError
from runtime.scene import render_bytes


def frames_of(pix_fmt: str, size: tuple[int, int] = (96, 64), count: int = 3) -> list[Any]:
    return [
        av.VideoFrame.from_ndarray(render_bytes(size[1], size[0], time), format="rgb24").reformat(
            format=pix_fmt
        )
        for time in range(count)
    ]


def write(
    path: Path, codec: str, pix_fmt: str, size: tuple[int, int] = (96, 64), **options: str
) -> Path:
    """Encode three frames at 10 a second."""
    with av.open(str(path), "w") as writer:
        encoder: Any = writer.add_stream(codec, rate=Fraction(10), options=options)
        (encoder.width, encoder.height), encoder.pix_fmt = size, pix_fmt
        for index, frame in enumerate(frames_of(pix_fmt, size)):
            frame.pts, frame.time_base = index, Fraction(1, 10)
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    return path


def doubled(**encoding: Any) -> VideoOptions:
    return VideoOptions(factor=Fraction(2), encoding=Encoding(**encoding))


def format_of(path: Path) -> str:
    with av.open(str(path)) as reader:
        return next(reader.decode(video=0)).format.name


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [
        ("qtrle", "argb", ".mov"),
        ("prores_ks", "yuva444p10le", ".mov"),
        ("libvpx-vp9", "yuva420p", ".webm"),
    ],
)
def test_alpha_is_refused_or_left_out_on_demand(
    codec: str, pix_fmt: str, suffix: str, interpolate: Interpolator, tmp_path: Path
) -> None:
    source = write(tmp_path / f"in{suffix}", codec, pix_fmt)
    for encoding in ({}, {"codec": "ffv1", "pix_fmt": "yuva420p"}):
        with pytest.raises(MediaError, match=r"has alpha, .* such as yuv420p"):
            interpolate_video(interpolate, source, tmp_path / "out.mkv", doubled(**encoding))
        assert not (tmp_path / "out.mkv").exists()
    summary = interpolate_video(
        interpolate, source, tmp_path / "out.mkv", doubled(pix_fmt="yuv420p")
    )
    assert summary.left_out == ["alpha, for the pixel format asked for has none"]
    with av.open(str(tmp_path / "out.mkv")) as reader:
        assert "alpha_mode" not in {key.lower() for key in reader.streams.video[0].metadata}


def write_gif(path: Path, clear: int | None) -> Path:
    """Write three frames; one of 256 colours is clear, if one is asked for."""
    stills = [Image.fromarray(render_bytes(96, 64, time)).quantize(256) for time in range(3)]
    options = {} if clear is None else {"transparency": clear, "disposal": 2}
    stills[0].save(path, save_all=True, append_images=stills[1:], duration=40, **options)
    return path


def test_a_gif_that_is_opaque_is_not_refused_for_alpha(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source = write_gif(tmp_path / "in.gif", None)
    summary = interpolate_video(interpolate, source, tmp_path / "out.mkv", doubled())
    assert summary.frames_read == 3
    assert not any("alpha" in lost for lost in summary.left_out)
    clear = write_gif(tmp_path / "clear.gif", 5)
    with pytest.raises(MediaError, match="has alpha") as refused:
        interpolate_video(interpolate, clear, tmp_path / "none.mkv", doubled())
    assert refused.value.remedy == ("pix_fmt", "yuv420p")


CODECS_BY_QUALITY = (
    "libx264", "libx265", "libvpx", "libvpx-vp9", "libsvtav1", "prores_ks", "mpeg4",
    "h264_nvenc", "hevc_nvenc", "av1_nvenc", "h264_qsv", "hevc_qsv", "av1_qsv", "vp9_qsv",
    "h264_videotoolbox", "hevc_videotoolbox", "libaom-av1", "hevc_vaapi",
)  # fmt: skip
MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"


def hdr10(path: Path) -> Path:
    params = f"log-level=none:hdr10=1:master-display={MASTERING}:max-cll=1000,400"
    return write(path, "libx265", "yuv420p10le", **{"x265-params": params})


def light(path: Path) -> tuple[tuple[Fraction, ...], tuple[int, ...]]:
    """Return what players are told of a video's light, as FFmpeg decodes it."""
    with av.open(str(path)) as reader:
        carried: Any = next(reader.decode(video=0)).side_data
        display = struct.unpack_from("20i2i", bytes(carried["MASTERING_DISPLAY_METADATA"]))
        assert display[20:] == (1, 1)
        pairs = zip(display[:20:2], display[1:20:2], strict=True)
        peaks = struct.unpack_from("2I", bytes(carried["CONTENT_LIGHT_LEVEL"]))
        return tuple(Fraction(*pair) for pair in pairs), peaks


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mkv", None), (".mp4", None), (".mov", None), (".mkv", "libsvtav1"), (".mp4", "libsvtav1"),
     (".webm", "libsvtav1")],
)  # fmt: skip
def test_hdr10_metadata_arrives(
    suffix: str, codec: str | None, interpolate: Interpolator, tmp_path: Path
) -> None:
    source, output = hdr10(tmp_path / "in.mkv"), tmp_path / f"out{suffix}"
    summary = interpolate_video(interpolate, source, output, doubled(codec=codec))
    assert summary.left_out == []
    (ours, peaks), (theirs, wanted) = light(output), light(source)
    assert peaks == wanted == (1000, 400)
    assert ours[8:] == pytest.approx(theirs[8:], rel=1e-4, abs=1e-4)  # luminance
    # AV1 has steps of 1/65536 where H.265 has 1/50000.
    assert ours[:8] == pytest.approx(theirs[:8], abs=0 if codec is None else 1e-5)


def test_hdr10_metadata_that_an_encoder_is_not_told_is_said(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source = hdr10(tmp_path / "in.mkv")
    output = tmp_path / "out.mkv"
    summary = interpolate_video(interpolate, source, output, doubled(codec="ffv1"))
    assert summary.left_out == [
        f"HDR10 metadata ({what}), which libx265 and libsvtav1 are told, and ffv1 is not"
        for what in ("mastering display", "content light level")
    ]


@pytest.mark.parametrize(
    ("pix_fmt", "suffix", "codec"),
    [
        ("yuv420p", ".mp4", "h264"),
        ("yuv420p10le", ".mp4", "hevc"),
        ("yuv422p10le", ".mkv", "hevc"),
        ("yuv420p10le", ".webm", "libdav1d"),
    ],
)
def test_what_is_deep_gets_an_encoder_that_players_know(
    pix_fmt: str, suffix: str, codec: str, interpolate: Interpolator, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.mkv", "ffv1", pix_fmt)
    output = tmp_path / f"out{suffix}"
    interpolate_video(interpolate, source, output, doubled())
    with av.open(str(output)) as reader:
        context = reader.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == (codec, pix_fmt)
        if suffix == ".mp4":  # Apple's players take no other
            assert context.codec_tag == {"hevc": "hvc1", "h264": "avc1"}[codec]


def test_x265_is_not_given_what_it_crashes_on(interpolate: Interpolator, tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", "ffv1", "yuv420p10le", (48, 40))
    with pytest.raises(MediaError, match="crashes where no side has 64 pixels"):
        interpolate_video(interpolate, source, tmp_path / "a.mkv", doubled(codec="libx265"))
    interpolate_video(interpolate, source, tmp_path / "b.mkv", doubled())
    assert format_of(tmp_path / "b.mkv") == "yuv420p10le"


@pytest.mark.parametrize("codec", CODECS_BY_QUALITY)
def test_the_number_is_the_encoders_own_quality(
    codec: str, interpolate: Interpolator, tmp_path: Path
) -> None:
    source = write(
        tmp_path / "in.mkv", "ffv1", "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    )
    quality = quality_of(codec)
    best = quality.best if quality and quality.best < quality.worst else 18
    sizes, refused = [], ""
    for number in (best, 18, 30):
        output = tmp_path / f"{number}.mkv"
        try:
            interpolate_video(interpolate, source, output, doubled(codec=codec, crf=number))
        except MediaError as error:
            refused = str(error)
        else:
            sizes.append(output.stat().st_size)
    if refused:  # as this machine, or this FFmpeg, lacks it
        lacks = ("Cannot load libcuda", "MFX session", f"no encoder {codec} here")
        assert any(why in refused for why in lacks)
        assert codec in refused
        assert "\n" not in refused
        assert list(tmp_path.iterdir()) == [source]
        return
    assert sizes[1] > 1.05 * sizes[2]
    assert sizes[0] > 1.05 * sizes[1] or best == 18


@pytest.mark.parametrize(
    ("pix_fmt", "size", "encoding", "written", "said"),
    [
        ("yuv420p12le", (96, 64), {"codec": "libx264"}, "yuv420p10le", "12 bits to 10"),
        ("yuv420p12le", (96, 64), {"codec": "libx265"}, "yuv420p12le", None),
        ("yuv420p", (33, 27), {}, "yuv444p", "YUV 4:2:0 to YUV 4:4:4"),
        ("yuv420p", (33, 27), {"codec": "ffv1"}, "yuv420p", None),
        ("gbrp", (96, 64), {}, "yuv420p", "RGB to YUV 4:2:0"),
        ("gbrp", (96, 64), {"codec": "libx265"}, "gbrp", None),
        ("bgr0", (96, 64), {"pix_fmt": "yuv420p"}, "yuv420p", None),  # as was asked for
        ("gray", (96, 64), {"codec": "mpeg4"}, "yuv420p", None),
    ],
)
def test_pixels_are_kept_or_their_loss_is_said(
    pix_fmt: str,
    size: tuple[int, int],
    encoding: dict[str, str],
    written: str,
    said: str | None,
    interpolate: Interpolator,
    tmp_path: Path,
) -> None:
    codec, container = ("rawvideo", "nut") if pix_fmt == "gbrp" else ("ffv1", "mkv")
    source = write(tmp_path / f"in.{container}", codec, pix_fmt, size)
    summary = interpolate_video(interpolate, source, tmp_path / "out.mkv", doubled(**encoding))
    assert format_of(tmp_path / "out.mkv") == written
    expected = [f"pixel format {pix_fmt}, written as {written}: {said}"] if said else []
    assert summary.left_out == expected


@pytest.mark.parametrize("suffix", [".webm", ".mp4"])
def test_vp9_takes_odd_sizes_as_they_are(
    suffix: str, interpolate: Interpolator, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.mkv", "ffv1", "yuv420p", (33, 27))
    output = tmp_path / f"out{suffix}"
    summary = interpolate_video(interpolate, source, output, doubled(codec="libvpx-vp9"))
    assert format_of(output) == "yuv420p"
    assert summary.left_out == []


def many_streams(path: Path, *, late: int = 0) -> Path:
    """Sound, pictures that begin `late` tenths of a second after it, sound, and a font."""
    with av.open(str(path), "w", container_options={"default_mode": "passthrough"}) as writer:
        tracks: list[Any] = []
        for kind, language, disposition in (
            ("aac", "deu", Disposition(0)),
            ("libx264", "jpn", Disposition.default),
            ("aac", "eng", Disposition.default | Disposition.forced),
        ):
            rate: Any = 8000 if kind == "aac" else Fraction(10)
            track: Any = writer.add_stream(kind, rate=rate)
            track.metadata["language"] = language
            track.disposition = disposition
            tracks.append(track)
        tracks[1].width, tracks[1].height, tracks[1].pix_fmt = 96, 64, "yuv420p"
        if path.suffix == ".mkv":
            writer.add_attachment("a.ttf", "application/x-truetype-font", b"a font" * 50)
        chapter = {"time_base": Fraction(1, 1000), "metadata": {"title": "one"}}
        writer.set_chapters([{"id": 1, "start": 100, "end": 900, **chapter}])  # type: ignore[typeddict-item]
        for track in (tracks[0], tracks[2]):
            for index in range(12):
                samples = np.sin(np.arange(1024) / 5, dtype=np.float32)[np.newaxis]
                audio = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
                audio.rate, audio.pts = 8000, 1024 * index
                writer.mux(track.encode(audio))
            writer.mux(track.encode(None))
        for index, frame in enumerate(frames_of("yuv420p")):
            frame.pts, frame.time_base = index + late, Fraction(1, 10)
            writer.mux(tracks[1].encode(frame))
        writer.mux(tracks[1].encode(None))
    return path


def test_streams_keep_order_languages_and_dispositions(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source = many_streams(tmp_path / "in.mkv")
    summary = interpolate_video(interpolate, source, tmp_path / "out.mkv", doubled())
    assert summary.left_out == []
    told = []
    for path in (source, tmp_path / "out.mkv"):
        with av.open(str(path)) as reader:
            told.append(
                [(s.type, s.metadata.get("language"), int(s.disposition)) for s in reader.streams]
            )
            font: Any = reader.streams[3]
            assert (font.name, bytes(font.data)) == ("a.ttf", b"a font" * 50)
    assert told[0][:3] == [("audio", "deu", 0), ("video", "jpn", 1), ("audio", "eng", 65)]
    assert told[0] == told[1]


def heard(path: Path) -> tuple[float, float, list[float]]:
    """How many seconds a player hears, when it sees the first frame, and the chapters' times."""
    with av.open(str(path)) as reader:
        track = reader.streams.audio[0]
        frames = [frame for frame in reader.decode(track) if frame.pts is not None]
        samples = sum(frame.samples for frame in frames if frame.pts >= 0) / track.rate
        (chapter,) = reader.chapters()
        reader.seek(0)
        first = next(reader.decode(video=0))
        times = [float(chapter[end] * chapter["time_base"]) for end in ("start", "end")]
        return samples, float(first.pts * first.time_base), times


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("options", [doubled(), VideoOptions(fps=Fraction(24))])
def test_sound_and_chapters_before_a_late_picture_are_kept(
    suffix: str, options: VideoOptions, interpolate: Interpolator, tmp_path: Path
) -> None:
    source = many_streams(tmp_path / f"in{suffix}", late=7)
    interpolate_video(interpolate, source, tmp_path / f"out{suffix}", options)
    samples, seen, chapters = heard(source)
    ours = heard(tmp_path / f"out{suffix}")
    assert seen == pytest.approx(0.7, abs=0.002)
    assert ours[0] == pytest.approx(samples, abs=0.02)
    # Where frames lie on a beat of 24 a second, all is moved until the first does.
    assert -0.002 <= ours[1] - seen <= 1 / 24
    assert ours[2] == pytest.approx(chapters, abs=1 / 24)


def test_what_webm_and_mp4_cannot_hold_is_said(interpolate: Interpolator, tmp_path: Path) -> None:
    source = many_streams(tmp_path / "in.mkv")
    webm = interpolate_video(interpolate, source, tmp_path / "out.webm", doubled())
    attachment = "attachment stream 3, which {} cannot hold"
    assert webm.left_out == [attachment.format(".webm")]
    assert webm.transcoded == ["audio (aac) as libopus, for .webm does not hold it"] * 2
    with av.open(str(tmp_path / "out.webm")) as reader:
        assert [stream.type for stream in reader.streams] == ["audio", "video", "audio"]
    mp4 = interpolate_video(interpolate, source, tmp_path / "out.mp4", doubled())
    assert mp4.left_out == [attachment.format(".mp4")]


def test_pictured_subtitles_are_copied(interpolate: Interpolator, tmp_path: Path) -> None:
    """FFmpeg decodes them, but has no encoder for them."""
    segment = b"PG" + bytes(8)
    display = bytes([0x80, 0, 0])
    text = tmp_path / "in.sup"
    text.write_bytes(segment + display)
    video = write(tmp_path / "plain.mp4", "libx264", "yuv420p")
    source = tmp_path / "in.mkv"
    with (
        av.open(str(video)) as reader,
        av.open(str(text)) as words,
        av.open(str(source), "w") as writer,
    ):
        copies = [writer.add_stream_from_template(r.streams[0]) for r in (reader, words)]
        for container, copied in zip((reader, words), copies, strict=True):
            for packet in container.demux():
                if packet.dts is not None:
                    packet.stream = copied
                    writer.mux(packet)
    summary = interpolate_video(interpolate, source, tmp_path / "out.mkv", doubled())
    assert summary.left_out == []
    with av.open(str(tmp_path / "out.mkv")) as reader:
        assert [stream.type for stream in reader.streams] == ["video", "subtitle"]


def test_timecodes_of_other_rates_are_not_copied(interpolate: Interpolator, tmp_path: Path) -> None:
    source = tmp_path / "in.mov"
    with av.open(str(source), "w") as writer:
        encoder: Any = writer.add_stream("libx264", rate=Fraction(30000, 1001))
        encoder.width, encoder.height, encoder.pix_fmt = 96, 64, "yuv420p"
        encoder.metadata["timecode"] = "01:00:00;02"
        for frame in frames_of("yuv420p"):
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    options = VideoOptions(factor=Fraction(3))
    summary = interpolate_video(interpolate, source, tmp_path / "out.mov", options)
    assert [line.split(" ")[0] for line in summary.left_out] == ["data"]
    with av.open(str(tmp_path / "out.mov")) as reader:
        assert [stream.type for stream in reader.streams] == ["video"]


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ({"crf": 99}, "a constant quality of 99; libx264 has 0, the best, to 51"),
        ({"codec": "libx265", "crf": 52}, "libx265 has 0, the best, to 51"),
        ({"codec": "libvpx-vp9", "crf": 64}, "libvpx-vp9 has 0, the best, to 63"),
        ({"codec": "libsvtav1", "crf": 64}, "libsvtav1 has 1, the best, to 63"),
        ({"codec": "ffv1", "crf": 17}, "ffv1 has no constant quality"),
        ({"preset": "quick"}, "libx264 has no preset quick; it has ultrafast"),
        ({"codec": "libx265", "preset": "quick"}, "libx265 has no preset quick; it has ultrafast"),
        ({"codec": "libsvtav1", "preset": "slow"}, "libsvtav1 has no preset slow"),
        ({"codec": "libvpx-vp9", "preset": "slow"}, "libvpx-vp9 has no preset slow"),
        ({"codec": "ffv1", "preset": "slow"}, "ffv1 has no preset slow"),
        ({"codec": "libx265", "pix_fmt": "yuv420p"}, "libx265 does not encode yuv444p of 33x27"),
    ],
)
def test_what_the_encoder_does_not_take_is_refused_before_the_work(
    encoding: dict[str, Any], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "in.mkv", "ffv1", "yuv444p", (33, 27))
    capfd.readouterr()

    class Unused:
        def fill(self, _: Any) -> Any:
            pytest.fail("the work has begun")

    unused: Any = Unused()
    with pytest.raises(MediaError, match=message):
        interpolate_video(unused, source, tmp_path / "out.mkv", doubled(**encoding))
    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "out.mkv").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crf": "a"}, "crf is 'a'; expected a whole number, 0 or more"),
        ({"crf": -1}, "crf is -1; expected a whole number, 0 or more"),
        ({"codec": 3}, "codec is 3; expected a name that FFmpeg knows"),
        ({"preset": 3}, "preset is 3; expected a name"),
    ],
)
def test_what_is_no_encoding_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Encoding(**options)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "libvpx-vp9"])
def test_encoders_do_not_write_to_the_terminal(
    codec: str, interpolate: Interpolator, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "in.mkv", "ffv1", "yuv420p")
    capfd.readouterr()
    interpolate_video(interpolate, source, tmp_path / "out.mkv", doubled(codec=codec))
    assert capfd.readouterr() == ("", "")
    with av.open(str(tmp_path / "out.mkv")) as reader:
        assert sum(1 for _ in reader.decode(video=0)) == 6
