"""Live streams: what is opened and opened again, sent without delay, and left whole at the end."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from fractions import Fraction
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from statistics import quantiles

import av
import numpy as np
import pytest

from media import Live, LiveOptions, MediaError
from media.encoding import Encoding
from media.live.address import Address
from media.live.capture import Capture, Captured
from media.live.pacing import Counts, Pair
from media.live.sink import Sink, open_sink
from media.live.stages import Filler
from media.live.stats import Meter
from media.schedule import Wanted
from runtime import Interpolator, OptionError
from runtime.errors import InputNotFoundError, OutputExistsError
from tests.camera import RATE, number_of, picture
from tests.models import SMALL_MODEL

ROOT = Path(__file__).parents[2]
CLOCK = 1000.0


@pytest.fixture
def interpolate() -> Iterator[Interpolator]:
    with Interpolator(SMALL_MODEL, backend="onnxruntime", threads=1) as opened:
        yield opened


def test_addresses() -> None:
    assert Address.of("/dev/video2").device == "v4l2"
    assert Address.of("avfoundation:0")[:2] == ("0", "avfoundation")
    assert Address.of("dshow:video=My Camera")[:2] == ("video=My Camera", "dshow")
    assert Address.of("udp://@:5000").protocol == "udp"
    assert Address.of("-")[:3] == ("pipe:", None, "pipe")
    assert Address.of("C:\\clip.mp4").is_file
    assert Address.of("https://x/live.m3u8").is_paced
    assert not Address.of("rtsp://x/live").is_paced
    secret = Address.of("rtsp://user:secret@camera/live")
    assert secret.name == "rtsp://user:secret@camera/live"
    assert secret.shown == "rtsp://***@camera/live"
    assert Address.of("HTTP://h/x.ts")[:3] == ("http://h/x.ts", None, "http")
    assert Address.of("file:///tmp/v.mkv").is_file
    assert Address.of("file:v.mkv").name == "v.mkv"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("udp://@:5000", "udp://@:5000"),
        ("rtsp://user:p@ss@cam", "rtsp://***@cam"),
        ("rtsp://user:pa/ss@cam/live", "rtsp://***@cam/live"),
        ("srt://h:1?passphrase=p@ss&mode=caller", "srt://h:1?passphrase=***&mode=***"),
        ("https://h/x.m3u8?secret", "https://h/x.m3u8?***"),
        ("rtmp://h/app/key", "rtmp://h/app/***"),
        ("rtmps://user:x@h/app/key?a=b", "rtmps://***@h/app/***?a=***"),
    ],
)
def test_what_is_secret_in_an_address_is_not_shown(text: str, shown: str) -> None:
    assert Address.of(text).name == text
    assert Address.of(text).shown == shown


class Clock:
    """A clock that only waiting moves; it ends what waits after so many waits or seconds."""

    def __init__(self, waits: int = 10_000, seconds: float = 1e9) -> None:
        self.now, self.waits = CLOCK, [0.0]
        self._left, self._end = waits, CLOCK + seconds

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        if seconds:
            self.waits.append(seconds)
        return len(self.waits) > self._left or self.now >= self._end


def captured(source: str, clock: Clock, said: list[str] | None = None) -> Iterator[Captured]:
    tell = [].append if said is None else said.append
    return Capture(Address.of(source), {}, tell, lambda: clock.now, clock.wait).frames()


def test_a_source_without_a_clock_of_its_own_is_read_at_its_pace() -> None:
    clock = Clock(seconds=2)
    frames = captured("lavfi:testsrc2=size=64x48:rate=25", clock)
    times = [(clock.now - CLOCK, frame.stamp, frame.rate) for frame in frames]
    assert len(times) == pytest.approx(50, abs=1)
    assert all(at == pytest.approx(float(stamp), abs=1e-6) for at, stamp, _ in times)
    assert {rate for _, _, rate in times} == {25}


def test_a_source_that_is_not_there_is_tried_ever_more_rarely(free_port: int) -> None:
    clock, said = Clock(waits=8), list[str]()
    assert not [*captured(f"tcp://127.0.0.1:{free_port}", clock, said)]
    assert clock.waits[1:] == [0.5, 1, 2, 4, 8, 8, 8, 8]
    assert said[0] == "lost: Connection refused; trying again in 0.5 s"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nothing.mp4", "nothing.mp4: no such file"),
        ("foo://user:secret@x", r"foo://\*\*\*@x: cannot be opened: Protocol not found"),
        ("gdigrab:desktop", "desktop: cannot be opened: no container format .gdigrab."),
    ],
)
def test_a_source_that_never_will_be_there_is_an_error(source: str, message: str) -> None:
    with pytest.raises((MediaError, InputNotFoundError), match=message) as caught:
        [*captured(source, Clock(waits=3))]
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_interlaced_sources_are_refused() -> None:
    with pytest.raises(MediaError, match="is interlaced"):
        [*captured("lavfi:testsrc2=size=64x48:rate=25,setfield=tff", Clock(seconds=1))]


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_each_frame_leaves_as_soon_as_it_is_there(codec: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(20)
        name = f"udp://127.0.0.1:{receiver.getsockname()[1]}"
        with open_sink(
            Address.of(name), Fraction(25), Encoding(codec=codec), options={}, overwrite=False,
            tell=lambda _: None, now=time.monotonic,
        ) as sink:  # fmt: skip
            for number in range(10):
                frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
                assert sink.write(frame, Fraction(number, 25))
                assert receiver.recv(65536)
                drain(receiver)


def drain(receiver: socket.socket) -> None:
    receiver.settimeout(0.05)
    try:
        while receiver.recv(65536):
            pass
    except TimeoutError:
        receiver.settimeout(20)


def test_a_sink_that_is_lost_is_opened_again(free_port: int) -> None:
    clock, said = Clock(), list[str]()
    listening = socket.create_server(("127.0.0.1", free_port))
    with open_sink(
        Address.of(f"tcp://127.0.0.1:{free_port}"), Fraction(25), Encoding(), options={},
        overwrite=False, tell=said.append, now=lambda: clock.now,
    ) as sink:  # fmt: skip
        assert written(sink, 0)
        connection, _ = listening.accept()
        connection.close()
        listening.close()
        taken = [written(sink, number) for number in range(1, 50)]
        assert not taken[-1]
        assert "the sink is lost" in said[0]
        clock.now += 0.6
        assert not written(sink, 50)  # refused
        listening = socket.create_server(("127.0.0.1", free_port))
        assert not written(sink, 51)  # not tried yet
        clock.now += 1.1
        assert written(sink, 52)
        assert said[-1] == "the sink is there again"
    listening.close()


def written(sink: Sink, number: int) -> bool:
    frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
    return sink.write(frame, Fraction(number, 25))


@pytest.mark.parametrize(
    ("sink", "message"),
    [
        ("out.xyz", r"out.xyz: no container is known by .xyz; use one of .mp4"),
        ("foo://x", "foo://x: not written: Could not determine output format"),
        ("tcp://user:secret@127.0.0.1:1", r"tcp://\*\*\*@127.0.0.1:1: not written: Connect"),
    ],
)
def test_a_sink_that_cannot_be_written_is_an_error(
    sink: str, message: str, interpolate: Interpolator
) -> None:
    with pytest.raises((MediaError, OSError), match=message):
        Live(interpolate, "lavfi:testsrc2", sink, LiveOptions(fps=50)).run()


def test_an_existing_file_is_kept(tmp_path: Path, interpolate: Interpolator) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        Live(interpolate, "lavfi:testsrc2", str(path), LiveOptions(fps=50)).run()
    assert path.read_bytes() == b"mine"


@pytest.mark.parametrize("there", ["out.m3u8", "out0.ts"])
def test_an_existing_playlist_is_kept(
    there: str, tmp_path: Path, interpolate: Interpolator
) -> None:
    (tmp_path / there).write_bytes(b"mine")
    options = LiveOptions(fps=50, seconds=1)
    with pytest.raises(OutputExistsError, match=there):
        Live(interpolate, "lavfi:testsrc2", str(tmp_path / "out.m3u8"), options).run()
    assert (tmp_path / there).read_bytes() == b"mine"
    assert len([*tmp_path.iterdir()]) == 1


def filmed(path: Path, count: int = 25) -> bytes:
    with av.open(str(path), "w") as writer:
        stream = writer.add_stream("libx264", 10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize(
    ("source", "sink"),
    [("in.mkv", "in.mkv"), ("in.mkv", "file:in.mkv"), ("in.mkv", "link.mkv"), ("x0.ts", "x.m3u8")],
)
def test_a_sink_that_is_the_source_is_refused(
    source: str,
    sink: str,
    tmp_path: Path,
    interpolate: Interpolator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = filmed(Path(source))
    Path("link.mkv").symlink_to(source)
    options = LiveOptions(fps=50, seconds=1, overwrite=True)
    with pytest.raises(OptionError, match="would replace the source"):
        Live(interpolate, source, sink, options).run()
    assert Path(source).read_bytes() == before


def test_a_file_takes_no_source_options(tmp_path: Path, interpolate: Interpolator) -> None:
    filmed(tmp_path / "in.mkv")
    options = LiveOptions(fps=50, source_options={"framerate": "60"})
    with pytest.raises(OptionError, match="takes no source options"):
        Live(interpolate, str(tmp_path / "in.mkv"), str(tmp_path / "out.mkv"), options).run()


def test_sink_options_that_nothing_takes_are_told(
    tmp_path: Path, interpolate: Interpolator
) -> None:
    said: list[str] = []
    options = LiveOptions(
        fps=20, seconds=2, sink_options={"mpegts_service_id": "7", "no_such": "1"}
    )
    source = "lavfi:testsrc2=size=64x48:rate=10"
    Live(interpolate, source, str(tmp_path / "out.ts"), options, tell=said.append).run()
    told = [line for line in said if "not used" in line]
    assert len(told) == 1
    assert "no_such" in told[0]
    assert "mpegts_service_id" not in told[0]


@pytest.mark.parametrize("form", ["file://{}", "pipe:{}"])
def test_files_and_pipes_have_an_end(form: str, tmp_path: Path) -> None:
    path = tmp_path / "in.ts"
    filmed(path, 60)
    clock = Clock(waits=500)
    if form.startswith("file"):
        assert len([*captured(form.format(path), clock)]) == 60
        return
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as file:
            file.write(path.read_bytes())

    writer = threading.Thread(target=write)
    writer.start()
    said: list[str] = []
    assert len([*captured(form.format(reading), clock, said)]) == 60
    writer.join()
    assert not said
    with pytest.raises(MediaError, match="cannot be"):  # nothing is left in it
        [*captured(form.format(reading), clock, said)]
    os.close(reading)


def test_a_page_that_is_not_there_is_an_error_at_once() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(MediaError, match="404"):
            [*captured(f"HTTP://127.0.0.1:{server.server_port}/none.ts", Clock(waits=3))]
        server.shutdown()


@pytest.mark.parametrize(
    "wrong", [{"fps": 0}, {"fps": 50, "latency": -1}, {"fps": 50, "latency": 61}]
)
def test_options_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        LiveOptions(**wrong)  # type: ignore[arg-type]


def test_what_is_made_is_what_the_interpolator_makes(interpolate: Interpolator) -> None:
    frames = [av.VideoFrame.from_ndarray(picture(number), format="rgb24") for number in range(3)]
    wanted = [Wanted(Fraction(n, 3), Fraction(n, 75), Fraction(1, 75)) for n in (1, 2)]
    filler = Filler(interpolate, 0.1)
    assert filler.made(Pair(frames[0], frames[1], wanted)) == []  # while it warms up
    made = filler.made(Pair(frames[1], frames[2], wanted))
    truth = interpolate(picture(1), picture(2), [1 / 3, 2 / 3])
    for ours, theirs in zip(made, truth, strict=True):
        np.testing.assert_array_equal(ours.to_ndarray(format="rgb24"), theirs)
    assert filler.made(Pair(frames[2], frames[2], wanted)) == []
    black = av.VideoFrame.from_ndarray(np.zeros_like(picture(0)), format="rgb24")
    assert filler.made(Pair(frames[2], black, wanted)) == []  # a cut


def test_percentiles_and_rates() -> None:
    chance = np.random.default_rng(0)
    latencies = chance.gamma(4, 0.05, 5000)
    meter = Meter(CLOCK, Counts(read=10))
    for latency in latencies:
        meter.sent(latency)
    cuts = quantiles(latencies, n=100)
    assert meter.percentile(0.5) == pytest.approx(cuts[49], abs=0.0015)
    assert meter.percentile(0.99) == pytest.approx(cuts[98], abs=0.0015)
    assert meter.rates(CLOCK + 10, Counts(read=260)) == (25, 500)
    assert Meter(CLOCK, Counts()).percentile(0.5) is None


def test_a_file_is_played_at_its_own_pace_and_ends(
    tmp_path: Path, interpolate: Interpolator
) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    with av.open(str(source), "w") as writer:
        stream = writer.add_stream("ffv1", 10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv444p"
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))
    seen = []
    options = LiveOptions(fps=20, encoding=Encoding(codec="ffv1"))
    done = Live(interpolate, str(source), str(output), options, watch=seen.append).run()
    assert done.read == 25
    assert done.seconds >= 2.4
    assert len(seen) >= 2
    with av.open(str(output)) as reader:
        frames = [*reader.decode(video=0)]
    base = frames[0].time_base
    assert [frame.pts * base for frame in frames[:3]] == pytest.approx([0, 0.05, 0.1], abs=0.001)
    assert len(frames) + done.skipped == 49
    assert done.passed + done.made + done.repeated == len(frames)
    # What is passed is what came, in every level.
    with av.open(str(source)) as reader:
        originals = {frame.to_ndarray().tobytes() for frame in reader.decode(video=0)}
    assert sum(frame.to_ndarray().tobytes() in originals for frame in frames) >= done.passed


def started(*arguments: object, to: Path | None = None) -> "subprocess.Popen[str]":
    with to.open("wb") if to else nullcontext(subprocess.PIPE) as out:
        return subprocess.Popen(
            [sys.executable, "-m", *map(str, arguments)], cwd=ROOT, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=out, stderr=subprocess.PIPE,
        )  # fmt: skip


def wait_until(happened: Callable[[], bool]) -> None:
    for _ in range(1200):
        if happened():
            return
        time.sleep(0.05)
    pytest.fail("did not happen within a minute")


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_camera_that_goes_and_comes_back_and_a_signal_at_the_end(
    number: signal.Signals, tmp_path: Path, free_port: int
) -> None:
    output, stats = tmp_path / "out.mkv", tmp_path / "stats.jsonl"
    origin = time.monotonic()
    live = started(
        "rrin_deploy", "live", f"udp://127.0.0.1:{free_port}", "-o", output, "--fps", 2 * RATE,
        "--model", SMALL_MODEL, "--backend", "onnxruntime", "--threads", 1, "--stats", stats,
    )  # fmt: skip
    url = f"udp://127.0.0.1:{free_port}?pkt_size=1316"
    cameras = []

    def read() -> list[dict[str, float]]:
        text = stats.read_text() if stats.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    try:
        cameras.append(started("tests.camera", url, "--origin", origin, "--seconds", 600))
        wait_until(lambda: bool(read()) and read()[-1]["passed"] > 2 * RATE)
        cameras[0].kill()
        # Longer than it takes for a source to be lost.
        wait_until(lambda: all(line["fps_in"] == 0 for line in read()[-4:]))
        cameras.append(started("tests.camera", url, "--origin", origin, "--seconds", 600))
        wait_until(lambda: read()[-1]["reconnects"] > 0 and read()[-1]["fps_in"] > RATE / 2)
        came_back = read()[-1]["passed"]
        wait_until(lambda: read()[-1]["passed"] > came_back + RATE)
        live.send_signal(number)
        out, err = live.communicate(timeout=60)
    finally:
        for process in (*cameras, live):
            process.kill()
            process.communicate()
    assert live.returncode == 128 + number
    assert not out
    assert "lost: nothing came; trying again in 0.5 s" in err
    assert "ended" not in err
    assert "Traceback" not in err
    assert {path.name for path in tmp_path.iterdir()} == {"out.mkv", "stats.jsonl"}
    last = read()[-1]
    with av.open(str(output)) as reader:
        frames = [*reader.decode(video=0)]
    shown = last["passed"] + last["made"] + last["repeated"]
    assert shown <= len(frames) <= shown + 4 * RATE
    # Time goes on in the pictures as it does on the clock, whether the camera was there or not.
    numbers = [number_of(frame.to_ndarray(format="rgb24")) for frame in frames]
    clear = [
        (float(f.pts * f.time_base), n) for f, (n, ok) in zip(frames, numbers, strict=True) if ok
    ]
    assert all(a[1] <= b[1] for a, b in pairwise(clear))
    # It was away for some ten seconds, which would be missing; busy machines are late by three.
    begin, end = clear[0], clear[-1]
    assert (end[1] - begin[1]) / RATE == pytest.approx(end[0] - begin[0], abs=5)


def test_a_latency_below_the_source_interval_is_said_and_seconds_end_it(
    tmp_path: Path, interpolate: Interpolator
) -> None:
    said: list[str] = []
    options = LiveOptions(fps=20, seconds=1)
    source = "lavfi:testsrc2=size=64x48:rate=4"
    done = Live(interpolate, source, str(tmp_path / "out.ts"), options, tell=said.append).run()
    assert "200 ms is no more than there is between two frames of the source, 250 ms" in said[0]
    assert done.made == 0
    assert 0.9 < done.seconds < 30


def test_stop_ends_it_from_another_thread(tmp_path: Path, interpolate: Interpolator) -> None:
    output = tmp_path / "out.mp4"
    watched = threading.Event()
    live = Live(
        interpolate, "lavfi:testsrc2=size=64x48:rate=25", str(output), LiveOptions(fps=50),
        watch=lambda _: watched.set(),
    )  # fmt: skip

    def stop() -> None:
        watched.wait(60)
        live.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    done = live.run()
    thread.join()
    with av.open(str(output)) as reader:
        assert sum(1 for _ in reader.decode(video=0)) == done.passed + done.made + done.repeated


COMMAND = (
    "rrin_deploy", "live", "--fps", 20, "--model", SMALL_MODEL, "--backend", "onnxruntime",
    "--threads", 1,
)  # fmt: skip


def test_statistics_replace_nothing_that_is_wanted(tmp_path: Path) -> None:
    source, sink = tmp_path / "in.ts", tmp_path / "out.ts"
    before = filmed(source)
    (tmp_path / "old").write_text("mine")
    for stats, code in ((source, 2), (sink, 2), (SMALL_MODEL, 2), (tmp_path / "old", 1)):
        kept = stats.read_bytes() if stats.exists() else None
        process = started(*COMMAND, source, "-o", sink, "--stats", stats)
        _, err = process.communicate(timeout=60)
        assert process.returncode == code, err
        assert (stats.read_bytes() if stats.exists() else None) == kept
    # One that may be replaced stays, too, where the source is none.
    process = started(*COMMAND, "no.ts", "-o", sink, "--stats", tmp_path / "old", "--overwrite")
    process.communicate(timeout=60)
    assert (tmp_path / "old").read_text() == "mine"
    assert source.read_bytes() == before


def test_nothing_but_the_stream_is_on_standard_output(tmp_path: Path) -> None:
    filmed(tmp_path / "in.ts")
    output = tmp_path / "out"
    process = started(*COMMAND, tmp_path / "in.ts", "-o", "-", "--no-skip-still", to=output)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "standard output: " in err
    stream = output.read_bytes()
    assert len(stream) % 188 == 0
    assert set(stream[::188]) == {0x47}


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    process = started(*COMMAND, "lavfi:testsrc2=size=64x48:rate=10", "-o", "-", "--seconds", 60)
    assert process.stdout
    assert process.stderr
    os.read(process.stdout.fileno(), 188)
    process.stdout.close()
    assert process.wait(50) == 128 + signal.SIGPIPE
    assert process.stderr.read() == ""
    process.stderr.close()


def test_the_password_of_a_sink_is_not_printed(free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)):
        process = started(
            *COMMAND, "lavfi:testsrc2=size=64x48:rate=10", "--seconds", 2,
            "-o", f"tcp://user:se@cret@127.0.0.1:{free_port}?timeout=5000000",
        )  # fmt: skip
        out, err = process.communicate(timeout=60)
    assert f"tcp://***@127.0.0.1:{free_port}?timeout=***: " in out + err
    assert "cret" not in out + err
