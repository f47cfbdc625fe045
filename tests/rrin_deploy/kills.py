"""`python -m tests.rrin_deploy.kills`: runs killed at random moments and started again.

Each has to end with the frames of a run that nobody disturbed, and to leave nothing beside them.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av

from media.video import write_video
from runtime.scene import render_bytes
from tests.models import SMALL_MODEL

ROOT = Path(__file__).parents[2]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
CODECS = ("ffv1", "libx264")


def command(source: Path, output: Path, codec: str, *more: str) -> list[str]:
    """Return one that makes three segments or more of `source_of`'s video."""
    return [
        sys.executable, "-m", "rrin_deploy", "interpolate", str(source), "-o", str(output),
        "--model", str(SMALL_MODEL), "--backend", "onnxruntime", "--threads", "1",
        "--codec", codec, "--segment", "0.4", *more,
    ]  # fmt: skip


def source_of(folder: Path) -> Path:
    """Write two seconds of video, with a keyframe every half."""
    path, plain = folder / "in.mp4", folder / "plain.mp4"
    write_video(plain, (render_bytes(96, 64, index) for index in range(50)), Fraction(25))
    with av.open(str(plain)) as reader, av.open(str(path), "w") as writer:
        encoder = writer.add_stream("libx264", rate=25, options={"g": "12"})
        encoder.width, encoder.height, encoder.pix_fmt = 64, 96, "yuv420p"
        for frame in reader.decode(video=0):
            frame.pict_type = av.video.frame.PictureType.NONE
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    plain.unlink()
    return path


def decoded(path: Path) -> list[tuple[Fraction, bytes]]:
    """Return each frame's time and pixels."""
    with av.open(str(path)) as reader:
        base = reader.streams.video[0].time_base or Fraction(1)
        return [
            ((frame.pts or 0) * base, frame.to_ndarray().tobytes())
            for frame in reader.decode(video=0)
        ]


def killed_until_done(line: list[str], chance: random.Random, longest: float) -> tuple[int, int]:
    """Run a command and kill it after a random time, up to five times; then let it end.

    Returns:
        How many runs were killed, and the exit code of the last one.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    kills = 0
    for left in range(chance.randint(1, 5), -1, -1):
        process = subprocess.Popen(
            line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if left:
            time.sleep(chance.uniform(0, longest))
            if process.poll() is None:
                process.send_signal(chance.choice(SIGNALS))
                kills += 1
        if process.wait(timeout=300) == 0:
            break
    return kills, process.returncode


def main() -> int:
    """Return 1 if a run ended with something else."""
    parser = argparse.ArgumentParser(prog="python -m tests.rrin_deploy.kills", description=__doc__)
    parser.add_argument("--runs", type=int, default=60, help="how many are disturbed (60)")
    parser.add_argument("--seed", type=int, default=0, help="another kills at other moments (0)")
    given = parser.parse_args()
    chance = random.Random(given.seed)  # noqa: S311 - not for secrets
    root = Path(tempfile.mkdtemp(prefix="kills-"))
    source = source_of(root)
    truth, longest = {}, 0.0
    for codec in CODECS:
        started = time.perf_counter()
        subprocess.run(command(source, root / f"{codec}.mkv", codec), check=True)
        longest = max(longest, time.perf_counter() - started)
        truth[codec] = decoded(root / f"{codec}.mkv")
    kills = failures = 0
    for index in range(given.runs):
        desk, codec = root / f"run{index}", CODECS[index % len(CODECS)]
        desk.mkdir()
        more, code = killed_until_done(command(source, desk / "out.mkv", codec), chance, longest)
        kills += more
        done = code == 0 or (desk / "out.mkv").exists()  # killed when all was done
        left = [path.name for path in desk.iterdir() if path.name != "out.mkv"]
        if not done or left or decoded(desk / "out.mkv") != truth[codec]:
            failures += 1
            print(f"run {index}, {codec}: exit code {code}, left {left}; kept in {desk}")
        else:
            shutil.rmtree(desk)
    print(f"{given.runs} runs, killed {kills} times; {failures} ended otherwise than undisturbed")
    if not failures:
        shutil.rmtree(root)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
