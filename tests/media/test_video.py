import io
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from media.colour import ACCURATE, SourceFrame, video_frame
from media.encoding import Encoding
from media.errors import MediaError
from media.images.stills import Still, read_still, write_still
from media.options import VideoOptions
from media.video import interpolate_video, write_video
from runtime import (
    FrameError,
    InputNotFoundError,
    Interpolator,
    OptionError,
    OutputError,
    OutputExistsError,
)
from runtime.scene import render, render_bytes


def planes(frame: av.VideoFrame) -> list[np.ndarray]:
    """The planes in 8-bit levels."""
    result = []
    for plane, component in zip(frame.planes, frame.format.components, strict=True):
        dtype = np.uint8 if component.bits == 8 else np.uint16
        rows = np.frombuffer(bytes(plane), dtype).reshape(plane.height, -1)
        result.append(rows[:, : plane.width] / 2 ** (component.bits - 8))
    return result


def decode(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as reader:
        return list(reader.decode(video=0))


def write(path: Path, frames: list[av.VideoFrame], rate: Fraction, **tags: int) -> Path:
    """Encode frames losslessly."""
    with av.open(str(path), "w") as writer:
        encoder = writer.add_stream("libx264", rate=rate, options={"qp": "0"})
        encoder.width, encoder.height = frames[0].width, frames[0].height
        encoder.pix_fmt = frames[0].format.name
        for tag, value in tags.items():
            setattr(encoder.codec_context, tag, value)
        for index, frame in enumerate(frames):
            frame.pts, frame.time_base = index, 1 / rate
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    return path


def scene_frames(count: int, pix_fmt: str = "yuv420p", size: tuple[int, int] = (96, 64)) -> list:
    width, height = size
    frames = []
    for time in range(count):
        rgb = np.rint(render(height, width, time) * 255).astype(np.uint8)
        frames.append(av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pix_fmt))
    return frames


