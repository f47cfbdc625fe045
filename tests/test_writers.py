"""Every writer, whatever stands in its way: what was there is there, or what is new is whole."""

import gc
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pytest

from calibration import triplet_folders
from engines.proof import Measurement, output_of
from media.images.sequence import interpolate_folder
from media.images.stills import Still, write_still
from media.video import write_video
from precision.ranges import Range, Ranges
from rrin_deploy.bench.benchmark import Load, Report, Timing
from rrin_deploy.bench.chart import draw
from rrin_deploy.evaluation import evaluate
from rrin_deploy.pictures import picture_folders
from runtime.errors import OutputError
from runtime.golden import Golden, GoldenCase
from runtime.interpolator import Interpolator
from runtime.partials import contents
from runtime.publishing import Publication
from tests.conftest import write_png
from tests.runtime.test_manifest import MANIFEST

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills and mounts as POSIX does")

FRAME = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
GOLDEN = Golden(
    "ab" * 32,
    True,
    (
        GoldenCase(
            FRAME,
            FRAME,
            np.array([0.5], np.float32),
            np.random.default_rng(1).random((1, *FRAME.shape), np.float32),
        ),
    ),
)


def middle(frame0: np.ndarray, frame1: np.ndarray, t: object = None) -> Any:
    del t
    return frame0 if frame1 is None else [frame0]


middle.identity = "the first frame"  # type: ignore[attr-defined]


def source(desk: Path, name: str) -> None:
    if not (desk.parent / name).exists():  # of two writers neither makes what the other reads
        write_png(desk.parent / name, FRAME)


def folder(desk: Path, output: str) -> None:
    for index in range(2):
        source(desk, f"frames/{index}.png")
    interpolator = cast(Interpolator, middle)
    interpolate_folder(interpolator, desk.parent / "frames", desk / output, 2, overwrite=True)


def built(desk: Path, name: str, others: dict[Path, bytes]) -> None:
    output = output_of(desk / name, *others, golden=GOLDEN)
    Measurement(GOLDEN, None, "").publish(output, FRAME.tobytes(), *others.values())


def pictures(desk: Path) -> None:
    for index in (1, 2, 3):
        source(desk, f"set/a/im{index}.png")
    triplets = triplet_folders(desk.parent / "set")
    with picture_folders(desk, ["x"]) as drawn:
        evaluate({"x": lambda a, _: a}, triplets, pictures=drawn)
        if drawn.failure:
            raise drawn.failure


def ranges(desk: Path) -> None:
    spread = Range(np.zeros(2000), np.ones(2000))
    Ranges("ab" * 32, True, "max", 1, 0, "cd" * 32, {"x": spread}).save(desk / "x.ranges.json")


def chart(desk: Path) -> None:
    load = Load(size=(64, 48), times=1, threads=1, rounds=2)
    report = Report(load, [Timing("x", "artifact", seconds=(0.2, 0.3))], {})
    draw(Publication(desk / "bench.png"), [report])


class Writer(NamedTuple):
    """A writer and the names of what it makes in a folder."""

    write: Callable[[Path], None]
    names: tuple[str, ...]


IMAGES = ("frame_00000.png", "frame_00001.png", "frame_00002.png")
WRITERS = {
    "image": Writer(
        lambda desk: write_still(desk / "x.png", Still(FRAME, None, False)), ("x.png",)
    ),
    "folder": Writer(lambda desk: folder(desk, "out"), tuple(f"out/{name}" for name in IMAGES)),
    "pattern": Writer(
        lambda desk: folder(desk, "out/%d.png"), ("out/0.png", "out/1.png", "out/2.png")
    ),
    "video": Writer(
        lambda desk: write_video(desk / "x.mp4", [FRAME] * 40, Fraction(25)), ("x.mp4",)
    ),
    "ONNX and golden": Writer(
        lambda desk: built(desk, "x.int8.onnx", {}), ("x.int8.onnx", "x.int8.golden.npz")
    ),
    "engine, manifest and golden": Writer(
        lambda desk: built(desk, "x.engine", {desk / "x.engine.json": MANIFEST.to_bytes()}),
        ("x.engine", "x.engine.json", "x.golden.npz"),
    ),
    "ranges": Writer(ranges, ("x.ranges.json",)),
    "chart": Writer(chart, ("bench.png",)),
    "pictures": Writer(pictures, ("1-x/a.png",)),
}
each = pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    (tmp_path / "desk").mkdir()
    return tmp_path / "desk"


