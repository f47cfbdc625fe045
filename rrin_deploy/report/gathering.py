"""What a report is of: artifacts inspected, held against PyTorch and the truth, and timed, here."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from calibration import Triplet
from rrin_deploy import __version__
from rrin_deploy.failures import explanation
from rrin_deploy.inspection import facts_of
from rrin_deploy.report.album import ParityPicture, WorstCase, parity_picture, worst_cases
from rrin_deploy.report.documents import FINDINGS_FORMAT
from rrin_deploy.report.machine import machine
from runtime.backends import options_for
from runtime.errors import BackendError, InputNotFoundError, RrinError
from runtime.golden import Golden, golden_beside
from runtime.interpolator import Interpolator
from runtime.manifest import is_engine
from runtime.parity import check_parity

Progress = Callable[[int, int], None]


class Gathering:
    """Runs the parts that it is told to, one after another, and keeps what they find.

    Args:
        files: artifacts, by the name that they have in the report.
        where: options of `open_session`, by name.

    Attributes:
        parity_pictures, worst_cases: what the parts drew.
    """

    def __init__(self, files: Mapping[str, Path], where: Mapping[str, Any]) -> None:
        self.parity_pictures: list[ParityPicture] = []
        self.worst_cases: list[WorstCase] = []
        self._files, self._where = files, where
        self._found: dict[str, Any] = {
            "artifacts": [], "parity": [], "quality": None, "speed": [], "estimates": [],
        }  # fmt: skip
        self._not_run: list[dict[str, str]] = []

    def document(self, commands: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Return all findings as JSON types, as `rrin_deploy.report.records.Findings` has them.

        Args:
            commands: how to make the figures again, by part.
        """
        return {
            "findings_format": FINDINGS_FORMAT,
            "version": __version__,
            "machine": machine(),
            **self._found,
            "not_run": self._not_run,
            "commands": {part: [*lines] for part, lines in commands.items()},
        }

    def leave_out(self, part: str, why: str, name: str = "all") -> None:
        """Say of a part of an artifact, or of all, that it was not run."""
        self._not_run.append({"part": part, "subject": name, "why": why})

    def inspect(self) -> None:
        """Read what each file says of itself; the layers of an engine where they can be read.

        Raises:
            ArtifactError: a file is damaged, or not one of ours.
        """
        for name, file in self._files.items():
            about = facts_of(file)
            layers, moved = about.pop("nodes", {}), None
            if is_engine(file):
                with self._or_not_run("layers", name):
                    layers, moved = _layers(file, trusted=self._where["trusted"])
            self._found["artifacts"].append(_artifact(name, file, about, layers, moved))

    def judge(self) -> None:
        """Hold each artifact against PyTorch's golden outputs, and draw where it is off."""
        for name, file in self._files.items():
            options = options_for(file, **self._where)
            with self._or_not_run("parity", name):
                try:
                    report = check_parity(file, **options)
                except (BackendError, InputNotFoundError):
                    raise
                except RrinError as error:
                    failed = {"passed": False, "artifact": str(file)}
                    self._found["parity"].append({**failed, "error": explanation(error)[0]})
                    continue
                self._found["parity"].append(report.to_dict())
                if not report.worst.not_finite:
                    golden = Golden.load(golden_beside(file))
                    with Interpolator(file, **options) as interpolate:
                        drawn = parity_picture(interpolate, golden, name, report)
                    self.parity_pictures.append(drawn)

    def evaluate(self, triplets: Sequence[Triplet], data: str, progress: Progress) -> None:
        """Judge those artifacts that run here by true middle frames, and draw their worst results.

        Raises:
            InputNotFoundError, MediaError: an image is missing, damaged or too small.
        """
        from rrin_deploy.evaluation import evaluate, report

        first = triplets[0].read()
        with ExitStack() as stack:
            contenders = {}
            for name, file in self._files.items():
                with self._or_not_run("quality", name):
                    opened = Interpolator(file, **options_for(file, **self._where))
                    stack.enter_context(opened)
                    opened(first.frame0, first.frame1)
                    contenders[name] = opened
            if not contenders:
                return
            cases = evaluate(contenders, triplets, progress=progress)
            self._found["quality"] = {"data": data, **report(cases, [*contenders])}
            graphs = [self._files[name] for name in contenders if not is_engine(self._files[name])]
            if not graphs:
                self.leave_out("flow", "an engine does not say it; give its ONNX file as well")
            model, threads = graphs[0] if graphs else None, self._where["threads"]
            self.worst_cases = worst_cases(contenders, triplets, cases, model, threads)

    def time(self, sizes: Sequence[tuple[int, int]], rounds: int, progress: Progress) -> None:
        """Time whole calls of those artifacts that run here, at each size (width, height)."""
        from rrin_deploy.bench.benchmark import Load, Report, run_benchmark, usable_cores
        from rrin_deploy.bench.ceiling import cpu_ceilings, gpu_ceiling
        from rrin_deploy.bench.peers import Contender

        contenders = []
        for name, file in self._files.items():
            with self._or_not_run("speed", name):
                Interpolator(file, **options_for(file, **self._where)).close()
                backend, trusted = self._where["backend"], self._where["trusted"]
                own = tuple(self._where["providers"] or ()) or None
                contenders.append(Contender(name, "artifact", file, backend, own, trusted))
        if not contenders:
            return
        threads = self._where["threads"] or usable_cores()
        ceilings = cpu_ceilings(threads) | gpu_ceiling()
        with self._or_not_run("speed", "all"):  # where the first fails while it runs
            for size in sizes:
                load = Load(size, 1, threads, rounds)
                timings = run_benchmark(contenders, load, progress)
                self._found["speed"].append(Report(load, timings, ceilings).to_dict())

    def expect(self, sizes: Sequence[tuple[int, int]], factor: int, fps: float) -> None:
        """Estimate what ONNX files reach on devices that are not here, at each size."""
        from rrin_deploy.estimate.bounds import Job
        from rrin_deploy.estimate.devices import DEVICES
        from rrin_deploy.estimate.outlook import Outlook
        from rrin_deploy.estimate.workload import read_workload

        for name, file in self._files.items():
            if is_engine(file):
                why = "an engine does not say its work; give its ONNX file as well"
                self.leave_out("estimates", why, name)
                continue
            with self._or_not_run("estimates", name):
                workload = read_workload(file)
                precision = workload.metadata.precision
                devices = [device for device in DEVICES if precision in device.rates]
                if not devices:
                    self.leave_out("estimates", f"no device has figures for {precision}", name)
                for size in sizes:
                    for device in devices:
                        found = Outlook.of(workload, device, Job(size, factor), fps)
                        self._found["estimates"].append({"file": name, **found.to_dict()})

    @contextmanager
    def _or_not_run(self, part: str, name: str) -> Iterator[None]:
        """Keep as a reason what one of ours raises in the block; for layers and all that runs."""
        try:
            yield
        except RrinError as error:
            self.leave_out(part, explanation(error)[0], name)


