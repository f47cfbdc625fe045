"""A file of jobs: checked as a whole, made one by one, gone on with, and nothing else."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from media.encoding import Encoding
from media.options import VideoOptions
from media.video import interpolate_video, write_video
from rrin_deploy import given
from rrin_deploy.cli import main
from rrin_deploy.jobs import read_jobs
from runtime import Interpolator
from runtime.errors import OptionError
from runtime.scene import render_bytes
from tests.conftest import ROOT, write_png
from tests.models import SMALL_MODEL
from tests.rrin_deploy.kills import command, decoded, source_of

Run = Callable[..., tuple[int, str, str]]
DEFAULTS = f"""
[defaults]
model = "{SMALL_MODEL}"
backend = "onnxruntime"
threads = 1
"""
A_JOB = '[[job]]\ninput = "clip.mp4"\noutput = "out.mkv"\n'


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with a video, two images and room for what is made."""
    frames = (render_bytes(80, 48, index) for index in range(4))
    write_video(tmp_path / "clip.mp4", frames, Fraction(25))
    for index in range(2):
        write_png(tmp_path / f"{index}.png", render_bytes(64, 32, index))
    (tmp_path / "out").mkdir()
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], desk: Path) -> Run:
    """Run jobs, from elsewhere; return exit code, stdout and stderr."""

    def run(jobs: str, *options: str) -> tuple[int, str, str]:
        (desk / "jobs.toml").write_text(DEFAULTS + jobs)
        with pytest.raises(SystemExit) as stopped:
            main(["run", str(desk / "jobs.toml"), *options])
        return int(stopped.value.code or 0), *capsys.readouterr()

    return run


def test_each_input_is_made_with_its_options(run: Run, desk: Path) -> None:
    code, out, err = run("""
        no-cuts = true
        codec = "ffv1"
        [[job]]
        input = "clip.mp4"
        output = "out/thrice.mkv"
        factor = 3
        [[job]]
        input = "clip.mp4"
        output = "out/rate.mkv"
        fps = "60000/1001"
        start = 0.04
        pix-fmt = "yuv444p"
    """)
    assert (code, err) == (0, "")
    assert out.endswith("jobs.toml: 2 of 2 jobs\n")
    assert {path.name for path in (desk / "out").iterdir()} == {"thrice.mkv", "rate.mkv"}
    with Interpolator(SMALL_MODEL, backend="onnxruntime", threads=1) as interpolate:
        for name, options in {
            "thrice.mkv": VideoOptions(factor=3, cut_threshold=None, encoding=Encoding("ffv1")),
            "rate.mkv": VideoOptions(
                fps=Fraction(60000, 1001),
                cut_threshold=None,
                start=Fraction(1, 25),
                encoding=Encoding("ffv1", pix_fmt="yuv444p"),
            ),
        }.items():
            interpolate_video(interpolate, desk / "clip.mp4", desk / name, options)
            assert decoded(desk / "out" / name) == decoded(desk / name)
    with av.open(str(desk / "out" / "rate.mkv")) as reader:
        assert reader.streams.video[0].codec_context.pix_fmt == "yuv444p"


def test_images_and_folders_are_jobs_too(run: Run, desk: Path) -> None:
    for index in range(3):
        write_png(desk / "in" / f"{index}.png", render_bytes(64, 32, index))
    code, out, err = run(f"""
        [[job]]
        input = ["0.png", "{desk}/1.png"]
        output = "early.png"
        t = 0.01
        [[job]]
        input = "in"
        output = "more"
        factor = 3
        [[job]]
        input = "in/%d.png"
        output = "many/%03d.png"
    """)
    assert (code, err) == (0, "")
    assert "3 of 3 jobs" in out
    first, early, second = (
        np.asarray(Image.open(desk / name), float) for name in ("0.png", "early.png", "1.png")
    )
    assert np.abs(early - first).mean() < np.abs(early - second).mean() / 3
    assert len(list((desk / "more").iterdir())) == 7
    assert {path.name for path in (desk / "many").iterdir()} == {f"00{n}.png" for n in range(5)}


