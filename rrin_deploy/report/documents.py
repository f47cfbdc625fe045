"""JSON files of other machines: what `parity`, `eval`, `bench` and others printed there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from rrin_deploy.estimate.outlook import FORMAT as ESTIMATE_FORMAT
from rrin_deploy.report.records import Findings
from runtime.errors import ArtifactError, first_line, shown
from runtime.options import check_file

FINDINGS_FORMAT = 1
_MAX_BYTES = 32 * 2**20
_EXPECTED = "expected what `parity`, `eval`, `bench`, `estimate` or `report` print with --json"
_JOINED = ("parity", "estimates")  # of several files


def read_findings(paths: Sequence[Path]) -> dict[str, Findings]:
    """Return what machines found, by name: a file's up to its first dot, as of jetson.bench.json.

    Files of one machine are put together; of two that say the same the last one stays.

    Raises:
        InputNotFoundError: there is no such file.
        ArtifactError: it is too large, or not one of these.
    """
    machines: dict[str, dict[str, Any]] = {}
    findings: dict[str, Findings] = {}
    for path in paths:
        document = _read(path)
        name = path.name.partition(".")[0] or path.name
        found = machines.setdefault(name, {})
        joined = {part: [*found.get(part, ()), *document.get(part, ())] for part in _JOINED}
        found |= document | joined
        findings[name] = parsed(found, path)
    return findings


def _read(path: Path) -> dict[str, Any]:
    """Return a file as fields of `Findings`."""
    check_file(path, _EXPECTED)
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ArtifactError(f"{path}: has more than {_MAX_BYTES} bytes; {_EXPECTED}")
    try:
        document = json.loads(content.decode(), parse_constant=_refuse_constant)
    except (ValueError, ArithmeticError, MemoryError, RecursionError) as error:
        raise ArtifactError(f"{path}: is no JSON ({first_line(error)}); {_EXPECTED}") from error
    if isinstance(document, list) and document:
        return {"speed": document}
    if isinstance(document, Mapping) and "findings_format" in document:
        version = document["findings_format"]
        if version != FINDINGS_FORMAT:
            raise ArtifactError(
                f"{path}: has findings format {shown(version)}; this version reads "
                f"{FINDINGS_FORMAT}: make it again with this version of rrin-deploy"
            )
        if not all(isinstance(document.get(part, []), list) for part in _JOINED):
            raise ArtifactError(f"{path}: its {' or '.join(_JOINED)} are no list; {_EXPECTED}")
        return dict(document)
    if isinstance(document, Mapping) and "passed" in document:
        return {"parity": [document]}
    if isinstance(document, Mapping) and "estimates" in document:
        if document.get("format") != ESTIMATE_FORMAT:
            raise ArtifactError(
                f"{path}: has estimate format {shown(document.get('format'))}; this version reads "
                f"{ESTIMATE_FORMAT}: make it again with this version of rrin-deploy"
            )
        return {"estimates": [document]}
    if isinstance(document, Mapping) and "contenders" in document:
        return {"quality": document}
    raise ArtifactError(f"{path}: holds {shown(document)}; {_EXPECTED}")


def parsed(document: Mapping[str, Any], source: object) -> Findings:
    """Return a document as findings; ArtifactError, which names the source, where it is none."""
    try:
        return Findings.from_json(document)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise ArtifactError(f"{source}: {first_line(error)}; {_EXPECTED}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, expected finite numbers")
