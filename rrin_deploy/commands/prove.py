"""`rrin-deploy prove`"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from rrin_deploy.console import say
from rrin_deploy.failures import FAILED
from rrin_deploy.progress import waiting

# As `PARTS` has them, whose module is heavy.
_PARTS = (
    "build", "layers", "engines", "parity", "streams", "arrays", "overhead", "exactness", "speed",
    "onnxruntime", "memcheck",
)  # fmt: skip


def command(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the report; made where it is not.")
    ] = Path("gpu-proof"),
    parts: Annotated[
        list[str] | None,
        typer.Option("--part", help="Run this part alone; repeatable: " + ", ".join(_PARTS)),
    ] = None,
    compiled: Annotated[
        bool,
        typer.Option("--compile", help="Time torch.compile as well, which takes a minute."),
    ] = False,
) -> None:
    """Prove on the GPU here that sessions are right, and measure how fast the card is.

    Writes gpu-proof.json, and gpu-proof.md for a pull request. Where TensorRT does not run, a
    double of it that calls PyTorch shows that streams, copies and lifetimes are right; what cannot
    be run here is listed as not run. Exit code 1 if anything failed, 3 without a GPU.

    Example: `rrin-deploy prove -o gpu-proof`
    """
    from rrin_deploy.proof.proof import Extent, prove
    from rrin_deploy.proof.report import Finding

    def tell(finding: Finding) -> None:
        say(f": {finding.status}; {finding.text} ({finding.seconds:.1f} s)", subject=finding.name)

    unknown = sorted(set(parts or ()) - set(_PARTS))
    if unknown:
        raise typer.BadParameter(f"--part {unknown[0]}: the parts are {', '.join(_PARTS)}")
    extent = Extent(parts=tuple(parts or ()), compiled=compiled)
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, waiting("proving"):
        report = prove(output, Path(scratch), extent, tell)
    say(" and gpu-proof.md beside it", subject=output / "gpu-proof.json")
    raise typer.Exit(FAILED if report.failed else 0)