def multiplied(factor: int, **options: Any) -> VideoOptions:
    return VideoOptions(factor=Fraction(factor), **options)


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001)])
@pytest.mark.parametrize("factor", [2, 3])
def test_frame_count_and_rate_are_exact(
    rate: Fraction, factor: int, interpolate: Interpolator, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.mp4", scene_frames(5), rate)
    seen: list[tuple[int, int]] = []
    summary = interpolate_video(
        interpolate,
        source,
        tmp_path / "out.mp4",
        multiplied(factor),
        progress=lambda *n: seen.append(n[:2]),
    )
    with av.open(str(tmp_path / "out.mp4")) as reader:
        stream = reader.streams.video[0]
        assert stream.average_rate == rate * factor
        times = [frame.pts * frame.time_base for frame in reader.decode(video=0)]
        packets = list(reader.demux(stream)) if reader.seek(0) is None else []
    assert len(times) == 5 * factor
    assert sum(packet.duration * packet.time_base for packet in packets) == 5 / rate
    for index, time in enumerate(times):
        assert abs(time - index / (rate * factor)) <= stream.time_base
    assert (summary.frames_read, summary.frames_written) == (5, 5 * factor)
    assert (summary.frames_made, summary.frames_repeated) == (4 * factor - 4, factor - 1)
    assert summary.rate == rate * factor
    assert seen == [(index, 5 * factor) for index in range(1, 5 * factor + 1)]


def test_made_frames_show_the_middle_of_the_motion(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.mkv", scene_frames(3, "yuv444p", (160, 96)), Fraction(25))
    interpolate_video(interpolate, source, tmp_path / "out.mkv", multiplied(2))
    for index, frame in enumerate(decode(tmp_path / "out.mkv")):
        shown = frame.to_ndarray(format="rgb24") / 255
        errors = [np.abs(shown - render(96, 160, time)).mean() for time in (0, 0.5, 1, 1.5, 2)]
        assert int(np.argmin(errors)) == min(index, 4)  # the last is shown until the end


CLIPS = {
    "limited": ("yuv420p", {}),
    "BT.709": ("yuv420p", {"colorspace": 1, "color_primaries": 1, "color_trc": 1}),
    "full range": ("yuvj420p", {"color_range": 2, "colorspace": 1}),
    "10 bits": ("yuv420p10le", {"colorspace": 9, "color_primaries": 9}),
    "4:2:2": ("yuv422p", {}),
}


def saturated(pix_fmt: str) -> av.VideoFrame:
    """A frame of chroma so strong that RGB holds only part of it."""
    frame = av.VideoFrame(96, 64, pix_fmt)
    for plane, component in zip(frame.planes, frame.format.components, strict=True):
        dtype = np.uint8 if component.bits == 8 else np.uint16
        columns = plane.line_size // np.dtype(dtype).itemsize
        y, x = np.mgrid[0 : plane.height, 0:columns]
        levels = 128 + 100 * np.sin(x / 9 + y / 13 + 2 * component.plane)
        plane.update((levels * 2 ** (component.bits - 8)).astype(dtype).tobytes())
    return frame


@pytest.mark.parametrize("clip", CLIPS)
def test_still_clip_does_not_flicker(clip: str, interpolate: Interpolator, tmp_path: Path) -> None:
    pix_fmt, tags = CLIPS[clip]
    frames = [saturated(pix_fmt) for _ in range(3)]
    source = write(tmp_path / "in.mkv", frames, Fraction(25), **tags)
    decoded = decode(source)
    pair = [SourceFrame.of(decoded[0]), SourceFrame.of(decoded[1])]
    made = video_frame(interpolate(pair[0].rgb, pair[1].rgb), 0.5, *pair)
    assert made.format.name == decoded[0].format.name
    for ours, theirs in zip(planes(made), planes(decoded[0]), strict=True):
        assert abs((ours - theirs).mean()) <= 0.1


@pytest.mark.parametrize("clip", CLIPS)
def test_pixel_format_and_colour_tags_are_kept(
    clip: str, interpolate: Interpolator, tmp_path: Path
) -> None:
    pix_fmt, tags = CLIPS[clip]
    source = write(tmp_path / "in.mkv", scene_frames(2, pix_fmt), Fraction(25), **tags)
    interpolate_video(interpolate, source, tmp_path / "out.mkv", multiplied(2))
    ours, theirs = decode(tmp_path / "out.mkv")[1], decode(source)[0]
    assert ours.format.name == theirs.format.name
    for tag in ("color_range", "colorspace", "color_primaries", "color_trc"):
        assert getattr(ours, tag) == getattr(theirs, tag), tag


def test_real_clip_does_not_flicker(data: Path, interpolate: Interpolator, tmp_path: Path) -> None:
    with av.open(str(data / "clips" / "bikes.mp4")) as reader:
        frame = next(reader.decode(video=0))
    source = write(tmp_path / "still.mkv", [frame] * 10, Fraction(25))
    interpolate_video(interpolate, source, tmp_path / "out.mkv", multiplied(2))
    frames = decode(tmp_path / "out.mkv")
    assert len(frames) == 20
    for original, made in zip(frames[0::2], frames[1::2], strict=False):
        for ours, theirs in zip(planes(made), planes(original), strict=True):
            assert abs((ours - theirs).mean()) <= 0.1


@pytest.mark.parametrize("size", [(33, 27), (2, 2), (34, 27)])
def test_odd_sizes(size: tuple[int, int], interpolate: Interpolator, tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", scene_frames(2, "yuv444p", size), Fraction(10))
    interpolate_video(interpolate, source, tmp_path / "out.mp4", multiplied(2))
    frames = decode(tmp_path / "out.mp4")
    assert [(frame.width, frame.height) for frame in frames] == [size] * 4


@pytest.mark.parametrize("codec", ["ffv1", "libx264rgb"])
def test_rgb_sources_keep_their_colours(
    codec: str, interpolate: Interpolator, tmp_path: Path
) -> None:
    path = tmp_path / "in.mkv"
    pix_fmt = "bgr0" if codec == "ffv1" else "rgb24"
    with av.open(str(path), "w") as writer:
        encoder = writer.add_stream(codec, rate=Fraction(10), options={"qp": "0"})
        encoder.width, encoder.height, encoder.pix_fmt = 96, 64, pix_fmt
        for frame in scene_frames(2, pix_fmt):
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    interpolate_video(interpolate, path, tmp_path / "out.mp4", multiplied(2))
    shown = decode(tmp_path / "out.mp4")
    assert len(shown) == 4
    assert (shown[0].colorspace, shown[0].color_range) == (1, 1)
    for frame, time in zip(shown, (0, 0.5, 1, 1), strict=True):
        rgb = frame.reformat(
            format="rgb24", src_colorspace="itu709", src_color_range=1, interpolation=ACCURATE
        ).to_ndarray()
        assert np.abs(rgb / 255 - render(64, 96, time)).mean() < 0.03


def squeezed(path: Path, aspect: Fraction, group: int) -> Path:
    """Six frames of pixels that are not square, with a key frame each `group`."""
    with av.open(str(path), "w") as writer:
        encoder = writer.add_stream("libx264", rate=Fraction(10), options={"g": str(group)})
        encoder.width, encoder.height, encoder.pix_fmt = 96, 64, "yuv420p"
        encoder.codec_context.sample_aspect_ratio = aspect
        for frame in scene_frames(6):
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec"), [("out.mkv", "ffv1"), ("out.mov", "prores_ks"), ("out.mkv", "libvpx-vp9")]
)
@pytest.mark.parametrize("segment", [0, 0.2])
def test_pixel_aspect_is_kept_or_said_to_be_lost(
    name: str, codec: str, segment: float, interpolate: Interpolator, tmp_path: Path
) -> None:
    path = squeezed(tmp_path / "in.mp4", Fraction(128, 117), 2)
    options = multiplied(2, encoding=Encoding(codec=codec), segment=segment)
    done = interpolate_video(interpolate, path, tmp_path / name, options)
    with av.open(str(tmp_path / name)) as reader:
        kept = reader.streams.video[0].sample_aspect_ratio == Fraction(128, 117)
    assert kept is not any("pixel aspect of 128/117" in line for line in done.left_out)


def test_pixel_aspect_is_kept_and_key_frames_are_the_encoders(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    path = squeezed(tmp_path / "in.mkv", Fraction(4, 3), 1)  # every frame is a key frame
    interpolate_video(interpolate, path, tmp_path / "out.mkv", multiplied(2))
    with av.open(str(tmp_path / "out.mkv")) as reader:
        assert reader.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
        assert sum(frame.key_frame for frame in reader.decode(video=0)) == 1


def test_reordered_frames_of_an_avi_are_shown_in_order(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    """AVI has no times of showing."""
    with av.open(str(tmp_path / "in.avi"), "w") as writer:
        encoder = writer.add_stream("libx264", rate=25, options={"bf": "2", "b-pyramid": "none"})
        encoder.width, encoder.height, encoder.pix_fmt = 96, 64, "yuv420p"
        for frame in scene_frames(12):
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    interpolate_video(interpolate, tmp_path / "in.avi", tmp_path / "out.mkv", multiplied(2))
    made = decode(tmp_path / "out.mkv")
    assert [round(frame.time * 50) for frame in made] == list(range(24))
    for index, frame in enumerate(made[::2]):
        shown = frame.to_ndarray(format="rgb24") / 255
        errors = [np.abs(shown - render(64, 96, time)).mean() for time in range(12)]
        assert int(np.argmin(errors)) == index


def test_webm(interpolate: Interpolator, tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", scene_frames(3), Fraction(25))
    interpolate_video(interpolate, source, tmp_path / "out.webm", multiplied(2))
    for index, frame in enumerate(decode(tmp_path / "out.webm")):
        shown = frame.to_ndarray(format="rgb24") / 255
        assert np.abs(shown - render(64, 96, min(index / 2, 2))).mean() < 0.04


def test_odd_ten_bits_stay_ten(interpolate: Interpolator, tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", scene_frames(2, "yuv444p10le", (33, 27)), Fraction(10))
    interpolate_video(interpolate, source, tmp_path / "out.mkv", multiplied(2))
    assert {frame.format.name for frame in decode(tmp_path / "out.mkv")} == {"yuv444p10le"}


def test_big_endian_planes_are_read_as_such(interpolate: Interpolator) -> None:
    levels = (np.arange(64 * 96, dtype=np.uint16) * 10).reshape(64, 96)
    video = av.VideoFrame.from_ndarray(levels, format="gray16be")
    source = SourceFrame.of(video)
    made = video_frame(interpolate(source.rgb, source.rgb), 0.5, source, source)
    assert np.abs(made.to_ndarray().astype(int) - levels).mean() < 300  # of 65535


def test_names_and_tags_that_trip_over(interpolate: Interpolator, tmp_path: Path) -> None:
    source = write(tmp_path / "12:30 {a} [b].mkv", scene_frames(2), Fraction(25))
    interpolate_video(interpolate, source, tmp_path / "out:1.mkv", multiplied(2))
    assert len(decode(tmp_path / "out:1.mkv")) == 4


def test_errors_name_the_file_at_fault(interpolate: Interpolator, tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", scene_frames(2, "yuv444p", (33, 27)), Fraction(25))
    with pytest.raises(MediaError, match=r"out\.mp3: no container .* use one of \.mp4"):
        interpolate_video(interpolate, source, tmp_path / "out.mp3", multiplied(2))
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        interpolate_video(
            interpolate, source, tmp_path / "folder.mp4", multiplied(2, overwrite=True)
        )


def test_write_video_keeps_colours(tmp_path: Path) -> None:
    rgb = np.zeros((64, 96, 3), np.uint8) + np.array([200, 60, 20], np.uint8)
    write_video(tmp_path / "x.mp4", [rgb] * 3, Fraction(24))
    (first, *_) = decode(tmp_path / "x.mp4")
    shown = first.reformat(format="rgb24", src_colorspace="itu709", src_color_range=1)
    assert np.abs(shown.to_ndarray().astype(int) - rgb).max() <= 3


@pytest.mark.parametrize("rate", [25, 25.0, np.float32(25), Fraction(25)])
def test_write_video_takes_any_number_for_a_rate(rate: float, tmp_path: Path) -> None:
    write_video(tmp_path / "x.mp4", [np.zeros((32, 32, 3), np.uint8)] * 3, rate)
    with av.open(str(tmp_path / "x.mp4")) as reader:
        assert (reader.streams.video[0].average_rate, len(decode(tmp_path / "x.mp4"))) == (25, 3)


@pytest.mark.parametrize("rate", [0, -1, "25", None, float("nan"), Fraction(10**9)])
def test_write_video_refuses_what_is_no_rate(rate: Any, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"rate is .*; expected a (rate above 0|number)"):
        write_video(tmp_path / "x.mp4", [np.zeros((32, 32, 3), np.uint8)], rate)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([np.zeros((h, 32, 3), np.uint8) for h in (32, 64)], "two sizes, 32x32 and 32x64"),
        ([np.zeros((32, 32, 3), np.float32)], "frame 0 is float32; expected uint8"),
        ([np.zeros((32, 32), np.uint8)], r"frame 0 has shape \(32, 32\); expected \(H, W, 3\)"),
        ([np.zeros((32, 32, 4), np.uint8)], r"frame 0 has shape \(32, 32, 4\)"),
        ([[[1, 2, 3]]], "frame 0 is a list; expected a numpy array"),
        (None, "frames is a NoneType; expected a list"),
    ],
)
def test_write_video_refuses_what_are_no_frames(frames: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(FrameError, match=message):
        write_video(tmp_path / "x.mp4", frames, 25)
    assert not [*tmp_path.iterdir()]


def audio_only(path: Path) -> None:
    with av.open(str(path), "w") as writer:
        encoder = writer.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        frame.rate = 8000
        writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))


def broken_sources(folder: Path) -> Iterator[tuple[Path, str]]:
    text = folder / "text.mp4"
    text.write_text("no video")
    yield text, "text.mp4: "
    empty = folder / "empty.mp4"
    empty.touch()
    yield empty, "empty.mp4: "
    cut = folder / "cut.mp4"
    cut.write_bytes(write(folder / "whole.mp4", scene_frames(3), Fraction(25)).read_bytes()[:700])
    yield cut, "cut.mp4: "
    audio_only(folder / "audio.mp4")
    yield folder / "audio.mp4", "has no video stream"


def test_broken_sources_give_one_line_and_no_output(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    for source, message in broken_sources(tmp_path):
        with pytest.raises(MediaError, match=message) as caught:
            interpolate_video(interpolate, source, tmp_path / "out.mp4", multiplied(2))
        assert "\n" not in str(caught.value)
        assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def test_an_exception_half_way_leaves_the_old_output(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.mp4", scene_frames(4), Fraction(25))
    output = tmp_path / "out.mp4"
    output.write_bytes(b"old")

    def stop(done: int, *_: float) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interpolate_video(interpolate, source, output, multiplied(2, overwrite=True), progress=stop)
    assert output.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_existing_output_missing_source_bad_factor_unknown_container(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.mp4", scene_frames(2), Fraction(25))
    (tmp_path / "old.mp4").write_bytes(b"old")
    with pytest.raises(OutputExistsError, match=r"old\.mp4: exists"):
        interpolate_video(interpolate, source, tmp_path / "old.mp4", multiplied(2))
    with pytest.raises(InputNotFoundError, match="no such file"):
        interpolate_video(interpolate, tmp_path / "none.mp4", tmp_path / "out.mp4", multiplied(2))
    with pytest.raises(InputNotFoundError, match="no such folder"):
        interpolate_video(interpolate, source, tmp_path / "none" / "out.mp4", multiplied(2))
    with pytest.raises(OptionError, match="factor is 1"):
        interpolate_video(interpolate, source, tmp_path / "out.mp4", multiplied(1))
    with pytest.raises(MediaError, match=r"no container is known by \.xyz"):
        interpolate_video(interpolate, source, tmp_path / "out.xyz", multiplied(2))


SUBTITLES = """1
00:00:00,000 --> 00:00:00,500
first

2
00:00:00,500 --> 00:00:01,000
second
"""


def rich_source(folder: Path, name: str = "rich.mkv") -> Path:
    """A video with sound, subtitles, chapters, tags and a rotation; its first frame is not at 0."""
    text = folder / "text.srt"
    text.write_text(SUBTITLES)
    path = folder / name
    with av.open(str(path), "w") as writer, av.open(str(text)) as reader:
        video = writer.add_stream("libx264", rate=Fraction(25), options={"qp": "0"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        video.set_display_rotation(90)
        sound = writer.add_stream("aac", rate=8000)
        sound.metadata["language"] = "deu"
        words = writer.add_stream_from_template(reader.streams.subtitles[0])
        writer.metadata["title"] = "rich"
        chapter = {"time_base": Fraction(1, 1000), "metadata": {"title": "one"}}
        writer.set_chapters([{"id": 1, "start": 0, "end": 500, **chapter}])  # type: ignore[typeddict-item]
        for index, frame in enumerate(scene_frames(25)):
            frame.pts, frame.time_base = index + 2, Fraction(1, 25)
            writer.mux(video.encode(frame))
        for index in range(8):
            samples = np.sin(np.arange(1024) / 5, dtype=np.float32)[np.newaxis]
            audio = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
            audio.rate, audio.pts = 8000, 1024 * index
            writer.mux(sound.encode(audio))
        for stream in (video, sound):
            writer.mux(stream.encode(None))
        for packet in reader.demux():
            if packet.dts is not None:
                packet.stream = words
                writer.mux(packet)
    return path


def packets_of(path: Path, kind: str) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as reader:
        stream = reader.streams.best(kind)  # type: ignore[arg-type]
        packets = [packet for packet in reader.demux(stream) if packet.size]
        return [(float(p.pts * p.time_base), bytes(p)) for p in packets if p.pts is not None]


def test_all_else_in_the_file_is_copied(interpolate: Interpolator, tmp_path: Path) -> None:
    source = rich_source(tmp_path)
    summary = interpolate_video(interpolate, source, tmp_path / "out.mkv", multiplied(2))
    assert summary.left_out == []
    start = min(packets_of(source, "video"))[0]
    assert start > 0
    for kind in ("audio", "subtitle"):
        ours, theirs = packets_of(tmp_path / "out.mkv", kind), packets_of(source, kind)
        assert [content for _, content in ours] == [content for _, content in theirs]
        shifts = {round(b - a, 2) for (a, _), (b, _) in zip(ours, theirs, strict=True)}
        moved = min(packets_of(tmp_path / "out.mkv", "video"))[0]
        assert shifts == {round(start - moved, 2)}  # still in step with the picture
    with av.open(str(tmp_path / "out.mkv")) as reader:
        assert reader.metadata["title"] == "rich"
        assert [chapter["metadata"]["title"] for chapter in reader.chapters()] == ["one"]
        assert reader.streams.audio[0].metadata["language"] == "deu"
        assert next(reader.decode(video=0)).rotation in (90, -270)


def test_slow_motion_is_silent_and_says_so(interpolate: Interpolator, tmp_path: Path) -> None:
    source = rich_source(tmp_path)
    options = VideoOptions(slow=Fraction(4))
    summary = interpolate_video(interpolate, source, tmp_path / "out.mp4", options)
    with av.open(str(tmp_path / "out.mp4")) as reader:
        assert {stream.type for stream in reader.streams} == {"video", "data"}  # the chapters
        assert reader.streams.video[0].average_rate == 25
        assert reader.streams.video[0].frames == 100
        end = reader.chapters()[0]["end"] * reader.chapters()[0]["time_base"]
        assert float(end) == pytest.approx(4 * (0.5 - 0.08))  # the video began at 0.08
    assert summary.left_out == [
        f"{kind}, for it does not run slower" for kind in ("audio", "subtitle")
    ]


def test_what_a_container_cannot_hold_is_named(interpolate: Interpolator, tmp_path: Path) -> None:
    summary = interpolate_video(
        interpolate, rich_source(tmp_path), tmp_path / "out.ts", multiplied(2)
    )
    assert summary.left_out == ["subtitle (subrip), which .ts cannot hold"]
    assert packets_of(tmp_path / "out.ts", "audio")


@pytest.mark.parametrize("fps", [Fraction(60), Fraction(60000, 1001)])
def test_a_constant_rate(fps: Fraction, interpolate: Interpolator, tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", scene_frames(10), Fraction(25))
    interpolate_video(interpolate, source, tmp_path / "out.mp4", VideoOptions(fps=fps))
    with av.open(str(tmp_path / "out.mp4")) as reader:
        assert reader.streams.video[0].average_rate == fps
        times = [frame.pts * frame.time_base for frame in reader.decode(video=0)]
    assert times == [index / fps for index in range(len(times))]
    assert Fraction(10, 25) - 1 / fps <= times[-1] < Fraction(10, 25)
    for index, frame in enumerate(decode(tmp_path / "out.mp4")):
        shown = frame.to_ndarray(format="rgb24") / 255
        truth = render(64, 96, min(float(index * 25 / fps), 9))
        assert np.abs(shown - truth).mean() < 0.04


def test_variable_rates_keep_their_times(interpolate: Interpolator, tmp_path: Path) -> None:
    ticks = [0, 1, 2, 6, 7, 12]
    with av.open(str(tmp_path / "in.mkv"), "w") as writer:
        encoder = writer.add_stream("libx264", rate=Fraction(50), options={"qp": "0"})
        encoder.width, encoder.height, encoder.pix_fmt = 96, 64, "yuv420p"
        for tick, frame in zip(ticks, scene_frames(6), strict=True):
            frame.pts, frame.time_base = tick, Fraction(1, 50)
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    interpolate_video(interpolate, tmp_path / "in.mkv", tmp_path / "out.mp4", multiplied(2))
    with av.open(str(tmp_path / "out.mp4")) as reader:
        times = [frame.pts * frame.time_base for frame in reader.decode(video=0)]
    halves = [Fraction(a + b, 2) for a, b in pairwise(ticks)]
    expected = sorted([*ticks, *halves])
    assert [round(float(time), 3) for time in times[:11]] == [
        round(float(tick) / 50, 3) for tick in expected
    ]


def with_ticks(path: Path, ticks: list[int], clock: int) -> Path:
    """A video whose frames are shown at these ticks of a clock of so many a second."""
    options = {"video_track_timescale": str(clock)} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as writer:
        encoder = writer.add_stream("ffv1" if path.suffix == ".mkv" else "libx264", rate=clock)
        encoder.width, encoder.height, encoder.pix_fmt = 96, 64, "yuv420p"
        encoder.codec_context.time_base = Fraction(1, clock)
        for tick, frame in zip(ticks, scene_frames(len(ticks)), strict=True):
            frame.pts, frame.time_base = tick, Fraction(1, clock)
            for packet in encoder.encode(frame):
                packet.duration = 0
                writer.mux(packet)
        writer.mux(encoder.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "ticks", "clock"),
    [
        # A tick is nearly half a frame interval long, and every fifth frame is shown seven.
        ("in.mp4", [tick for n in range(4) for tick in range(11 * n, 11 * n + 5)], 30),
        # 33 and 34 ms are both within a tick of 30 frames a second.
        ("in.mkv", [0, 33, 34, 67, 100, 133, 167, 200, 233, 267], 1000),
    ],
)
def test_no_frame_vanishes_between_two_ticks(
    name: str, ticks: list[int], clock: int, interpolate: Interpolator, tmp_path: Path
) -> None:
    source = with_ticks(tmp_path / name, ticks, clock)
    summary = interpolate_video(interpolate, source, tmp_path / "out.mkv", multiplied(2))
    assert (summary.frames_read, summary.frames_left_out) == (len(ticks), 0)
    times = [float(frame.pts * frame.time_base) for frame in decode(tmp_path / "out.mkv")]
    assert times[0:-1:2] == pytest.approx([tick / clock for tick in ticks], abs=0.0011)


def test_frames_of_the_very_same_time_are_counted(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source = with_ticks(tmp_path / "in.mkv", [0, 40, 80, 80, 120], 1000)
    summary = interpolate_video(interpolate, source, tmp_path / "out.mkv", multiplied(2))
    assert (summary.frames_read, summary.frames_left_out) == (4, 1)
    assert summary.damage == []
    assert len(decode(tmp_path / "out.mkv")) == 8


def test_a_leap_in_time_is_refused_with_its_size(interpolate: Interpolator, tmp_path: Path) -> None:
    source = with_ticks(tmp_path / "in.mkv", [0, 40, 10**9], 1000)
    with pytest.raises(MediaError, match=r"one frame for 277\.8 hours, from 0\.040 s on"):
        interpolate_video(interpolate, source, tmp_path / "out.mkv", VideoOptions(fps=Fraction(60)))
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_many_frames_between_two(interpolate: Interpolator, tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", scene_frames(3), Fraction(10))
    summary = interpolate_video(interpolate, source, tmp_path / "out.mkv", multiplied(20))
    assert (summary.frames_made, summary.frames_repeated) == (38, 19)
    for index, frame in enumerate(decode(tmp_path / "out.mkv")):
        shown = frame.to_ndarray(format="rgb24") / 255
        assert np.abs(shown - render(64, 96, min(index / 20, 2))).mean() < 0.04


def test_numbers_of_any_kind_are_rates(interpolate: Interpolator, tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", scene_frames(3), Fraction(25))
    for name, asked in {"ntsc": {"fps": 59.94}, "slow": {"slow": 2.0}}.items():
        options = VideoOptions(**asked)  # type: ignore[arg-type]
        interpolate_video(interpolate, source, tmp_path / f"{name}.mkv", options)
    assert len(decode(tmp_path / "ntsc.mkv")) == 8
    assert len(decode(tmp_path / "slow.mkv")) == 6
    with pytest.raises(OptionError, match="encoding is None; expected an Encoding"):
        VideoOptions(encoding=None)  # type: ignore[arg-type]


def test_slow_motion_at_a_chosen_rate(interpolate: Interpolator, tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", scene_frames(4), Fraction(25))
    options = VideoOptions(slow=Fraction(3), fps=Fraction(60))
    interpolate_video(interpolate, source, tmp_path / "out.mp4", options)
    with av.open(str(tmp_path / "out.mp4")) as reader:
        assert reader.streams.video[0].average_rate == 60
        times = [frame.pts * frame.time_base for frame in reader.decode(video=0)]
    assert times == [Fraction(index, 60) for index in range(29)]  # until 3 * 4 / 25 s
    for index, frame in enumerate(decode(tmp_path / "out.mp4")):
        shown = frame.to_ndarray(format="rgb24") / 255
        truth = render(64, 96, min(index / 60 * 25 / 3, 3))
        assert np.abs(shown - truth).mean() < 0.04


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "yuv420p10le", "yuv422p"])
def test_source_frames_pass_bit_for_bit(
    pix_fmt: str, interpolate: Interpolator, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.mkv", scene_frames(4, pix_fmt), Fraction(25))
    lossless = Encoding(codec="ffv1")
    interpolate_video(interpolate, source, tmp_path / "out.mkv", multiplied(2, encoding=lossless))
    ours, theirs = decode(tmp_path / "out.mkv"), decode(source)
    assert ours[0].color_range == theirs[0].color_range
    for made, original in zip(ours[0::2], theirs, strict=True):
        for a, b in zip(planes(made), planes(original), strict=True):
            np.testing.assert_array_equal(a, b)


def test_twelve_bits_stay_twelve(interpolate: Interpolator, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "in.mkv"), "w") as writer:
        encoder = writer.add_stream("ffv1", rate=Fraction(10))
        encoder.width, encoder.height, encoder.pix_fmt = 96, 64, "yuv420p12le"
        for frame in scene_frames(2, "yuv420p12le"):
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    interpolate_video(interpolate, tmp_path / "in.mkv", tmp_path / "out.mkv", multiplied(2))
    assert {frame.format.name for frame in decode(tmp_path / "out.mkv")} == {"yuv420p12le"}


def test_nothing_is_made_across_a_cut_or_of_a_still(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    first, second = scene_frames(2), scene_frames(2)
    for frame in second:
        for plane in frame.planes:
            plane.update(bytes(255 - np.frombuffer(bytes(plane), np.uint8)))
    frames = [first[0], first[1], first[1], second[0], second[1]]
    source = write(tmp_path / "in.mkv", frames, Fraction(25))
    options = multiplied(4, encoding=Encoding(codec="ffv1"))
    summary = interpolate_video(interpolate, source, tmp_path / "out.mkv", options)
    shown = decode(tmp_path / "out.mkv")
    originals = decode(source)
    assert (summary.cuts, summary.frames_made, summary.frames_repeated) == (1, 6, 9)
    # Of the interval across the cut, the first half shows what was, the second what comes.
    for index, original in ((5, 1), (9, 2), (10, 3), (11, 3), (13, None)):
        same = [
            all(
                np.array_equal(a, b)
                for a, b in zip(planes(shown[index]), planes(theirs), strict=True)
            )
            for theirs in originals
        ]
        assert any(same) == (original is not None), index
        assert original is None or same[original], index
    morphed = interpolate_video(
        interpolate, source, tmp_path / "morphed.mkv", multiplied(4, cut_threshold=None)
    )
    assert (morphed.cuts, morphed.frames_made) == (0, 9)


def test_samples_beyond_their_bits_are_clipped(interpolate: Interpolator, tmp_path: Path) -> None:
    frames = scene_frames(3, "yuv420p10le")
    levels = np.frombuffer(bytes(frames[1].planes[0]), np.uint16).copy()
    levels[::7] = 60000  # as damaged files decode to
    frames[1].planes[0].update(levels.tobytes())
    with av.open(str(tmp_path / "in.nut"), "w") as writer:
        encoder = writer.add_stream("rawvideo", rate=Fraction(25))
        encoder.width, encoder.height, encoder.pix_fmt = 96, 64, "yuv420p10le"
        for frame in frames:
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    assert max(int(plane.max()) for plane in planes(decode(tmp_path / "in.nut")[1])) > 1023 / 4
    lossless = Encoding(codec="ffv1")
    interpolate_video(
        interpolate, tmp_path / "in.nut", tmp_path / "out.mkv", multiplied(2, encoding=lossless)
    )
    shown = decode(tmp_path / "out.mkv")
    assert len(shown) == 6
    assert planes(shown[2])[0].max() == 1023 / 4


def test_streams_and_encoders_that_are_not_there(interpolate: Interpolator, tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", scene_frames(2), Fraction(25))
    for options, error, message in (
        ({"stream": 1}, OptionError, "no video stream 1; it has 1, counted from 0"),
        ({"stream": -1}, OptionError, "no video stream -1; it has 1, counted from 0"),
        ({"cut_threshold": 7}, OptionError, "threshold is 7; expected a number from 0 to 1"),
        (
            {"encoding": Encoding(codec="nothing")},
            MediaError,
            "no encoder nothing here; see ffmpeg",
        ),
        (
            {"encoding": Encoding(pix_fmt="nothing")},
            MediaError,
            "libx264 has no pixel format nothing; it has yuv420p",
        ),
    ):
        with pytest.raises(error, match=message):
            interpolate_video(interpolate, source, tmp_path / "out.mkv", multiplied(2, **options))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv"]


def test_ten_bits_are_not_lost_silently(interpolate: Interpolator, tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", scene_frames(2, "yuv420p10le"), Fraction(25))
    options = multiplied(2, encoding=Encoding(codec="mpeg4"))
    with pytest.raises(MediaError, match="mpeg4 cannot hold yuv420p10le of 96x64 without loss"):
        interpolate_video(interpolate, source, tmp_path / "out.mkv", options)
    asked = multiplied(2, encoding=Encoding(codec="mpeg4", pix_fmt="yuv420p"))
    interpolate_video(interpolate, source, tmp_path / "out.mkv", asked)
    assert decode(tmp_path / "out.mkv")[0].format.name == "yuv420p"


def test_one_frame_is_shown_as_long_as_before(interpolate: Interpolator, tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", scene_frames(1), Fraction(25))
    summary = interpolate_video(interpolate, source, tmp_path / "out.mp4", multiplied(3))
    assert (summary.frames_made, summary.frames_repeated) == (0, 2)
    assert len(decode(tmp_path / "out.mp4")) == 3


def test_a_source_does_not_become_its_own_output(interpolate: Interpolator, tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", scene_frames(3), Fraction(25))
    before = source.read_bytes()
    (tmp_path / "link.mkv").hardlink_to(source)
    for output in (source, tmp_path / "link.mkv"):
        options = VideoOptions(factor=Fraction(2), overwrite=True)
        with pytest.raises(OptionError, match="is the source as well; choose another output"):
            interpolate_video(interpolate, source, output, options)
    assert source.read_bytes() == before


def test_files_joined_end_to_end_are_refused(interpolate: Interpolator, tmp_path: Path) -> None:
    parts = [
        write(tmp_path / f"{size[0]}.ts", scene_frames(5, size=size), Fraction(25)).read_bytes()
        for size in ((96, 64), (64, 64))
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(parts))
    with pytest.raises(MediaError, match="its times run backwards after"):
        interpolate_video(interpolate, joined, tmp_path / "out.mkv", multiplied(2))
    assert not (tmp_path / "out.mkv").exists()


PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nseen.ts\n#EXT-X-ENDLIST\n",
    "list.txt": "ffconcat version 1.0\nfile seen.ts\n",
    "list.mkv": "ffconcat version 1.0\nfile seen.ts\n",
    "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "list.ffmeta": ";FFMETADATA1\ntitle=x\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_formats_that_open_other_files_are_refused(
    name: str, interpolate: Interpolator, tmp_path: Path
) -> None:
    write(tmp_path / "seen.ts", scene_frames(3), Fraction(25))
    (tmp_path / name).write_text(PLAYLISTS[name])
    with pytest.raises(MediaError, match="format that is not taken"):
        interpolate_video(interpolate, tmp_path / name, tmp_path / "out.mp4", multiplied(2))


def test_a_percent_sign_in_the_name_of_an_image_is_no_pattern(tmp_path: Path) -> None:
    for name, level in (("a%d.png", 10), ("a0.png", 200)):
        still = Still(np.full((8, 8, 3), level, np.uint8), None, grey=False)
        write_still(tmp_path / "x.png", still)
        (tmp_path / "x.png").rename(tmp_path / name)
    assert read_still(tmp_path / "a%d.png").rgb[0, 0, 0] == 10


def test_an_unknown_codec_is_named_as_the_cause(interpolate: Interpolator, tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", scene_frames(2), Fraction(25))
    source.write_bytes(source.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(MediaError, match="codec that FFmpeg has no decoder for"):
        interpolate_video(interpolate, source, tmp_path / "out.mp4", multiplied(2))


@pytest.mark.parametrize("name", ["in.avi", "in.mov"])
def test_pictures_of_a_camera_with_exif_are_a_video(
    name: str, interpolate: Interpolator, tmp_path: Path
) -> None:
    with av.open(str(tmp_path / name), "w") as writer:
        stream = writer.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        for index in range(3):
            exif = Image.Exif()
            exif[0x10F], exif[0x112] = "a camera", 6  # its maker; turned by a quarter
            photo = io.BytesIO()
            Image.fromarray(render_bytes(96, 64, index)).save(photo, "JPEG", exif=exif)
            packet = av.Packet(photo.getvalue())
            packet.pts = packet.dts = index
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 25), True
            writer.mux(packet)
    interpolate_video(interpolate, tmp_path / name, tmp_path / "out.mp4", multiplied(2))
    frames = decode(tmp_path / "out.mp4")
    assert len(frames) == 6
    assert frames[0].rotation == decode(tmp_path / name)[0].rotation == -90


def test_a_rate_that_no_frame_bears_out_is_not_believed(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as writer:  # a clock of 1000 ticks, said to be frames
        encoder = writer.add_stream("libx264", rate=1000)
        encoder.width, encoder.height, encoder.pix_fmt = 96, 64, "yuv420p"
        for index in range(20):
            frame = av.VideoFrame.from_ndarray(render_bytes(96, 64, index / 4), format="rgb24")
            frame.pts, frame.time_base = 100 * index, Fraction(1, 1000)
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    with av.open(str(source)) as reader:
        assert reader.streams.video[0].average_rate == 1000
    done = interpolate_video(interpolate, source, tmp_path / "out.mkv", VideoOptions(factor=2))
    assert (done.rate, done.frames_written) == (20, 40)
