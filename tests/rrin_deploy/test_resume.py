"""Commands that are ended early and started again, as a person would."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from media.images.job import ImageIdentity, ImageJob
from media.waiting import claimed
from runtime.scene import render_bytes
from tests.conftest import write_png
from tests.models import SMALL_MODEL
from tests.rrin_deploy.kills import ROOT, command, decoded, killed_until_done, source_of

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does"),
    pytest.mark.long,
]


def ran(line: list[str], **variables: str) -> tuple[int, str, str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "1000", **variables}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return source_of(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def whole(source: Path) -> Path:
    output = source.with_name("whole.mkv")
    assert ran(command(source, output, "ffv1"))[0] == 0
    return output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_says_what_is_kept_and_how_to_go_on(
    number: signal.Signals, source: Path, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mkv"
    line = command(source, output, "ffv1")
    process = subprocess.Popen(
        line,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    first = output.with_name("out.mkv.partial") / "segment-00000.packets"
    for _ in range(6000):
        if first.exists():
            break
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "is made in 4 segments, which wait in " in out
    assert err.startswith("kept: 1 of 4 segments are kept in ")
    assert "the same command goes on from there" in err
    assert len(err.splitlines()) == 1
    code, out, err = ran(line)
    assert (code, err) == (0, "")
    assert "goes on: 1 of 4 segments are made" in out
    assert decoded(output) == decoded(whole)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


def test_what_another_job_keeps_is_not_offered_to_go_on_with(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    assert ran(command(source, output, "ffv1", "--share", "1/2"))[0] == 0
    code, _, err = ran(command(source, output, "ffv1", "--factor", "3"))
    assert code == 1
    assert "is the unfinished job of other options" in err
    assert "kept:" not in err
    output.write_bytes(b"mine")
    code, _, err = ran(command(source, output, "ffv1"))
    assert code == 1
    assert "exists; choose another name" in err
    assert "kept:" not in err


def test_images_that_another_job_keeps_are_not_offered_to_go_on_with(tmp_path: Path) -> None:
    for index in range(2):
        write_png(tmp_path / "frames" / f"{index}.png", render_bytes(64, 96, index))
    images = [*sorted((tmp_path / "frames").iterdir())]
    identity = ImageIdentity.of(images, "another artifact", 2, "frame_%05d.png", 0.3, False)
    job = ImageJob(tmp_path / "more", identity, 10**6)
    job.begin()
    job.add("frame_00000.png", images[0].read_bytes())
    code, _, err = ran(
        [sys.executable, "-m", "rrin_deploy", "interpolate", str(tmp_path / "frames"),
         "-o", str(tmp_path / "more"), "--model", str(SMALL_MODEL), "--backend", "onnxruntime"]
    )  # fmt: skip
    assert code == 1
    assert "is the unfinished job of another artifact" in err
    assert "kept:" not in err


def test_images_that_a_killed_run_made_are_not_made_again(tmp_path: Path) -> None:
    for index in range(6):
        write_png(tmp_path / "frames" / f"{index}.png", render_bytes(64, 96, index))
    line = [
        sys.executable, "-m", "rrin_deploy", "interpolate", str(tmp_path / "frames"),
        "-o", str(tmp_path / "more"), "--factor", "8", "--model", str(SMALL_MODEL),
        "--backend", "onnxruntime",
    ]  # fmt: skip
    process = subprocess.Popen(line, env={**os.environ, "PYTHONPATH": str(ROOT)})
    partial = tmp_path / "more.partial"
    for _ in range(6000):
        if len(list(partial.glob("*.png"))) > 5:
            break
        time.sleep(0.01)
    process.kill()
    process.wait()
    code, out, err = ran(line)
    assert (code, err) == (0, "")
    assert re.search(r"more: goes on: \d+ of 41 images are made", out)
    assert len(list((tmp_path / "more").iterdir())) == 41
    assert not partial.exists()


def test_several_videos_one_after_the_other(source: Path, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.mp4", "c.mp4"):
        (tmp_path / "in" / name).write_bytes(source.read_bytes())
    (tmp_path / "in" / "b.mp4").write_text("no video")
    inputs = [str(tmp_path / "in" / f"{name}.mp4") for name in "abc"]
    line = command(source, tmp_path / "out", "libx264")
    line[line.index(str(source)) : line.index(str(source)) + 1] = inputs
    code, out, err = ran(line)
    assert code == 1
    failure, summary = err.splitlines()
    assert failure.startswith(f"error: {inputs[1]}: ")
    assert summary.endswith("out: not all could be made; missing: b.mp4")
    assert out.endswith("out: 2 of 3 videos\n")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.mp4", "c.mp4"]
    assert len(decoded(tmp_path / "out" / "c.mp4")) == len(decoded(whole))
    (tmp_path / "in" / "b.mp4").write_bytes(source.read_bytes())
    code, out, err = ran(line)
    assert (code, err) == (0, "")
    assert out.count("is there already, and stays") == 2
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_killed_at_any_moment(source: Path, whole: Path, tmp_path: Path) -> None:
    kills, _ = killed_until_done(
        command(source, tmp_path / "out.mkv", "ffv1"),
        random.Random(1),  # noqa: S311
        1,
    )
    assert kills > 0
    assert decoded(tmp_path / "out.mkv") == decoded(whole)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits file sizes as Linux does")
def test_a_full_disk_is_one_line_and_keeps_what_is_whole(
    source: Path, whole: Path, tmp_path: Path
) -> None:
    import resource

    limit = whole.stat().st_size * 2 // 3  # any segment is smaller, and the video is not

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    output = tmp_path / "out.mkv"
    line = command(source, output, "ffv1")
    done = subprocess.run(
        line,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "1000"},
        preexec_fn=limited,
        capture_output=True,
        text=True,
        check=False,
    )
    kept, error = done.stderr.splitlines()
    assert done.returncode == 1
    assert kept.startswith("kept: 4 of 4 segments are kept in ")
    assert error.startswith(f"error: {output}: not written: File too large")
    assert not output.exists()
    assert "100 of them by other runs" in ran(line)[1]
    assert decoded(output) == decoded(whole)


@pytest.mark.parametrize(
    ("share", "variables"),
    [
        (["1/2", "2/2"], [{}, {}]),
        (["auto", "auto"], [
            {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_MIN": "5",
             "SLURM_ARRAY_TASK_STEP": "2", "SLURM_ARRAY_TASK_COUNT": "2"} for task in (5, 7)]),
        (["auto/2", "auto/2"], [{"JOB_COMPLETION_INDEX": "0"}, {"JOB_COMPLETION_INDEX": "1"}]),
        (["auto", "auto"], [
            {"AWS_BATCH_JOB_ARRAY_INDEX": str(job), "AWS_BATCH_JOB_ARRAY_SIZE": "2"}
            for job in (0, 1)]),
    ],
)  # fmt: skip
def test_shares_and_the_run_that_joins_them(
    share: list[str], variables: list[dict[str, str]], source: Path, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mkv"
    for each, around in zip(share, variables, strict=True):
        code, out, err = ran(command(source, output, "ffv1", "--share", each), **around)
        assert (code, err) == (0, "")
        assert "2 of 4 segments" in out
    assert not output.exists()
    code, out, _ = ran(command(source, output, "ffv1"))
    assert code == 0
    assert "goes on: 4 of 4 segments are made" in out
    assert decoded(output) == decoded(whole)


def test_a_share_says_what_of_it_another_run_still_makes(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    assert ran(command(source, output, "ffv1", "--share", "1/2"))[0] == 0
    with claimed(tmp_path / "out.mkv.partial", "segment-00003") as ours:
        assert ours
        code, out, _ = ran(command(source, output, "ffv1", "--share", "2/2"))
    assert code == 0
    assert "out.mkv.partial, but for 1 that other runs still make" in out
    assert len(list((tmp_path / "out.mkv.partial").glob("*.packets"))) == 3
    code, out, _ = ran(command(source, output, "ffv1", "--share", "2/2"))
    assert (code, "still make" in out) == (0, False)
    assert len(list((tmp_path / "out.mkv.partial").glob("*.packets"))) == 4


@pytest.mark.parametrize(
    ("share", "message"),
    [
        ("3/2", "share is 3"),
        ("0/2", "share is 0"),
        ("x", "'x' is no share"),
        ("auto", "no variable of a job array"),
        ("1/1/1", "is no share"),
    ],
)
def test_what_is_no_share_is_refused(
    share: str, message: str, source: Path, tmp_path: Path
) -> None:
    code, _, err = ran(command(source, tmp_path / "out.mkv", "ffv1", "--share", share))
    assert code == 2
    assert message in " ".join(err.replace("│", " ").split())
    assert not list(tmp_path.iterdir())
