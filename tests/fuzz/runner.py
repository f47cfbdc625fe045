"""The loop: files are made, read by workers, and counted; findings are kept."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path

from tests.fuzz.targets import Sample, Target
from tests.fuzz.workers import Limits, Outcome, Worker

_TICK = 0.02  # seconds between two looks at a worker's memory
_PROGRESS = 10  # seconds between two lines
_MOST = 1  # seconds that one input counts for in its target's share: a hang should not starve it


@dataclass(frozen=True)
class Options:
    """How to fuzz.

    Attributes:
        seconds: how long; each target gets an equal share of the workers' time.
        seed: makes the same inputs again, by their numbers.
        workers: processes.
        folder: where inputs that were findings are kept.
    """

    seconds: float = 60
    seed: int = 0
    workers: int = 1
    folder: Path = Path("fuzz-findings")
    limits: Limits = field(default_factory=Limits)


@dataclass
class Tally:
    """What was seen of one target.

    Attributes:
        share: seconds of work, by which the targets take turns.
        slowest, largest: the amount, and the number of the input.
    """

    tried: int = 0
    share: float = 0
    kinds: Counter[str] = field(default_factory=Counter)
    distinct: Counter[tuple[str, str]] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, 0)
    largest: tuple[int, int] = (0, 0)

    @property
    def findings(self) -> int:
        """How many inputs were findings, alike or not."""
        return sum(self.distinct.values())


@dataclass(frozen=True)
class _Job:
    target: Target
    number: int
    sample: Sample
    began: float


def fuzz(targets: Sequence[Target], options: Options) -> dict[str, Tally]:
    """Fuzz targets in turn for so long, and print what is found; return the tallies by target."""
    tallies = {target.name: Tally() for target in targets}
    begun = dict.fromkeys(tallies, 0)
    readers = {target.name: target.read for target in targets}
    idle = [Worker(readers, options.limits) for _ in range(options.workers)]
    busy: dict[Worker, _Job] = {}
    started = shown = time.monotonic()
    try:
        while busy or time.monotonic() < started + options.seconds:
            while idle and time.monotonic() < started + options.seconds:
                target = min(targets, key=lambda target: tallies[target.name].share)
                worker = idle.pop()
                busy[worker] = _begin(worker, target, begun[target.name], options.seed)
                begun[target.name] += 1
            wait([worker.connection for worker in busy], _TICK)
            for worker, job in list(busy.items()):
                outcome = worker.outcome(patience=0)
                if outcome is not None:
                    idle.append(worker)
                    del busy[worker]
                    _count(tallies[job.target.name], job, outcome, options)
            if time.monotonic() > shown + _PROGRESS:
                shown = time.monotonic()
                print(_progress(tallies, shown - started, options.seconds), flush=True)
    finally:
        for worker in (*idle, *busy):
            worker.close()
    return tallies


def _begin(worker: Worker, target: Target, number: int, seed: int) -> _Job:
    began = time.monotonic()
    sample = target.case(seed, number)
    worker.start(target.name, f"case{sample.suffix}", sample.content)
    return _Job(target, number, sample, began)


def _count(tally: Tally, job: _Job, outcome: Outcome, options: Options) -> None:
    tally.tried += 1
    tally.share += min(time.monotonic() - job.began, _MOST)
    tally.kinds[outcome.kind] += 1
    tally.slowest = max(tally.slowest, (outcome.seconds, job.number))
    tally.largest = max(tally.largest, (outcome.peak_bytes, job.number))
    if not outcome.is_finding:
        return
    key = outcome.kind, outcome.what
    tally.distinct[key] += 1
    if tally.distinct[key] == 1:
        name = f"{job.target.name}-{options.seed}-{job.number}"
        kept = options.folder / f"{name}{job.sample.suffix}"
        options.folder.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(job.sample.content)
        kept.with_name(f"{name}.txt").write_text(f"{key[0]}: {key[1]}\n{outcome.detail}")
        print(f"{job.target.name}: {key[0]}: {key[1]}: {kept}", flush=True)


def _progress(tallies: dict[str, Tally], seconds: float, total: float) -> str:
    tried = sum(tally.tried for tally in tallies.values())
    distinct = sum(len(tally.distinct) for tally in tallies.values())
    return f"{seconds:.0f} of {total:.0f} s: {tried} inputs, {distinct} distinct findings"


def table(tallies: dict[str, Tally]) -> str:
    """Return a table: counts by kind, and the slowest input and the largest by number."""
    kinds = ("passed", "refused", "exception", "crash", "hang", "memory")
    head = ("target", "inputs", *kinds, "distinct", "slowest", "memory peak")
    rows: list[tuple[str, ...]] = [head]
    for name, tally in tallies.items():
        slowest = f"{tally.slowest[0]:.1f} s (#{tally.slowest[1]})"
        largest = f"{tally.largest[0] / 2**20:.0f} MiB (#{tally.largest[1]})"
        counts = (tally.tried, *(tally.kinds[kind] for kind in kinds), len(tally.distinct))
        rows.append((name, *map(str, counts), slowest, largest))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def summary(tallies: dict[str, Tally], options: Options) -> str:
    """Return the tallies as one line of JSON."""
    return json.dumps(
        {
            "seed": options.seed,
            "seconds": options.seconds,
            "inputs": sum(tally.tried for tally in tallies.values()),
            "findings": sum(tally.findings for tally in tallies.values()),
            "targets": {
                name: {
                    "inputs": tally.tried,
                    **tally.kinds,
                    "distinct": [
                        {"kind": kind, "what": what, "inputs": count}
                        for (kind, what), count in tally.distinct.items()
                    ],
                    "slowest_seconds": round(tally.slowest[0], 3),
                    "peak_bytes": tally.largest[0],
                }
                for name, tally in tallies.items()
            },
        }
    )
