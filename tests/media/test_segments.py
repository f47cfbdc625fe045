"""Videos made in segments are what they would be in one piece, whoever made which segment when."""

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest

from media.encoding import Encoding
from media.errors import MediaError
from media.options import Share, VideoOptions
from media.reading.segments import misread, planned
from media.resuming.packet_file import packets_in
from media.resuming.segment_work import interpolate_segment
from media.video import interpolate_share, interpolate_video
from media.waiting import claimed, partial_of
from runtime import Interpolator, OptionError, OutputError
from runtime.errors import ArtifactError
from runtime.partials import Partial
from runtime.scene import render_bytes
from tests.marks import others_long
from tests.media.test_video import rich_source
from tests.models import SMALL_MODEL

LOSSLESS = Encoding(codec="ffv1")


class Blend:
    """A quick interpolator, whose frames depend on both of a pair and on the time."""

    identity = "a blend"

    def fill(self, frames: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
        before = None
        for frame, times in frames:
            made = [(1 - t) * before + t * frame for t in times] if before is not None else []
            yield frame, np.array(made).astype(frame.dtype)
            before = frame


@pytest.fixture
def interpolate() -> Interpolator:
    return cast(Interpolator, Blend())


def clip(
    path: Path,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    ticks: list[int] | None = None,
    cuts: tuple[int, ...] = (),
    **options: str,
) -> Path:
    """60 frames at 25 a second, with a keyframe every 10, that jump elsewhere at the cuts."""
    with av.open(str(path), "w") as writer:
        encoder = writer.add_stream(codec, rate=25, options={"g": "10", **options})
        encoder.width, encoder.height, encoder.pix_fmt = 96, 64, pix_fmt
        for index, tick in enumerate(ticks or range(60)):
            time = index / 4 + 50 * sum(index >= cut for cut in cuts)
            rgb = render_bytes(64, 96, time)
            if sum(index >= cut for cut in cuts) % 2:
                rgb = 255 - rgb
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = tick, Fraction(1, 25)
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    return path


OPEN = {"bf": "3", "x264-params": "open-gop=1:keyint=10:min-keyint=10:scenecut=0"}
HEVC = {"x265-params": "open-gop=1:keyint=10:min-keyint=10:bframes=4:log-level=none"}
ALTREF = {"lag-in-frames": "9", "auto-alt-ref": "1"}
# Some with the first frames of segments, by which alone the segments could not judge them.
CUTS = (9, 10, 11, 20, 29, 30, 31, 40, 41)
VARIABLE = np.cumsum(np.random.default_rng(0).integers(1, 5, 60)).tolist()
SOURCES: dict[str, Callable[[Path], Path]] = {
    "closed": lambda folder: clip(folder / "in.mp4"),
    "open": lambda folder: clip(folder / "in.mkv", **OPEN),
    "open, HEVC": lambda folder: clip(folder / "in.mkv", "libx265", **HEVC),
    "open, transport stream": lambda folder: clip(folder / "in.ts", **OPEN),
    "variable": lambda folder: clip(folder / "in.mkv", ticks=VARIABLE, **OPEN),
    "10 bits": lambda folder: clip(folder / "in.mkv", pix_fmt="yuv420p10le"),
    "keyframes alone": lambda folder: clip(folder / "in.mkv", "ffv1", g="1"),
    "hidden frames": lambda folder: clip(folder / "in.webm", "libvpx-vp9", **ALTREF),
    "cuts": lambda folder: clip(folder / "in.mkv", cuts=CUTS, **OPEN),
    "late": lambda folder: clip(folder / "in.mp4", ticks=[*range(900_000, 900_060)]),
}  # fmt: skip


def decoded(path: Path) -> list[tuple[Any, ...]]:
    with av.open(str(path)) as reader:
        base = reader.streams.video[0].time_base or Fraction(1)
        return [
            (frame.pts * base, (frame.duration or 0) * base, frame.format.name, frame.color_range,
             frame.to_ndarray().tobytes())
            for frame in reader.decode(video=0)
        ]  # fmt: skip


def packets(path: Path, kind: str) -> list[tuple[Any, ...]]:
    with av.open(str(path)) as reader:
        stream = reader.streams.best(kind)  # type: ignore[arg-type]
        every = [packet for packet in reader.demux(stream) if packet.size]
        return [(packet.pts, packet.dts, packet.duration, bytes(packet)) for packet in every]


def both(
    interpolate: Interpolator,
    source: Path,
    suffix: str = ".mkv",
    segment: float = 0.7,
    **options: Any,
) -> tuple[Path, Path]:
    """Make a video in one piece, and in segments of about so many seconds."""
    whole, cut = (source.with_name(name + suffix) for name in ("whole", "cut"))
    chosen = {"factor": 2, "encoding": LOSSLESS, **options}
    one = interpolate_video(interpolate, source, whole, VideoOptions(**chosen, segment=0))
    said: list[str] = []
    several = interpolate_video(
        interpolate, source, cut, VideoOptions(**chosen, segment=segment), tell=said.append
    )
    assert "is made in " in said[0]
    assert "piece" not in said[0]
    for name, value in vars(one).items():
        assert name.endswith("seconds") or getattr(several, name) == value, name
    assert not partial_of(cut).exists()
    return whole, cut


@pytest.mark.parametrize("name", others_long(sorted(SOURCES, key=lambda name: name != "cuts"), 6))
def test_frames_and_times_are_those_of_one_piece(
    name: str, interpolate: Interpolator, tmp_path: Path
) -> None:
    whole, cut = both(interpolate, SOURCES[name](tmp_path))
    assert decoded(cut) == decoded(whole)


@pytest.mark.parametrize(
    "options",
    [
        {"factor": None, "fps": 59.94},
        {"factor": None, "fps": Fraction(1, 2)},  # segments without a frame
        {"factor": None, "slow": 3},
        {"factor": 2.5},
        {"cut_threshold": None},
    ],
)
def test_whatever_is_asked_for(
    options: dict[str, Any], interpolate: Interpolator, tmp_path: Path
) -> None:
    whole, cut = both(interpolate, clip(tmp_path / "in.mkv", cuts=(10, 25), **OPEN), **options)
    assert decoded(cut) == decoded(whole)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    others_long(
        [(".mp4", "libx264"), (".mkv", "libx265"), (".webm", "libvpx-vp9"), (".mov", "mpeg4")], 2
    ),
)
def test_every_encoder_is_joined_in_order(
    suffix: str, codec: str, interpolate: Interpolator, tmp_path: Path
) -> None:
    fast = {"preset": "veryfast"} if codec.startswith("libx26") else {}
    encoding = Encoding(codec=codec, **fast)
    whole, cut = both(interpolate, clip(tmp_path / "in.mkv"), suffix, encoding=encoding)
    assert [frame[:4] for frame in decoded(cut)] == [frame[:4] for frame in decoded(whole)]
    times = [(pts, dts) for pts, dts, *_ in packets(cut, "video") if dts is not None]
    assert len({dts for _, dts in times}) == len(times) > 100
    assert [dts for _, dts in times] == sorted(dts for _, dts in times)
    assert all(pts >= dts for pts, dts in times)
    for (*_, ours), (*_, theirs) in zip(decoded(cut), decoded(whole), strict=True):
        a, b = (np.frombuffer(content, np.uint8).astype(float) for content in (ours, theirs))
        assert np.sqrt(((a - b) ** 2).mean()) < 10


