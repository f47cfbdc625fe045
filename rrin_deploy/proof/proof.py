"""The proof, part by part, on the first GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import onnx

from rrin_deploy.proof import builds, double, engines, machine, sessions
from rrin_deploy.proof.overhead import overhead
from rrin_deploy.proof.report import Finding, NotRunError, Report, caught, verdict
from runtime.bundled import BUNDLED_MODEL
from runtime.errors import BackendError
from runtime.golden import Golden, golden_beside
from runtime.manifest import Target
from runtime.metadata import Io, Precision
from runtime.parity import check_parity

if TYPE_CHECKING:
    from export import RRIN

_IOS: tuple[Io, ...] = ("float32", "uint8")
_SANITIZER_SECONDS = 60
Tell = Callable[[Finding], None]


@dataclass(frozen=True)
class Extent:
    """How much is run.

    Attributes:
        parts: by their names in `PARTS`; none for all.
        clip: for the streams.
        sizes: (width, height) of the pairs that are held against PyTorch on the CPU.
        bench_sizes: likewise, of what is timed.
        compiled: whether torch.compile is timed as well, which takes a minute.
    """

    parts: tuple[str, ...] = ()
    clip: sessions.Clip = field(default_factory=sessions.Clip)
    sizes: tuple[tuple[int, int], ...] = ((448, 256), (333, 217), (640, 360))
    bench_sizes: tuple[tuple[int, int], ...] = ((448, 256), (1280, 720), (1920, 1088))
    compiled: bool = False


def prove(folder: Path, scratch: Path, extent: Extent, tell: Tell) -> Report:
    """Run every part that this machine can run, and write the report into a folder.

    Args:
        folder: for the report; it exists.
        scratch: for engines; it exists and is the caller's to remove.
        tell: called with each finding, as it comes.

    Raises:
        BackendError: there is no GPU here; the report says what could not be run.
    """
    try:
        report = Report(folder, machine.facts())
    except BackendError as error:
        report = Report(folder, machine.software())
        for name in extent.parts or PARTS:
            report.findings.append(Finding(name, "not run", str(error)))
        report.write()
        raise
    proof = _Proof(scratch, extent)
    for name in extent.parts or PARTS:
        for finding in report.run(name, partial(PARTS[name], proof)):
            tell(finding)
    return report


class _Proof:
    """What the parts share: made when it is first needed, so that what fails fails one part."""

    def __init__(self, scratch: Path, extent: Extent) -> None:
        self.scratch, self.extent = scratch, extent
        self.real: dict[str, Path] = {}  # engines of TensorRT that were built here
        self._goldens: list[Golden] = []

    @property
    def goldens(self) -> list[Golden]:
        """The bundled model's golden file, and PyTorch's outputs at the extent's sizes."""
        if not self._goldens:
            from export import make_golden

            bundled = Golden.load(golden_beside(BUNDLED_MODEL))
            more = make_golden(self.network(), bundled.checkpoint_sha256, self.extent.sizes)
            self._goldens = [bundled, more]
        return self._goldens

    def network(self) -> RRIN:
        """Return the bundled model's network, in PyTorch on the CPU."""
        return engines.network_of(onnx.load(BUNDLED_MODEL))

    @contextmanager
    def double(self, io: Io) -> Iterator[Path]:
        """Put the double in TensorRT's place, and yield an engine of it."""
        from runtime.device import compute_capability

        _check_torch()
        with double.double_of_tensorrt(engines.torch_rrin):
            yield double.write_engine(self.scratch, io, compute_capability(0))


def _check_torch() -> None:
    """Let PyTorch compute in float32 and repeatably; NotRunError where it finds no GPU."""
    try:
        import torch
    except ImportError as error:
        raise NotRunError(f"the double needs PyTorch ({error})") from error
    if not torch.cuda.is_available():
        raise NotRunError("the double needs a PyTorch that finds the GPU")
    from rrin_deploy.proof.pytorch import exact

    exact("float32")


