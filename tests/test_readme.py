"""Every command and snippet that the README shows is run, and does what it says."""

import os
import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from media.video import write_video
from runtime.scene import render

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def picture(time: float) -> np.ndarray:
    return np.rint(render(64, 96, time) * 255).astype(np.uint8)


@pytest.fixture
def desk(tmp_path: Path, small_checkpoint: Path, vimeo: Path) -> Path:
    """A folder with the files that the README names."""
    shutil.copy(small_checkpoint, tmp_path / "ckpt.pth")
    shutil.copytree(vimeo, tmp_path / "vimeo_triplet")
    (tmp_path / "frames").mkdir()
    for time, name in enumerate(("a.png", "b.png")):
        Image.fromarray(picture(time)).save(tmp_path / name)
        Image.fromarray(picture(time)).save(tmp_path / "frames" / name)
    write_video(tmp_path / "clip.mp4", map(picture, range(3)), Fraction(25))
    return tmp_path


def shell(command: str, folder: Path, **environment: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    assert "Warning" not in done.stderr  # torch's noise is kept from the terminal
    return done.stdout


def steady(line: str) -> str:
    """A line without what differs from machine to machine: versions, seconds, errors."""
    line = re.sub(r"[-+.\d]+(e[-+]\d+)?( s\b)?", "N", " ".join(line.split()))
    return re.sub(r"\bequal N%|N dB N%", "N dB N%", line)


def test_commands_give_the_output_shown(desk: Path) -> None:
    ran = 0
    for block in blocks("console"):
        for entry in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = entry.partition("\n")
            found = [steady(line) for line in shell(command, desk).splitlines()]
            for line in shown.splitlines():
                if line.strip() and "──" not in line:
                    assert steady(line) in found, command
            ran += 1
    assert ran == 15
    for name in ("rrin.onnx", "rrin.golden.npz", "rrin.fp16.engine", "mid.png", "slow.mp4", "more"):
        assert (desk / name).exists(), name


def test_snippet_runs() -> None:
    (snippet,) = blocks("python")
    shown: list[np.ndarray] = []
    names = {
        "frame0": picture(0),
        "frame1": picture(1),
        "frames": [picture(time) for time in range(3)],
        "show": shown.append,
    }
    exec(snippet.replace('"rrin.onnx"', ""), names)  # noqa: S102 - our own README
    assert names["middle"].shape == (64, 96, 3)
    assert names["thirds"].shape == (2, 64, 96, 3)
    assert len(shown) == 9


def test_make_targets_exist() -> None:
    (commands,) = blocks("sh")
    targets = re.findall(r"^make (\w+)", commands, re.MULTILINE)
    assert targets == ["demo", "test"]
    for target in targets:
        shell(f"make --dry-run {target}", ROOT, MAKEFLAGS="")
    recipe = shell("make --dry-run --no-print-directory demo", ROOT, MAKEFLAGS="")
    assert recipe.splitlines()[-1] == ".venv-run/bin/rrin-deploy demo"


def test_ci_and_workflow_run_the_same_commands() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    workflow = (ROOT / ".github" / "workflows" / "parity.yml").read_text()
    commands = re.findall(r"- run: (rrin-deploy .*)", workflow)
    model = re.search(r"MODEL: (\S+)", workflow)
    assert len(commands) == 2
    assert model
    for command in commands:
        shell(command, ROOT, MODEL=model[1])
    assert "bash .ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text()


def test_links_and_pictures_exist() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / target).exists(), target
