"""Damaged videos: what is missing is said, what can be made is made, whole files raise no alarm."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from media.errors import MediaError
from media.options import VideoOptions
from media.summary import VideoSummary
from media.video import interpolate_video
from runtime import Interpolator
from runtime.scene import render
from tests.marks import others_long

CONTAINERS = {
    "clip.mp4": {"movflags": "faststart"},
    "clip.mkv": {},
    "clip.ts": {},
    "pieces.mp4": {"movflags": "frag_keyframe+empty_moov"},
    "clip.mov": {"movflags": "faststart"},
    "clip.avi": {},
    "clip.flv": {},
}
FRAMES = 30


def clip(path: Path, codec: str = "libx264", **options: str) -> Path:
    muxer = CONTAINERS.get(path.name, {})
    with av.open(str(path), "w", options=muxer) as writer:
        encoder = writer.add_stream(
            codec, rate=Fraction(25), options={"g": "10", "qp": "8", **options}
        )
        encoder.width, encoder.height, encoder.pix_fmt = 96, 64, "yuv420p"
        for time in range(FRAMES):
            rgb = np.rint(render(64, 96, time) * 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    return path


def doubled(interpolate: Interpolator, source: Path) -> VideoSummary:
    output = source.with_name("out.mkv")
    options = VideoOptions(factor=Fraction(2), overwrite=True)
    summary = interpolate_video(interpolate, source, output, options)
    with av.open(str(output)) as reader:
        assert len(list(reader.decode(video=0))) == summary.frames_written > 0
    return summary


@pytest.mark.parametrize("name", others_long(CONTAINERS, 3))
def test_files_cut_short_are_noticed_and_whole_ones_are_not(
    name: str, interpolate: Interpolator, tmp_path: Path
) -> None:
    source = clip(tmp_path / name, "mpeg4" if name.endswith("avi") else "libx264")
    whole = source.read_bytes()
    assert doubled(interpolate, source).damage == []
    for part in (0.61, 0.81, 0.96):
        source.write_bytes(whole[: int(len(whole) * part)])
        summary = doubled(interpolate, source)
        assert summary.damage, part
        assert summary.frames_read < FRAMES or part > 0.9  # where an index is all that is missing


def test_what_is_missing_is_said_with_numbers(interpolate: Interpolator, tmp_path: Path) -> None:
    source = clip(tmp_path / "clip.mkv")
    whole = source.read_bytes()
    held = len(whole) // 3
    source.write_bytes(whole[:held])
    cut, end = doubled(interpolate, source).damage
    assert cut == f"the file is cut short: it holds {held} bytes of at least {len(whole)}"
    assert end.endswith("of 1.200 s")
    assert end.startswith("it ends at 0.")


def flipped(source: Path, key: int) -> None:
    """Overwrite the middle of a packet."""
    with av.open(str(source)) as reader:
        packet = [packet for packet in reader.demux(video=0) if packet.size][key]
        content = bytes(packet)
    whole = source.read_bytes()
    at = whole.index(content) + len(content) // 2
    source.write_bytes(whole[:at] + b"\xff" * 40 + whole[at + 40 :])


def test_frames_that_decode_with_errors_are_counted_and_placed(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source = clip(tmp_path / "clip.mkv", bf="0")
    flipped(source, 10)
    summary = doubled(interpolate, source)
    assert summary.frames_read == FRAMES
    (found,) = summary.damage
    assert "0.400 s" in found
    assert found.endswith("decoded with errors")


def test_a_packet_without_a_frame_is_missed(interpolate: Interpolator, tmp_path: Path) -> None:
    source = clip(tmp_path / "clip.mkv", bf="0")
    with av.open(str(source)) as reader:
        content = bytes([packet for packet in reader.demux(video=0) if packet.size][10])
    source.write_bytes(source.read_bytes().replace(content, b"\xff" * len(content)))
    summary = doubled(interpolate, source)
    assert summary.frames_read < FRAMES
    assert any("could not be decoded" in found and "0.400 s" in found for found in summary.damage)


def test_a_video_without_one_good_frame_is_refused(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source = clip(tmp_path / "clip.mkv", g="100")
    with av.open(str(source)) as reader:
        contents = [bytes(packet) for packet in reader.demux(video=0) if packet.size]
    whole = source.read_bytes()
    for content in contents:
        whole = whole.replace(content, b"\xff" * len(content))
    source.write_bytes(whole)
    with pytest.raises(MediaError, match=f"none of its frames.*: {FRAMES} frames from"):
        doubled(interpolate, source)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mkv"]


HIDDEN = {
    # Pictures that are decoded and never shown, or shown before the frame they refer to.
    "altref.webm": ("libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16"}),
    "superframes.webm": ("libvpx-vp9", {"auto-alt-ref": "1", "lag-in-frames": "16"}),
    "packed.avi": ("mpeg4", {"bf": "2"}),
    "reordered.avi": ("libx264", {"bf": "2"}),
    "open.ts": ("libx264", {"x264-params": "open-gop=1:keyint=10:bframes=3"}),
    "refreshed.mkv": ("libx264", {"x264-params": "intra-refresh=1:keyint=10"}),
}


@pytest.mark.parametrize("name", others_long(HIDDEN, 2))
def test_hidden_and_reordered_pictures_are_no_damage(
    name: str, interpolate: Interpolator, tmp_path: Path
) -> None:
    codec, options = HIDDEN[name]
    summary = doubled(interpolate, clip(tmp_path / name, codec, **options))
    assert (summary.frames_read, summary.damage) == (FRAMES, [])


def test_a_start_in_the_middle_is_no_damage(interpolate: Interpolator, tmp_path: Path) -> None:
    """The first pictures refer to what lies before the cut: an open group of pictures."""
    source = clip(tmp_path / "whole.mkv", **{"x264-params": "open-gop=1:keyint=10:bframes=3"})
    with av.open(str(source)) as reader, av.open(str(tmp_path / "cut.mkv"), "w") as writer:
        stream = reader.streams.video[0]
        copied = writer.add_stream_from_template(stream)
        keys, start = 0, 0
        for packet in reader.demux(stream):
            keys += packet.is_keyframe
            if packet.dts is None or packet.pts is None or keys < 2:
                continue
            start = start or packet.dts
            packet.pts, packet.dts, packet.stream = packet.pts - start, packet.dts - start, copied
            writer.mux(packet)
    summary = doubled(interpolate, tmp_path / "cut.mkv")
    assert 0 < summary.frames_read < FRAMES
    assert summary.damage == []


def test_frames_beyond_an_edit_list_are_no_damage(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source = clip(tmp_path / "whole.mkv", bf="0")
    with av.open(str(source)) as reader, av.open(str(tmp_path / "trim.mp4"), "w") as writer:
        stream = reader.streams.video[0]
        copied = writer.add_stream_from_template(stream)
        for packet in reader.demux(stream):
            if packet.dts is None or packet.pts is None:
                continue
            packet.pts, packet.dts, packet.stream = packet.pts - 200, packet.dts - 200, copied
            writer.mux(packet)
    summary = doubled(interpolate, tmp_path / "trim.mp4")
    assert summary.frames_read == FRAMES - 5
    assert summary.damage == []


@pytest.mark.long
def test_real_clips_raise_no_alarm(data: Path, interpolate: Interpolator, tmp_path: Path) -> None:
    options = VideoOptions(factor=Fraction(2))
    source = data / "clips" / "h264_10bits.mp4"
    assert interpolate_video(interpolate, source, tmp_path / "out.mkv", options).damage == []


@pytest.mark.parametrize(("wrong", "shift"), [(2000, 0), (40, 0), (700, 400)])
def test_one_frame_of_a_wrong_time_is_left_out_and_said(
    wrong: int, shift: int, interpolate: Interpolator, tmp_path: Path
) -> None:
    """Its time is too late, or too early; and it is said as it stands in the file."""
    source = clip(tmp_path / "in.mkv", "ffv1")
    with av.open(str(source)) as reader, av.open(str(tmp_path / "late.mkv"), "w") as writer:
        sound: Any = writer.add_stream("pcm_s16le", rate=8000)  # from 0 on
        sound.layout = "mono"
        copied = writer.add_stream_from_template(reader.streams.video[0])
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        silence.sample_rate, silence.pts = 8000, 0
        writer.mux(sound.encode(silence))
        for packet in reader.demux(video=0):
            if packet.pts is not None:
                packet.pts = packet.dts = packet.pts + shift
                packet.stream = copied
                writer.mux(packet)
    source = tmp_path / "late.mkv"
    with av.open(str(source)) as reader:
        (place,) = (packet.pos for packet in reader.demux(video=0) if packet.pts == 360 + shift)
    content = bytearray(source.read_bytes())
    time = slice(place + 1, place + 3)  # of its block, behind the track
    assert content[time] == (360 + shift).to_bytes(2, "big")
    content[time] = wrong.to_bytes(2, "big")
    source.write_bytes(content)
    summary = doubled(interpolate, source)
    assert summary.frames_read == FRAMES - 1
    (damage,) = summary.damage
    assert damage == f"1 frame at {wrong / 1000:.3f} s left out, not between its neighbours"