@pytest.fixture
def disk(desk: Path) -> Iterator[Path]:
    """Mount a disk of 512 KiB on the desk; skips where that is not allowed."""
    tool = shutil.which("mount")
    asked = [tool or "", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(desk)]
    if tool is None or subprocess.run(asked, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    yield desk
    subprocess.run(["umount", "-l", str(desk)], check=True)


def fill(desk: Path, writer: Writer) -> None:
    for name in writer.names:
        (desk / name).parent.mkdir(exist_ok=True)
        (desk / name).write_text("old")


def found(desk: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(desk)): path.read_bytes()
        for path in desk.rglob("*")
        if path.is_file() and ".partial" not in str(path)
    }


def old(writer: Writer) -> dict[str, bytes]:
    return dict.fromkeys(writer.names, b"old")


def started(write: Callable[[], None]) -> int:
    """Run it in a process of its own, which exits with 1 where it is refused."""
    child = os.fork()
    if child == 0:
        gc.disable()  # an encoder of before would wait for threads that are not here
        try:
            write()
        except OutputError:
            os._exit(1)
        except BaseException:
            os._exit(2)
        os._exit(0)
    return child


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@each
@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_killed(writer: Writer, moment: str, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer.write(desk)
    new = found(desk)
    assert {*new} == {*writer.names}
    fill(desk, writer)
    if moment == "before":
        monkeypatch.setattr("runtime.publishing.Publication._publish", kill)
    elif moment == "after":
        monkeypatch.setattr("runtime.partials.shutil.rmtree", kill)
    else:
        honest = Path.replace

        def replace(self: Path, target: Path) -> Path:
            if Path(target) == desk / writer.names[-1]:
                kill()
            return honest(self, target)

        monkeypatch.setattr(Path, "replace", replace)
    assert ended(started(lambda: writer.write(desk))) == -signal.SIGKILL
    monkeypatch.undo()
    if moment == "before":
        assert found(desk) == old(writer)
    for name in writer.names:  # the next run of the same name comes
        if (desk / name).is_file():
            assert found(desk)[name] in (b"old", new[name])
    writer.write(desk)
    assert found(desk) == new
    assert not list(desk.rglob(".*"))


@each
def test_a_move_that_fails(writer: Writer, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(desk, writer)
    honest = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if Path(target) == desk / writer.names[-1] and self.parent.name == "whole":
            raise OSError(30, "Read-only file system")
        return honest(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(OutputError, match=r"Read-only .* what was made is whole, in ") as caught:
        writer.write(desk)
    assert "\n" not in str(caught.value)
    assert found(desk) == old(writer)
    kept = Path(str(caught.value).rpartition(" in ")[2])
    assert sorted(path.name for path in kept.iterdir()) == sorted(
        Path(name).name for name in writer.names
    )


@each
def test_mount_point(writer: Writer, disk: Path) -> None:
    for _ in range(2):
        writer.write(disk)
        assert {*found(disk)} == {*writer.names}
        assert not list(disk.rglob(".*"))


@each
def test_full_disk(writer: Writer, disk: Path) -> None:
    fill(disk, writer)
    ballast = os.open(disk / "ballast", os.O_CREAT | os.O_WRONLY)
    os.posix_fallocate(ballast, 0, shutil.disk_usage(disk).free)
    os.close(ballast)
    with pytest.raises(OutputError, match="written: No space left") as caught:
        writer.write(disk)
    assert "\n" not in str(caught.value)
    (disk / "ballast").unlink()
    assert found(disk) == old(writer)
    assert not list(disk.rglob(".*"))


@each
def test_read_only_disk(writer: Writer, disk: Path) -> None:
    fill(disk, writer)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(OutputError, match="cannot be written to, or is on a read-only disk"):
        writer.write(disk)
    assert found(disk) == old(writer)


@each
def test_two_at_once(writer: Writer, desk: Path) -> None:
    writer.write(desk)
    new = found(desk)
    children = [started(lambda: writer.write(desk)) for _ in range(2)]
    codes = [ended(child) for child in children]
    assert 0 in codes
    assert {*codes} <= {0, 1}
    assert found(desk) == new


def test_what_is_there_is_seen_past_what_others_write(desk: Path) -> None:
    with Publication(desk / "x"):
        assert contents(desk) == []