@pytest.mark.parametrize(
    ("jobs", "message"),
    [
        ("[[job]", "is no TOML: "),
        ("\x00", "is no TOML: "),
        ("x = " + "[" * 100_000, "is no TOML: "),
        ("#" * 2**20, f"bytes; expected {2**20} at most"),
        ("", "holds no job; expected [[job]] with input and output"),
        ("[jobs]\n", "holds 'jobs'; expected [[job]] and [defaults] alone"),
        ("[job]\ninput = 'clip.mp4'\n", "its job is no list of tables"),
        ("input = 'clip.mp4'\n" + A_JOB, "input and output are a job's own"),
        ("[[job]]\noutput = 'out.mkv'\n", "job 1: has no input"),
        ("[[job]]\ninput = 'clip.mp4'\n", "job 1: has no output"),
        (A_JOB + A_JOB, "job 2: {desk}/out.mkv is the output of job 1, too"),
        (A_JOB + A_JOB.replace("out.mkv", "out/../out.mkv"), "is the output of job 1, too"),
        (
            A_JOB.replace("out.mkv", "out") + A_JOB.replace("out.mkv", "out/%d.tif"),
            "job 2: {desk}/out/%d.tif is the output of job 1, too, or in it",
        ),
        (
            A_JOB + A_JOB.replace("out.mkv", "clip.mp4"),
            "{desk}/clip.mp4 is the output of job 2",
        ),
        (
            "[[job]]\ninput = ['0.png', '1.png']\noutput = 'mid.png'\n"
            + A_JOB.replace("out.mkv", "%d.tif"),
            "{desk}/0.png is the output of job 2, or in it; run",
        ),
        (A_JOB.replace("clip", "none"), "job 1: {desk}/none.mp4: no such file or folder"),
        (A_JOB.replace("out.mkv", "none/a.mkv"), "job 1: {desk}/none: no such folder, for a.mkv"),
        (A_JOB + "factr = 2", "job 1: factr is no option of a job; did you mean factor?"),
        (A_JOB + "pix_fmt = 'gray'", "job 1: pix_fmt is no option of a job; did you mean pix-fmt?"),
        (A_JOB + "json = true", "job 1: json is no option of a job; see rrin-deploy interpolate"),
        (A_JOB + "ray = 'auto'", "job 1: ray is no option of a job; "),
        (A_JOB + "share = '1/2'", "job 1: share is no option of a job; "),
        (A_JOB + "'factor=3 --overwrite' = 2", "--overwrite is no option of a job; "),
        (A_JOB + "factor = true", "job 1: factor is true; expected text or a number"),
        (A_JOB + "factor = [2, 3]", "job 1: factor is [2, 3]; expected one value"),
        (A_JOB + "factor = []", "job 1: factor is []; expected text or a number"),
        (A_JOB + "start = 00:00:10", 'job 1: start is 00:00:10; expected a time in quotes, as "0'),
        (A_JOB + "no-cuts = 'true'", 'job 1: no-cuts is "true"; expected true or false'),
        (A_JOB + "no-cuts = 1", "job 1: no-cuts is 1; expected true or false"),
        (A_JOB + "threads = 'two'", "job 1: Invalid value for '--threads': "),
        (A_JOB + "threads = 0", "job 1: Invalid value for '--threads': "),
        (A_JOB + "stream = -1", "job 1: Invalid value for '--stream': "),
        (A_JOB + "backend = 'tensorflow'", "job 1: Invalid value for '--backend': "),
        (A_JOB + "tile = 'large'", "'large' is no size; expected WIDTHxHEIGHT"),
        (A_JOB + "factor = 1", "job 1: factor is 1; expected more than 1"),
        (A_JOB + "factor = 2\nfps = 50", "job 1: "),
        (A_JOB + "t = 0.5", "job 1: --t is not for a video"),
        (A_JOB + "model = 'none.onnx'", "job 1: {desk}/none.onnx: no such file"),
        (A_JOB.replace('"clip.mp4"', '["clip.mp4", "0.png"]'), "job 1: has several inputs that"),
        (A_JOB.replace("clip.mp4", "0.png"), "job 1: {desk}/0.png is one image; give two"),
        (A_JOB.replace('"clip.mp4"', "3"), "job 1: {desk}/3: no such file"),
        (A_JOB.replace("clip.mp4", "--overwrite"), "job 1: {desk}/--overwrite: no such file"),
    ],
)
def test_what_is_wrong_is_one_line_before_anything_is_made(
    jobs: str, message: str, run: Run, desk: Path
) -> None:
    before = sorted(path.name for path in desk.rglob("*"))
    good = "[[job]]\ninput = 'clip.mp4'\noutput = 'good.mkv'\n"
    if jobs.startswith("[[job]]") and message.startswith("job 1"):
        jobs, message = good + jobs, message.replace("job 1", "job 2")
    code, out, err = run(jobs)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {desk}/jobs.toml: ")
    assert message.replace("{desk}", str(desk)) in err
    assert err.count("\n") == 1
    assert sorted(path.name for path in desk.rglob("*")) == sorted([*before, "jobs.toml"])


