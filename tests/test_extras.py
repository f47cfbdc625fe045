"""Each extra brings all that its commands import: they run where other packages are hidden."""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from runtime.scene import render_bytes
from tests.conftest import ROOT, write_png
from tests.models import SMALL_MODEL

MODEL = str(SMALL_MODEL)
COMMANDS = {
    "cpu": ["parity", MODEL],
    "openvino video": ["interpolate", "0/im1.png", "0/im3.png", "-o", "made.png", "--model", MODEL],
    "cpu calibration": ["calibrate", MODEL, "--triplets", ".", "-o", "ranges.json"],
    "cpu eval": ["eval", MODEL, "--triplets", "."],
    "cpu report": ["report", MODEL, "--triplets", ".", "--size", "64x48", "--rounds", "1"],
    "rtx": ["build", MODEL, "--fp16", "--target", "rtx", "-o", "rrin.engine"],
    "train": ["train", "-o", "x.pth", "--steps", "1", "--size", "32", "--batch", "1",
              "--width", "2", "--triplets", "."],
}  # fmt: skip


def brought(extras: list[str]) -> set[str]:
    """The packages that pip installs for extras of ours, and what these require in turn."""
    found: set[str] = set()
    waiting = [("rrin-deploy", [*extras])]
    while waiting:
        name, wanted = waiting.pop()
        try:
            requires = distribution(name).requires or []
        except PackageNotFoundError:  # of another platform, or another Python
            continue
        found.add(canonicalize_name(name))
        for requirement in map(Requirement, requires):
            marker = requirement.marker
            asked = not marker or any(marker.evaluate({"extra": each}) for each in ["", *wanted])
            if asked and canonicalize_name(requirement.name) not in found:
                waiting.append((requirement.name, [*requirement.extras]))
    return found


def linked(packages: set[str], folder: Path) -> None:
    """Fill a folder with links to the files of packages, as if they alone were installed."""
    for package in packages:
        found = distribution(package)
        for name in {file.parts[0] for file in found.files or [] if file.parts[0] != ".."}:
            link = folder / name
            if not link.exists():  # namespaces are shared
                link.symlink_to(Path(str(found.locate_file(name))))


@pytest.mark.long
@pytest.mark.parametrize("extras", COMMANDS)
def test_extras_bring_what_their_command_needs(extras: str, tmp_path: Path) -> None:
    site, work = tmp_path / "site", tmp_path / "work"
    site.mkdir()
    linked(brought(extras.split()), site)
    for index in (1, 2, 3):
        write_png(work / "0" / f"im{index}.png", render_bytes(96, 64, index / 2))
    # Without `site`, Python sees what PYTHONPATH names and nothing else that is installed.
    done = subprocess.run(
        [sys.executable, "-S", "-m", "rrin_deploy", *COMMANDS[extras]],
        cwd=work, env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{site}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
