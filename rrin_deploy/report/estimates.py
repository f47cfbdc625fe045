"""What devices that are not here are expected to do, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rrin_deploy.report.records import Estimated, Expected, Findings


@dataclass(frozen=True)
class EstimateTable:
    """A file at a size, on several devices.

    Attributes:
        rows: a device each; file, size, factor, wanted rate and precision are those of all.
        precisions: that any of the devices has figures for, the columns.
    """

    rows: Sequence[Estimated]
    precisions: Sequence[str]

    @property
    def first(self) -> Estimated:
        """Any row, for what all have."""
        return self.rows[0]

    def cells(self, row: Estimated) -> list[Expected | None]:
        """Return what is expected of a device in each precision; None where it has no figures."""
        known = {each.precision: each for each in row.estimates}
        return [known.get(precision) for precision in self.precisions]


def estimate_tables(found: Findings) -> list[EstimateTable]:
    """Return a table for each file, size, factor and wanted rate, in the order of the findings.

    Those that count a video in stand apart, by video.
    """
    groups: dict[tuple[object, ...], list[Estimated]] = {}
    for each in found.estimates:
        alike = each.file, each.size, each.factor, each.fps, each.precision, each.video
        groups.setdefault(alike, []).append(each)
    return [EstimateTable(rows, _precisions(rows)) for rows in groups.values()]


def _precisions(rows: Sequence[Estimated]) -> list[str]:
    return [*dict.fromkeys(each.precision for row in rows for each in row.estimates)]
