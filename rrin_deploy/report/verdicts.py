"""What is said of each artifact at the top of a report, and whether it passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from rrin_deploy.evaluation import AVERAGE
from rrin_deploy.report.records import (
    Artifact,
    Contender,
    Findings,
    Parity,
    ParityCase,
    Speed,
    Timing,
)

Status = Literal["pass", "fail", "not judged"]


@dataclass(frozen=True)
class Card:
    """An artifact on a machine, and what was found of it; None where that was not run.

    Attributes:
        load, timing: the first that it was timed with, and how it did.
        failed: why it does not pass.
        missing: what it would take to say that it passes.
    """

    machine: str
    name: str
    artifact: Artifact | None
    parity: Parity | None
    quality: Contender | None
    load: Speed | None
    timing: Timing | None
    failed: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def status(self) -> Status:
        """The verdict."""
        return "fail" if self.failed else "not judged" if self.missing else "pass"

    @property
    def hardest(self) -> ParityCase | None:
        """The case of its parity with the largest error."""
        cases = self.parity.cases if self.parity else ()
        return max(cases, key=lambda case: case.max_abs_error, default=None)

    @property
    def precision(self) -> str:
        """Of the artifact; empty where no part says it."""
        known = self.artifact or self.parity
        return known.precision if known else ""


def cards(machines: Mapping[str, Findings], least_db: float | None) -> list[Card]:
    """Return a card for each artifact of each machine.

    Args:
        least_db: the mean PSNR that each artifact has to reach; None asks for parity alone.
    """
    return [
        _card(machine, name, found, least_db)
        for machine, found in machines.items()
        for name in _names(found)
    ]


def _names(found: Findings) -> list[str]:
    names = dict.fromkeys(artifact.name for artifact in found.artifacts)
    for parity in found.parity:
        if not any(_is_of(name, parity) for name in names):
            names[_short(parity.artifact)] = None
    names |= dict.fromkeys(_contenders(found))
    for _, timing in _timings(found):
        if not any(_is_timing(name, timing) for name in names):
            names[timing.name] = None
    return [*names]


def _contenders(found: Findings) -> list[str]:
    return [name for name in found.quality.contenders if name != AVERAGE] if found.quality else []


def _timings(found: Findings) -> Iterator[tuple[Speed, Timing]]:
    for load in found.speed:
        for timing in load.contenders:
            if timing.kind == "artifact":  # and none of the peers
                yield load, timing


def _short(path: str) -> str:
    return PurePosixPath(path.replace("\\", "/")).name or "an artifact"


def _is_of(name: str, parity: Parity) -> bool:
    return name in (parity.artifact, _short(parity.artifact))


def _is_timing(name: str, timing: Timing) -> bool:
    # `bench --backend` names an artifact once a backend, as in "rrin.onnx, openvino".
    return timing.name == name or timing.name.startswith(f"{name}, ")


def _card(machine: str, name: str, found: Findings, least_db: float | None) -> Card:
    artifact = next((each for each in found.artifacts if each.name == name), None)
    parity = next((each for each in found.parity if _is_of(name, each)), None)
    quality = found.quality.contenders.get(name) if found.quality else None
    ran = [each for each in _timings(found) if _is_timing(name, each[1]) and not each[1].failure]
    load, timing = ran[0] if ran else (None, None)
    failed, missing = [], []
    if parity is None:
        missing.append("parity was not run")
    elif not parity.passed:
        failed.append(parity.error or "parity failed")
    if least_db is not None:
        if quality is None:
            missing.append("quality was not measured")
        elif quality.psnr_db is not None and quality.psnr_db < least_db:
            failed.append(f"{quality.psnr_db:.2f} dB, expected {least_db:g} dB at least")
    return Card(
        machine, name, artifact, parity, quality, load, timing, tuple(failed), tuple(missing)
    )
