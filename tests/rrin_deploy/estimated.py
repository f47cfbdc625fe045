"""`python -m tests.rrin_deploy.estimated FILE...`: estimates beside what this machine then takes.

Prints the rows of the table in docs/estimate.md. Let nothing else run meanwhile.
"""

import argparse
import os
from pathlib import Path

from rrin_deploy.bench.benchmark import Load, run_benchmark
from rrin_deploy.bench.peers import Contender
from rrin_deploy.console import parse_size
from rrin_deploy.estimate.bounds import Job, estimate
from rrin_deploy.estimate.devices import this_machine
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
    shown = ", ".join(f"{kind} {rate / 1e9:.0f} G/s" for kind, rate in device.rates.items())
    print(f"ceilings: {shown}, memory {device.bandwidth / 1e9:.1f} GB/s")
    for name in options.size:
        size = parse_size(name)
        contenders = [Contender(each.name, "artifact", each) for each in options.files]
        timings = run_benchmark(contenders, Load(size, 1, threads, options.rounds))
        for path, timing in zip(options.files, timings, strict=True):
            workload = read_workload(path)
            metadata = workload.metadata
            found = estimate(workload, device, Job(size, 2), metadata.precision)
            low, high = found.expected
            took = timing.median
            within = "yes" if found.least <= took and low <= took <= high else "no"
            print(
                f"| {metadata.base_width} | {metadata.precision} | {name} | "
                f"{found.least * 1e3:.0f} | {low * 1e3:.0f} to {high * 1e3:.0f} | "
                f"{took * 1e3:.0f} | {found.least / took:.0%} | {within} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
