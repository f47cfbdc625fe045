"""`python -m tests.rrin_deploy.estimated FILE...`: estimates beside what this machine then takes.

Prints the rows of the table in docs/estimate.md: ms of the bound, of what is expected, and of the
fastest call; which share of the bound that is; whether it lies where it is expected. Let nothing
else run meanwhile.
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from rrin_deploy.bench.benchmark import Load, run_benchmark
from rrin_deploy.bench.peers import Contender
from rrin_deploy.console import parse_size
from rrin_deploy.estimate.bounds import Job, estimate
from rrin_deploy.estimate.devices import Device, this_machine
from rrin_deploy.estimate.workload import read_workload

SIZES = "448x256", "640x360", "960x540", "1280x720"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--size", nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    device = this_machine(threads)
    for name in options.size:
        contenders = [Contender(each.name, "artifact", each) for each in options.files]
        load = Load(parse_size(name), 1, threads, options.rounds)
        timings = run_benchmark(contenders, load)
        device = _better(device, this_machine(threads))
        shown = ", ".join(f"{kind} {rate / 1e9:.0f} G/s" for kind, rate in device.rates.items())
        print(f"ceilings: {shown}, memory {device.bandwidth / 1e9:.1f} GB/s")
        for path, timing in zip(options.files, timings, strict=True):
            print(_row(path, load, min(timing.seconds), device), flush=True)


def _better(first: Device, second: Device) -> Device:
    """Return the larger ceilings: what else the machine does can only lower them."""
    rates = {kind: max(rate, second.rates[kind]) for kind, rate in first.rates.items()}
    return replace(first, rates=rates, bandwidth=max(first.bandwidth, second.bandwidth))


def _row(path: Path, load: Load, took: float, device: Device) -> str:
    workload = read_workload(path)
    metadata = workload.metadata
    found = estimate(workload, device, Job(load.size, 2), metadata.precision)
    low, high = found.expected
    cells = (
        metadata.base_width,
        metadata.precision,
        load.name,
        f"{found.least * 1e3:.0f}",
        f"{low * 1e3:.0f} to {high * 1e3:.0f}",
        f"{took * 1e3:.0f}",
        f"{found.least / took:.0%}",
        "yes" if found.least <= low <= took <= high else "no",
    )
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