def test_pipes_are_no_files(run: Run, desk: Path) -> None:
    os.mkfifo(desk / "pipe")
    for jobs in (A_JOB.replace("clip.mp4", "pipe"), A_JOB.replace("out.mkv", "pipe")):
        code, _, err = run(jobs)
        assert (code, "job 1: reads or writes a pipe; expected files" in err) == (2, True)


def test_options_are_those_of_the_command_line(desk: Path) -> None:
    (desk / "jobs.toml").write_text(
        "[defaults]\nskip-still = false\nfactor = 4\npreset = 'slow'\n"
        + A_JOB
        + 'provider = ["CPUExecutionProvider", "b"]\ntile = "640x320"\nmemory = "2GB"\n'
        + 'crf = 20\ncache = "cache"\noverwrite = true\nno-cuts = false\npreset = false\n'
        + A_JOB.replace("out.mkv", "b.mkv")
        + "factor = 2.5\nskip-still = true\nno-skip-still = false"
    )
    first, second = (job.order for job in read_jobs(desk / "jobs.toml"))
    assert first.given == {"factor": "4", "crf": 20}
    assert first.overwrite
    assert first.model is None
    assert first.where["providers"] == ["CPUExecutionProvider", "b"]
    assert (first.where["tile"], first.where["memory_limit"]) == ((640, 320), 2 * 10**9)
    assert (first.where["cache"], first.where["skip_still"]) == (desk / "cache", False)
    assert second.given == {"factor": "2.5", "preset": "slow"}
    assert (second.where["skip_still"], second.overwrite) == (True, False)
    (desk / "jobs.toml").write_text('[[job]]\ninput = "clip.mp4"\noutput = ["a", "b"]')
    with pytest.raises(OptionError, match="job 1: output is"):
        read_jobs(desk / "jobs.toml")


def test_every_option_of_interpolate_is_one_of_a_job(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["interpolate", "--help"])
    shown = {
        word.removeprefix("--")
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("│ ")
        for word in line.replace(",", " ").replace("/", " ").split()[1:4]
        if word.startswith("--") and word[2:].replace("-", "").isalnum()
    }
    assert {"factor", "t", "skip-still", "no-skip-still", "trust", "json"} <= shown
    for name in shown - {"output", "help"}:
        (desk / "jobs.toml").write_text(A_JOB + f'{name} = "x"')
        why = ""
        try:
            read_jobs(desk / "jobs.toml")
        except OptionError as error:
            why = str(error)
        unknown = name in {"json", "preview", "progress", "ray", "share"}
        assert ("is no option of a job" in why) == unknown, name


def test_an_artifact_is_opened_once_for_all_that_share_its_options(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int | None] = []
    closed: list[int | None] = []

    class Counted(Interpolator):
        def __init__(self, *given: Any, **options: Any) -> None:
            super().__init__(*given, **options)
            self.threads = options["threads"]
            opened.append(self.threads)

        def __exit__(self, *caught: Any) -> None:
            super().__exit__(*caught)
            closed.append(self.threads)

    monkeypatch.setattr(given, "Interpolator", Counted)
    code, out, err = run("".join(
        f"[[job]]\ninput = 'clip.mp4'\noutput = 'out/{n}.mkv'\nthreads = {1 + n % 2}\n"
        for n in range(4)
    ))  # fmt: skip
    assert (code, err) == (0, "")
    assert "4 of 4 jobs" in out
    assert opened == [1, 2]
    assert closed == [1, 2]


