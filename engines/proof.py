"""What an artifact owes to the PyTorch reference, measured when it is built.

Its graph, in its new precision, is run once on the CPU over the pairs of the model's golden file;
what it loses there goes into a golden file of the artifact's own, and `parity` holds the artifact
to it ever after.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runtime.errors import ArtifactError, BackendError, OptionError, RrinError
from runtime.golden import ARTIFACT_SUFFIXES, MOST_DB, Golden, GoldenCase, Measured, golden_beside
from runtime.interpolator import Interpolator
from runtime.metadata import Metadata
from runtime.parity import check_parity, judge
from runtime.publishing import Publication
from runtime.verdicts import CaseResult, ParityReport


@dataclass(frozen=True)
class Proof:
    """What is known of an artifact's parity after its build.

    Attributes:
        golden: its golden file; None where the model has none.
        graph: what its graph measured, judged as any artifact of its precision; None where it
            could not be run.
        artifact: the verdict on the artifact itself, by its own golden file; None likewise.
        missing: what could not be measured or run, why, and what that means; empty if all was.
    """

    golden: Path | None
    graph: ParityReport | None
    artifact: ParityReport | None
    missing: str

    @property
    def failed(self) -> bool:
        """True if the artifact ran and is not what its graph is, or gives NaN."""
        return self.artifact is not None and not self.artifact.passed


@dataclass(frozen=True)
class Measurement:
    """What the graph measured before the artifact is written, and the golden file with it."""

    golden: Golden | None
    graph: ParityReport | None
    missing: str

    def publish(self, output: Publication, content: bytes, *others: bytes) -> None:
        """Write the artifact, its other files and its golden file to what `output_of` returned."""
        if self.golden is None:
            output.write(content, *others)
            return
        bound = hashlib.sha256(content).hexdigest() if self.golden.measured_on else ""
        golden = replace(self.golden, artifact_sha256=bound)
        output.write(content, *others, golden.to_bytes())

    def prove(self, artifact: Path) -> Proof:
        """Run the artifact by its own golden file, where this machine can."""
        if self.golden is None:
            return Proof(None, None, None, self.missing)
        report, missing = None, self.missing
        try:
            report = check_parity(artifact, trusted=True)  # built here, a moment ago
        except RrinError as error:
            here = f"its parity could not be checked here: {error}"
            missing = f"{missing}; {here}" if missing else here
        return Proof(golden_beside(artifact), self.graph, report, missing)


def output_of(artifact: Path, *others: Path, golden: Golden | None) -> Publication:
    """Check the files that a build will write, before its work.

    The artifact's golden file is among them; where the model has none, that of an older build goes.

    Raises:
        InputNotFoundError, OutputError: see `Publication`.
        OptionError: the golden file would replace that of another artifact.
    """
    own = golden_beside(artifact)
    for suffix in ARTIFACT_SUFFIXES:
        other = artifact.with_suffix(suffix)
        if other != artifact and other.exists() and own.exists():
            raise OptionError(f"{own}, its golden file, is already {other}'s; choose another name")
    if golden is None:
        return Publication(artifact, *others, outdated=[own])
    return Publication(artifact, *others, own)


def find_golden(model: Path, given: Path | None, artifact: Path, about: Metadata) -> Golden | None:
    """Return the model's golden content without measurements; None where no file lies beside it.

    Raises:
        InputNotFoundError: the file that was given does not exist.
        ArtifactError: it is damaged or of another model.
        OptionError: the artifact's own would replace it.
    """
    source = given or golden_beside(model)
    replaced = golden_beside(artifact).resolve()
    if replaced in (source.resolve(), golden_beside(model).resolve()):
        raise OptionError(
            f"{artifact}: its golden file would replace the model's; give it another name, such as "
            f"{artifact.stem}.{about.precision}{artifact.suffix}"
        )
    if given is None and not source.is_file():
        return None
    golden = Golden.load(source)
    ours = about.checkpoint_sha256, about.align_corners
    if ours != (golden.checkpoint_sha256, golden.align_corners):
        raise ArtifactError(
            f"{source}: holds the outputs of another checkpoint than {model} was made of; export "
            "both again"
        )
    cases = tuple(replace(case, measured=()) for case in golden.cases)
    return replace(golden, cases=cases, measured_on="", artifact_sha256="")


def measure(proto: bytes, about: Metadata, golden: Golden | None, name: Path) -> Measurement:
    """Run a graph on the CPU over the golden pairs, in ONNX Runtime if that has its types.

    Args:
        proto: the ONNX file, in the precision that the artifact will have.
        about: its metadata.
        golden: as `find_golden` returns it.
        name: what messages call the graph.

    Raises:
        ArtifactError: the library that runs it does not load the graph.
    """
    if golden is None:
        missing = (
            "parity not measured, as the model has no golden file: nothing can judge this artifact "
            "until it is built with one; rrin-deploy export writes it"
        )
        return Measurement(None, None, missing)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        path.write_bytes(proto)
        try:
            with Interpolator(path, **_measured_in(about)) as interpolate:
                report = judge(interpolate, golden, str(name))
        except BackendError as error:
            reason = str(error).replace(str(path), str(name))
            missing = (
                f"parity not measured ({reason}): rrin-deploy parity will allow it what it allows "
                f"any {about.precision} artifact"
            )
            return Measurement(golden, None, missing)
    results = iter(report.cases)
    measured = replace(
        golden,
        measured_on=f"{about.precision} {about.runtime}",
        cases=tuple(_with_measured(case, results) for case in golden.cases),
    )
    return Measurement(measured, report, "")


def _measured_in(about: Metadata) -> dict[str, Any]:
    if about.precision == "bf16":
        return {"backend": "openvino"}
    return {"providers": ["CPUExecutionProvider"]}


def _with_measured(case: GoldenCase, results: Iterator[CaseResult]) -> GoldenCase:
    return replace(case, measured=tuple(_measured(next(results)) for _ in case.t))


def _measured(result: CaseResult) -> Measured:
    psnr = MOST_DB if result.psnr_db is None else result.psnr_db
    return Measured(
        max_abs_error=min(result.max_abs_error, 1.0),
        psnr_db=float(min(max(psnr, 0.0), MOST_DB)),
    )
