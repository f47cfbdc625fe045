"""The data sets with true middle frames that commands judge by, and the choice among them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from calibration import Triplet

_FOLDER = "One folder a triplet, "

Vimeo90K = Annotated[
    Path | None, typer.Option("--vimeo90k", help="Vimeo90K as published; its test list.")
]
Ucf101 = Annotated[
    Path | None,
    typer.Option("--ucf101", help=_FOLDER + "with frame_00.png, frame_01_gt.png, frame_02.png."),
]
Middlebury = Annotated[
    Path | None, typer.Option("--middlebury", help="Holds other-data and other-gt-interp.")
]
Samples = Annotated[
    int | None, typer.Option(help="Only so many triplets, evenly spread over the list.", min=1)
]
Triplets = Annotated[
    Path | None,
    typer.Option("--triplets", help=_FOLDER + "with im1, im2 (the truth), im3."),
]


def chosen_triplets(
    vimeo90k: Path | None,
    ucf101: Path | None,
    middlebury: Path | None,
    triplets: Path | None,
    *,
    samples: int | None,
) -> Sequence[Triplet]:
    """Return the triplets of the one data set that is given, or so many, evenly spread over it."""
    import calibration

    given = [root for root in (vimeo90k, ucf101, middlebury, triplets) if root]
    if len(given) != 1:
        raise typer.BadParameter(
            "give one data set: --vimeo90k, --ucf101, --middlebury or --triplets"
        )
    if vimeo90k:
        found = calibration.vimeo90k(vimeo90k, "test")
    elif ucf101:
        found = calibration.ucf101(ucf101)
    elif middlebury:
        found = calibration.middlebury(middlebury)
    else:
        found = calibration.triplet_folders(given[0])
    if samples is None or samples >= len(found):
        return found
    return [found[index * len(found) // samples] for index in range(samples)]
