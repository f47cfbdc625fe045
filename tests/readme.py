"""`python -m tests.readme`: run the README's commands, and write into it what they print.

The test of the README compares the same outputs with what is shown.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from filelock import FileLock

from media.video import write_video
from runtime.scene import render_bytes
from tests.conftest import write_checkpoint, write_png, write_vimeo

README = Path(__file__).parents[1] / "README.md"

# What differs from run to run or from machine to machine, the first that fits. Kernels sum in
# another order on another CPU, and a value that lies between two levels falls to either side.
_VARYING = {
    "time": r"\d[\d.]* (?:s|ms|fps)\b",
    "version": r"(?:(?<=onnxruntime )|(?<=openvino ))\d+(?:\.\d+)+",
    "psnr": r"\d[\d.]* dB\b|\bequal\b",
    "error": r"\d\.\d+e[-+]\d+",
    "share": r"\d[\d.]*%",
}
_PATTERN = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _VARYING.items()))
# An engine is checked at once where it can run: what is said of that is of the machine.
_OF_THE_MACHINE = re.compile(r"note: its parity could not be checked here|parity in tensorrt")
_LEVEL = 1 / 255
_BEST_PSNR = 78.1  # one value in a thousand off by a level


# Of the commands, in order: how each begins, which of those before it must have run, and what it
# writes. Each is run where nothing lies but what these made and what `furnish` brings.
STEPS: list[tuple[str, tuple[int, ...], set[str]]] = [
    ("export ckpt.pth", (), {"rrin.onnx", "rrin.golden.npz"}),
    (
        "build --fp16",
        (0,),
        {"rrin.rtx.fp16.engine", "rrin.rtx.fp16.engine.json", "rrin.rtx.fp16.golden.npz"},
    ),
    ("interpolate a.png b.png", (0,), {"mid.png"}),
    ("calibrate rrin.onnx", (0,), {"rrin.ranges.json"}),
    ("build rrin.onnx --int8", (0, 3), {"rrin.ort.int8.onnx", "rrin.ort.int8.golden.npz"}),
    ("interpolate clip.mp4", (), {"slow.mp4"}),
    ("interpolate frames/", (), {"more"}),
    ("live clip.mp4", (), {"live.mp4"}),
    ("eval rrin.onnx", (0, 4), set()),
    ("eval ckpt.pth", (), set()),
    ("bench rrin.onnx", (0, 4), {"bench.png"}),
    ("parity rrin.onnx", (0,), set()),
    ("parity rrin.onnx --checkpoint", (0,), set()),
    ("inspect rrin.rtx.fp16.engine", (1,), set()),
    ("doctor", (), set()),
    ("estimate rrin.onnx", (0,), set()),
]


@dataclass(frozen=True)
class Entry:
    """A command of the README, and the output shown below it, possibly none."""

    command: str
    shown: str


def entries(text: str) -> Iterator[Entry]:
    """Yield the commands in order, as they build on each other."""
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for entry in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = entry.partition("\n")
            yield Entry(command, shown.strip("\n"))


def furnish(desk: Path) -> None:
    """Put the files that the README names into a folder."""
    write_checkpoint(desk / "ckpt.pth")
    write_vimeo(desk / "vimeo_triplet")
    for time, name in enumerate(("a.png", "b.png")):
        write_png(desk / name, render_bytes(448, 256, time))
        write_png(desk / "frames" / name, render_bytes(96, 64, time))
    clip = (render_bytes(96, 64, time) for time in range(3))
    write_video(desk / "clip.mp4", clip, Fraction(25))


@dataclass(frozen=True)
class Outcome:
    """What a command came to.

    Attributes:
        shown: its standard output.
        folder: with what it wrote where it was run.
        elsewhere: names of what it wrote into home and temporary folder.
    """

    shown: str
    folder: Path
    elsewhere: list[str]


def outcome(number: int, shared: Path) -> Outcome:
    """Return what came of one of `STEPS`, run once for all that share a folder."""
    folder = shared / f"readme-{number}"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            _run_step(number, shared, folder)
    about = json.loads(folder.with_suffix(".json").read_text())
    return Outcome(about["shown"], folder, about["elsewhere"])


def _run_step(number: int, shared: Path, folder: Path) -> None:
    entry = list(entries(README.read_text()))[number]
    _, needed, _ = STEPS[number]
    with tempfile.TemporaryDirectory() as scratch:
        desk, home, temporary = (Path(scratch, name) for name in ("desk", "home", "tmp"))
        for path in (desk, home, temporary):
            path.mkdir()
        furnish(desk)
        for step in needed:
            shutil.copytree(outcome(step, shared).folder, desk, dirs_exist_ok=True)
        before = {path.name for path in desk.iterdir()}
        shown = run(entry.command, desk, clean_environment(home, temporary))
        elsewhere = [
            path.name for each in (home, temporary) for path in each.rglob("*") if path.is_file()
        ]
        about = json.dumps({"shown": shown, "elsewhere": elsewhere})
        folder.with_suffix(".json").write_text(about)
        written = folder.with_suffix(".partial")
        written.mkdir()
        for path in desk.iterdir():
            if path.name not in before:
                shutil.move(path, written)
        written.rename(folder)


def clean_environment(home: Path, temporary: Path) -> dict[str, str]:
    """Return the environment of someone who has set nothing, and has these two folders."""
    kept = {
        name: value
        for name, value in os.environ.items()
        # CI turns ONNX Runtime's telemetry off; the others would lead out of the empty home.
        if name not in ("CI", "ORT_DISABLE_TELEMETRY", "MPLCONFIGDIR")
        and not name.startswith("XDG_")
    }
    return {**kept, "HOME": str(home), "TMPDIR": str(temporary)}


def run(command: str, desk: Path, environment: Mapping[str, str] = os.environ) -> str:
    """Run a command and return what it prints on its standard output, wherever it runs."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=desk,
        env={**environment, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    assert "Warning" not in done.stderr, f"{command}: {done.stderr}"
    lines = (line.rstrip() for line in done.stdout.splitlines())
    return "\n".join(line for line in lines if not _OF_THE_MACHINE.match(line)).strip("\n")


def differences(shown: str, found: str) -> list[str]:
    """Return the lines that say something else, each as 'shown -> found'.

    Compared are all words and numbers, but for times and ONNX Runtime's version; PSNR may differ by
    1 dB, errors by two 8-bit levels.
    """
    ours, theirs = ([line for line in text.splitlines() if line] for text in (shown, found))
    if len(ours) != len(theirs):
        return [f"{len(ours)} lines -> {len(theirs)} lines"]
    pairs = zip(ours, theirs, strict=True)
    return [f"{one.strip()} -> {other.strip()}" for one, other in pairs if not _alike(one, other)]


def _alike(shown: str, found: str) -> bool:
    if "──" in shown and "──" in found:
        return True  # a rule as wide as its table
    if _skeleton(shown) != _skeleton(found):
        return False
    pairs = zip(_PATTERN.finditer(shown), _PATTERN.finditer(found), strict=True)
    return all(_NEAR[str(one.lastgroup)](one.group(), other.group()) for one, other in pairs)


def _skeleton(line: str) -> str:
    return " ".join(_PATTERN.sub(lambda match: f"<{match.lastgroup}>", line).split())


def _near_psnr(one: str, other: str) -> bool:
    a, b = (
        math.inf if text == "equal" else float(text.removesuffix(" dB")) for text in (one, other)
    )
    return min(a, b) >= _BEST_PSNR or abs(a - b) <= 1


_NEAR: dict[str, Callable[[str, str], bool]] = {
    "time": lambda one, other: one.split()[1] == other.split()[1],
    "version": lambda one, other: True,  # noqa: ARG005 - which is installed is not the README's
    "psnr": _near_psnr,
    "error": lambda one, other: abs(float(one) - float(other)) <= 2 * _LEVEL,
    "share": lambda one, other: abs(float(one[:-1]) - float(other[:-1])) <= 0.1,
}


def main() -> None:
    """Rewrite the README where a command prints something else than is shown."""
    text = README.read_text()
    with tempfile.TemporaryDirectory() as folder:
        furnish(Path(folder))
        for entry in entries(text):
            found = replace(entry, shown=run(entry.command, Path(folder)))
            if not entry.shown:
                continue  # what it prints is of no interest here
            for line in differences(entry.shown, found.shown):
                print(line)
            old, new = (f"$ {each.command}\n{each.shown}\n" for each in (entry, found))
            assert text.count(old) == 1, entry.command
            text = text.replace(old, new)
    README.write_text(text)


if __name__ == "__main__":
    main()
