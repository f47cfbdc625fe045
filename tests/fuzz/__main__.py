"""`python -m tests.fuzz`: fuzz, or with files read those again."""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the import: it writes files at home

from tests.fuzz.runner import Options, fuzz, summary, table
from tests.fuzz.targets import TARGETS, Target
from tests.fuzz.workers import Limits, Worker


def main() -> int:
    """Return 1 if there were findings, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="inputs to read again, of one target")
    parser.add_argument(
        "--target", action="append", choices=sorted(TARGETS), help="may be repeated; else the most"
    )
    parser.add_argument("--seconds", type=float, default=60, help="how long (60)")
    parser.add_argument("--seed", type=int, default=0, help="another makes other inputs (0)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), help="their folder")
    given = parser.parse_args()
    targets = [
        target
        for name, target in TARGETS.items()
        if (name in given.target if given.target else target.default)
    ]
    if given.files:
        if len(targets) != 1:
            parser.error("which target are the files of? Give one --target")
        return _read_again(targets[0], given.files)
    warnings.simplefilter("ignore")  # of libraries, about what the mutators do
    options = Options(given.seconds, given.seed, max(1, given.workers), given.findings)
    tallies = fuzz(targets, options)
    print(table(tallies))
    print(summary(tallies, options))
    return int(any(tally.findings for tally in tallies.values()))


def _read_again(target: Target, files: Sequence[Path]) -> int:
    worker = Worker({target.name: target.read}, Limits())
    found = False
    try:
        for file in files:
            outcome = worker.read(target.name, f"case{file.suffix}", file.read_bytes())
            found |= outcome.is_finding
            peak = f"{outcome.seconds:.1f} s, {outcome.peak_bytes / 2**20:.0f} MiB"
            print(f"{file}: {outcome.kind}: {outcome.what} ({peak})\n{outcome.detail}".rstrip())
    finally:
        worker.close()
    return int(found)


if __name__ == "__main__":
    raise SystemExit(main())