def test_all_else_is_copied_once(interpolate: Interpolator, tmp_path: Path) -> None:
    # Its sound begins before its pictures; five of its kind, and a keyframe every 5 frames.
    source = rich_source(tmp_path)
    keyed = tmp_path / "keyed.mkv"
    with av.open(str(source)) as reader, av.open(str(keyed), "w") as writer:
        video = writer.add_stream("libx264", rate=25, options={"g": "5"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        video.set_display_rotation(90)
        copies = {s.index: writer.add_stream_from_template(s) for s in list(reader.streams)[1:]}
        writer.set_chapters(reader.chapters())
        for packet in reader.demux():
            if packet.stream.type == "video":
                for frame in packet.decode():
                    frame.pict_type = av.video.frame.PictureType.NONE
                    writer.mux(video.encode(frame))
            elif packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                writer.mux(packet)
        writer.mux(video.encode(None))
    whole, cut = tmp_path / "whole.mkv", tmp_path / "cut.mkv"
    options = {"factor": 2, "encoding": LOSSLESS}
    interpolate_video(interpolate, keyed, whole, VideoOptions(**options, segment=0))
    said: list[str] = []
    interpolate_video(
        interpolate, keyed, cut, VideoOptions(**options, segment=0.3), tell=said.append
    )
    assert "is made in " in said[0]
    assert decoded(cut) == decoded(whole)
    for kind in ("audio", "subtitle"):
        assert packets(cut, kind) == packets(whole, kind) != []
    with av.open(str(cut)) as ours, av.open(str(whole)) as theirs:
        assert ours.chapters() == theirs.chapters() != []
        assert next(ours.decode(video=0)).rotation == next(theirs.decode(video=0)).rotation != 0


class StoppedError(Exception):
    pass


def stopping(after: int) -> Callable[[int, int, float], None]:
    def progress(done: int, *_: float) -> None:
        if done >= after:
            raise StoppedError

    return progress


FIVE = VideoOptions(factor=2, segment=0.4)


def test_a_run_goes_on_where_it_was_stopped(interpolate: Interpolator, tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mkv", **OPEN)
    whole, output = tmp_path / "whole.mkv", tmp_path / "out.mkv"
    interpolate_video(interpolate, source, whole, FIVE)
    said: list[str] = []
    for after in (30, 30, 70, 100):  # the second stops in the very segment
        with pytest.raises(StoppedError):
            interpolate_video(
                interpolate, source, output, FIVE, progress=stopping(after), tell=said.append
            )
    seen: list[int] = []
    summary = interpolate_video(
        interpolate, source, output, FIVE, progress=lambda n, *_: seen.append(n), tell=said.append
    )
    assert [line.split(" segments")[0] for line in said[1:]] == [
        "goes on: 1 of 6", "goes on: 1 of 6", "goes on: 3 of 6", "goes on: 4 of 6"
    ]  # fmt: skip
    assert seen == list(range(81, 121))
    assert (summary.frames_written, summary.frames_resumed) == (120, 80)
    assert packets(output, "video") == packets(whole, "video")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv", "out.mkv", "whole.mkv"]


def test_nothing_is_left_where_no_segment_was_finished(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source = clip(tmp_path / "in.mkv")
    with pytest.raises(StoppedError):
        interpolate_video(interpolate, source, tmp_path / "out.mkv", FIVE, progress=stopping(3))
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


@pytest.fixture
def unfinished(interpolate: Interpolator, tmp_path: Path) -> Path:
    """A job of six segments of which two are made, beside its source, in.mkv."""
    source = clip(tmp_path / "in.mkv")
    with pytest.raises(StoppedError):
        interpolate_video(interpolate, source, tmp_path / "out.mkv", FIVE, progress=stopping(50))
    return tmp_path / "out.mkv"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factor": 3}, r"other options \(factor 2\)"),
        ({"factor": 2, "encoding": Encoding(crf=30)}, r"other options \(crf None\)"),
        ({"factor": 2, "segment": 0}, r"other options \(segment 0.4\)"),
    ],
)
def test_other_options_are_an_error_with_both_remedies(
    options: dict[str, Any], message: str, interpolate: Interpolator, unfinished: Path
) -> None:
    asked = VideoOptions(**{"segment": 0.4, **options})
    with pytest.raises(OutputError, match=message) as caught:
        interpolate_video(interpolate, unfinished.with_name("in.mkv"), unfinished, asked)
    assert "run it again as it was to finish it, or remove the folder to begin anew" in str(
        caught.value
    )


def test_another_source_or_artifact_is_an_error(
    interpolate: Interpolator, unfinished: Path, tmp_path: Path
) -> None:
    source = tmp_path / "in.mkv"
    about = source.stat()
    changed = bytearray(source.read_bytes())
    changed[-1] ^= 1
    source.write_bytes(changed)
    os.utime(source, ns=(about.st_atime_ns, about.st_mtime_ns))
    with pytest.raises(OutputError, match="another source, or one that was changed since"):
        interpolate_video(interpolate, source, unfinished, FIVE)

    class Other:
        identity = "0" * 64

    changed[-1] ^= 1
    source.write_bytes(changed)
    os.utime(source, ns=(about.st_atime_ns, about.st_mtime_ns))
    with pytest.raises(OutputError, match="another artifact"):
        interpolate_video(Other(), source, unfinished, FIVE)  # type: ignore[arg-type]
    interpolate_video(interpolate, source, unfinished, FIVE)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_segment_is_made_again(
    damage: str, interpolate: Interpolator, unfinished: Path, tmp_path: Path
) -> None:
    file = partial_of(unfinished) / "segment-00001.packets"
    content = file.read_bytes()
    middle = len(content) // 2
    file.write_bytes(
        {
            "cut": content[:middle],
            "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "empty": b"",
        }[damage]
    )
    said: list[str] = []
    summary = interpolate_video(
        interpolate, tmp_path / "in.mkv", unfinished, FIVE, tell=said.append
    )
    assert said[1].endswith("segment-00001.packets is damaged or of another job, and is made again")
    assert (summary.frames_written, summary.frames_resumed) == (120, 20)


@pytest.mark.parametrize(
    "change",
    [
        lambda job: job["segments"].pop(),
        lambda job: job["segments"][2].update(begin=5),
        lambda job: job["segments"][2].update(begin=None),
        lambda job: job["segments"][2].update(key="x"),
        lambda job: job.update(format_version=0),
        lambda job: job.update(format_version=1),  # cuts were judged otherwise
        lambda job: job.clear(),
    ],
)
def test_a_damaged_record_is_refused(
    change: Callable[[Any], None], interpolate: Interpolator, unfinished: Path, tmp_path: Path
) -> None:
    record = partial_of(unfinished) / "job.json"
    job = json.loads(record.read_text())
    change(job)
    record.write_text(json.dumps(job))
    with pytest.raises(ArtifactError, match=r"job\.json.*remove its folder"):
        interpolate_video(interpolate, tmp_path / "in.mkv", unfinished, FIVE)


def test_the_folder_of_someone_else_is_left_alone(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source = clip(tmp_path / "in.mkv")
    folder = tmp_path / "out.mkv.partial"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds notes\.txt, and no unfinished job"):
        interpolate_video(interpolate, source, tmp_path / "out.mkv", FIVE)
    assert (folder / "notes.txt").read_text() == "mine"
    (folder / "notes.txt").rename(tmp_path / "notes.txt")
    (folder / "segment-00000.lock").touch()  # what a run leaves that dies at its very end
    interpolate_video(interpolate, source, tmp_path / "out.mkv", FIVE)
    assert not folder.exists()


def test_shares_make_what_one_run_would(interpolate: Interpolator, tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mkv", **OPEN)
    whole, output = tmp_path / "whole.mkv", tmp_path / "out.mkv"
    interpolate_video(interpolate, source, whole, FIVE)
    done = [
        interpolate_share(interpolate, source, output, FIVE, Share(number, 4))
        for number in (3, 1, 4, 2)
    ]
    assert [(share.segments, share.frames_written) for share in done] == [
        (1, 20), (2, 40), (1, 20), (2, 40)
    ]  # fmt: skip
    assert not output.exists()
    assert not any(share.elsewhere for share in done)
    summary = interpolate_video(interpolate, source, output, FIVE)
    assert (summary.frames_written, summary.frames_resumed) == (120, 120)
    assert packets(output, "video") == packets(whole, "video")
    with pytest.raises(OptionError, match="has no shares"):
        interpolate_share(
            interpolate, source, tmp_path / "new.mkv", VideoOptions(factor=2), Share(1, 2)
        )


def test_two_runs_at_once_make_no_segment_twice(interpolate: Interpolator, tmp_path: Path) -> None:
    source, output = clip(tmp_path / "in.mkv"), tmp_path / "out.mkv"
    others: list[str] = []
    within: list[int] = []

    def second(done: int, *_: float) -> None:
        """In the middle of the first segment, let another run do all that it can."""
        if done == 10:
            with pytest.raises(OutputError, match="other runs still make 1 of its 6 segments"):
                interpolate_video(
                    interpolate, source, output, FIVE, tell=others.append,
                    progress=lambda n, *_: within.append(n),
                )  # fmt: skip

    summary = interpolate_video(interpolate, source, output, FIVE, progress=second)
    assert others == ["goes on: 0 of 6 segments are made"]
    assert len(within) == 100
    assert (summary.frames_written, summary.frames_resumed) == (120, 100)


def test_a_segment_depends_on_what_it_is_given_alone(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source = clip(tmp_path / "in.mkv", **OPEN)
    segments = planned(source, None, 0.4).segments
    assert len(segments) == 6
    arguments = pickle.dumps(
        (interpolate_segment, source, Path("x.mkv"), FIVE, segments[3], segments[0], "0" * 64)
    )
    source.rename(tmp_path / "moved.mkv")  # a copy is as good
    work, _, *others = pickle.loads(arguments)  # noqa: S301 - ours
    made = []
    for file in (tmp_path / "one", tmp_path / "two"):
        work(interpolate, tmp_path / "moved.mkv", *others, file)
        made.append([*packets_in(file)])
    assert made[0] == made[1]
    assert len(made[0]) == 20


def test_who_joins_early_leaves_the_work_of_others(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source, output = clip(tmp_path / "in.mkv"), tmp_path / "out.mkv"

    def while_all_are_at_work(done: int, *_: float) -> None:
        if done != 10:
            return
        with ExitStack() as stack:
            for index in range(1, 6):
                held = claimed(partial_of(output), f"segment-{index:05d}")
                assert stack.enter_context(held)
            with pytest.raises(OutputError, match="still make 6 of its 6 segments"):
                interpolate_video(interpolate, source, output, FIVE)
        with pytest.raises(StoppedError):  # one that begins another segment, and is stopped there
            interpolate_video(interpolate, source, output, FIVE, progress=stopping(3))

    done = interpolate_video(interpolate, source, output, FIVE, progress=while_all_are_at_work)
    assert (done.frames_written, done.frames_resumed) == (120, 0)


def test_a_start_beside_another_leaves_it_its_folder(
    interpolate: Interpolator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = clip(tmp_path / "in.mkv"), tmp_path / "out.mkv"
    claim = Partial.claim

    def and_another_run(partial: Partial) -> None:
        claim(partial)
        monkeypatch.setattr(Partial, "claim", claim)
        with pytest.raises(StoppedError):
            interpolate_video(interpolate, source, output, FIVE, progress=stopping(30))

    monkeypatch.setattr(Partial, "claim", and_another_run)
    done = interpolate_video(interpolate, source, output, FIVE)
    assert (done.frames_written, done.frames_resumed) == (120, 20)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv", "out.mkv"]


@pytest.mark.skipif(os.name != "posix", reason="links need a right on Windows")
@pytest.mark.parametrize("name", ["segment-00003.packets", "segment-00003.lock", "job.json"])
def test_links_are_not_written_through(
    name: str, interpolate: Interpolator, unfinished: Path, tmp_path: Path
) -> None:
    elsewhere, source = tmp_path / "elsewhere", tmp_path / "in.mkv"
    planted = partial_of(unfinished) / name
    if name == "job.json":
        planted.rename(elsewhere)
    else:
        elsewhere.write_text("precious")
        planted.unlink(missing_ok=True)
    before = elsewhere.read_bytes()
    planted.symlink_to(elsewhere)
    with pytest.raises(OutputError, match=f"holds a link, {name}, .* remove it"):
        interpolate_video(interpolate, source, unfinished, FIVE)
    assert elsewhere.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="links need a right on Windows")
def test_links_that_come_meanwhile_are_not_written_through(
    interpolate: Interpolator, unfinished: Path, tmp_path: Path
) -> None:
    elsewhere, missing = tmp_path / "elsewhere", tmp_path / "missing"
    elsewhere.write_text("precious")

    def plant(done: int, *_: float) -> None:
        if done == 50:
            (partial_of(unfinished) / "segment-00003.packets").symlink_to(elsewhere)
            (partial_of(unfinished) / "segment-00004.lock").symlink_to(missing)

    with pytest.raises(OutputError, match=r"segment-00004\.lock: is a link"):
        interpolate_video(interpolate, tmp_path / "in.mkv", unfinished, FIVE, progress=plant)
    assert elsewhere.read_text() == "precious"
    assert not missing.exists()
    assert not (partial_of(unfinished) / "segment-00003.packets").is_symlink()


def test_segments_of_another_job_are_made_again(
    interpolate: Interpolator, unfinished: Path, tmp_path: Path
) -> None:
    twin, source = tmp_path / "twin.mkv", tmp_path / "in.mkv"
    other = VideoOptions(factor=2, segment=0.4, encoding=Encoding(crf=40))
    with pytest.raises(StoppedError):
        interpolate_video(interpolate, source, twin, other, progress=stopping(30))
    name = "segment-00000.packets"
    shutil.copy(partial_of(twin) / name, partial_of(unfinished) / name)
    done = interpolate_video(interpolate, source, unfinished, FIVE)
    assert done.frames_resumed == 20
    interpolate_video(interpolate, source, tmp_path / "whole.mkv", FIVE)
    assert packets(unfinished, "video") == packets(tmp_path / "whole.mkv", "video")


def test_what_the_user_put_into_the_folder_stays(
    interpolate: Interpolator, unfinished: Path, tmp_path: Path
) -> None:
    (partial_of(unfinished) / "notes.txt").write_text("mine")
    interpolate_video(interpolate, tmp_path / "in.mkv", unfinished, FIVE)
    assert [path.name for path in partial_of(unfinished).iterdir()] == ["notes.txt"]


def test_what_reads_otherwise_says_both_steps() -> None:
    assert "remove the folder of its unfinished job, NAME.partial, and" in str(misread(Path("x")))


UNCUT: dict[str, tuple[Callable[[Path], Path], str]] = {
    "one keyframe": (lambda folder: clip(folder / "in.mkv", g="100"), ""),
    "AVI": (lambda folder: clip(folder / "in.avi", "mpeg4"), "does not say when frames are shown"),
    "a bare stream": (lambda folder: clip(folder / "in.h264"), "not all of its frames have a time"),
    "cut short": (lambda folder: cut_short(clip(folder / "in.mkv")), "it is cut short"),
}


def cut_short(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-2000])
    return path


@pytest.mark.parametrize("name", UNCUT)
def test_what_cannot_be_cut_is_made_in_one_piece(
    name: str, interpolate: Interpolator, tmp_path: Path
) -> None:
    make, reason = UNCUT[name]
    said: list[str] = []
    source = make(tmp_path)
    interpolate_video(interpolate, source, tmp_path / "out.mkv", FIVE, tell=said.append)
    assert not said if not reason else reason in said[0]


def test_damage_inside_is_found_as_in_one_piece(interpolate: Interpolator, tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mkv", bf="0")
    with av.open(str(source)) as reader:
        every = [bytes(packet) for packet in reader.demux(video=0) if packet.size]
    whole = source.read_bytes()
    for index in (13, 30):  # the second is the keyframe that a segment begins with
        whole = whole.replace(every[index], b"\xff" * len(every[index]))
    source.write_bytes(whole)
    one, cut = both(interpolate, source)
    assert decoded(cut) == decoded(one)


def test_segments_of_different_encoders_are_not_joined(
    interpolate: Interpolator, unfinished: Path, tmp_path: Path
) -> None:
    twin = tmp_path / "twin.mkv"
    other = VideoOptions(factor=2, segment=0.4, encoding=Encoding(pix_fmt="yuv444p"))
    with pytest.raises(StoppedError):
        interpolate_video(interpolate, tmp_path / "in.mkv", twin, other, progress=stopping(30))
    name = "segment-00000.packets"
    theirs, ours = (
        hashlib.sha256((partial_of(output) / "job.json").read_bytes()).hexdigest().encode()
        for output in (twin, unfinished)
    )
    content = (partial_of(twin) / name).read_bytes()[:-32]
    assert theirs in content
    content = content.replace(theirs, ours)
    (partial_of(unfinished) / name).write_bytes(content + hashlib.sha256(content).digest())
    with pytest.raises(MediaError, match="segments come from encoders of several versions"):
        interpolate_video(interpolate, tmp_path / "in.mkv", unfinished, FIVE)
    assert not unfinished.exists()


@pytest.mark.long
@pytest.mark.parametrize("name", ["arm_wrestling", "bikes"])
def test_real_clips(name: str, data: Path, interpolate: Interpolator, tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    source.write_bytes((data / "clips" / f"{name}.mp4").read_bytes())
    whole, cut = both(interpolate, source)
    assert decoded(cut) == decoded(whole)


def test_the_network_makes_the_same_frames(tmp_path: Path) -> None:
    with Interpolator(SMALL_MODEL, backend="onnxruntime") as interpolate:
        whole, cut = both(interpolate, clip(tmp_path / "in.mkv", **OPEN))
    assert decoded(cut) == decoded(whole)


def test_a_segment_that_another_run_has_left_meanwhile_is_made(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    source, output = clip(tmp_path / "in.mkv"), tmp_path / "out.mkv"
    options = VideoOptions(factor=2, cut_threshold=None, segment=0.4)
    interpolate_share(interpolate, source, output, options, Share(6, 6))
    other = claimed(partial_of(output), "segment-00000")
    assert other.__enter__()
    ended = []

    def progress(*_: object) -> None:
        if not ended:
            ended.append(other.__exit__(None, None, None))

    interpolate_video(interpolate, source, output, options, progress=progress)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["in.mkv", "out.mkv"]