def _builds(proof: _Proof) -> Iterator[Finding]:
    for target in get_args(Target):
        for precision in builds.PRECISIONS:
            part = partial(_build, proof, target, precision)
            yield from caught(f"build, {target} {precision}", part)


def _build(proof: _Proof, target: Target, precision: Precision) -> Iterator[Finding]:
    engine, finding = builds.build_here(target, precision, proof.scratch)
    proof.real[f"{target} {precision}"] = engine
    yield finding


def _layers(proof: _Proof) -> Iterator[Finding]:
    yield from builds.kernels(proof.real, proof.scratch)


def _real_sessions(proof: _Proof) -> Iterator[Finding]:
    if not proof.real:
        raise NotRunError("no engine of TensorRT could be built for this card")
    for name, engine in proof.real.items():
        yield from caught(f"engine, {name}", partial(_real_session, proof, name, engine))


def _real_session(proof: _Proof, name: str, engine: Path) -> Iterator[Finding]:
    judges = [Golden.load(golden_beside(engine)), proof.goldens[1]]
    yield from sessions.parity(name, engine, judges)
    yield from sessions.streams(name, engine, proof.extent.clip)
    yield from sessions.device_arrays(name, engine)


def _doubled_parity(proof: _Proof) -> Iterator[Finding]:
    for io in _IOS:
        with proof.double(io) as engine:
            yield from sessions.parity(f"double {io}", engine, proof.goldens)


def _doubled_streams(proof: _Proof) -> Iterator[Finding]:
    with proof.double("uint8") as engine:
        yield from sessions.streams("double uint8", engine, proof.extent.clip)


def _doubled_arrays(proof: _Proof) -> Iterator[Finding]:
    for io in _IOS:
        with proof.double(io) as engine:
            yield from sessions.device_arrays(f"double {io}", engine)


def _sanitizer(_: _Proof) -> Iterator[Finding]:
    name = "compute-sanitizer memcheck, session without PyTorch"
    code, said = machine.sanitized("rrin_deploy.proof.memcheck", _SANITIZER_SECONDS)
    summary = [line for line in said.splitlines() if "SUMMARY" in line or "wrong" in line]
    figures = {"exit_code": code, "output": said.splitlines()}
    yield verdict(name, code == 0, "; ".join(summary) or f"exit code {code}", figures)


def _overhead(proof: _Proof) -> Iterator[Finding]:
    from runtime.device import compute_capability

    with double.double_of_tensorrt(engines.frame0_again):
        for io in _IOS:
            engine = double.write_engine(proof.scratch, io, compute_capability(0))
            yield from overhead(io, engine, proof.extent.bench_sizes)


def _exactness(proof: _Proof) -> Iterator[Finding]:
    _check_torch()
    from rrin_deploy.proof import pytorch

    cases = [case for golden in proof.goldens for case in golden.cases]
    yield from pytorch.exactness(proof.network, cases)


def _benchmark(proof: _Proof) -> Iterator[Finding]:
    _check_torch()
    from rrin_deploy.proof import pytorch

    yield from pytorch.benchmark(proof.extent.bench_sizes, compiled=proof.extent.compiled)


def _onnxruntime(_: _Proof) -> Iterator[Finding]:
    from runtime.onnxruntime_session import loadable_providers

    provider = "CUDAExecutionProvider"
    if not loadable_providers(BUNDLED_MODEL).get(provider):
        raise NotRunError(f"this onnxruntime does not load {provider}")
    report = check_parity(providers=[provider])
    worst = report.worst
    text = f"largest error {worst.max_abs_error:.1e} in the worst case; {report.backend}"
    yield verdict("ONNX Runtime CUDA, parity", report.passed, text, report.to_dict())


PARTS: dict[str, Callable[[_Proof], Iterator[Finding]]] = {
    "build": _builds,
    "layers": _layers,
    "engines": _real_sessions,
    "parity": _doubled_parity,
    "streams": _doubled_streams,
    "arrays": _doubled_arrays,
    "overhead": _overhead,
    "exactness": _exactness,
    "speed": _benchmark,
    "onnxruntime": _onnxruntime,
    "memcheck": _sanitizer,
}
