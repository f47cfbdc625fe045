"""Sound that a container does not hold is encoded anew, and stays where it is heard."""

from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest

from media.errors import MediaError
from media.options import VideoOptions
from media.video import interpolate_video
from media.waiting import partial_of
from runtime import Interpolator
from tests.marks import others_long
from tests.media.test_segments import Blend

RATE, SECONDS = 25, 4
CLICKS = (Fraction(1), Fraction(2), Fraction(99, 25))  # seconds; each with a white frame


@pytest.fixture
def interpolate() -> Interpolator:
    return cast(Interpolator, Blend())


def clicking(
    path: Path,
    codec: str = "pcm_s16le",
    layout: str = "stereo",
    rate: int = 48000,
    late: int = 0,
    lost: tuple[int, ...] = (),
    shift: Fraction = Fraction(0),
) -> Path:
    """White frames among black ones, and a click when each is shown.

    Args:
        late: milliseconds that the sound begins after the pictures.
        lost: tenths of seconds whose sound is missing.
        shift: of all times, seconds.
    """
    with av.open(str(path), "w") as writer:
        video = writer.add_stream("libx264", rate=RATE, options={"g": "10", "qp": "0"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sound = cast(av.AudioStream, writer.add_stream(codec, rate=rate))
        sound.layout = layout
        sound.codec_context.options = {"strict": "-2"}
        white = {int(click * RATE) for click in CLICKS}
        for index in range(RATE * SECONDS):
            levels = np.full((96, 96), 128, np.uint8)
            levels[:64] = 235 if index in white else 16
            frame = av.VideoFrame.from_ndarray(levels, format="yuv420p")
            frame.pts, frame.time_base = index + int(shift * RATE), Fraction(1, RATE)
            writer.mux(video.encode(frame))
        samples = np.zeros((1, rate * SECONDS), np.int16)
        for click in CLICKS:
            samples[:, int(click * rate) : int(click * rate) + rate // 500] = 20000
        first = late * rate // 1000
        for at in range(first, rate * SECONDS, rate // 10):
            if at * 10 // rate in lost:
                continue
            piece = samples[:, at : at + rate // 10]
            planes = np.repeat(piece, sound.layout.nb_channels, axis=0)
            given = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(planes.T).reshape(1, -1), "s16", layout
            )
            given.rate, given.time_base = rate, Fraction(1, rate)
            given.pts = at + int(shift * rate)
            writer.mux(sound.encode(given))
        for stream in (video, sound):
            writer.mux(stream.encode(None))
    return path


def flashes(path: Path) -> list[float]:
    """When white frames begin."""
    with av.open(str(path)) as reader:
        white = [frame.time for frame in reader.decode(video=0) if frame.to_ndarray()[0, 0] > 200]
    return [at for index, at in enumerate(white) if not index or at - white[index - 1] > 0.5]


def heard(path: Path) -> list[float]:
    """When clicks begin."""
    with av.open(str(path)) as reader:
        resampler = av.AudioResampler("fltp", "mono")
        at, loud = [], []
        for decoded in reader.decode(audio=0):
            for frame in resampler.resample(decoded):
                samples = np.abs(frame.to_ndarray()[0])
                at.append(frame.pts * frame.time_base + np.arange(len(samples)) / frame.rate)
                loud.append(samples)
    times, levels = np.concatenate(at).astype(float), np.concatenate(loud)
    begun = times[levels > 0.25]
    return [float(time) for time in begun[np.diff(begun, prepend=-9) > 0.5]]


def made(interpolate: Interpolator, source: Path, name: str, **options: Any) -> tuple[Path, Any]:
    output = source.with_name(name)
    chosen = VideoOptions(**{"factor": 2, "cut_threshold": None, **options})
    return output, interpolate_video(interpolate, source, output, chosen)


def assert_in_step(result: Path, clicks: int = len(CLICKS)) -> None:
    lit, sounds = flashes(result), heard(result)
    assert len(lit) == len(sounds) == clicks
    for flash, sound in zip(lit, sounds, strict=True):
        assert abs(flash - sound) < 0.004


SOURCES = [
    ("pcm_s16le", "in.mov", "out.mp4", "aac"),
    ("pcm_s16le", "in.mkv", "out.webm", "opus"),
    ("vorbis", "in.mkv", "out.mp4", "aac"),
    ("aac", "in.mp4", "out.webm", "opus"),
    ("libmp3lame", "in.mkv", "out.webm", "opus"),
    ("flac", "in.mkv", "out.mov", "aac"),
    ("libopus", "in.mkv", "out.mov", "aac"),
    ("pcm_s16le", "in.mkv", "out.ts", "aac"),
]


@pytest.mark.parametrize(("codec", "source", "output", "expected"), SOURCES)
@pytest.mark.parametrize("segment", others_long([0.4, 0]))
def test_clicks_stay_with_their_flashes(
    codec: str,
    source: str,
    output: str,
    expected: str,
    segment: float,
    interpolate: Interpolator,
    tmp_path: Path,
) -> None:
    path = clicking(tmp_path / source, codec)
    result, summary = made(interpolate, path, output, segment=segment)
    with av.open(str(result)) as reader:
        assert reader.streams.audio[0].codec_context.codec.canonical_name == expected
    assert len(summary.transcoded) == 1
    assert expected in summary.transcoded[0]
    assert summary.left_out == []
    assert_in_step(result)


@pytest.mark.parametrize("output", ["out.mp4", "out.webm", "out.mkv"])
@pytest.mark.parametrize(
    "given",
    [
        {"late": 730},
        {"lost": (4, 5, 6, 7, 13)},
        {"shift": Fraction(8)},
        {"late": 400, "lost": (22, 23), "rate": 22050, "layout": "mono"},
    ],
)
def test_late_and_missing_sound_stays_in_step(
    output: str, given: dict[str, Any], interpolate: Interpolator, tmp_path: Path
) -> None:
    result, summary = made(interpolate, clicking(tmp_path / "in.mkv", **given), output)
    assert_in_step(result)
    if summary.transcoded:
        with av.open(str(result)) as reader:
            shown = [(frame.time, frame.samples / frame.rate) for frame in reader.decode(audio=0)]
        ends = [at + length for at, length in shown]
        # Nothing is left of the gaps, for players take them as they please.
        assert all(abs(at - end) < 0.002 for (at, _), end in zip(shown[1:], ends, strict=False))


@pytest.mark.parametrize("segment", [0, 0.4])
@pytest.mark.parametrize("output", ["out.mp4", "out.webm"])
def test_the_sound_of_a_part_is_encoded_in_step(
    output: str, segment: float, interpolate: Interpolator, tmp_path: Path
) -> None:
    source = clicking(tmp_path / "in.mkv", "pcm_s16le")
    times = {"start": Fraction(3, 2), "end": Fraction(5, 2)}
    result, _ = made(interpolate, source, output, segment=segment, **times)
    assert_in_step(result, clicks=1)


def test_surround_keeps_its_channels(interpolate: Interpolator, tmp_path: Path) -> None:
    source = clicking(tmp_path / "in.mkv", "ac3", layout="5.1(side)")
    result, summary = made(interpolate, source, "out.webm")
    assert summary.transcoded == ["audio (ac3) as libopus, for .webm does not hold it"]
    with av.open(str(result)) as reader:
        assert reader.streams.audio[0].layout.name == "5.1"
    assert_in_step(result)


def test_sound_that_changes_its_channels_half_way(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    stereo = clicking(tmp_path / "stereo.mkv", "ac3")
    surround = clicking(tmp_path / "surround.mkv", "ac3", layout="5.1")
    source = tmp_path / "in.mkv"
    with (
        av.open(str(stereo)) as first,
        av.open(str(surround)) as second,
        av.open(str(source), "w") as writer,
    ):
        copies = [writer.add_stream_from_template(stream) for stream in first.streams]
        for reader, begin, end in ((first, 0, 1.5), (second, 1.5, 9)):
            for packet in reader.demux():
                sound = packet.stream.type == "audio"
                kept = begin <= float((packet.pts or 0) * packet.time_base) < end
                if packet.dts is not None and (kept if sound else reader is first):
                    packet.stream = copies[packet.stream.index]
                    writer.mux(packet)
    result, _ = made(interpolate, source, "out.webm")
    assert_in_step(result)


def test_what_a_container_holds_is_copied(interpolate: Interpolator, tmp_path: Path) -> None:
    result, summary = made(interpolate, clicking(tmp_path / "in.mkv", "ac3"), "out.mp4")
    assert summary.transcoded == summary.left_out == []
    with av.open(str(result)) as reader:
        assert reader.streams.audio[0].codec_context.name == "ac3"
    assert_in_step(result)


def test_damaged_sound_becomes_silence(interpolate: Interpolator, tmp_path: Path) -> None:
    source = clicking(tmp_path / "whole.mkv", "flac")
    broken = tmp_path / "in.mkv"
    with av.open(str(source)) as reader, av.open(str(broken), "w") as writer:
        copies = [writer.add_stream_from_template(stream) for stream in reader.streams]
        for packet in reader.demux():
            if packet.dts is None:
                continue
            at, stream = packet.pts * packet.time_base, copies[packet.stream.index]
            if packet.stream.type == "audio" and 0.3 < at < 0.7:
                content = av.Packet(b"\0" * packet.size)
                content.pts, content.dts = packet.pts, packet.dts
                content.time_base, content.duration = packet.time_base, packet.duration
                packet = content
            packet.stream = stream
            writer.mux(packet)
    result, _ = made(interpolate, broken, "out.mov")
    assert_in_step(result)


@pytest.mark.parametrize("segment", [0, 0.4])
def test_sound_is_not_encoded_where_that_is_not_wanted(
    segment: float, interpolate: Interpolator, tmp_path: Path
) -> None:
    source = clicking(tmp_path / "in.mkv")
    with pytest.raises(MediaError, match=r"\.webm does not hold audio \(pcm_s16le\)"):
        made(interpolate, source, "out.webm", transcode=False, segment=segment)
    assert not (tmp_path / "out.webm").exists()
    assert not partial_of(tmp_path / "out.webm").exists()
    _, summary = made(interpolate, source, "out.mkv", transcode=False, segment=segment)
    assert summary.transcoded == []


@pytest.mark.parametrize("output", ["out.mp4", "out.mkv", "out.webm"])
def test_sound_of_an_avi_stays_in_step_though_it_has_no_times(
    output: str, interpolate: Interpolator, tmp_path: Path
) -> None:
    """FFmpeg takes such pictures for later than they are, by as many as are reordered."""
    result, _ = made(interpolate, clicking(tmp_path / "in.avi"), output)
    assert_in_step(result)