def _layers(file: Path, *, trusted: bool) -> tuple[dict[str, int], int | None]:
    from engines.layers import layers_of, moved_bytes

    found = layers_of(file, trusted=trusted)
    counts = Counter[str](layer.kind for layer in found)
    counts["convolution with its activation"] = sum(layer.activates for layer in found)
    return dict(counts.most_common()), moved_bytes(found)


def _artifact(
    name: str, file: Path, about: dict[str, Any], layers: Mapping[str, int], moved: int | None
) -> dict[str, Any]:
    metadata = about.pop("metadata")
    facts = {**metadata, "sha256": hashlib.sha256(file.read_bytes()).hexdigest(), **about}
    apart = ("kind", "bytes", "precision", "census", "context bytes")
    return {
        "name": name,
        "kind": about["kind"],
        "bytes": about["bytes"],
        "precision": metadata["precision"],
        "facts": {name: text for name, text in _flat(facts) if name not in apart},
        "census": about["census"],
        "layers": layers,
        "context_bytes": about.get("context_bytes"),
        "moved_bytes": moved,
    }


def _flat(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in facts.items():
        if isinstance(value, Mapping):
            if name != "census":
                yield from ((f"{name} {inner}", text) for inner, text in _flat(value))
        elif value not in (None, (), [], ""):
            text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
            yield name.replace("_", " "), text[:1000]
