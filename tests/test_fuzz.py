"""The fuzzer itself: it finds what it should, takes whole files for whole, and repeats itself."""

import json
import os
import time
import warnings
from pathlib import Path
from random import Random

import pytest

from runtime import ArtifactError
from tests.fuzz.runner import Options, fuzz, summary
from tests.fuzz.targets import TARGETS, Sample, Target
from tests.fuzz.workers import Limits, Worker

_REFUSED = {".m3u8", ".ffconcat"}  # they name other files


def _faulty(path: Path) -> None:
    """A reader with one fault of each kind; the suffix says which."""
    match path.suffix:
        case ".refused":
            raise ArtifactError("as promised")
        case ".exception":
            raise RecursionError
        case ".crash":
            os.abort()
        case ".hang":
            time.sleep(60)
        case ".memory":
            assert len(b"\1" * 2**30) == 2**30


@pytest.mark.long
def test_each_fault_is_told_apart() -> None:
    kinds = ("passed", "refused", "exception", "crash", "hang", "memory", "passed")
    worker = Worker({"planted": _faulty}, Limits(seconds=15, bytes=2**30))
    try:
        outcomes = [worker.read("planted", f"case.{kind}", b"") for kind in kinds]
    finally:
        worker.close()
    assert [outcome.kind for outcome in outcomes] == list(kinds)
    assert outcomes[3].what == "SIGABRT in test_fuzz.py, _faulty"


def test_findings_are_counted_and_kept_once(tmp_path: Path) -> None:
    target = Target("planted", lambda: [Sample(".exception", b"content")], _faulty)
    options = Options(seconds=1, folder=tmp_path)
    tallies = fuzz([target], options)
    assert (tmp_path / "planted-0-0.exception").read_bytes() == b"content"
    assert "RecursionError" in (tmp_path / "planted-0-0.txt").read_text()
    assert len(list(tmp_path.iterdir())) == 2
    said = json.loads(summary(tallies, options))
    assert said["findings"] == said["inputs"] == said["targets"]["planted"]["exception"] > 0
    assert [found["kind"] for found in said["targets"]["planted"]["distinct"]] == ["exception"]


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_whole_files_are_read_and_damage_repeats(target: Target, tmp_path: Path) -> None:
    samples = target.samples()
    for sample in samples:
        path = tmp_path / f"case{sample.suffix}"
        path.write_bytes(sample.content)
        if sample.suffix not in _REFUSED:
            target.read(path)
    first, again, other = (
        [target.case(seed, len(samples) + number) for number in range(10)] for seed in (0, 0, 1)
    )
    assert first == again != other


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_mutators_know_their_formats(target: Target) -> None:
    """On whole files they mostly change something; what they raise would be taken in silence."""
    for sample in target.samples():
        for mutator in sample.mutators:
            changed = 0
            for seed in range(20):
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        made = mutator(Random(seed), sample.content)  # noqa: S311
                        changed += made != sample.content
                except Exception as error:  # some choices suit few files, but not one in two
                    print(mutator, type(error).__name__, error)
            assert changed >= 10, (mutator, sample.suffix)