def test_a_job_that_fails_keeps_no_other_from_being_made(run: Run, desk: Path) -> None:
    (desk / "broken.mp4").write_text("no video")
    (desk / "broken.onnx").write_text("no model")
    (desk / "own.mp4").write_bytes((desk / "clip.mp4").read_bytes())
    jobs = """
        [[job]]
        input = "broken.mp4"
        output = "out/a.mkv"
        [[job]]
        input = "clip.mp4"
        output = "out/b.mkv"
        model = "broken.onnx"
        [[job]]
        input = "own.mp4"
        output = "own.mp4"
        overwrite = true
        [[job]]
        input = "clip.mp4"
        output = "out/d.mkv"
    """
    code, out, err = run(jobs, "--json")
    found = json.loads(out)
    assert code == 1
    assert [path.name for path in (desk / "out").iterdir()] == ["d.mkv"]
    assert [(each["job"], each["status"]) for each in found["jobs"]] == [
        (1, "failed"), (2, "failed"), (3, "failed"), (4, "made"),
    ]  # fmt: skip
    assert found["jobs"][3]["outputs"][0]["output"] == f"{desk}/out/d.mkv"
    for number, each in enumerate(found["jobs"][:3], 1):
        assert f"error: job {number}: {each['error']}\n" in err
    assert "own.mp4: is the source as well" in found["jobs"][2]["error"]
    assert found["error"].endswith("jobs that failed: 1, 2, 3")
    assert err.endswith(f"error: {found['error']}\n")
    assert "1 of 4 jobs" in err


def test_what_is_there_stays_unless_it_is_to_be_overwritten(run: Run, desk: Path) -> None:
    jobs = A_JOB + '[[job]]\ninput = ["0.png", "1.png"]\noutput = "mid.png"\n'
    assert run(jobs)[0] == 0
    (desk / "out.mkv").write_bytes(b"mine")
    code, out, err = run(jobs, "--json")
    assert code == 0
    assert [each["status"] for each in json.loads(out)["jobs"]] == ["there", "there"]
    assert f"{desk}/out.mkv: is there already, and stays\n" in err
    assert "jobs.toml: 2 of 2 jobs, 2 of them from before" in err
    assert (desk / "out.mkv").read_bytes() == b"mine"
    code, out, _ = run(A_JOB + "overwrite = true\n")
    assert (code, len(decoded(desk / "out.mkv"))) == (0, 8)


def test_the_jobs_of_the_page_are_some(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "automation.md").read_text()
    (shown,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "out").mkdir()
    for name in ("jobs.toml", "rrin.onnx", "clip.mp4", "film.mkv"):
        (tmp_path / name).write_text(shown)
    first, second = (job.order for job in read_jobs(tmp_path / "jobs.toml"))
    assert first.model == second.model == tmp_path / "rrin.onnx"
    assert first.given == {"codec": "libx265", "factor": "2"}
    assert second.inputs == [tmp_path / "film.mkv"]
    assert second.given == {
        "codec": "libx265", "start": "1:02:30", "end": "1:03:15.480", "fps": "60000/1001",
        "no_cuts": True,
    }  # fmt: skip


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_the_same_command_goes_on(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    whole, output = tmp_path / "whole.mkv", tmp_path / "out.mkv"
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command(source, whole, "ffv1"), env=surroundings, check=True)
    (tmp_path / "jobs.toml").write_text(
        DEFAULTS
        + f'segment = 0.4\ncodec = "ffv1"\n[[job]]\ninput = "{source.name}"\noutput = "out.mkv"\n'
    )
    line = [sys.executable, "-m", "rrin_deploy", "run", str(tmp_path / "jobs.toml")]
    process = subprocess.Popen(line, env=surroundings, stderr=subprocess.PIPE, text=True)
    first = tmp_path / "out.mkv.partial" / "segment-00000.packets"
    for _ in range(6000):
        if first.exists():
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "the same command goes on from there" in err
    assert "error" not in err
    done = subprocess.run(line, env=surroundings, capture_output=True, text=True, check=True)
    assert "of 4 segments are made" in done.stdout
    assert decoded(output) == decoded(whole)
