"""What a report was asked for, and how to make its figures again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.manifest import is_engine

if TYPE_CHECKING:
    from calibration import Triplet


@dataclass(frozen=True)
class Task:
    """What was asked for.

    Attributes:
        files: artifacts.
        where: options of `open_session`, by name.
        triplets: to judge quality by; None where no data set was given.
        data: the option of that data set, and its root.
        samples: how many of its triplets were asked for, if any number was.
        sizes: to time and to estimate, as typed.
        rounds: timed calls of each.
        fps: that other devices are estimated by.
        skipped: parts that are left out.
    """

    files: Sequence[Path]
    where: Mapping[str, Any]
    triplets: Sequence[Triplet] | None
    data: tuple[str, Path] | None
    samples: int | None
    sizes: Sequence[str]
    rounds: int
    fps: float
    skipped: frozenset[str]

    def commands(self) -> dict[str, list[str]]:
        """Return how to make each part's figures again, from the same folder."""
        files = [*map(str, self.files)]
        threads = _given(threads=self.where["threads"])
        own = _given(**{name: self.where[name] for name in ("backend", "device")})
        own += _given(provider=self.where["providers"], trust=self.where["trusted"])
        commands = {
            "artifacts": [["inspect", file] for file in files],
            "parity": [["parity", file, *threads, *own] for file in files],
            "speed": [["bench", *files, *_given(size=self.sizes, rounds=self.rounds), *threads]],
        }
        if self.data:
            data = [self.data[0], str(self.data[1]), *_given(samples=self.samples)]
            commands["quality"] = [["eval", *files, *data, *threads, *own]]
        typed = {
            part: [shlex.join(["rrin-deploy", *line]) for line in lines]
            for part, lines in commands.items()
        }
        if not all(map(is_engine, self.files)):
            typed["estimates"] = [self._of_each_device(size) for size in self.sizes]
        return {part: lines for part, lines in typed.items() if part not in self.skipped}

    def _of_each_device(self, size: str) -> str:
        from rrin_deploy.estimate.devices import DEVICES

        files = shlex.join(str(file) for file in self.files if not is_engine(file))
        names = shlex.join(device.name for device in DEVICES)
        asked = shlex.join(_given(size=size, fps=self.fps))
        return (
            f"for file in {files}; do for device in {names}; do "
            f'rrin-deploy estimate "$file" {asked} --device "$device"; done; done'
        )


def _given(**options: Any) -> list[str]:
    """Return options as they are typed; those that are None or False are left out."""
    typed: list[str] = []
    for name, value in options.items():
        for each in value if isinstance(value, (list, tuple)) else [value]:
            if each is True:
                typed.append(f"--{name}")
            elif each is not None and each is not False:
                typed += [f"--{name}", str(each)]
    return typed
