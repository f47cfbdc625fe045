"""Shares of a long video, as they are typed, or as job arrays number their tasks."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from reprlib import repr as shortened
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from media.options import Share


def parse_share(text: str, variables: Mapping[str, str] = os.environ) -> Share:
    """Parse '3/16', or 'auto' in a job array, or 'auto/16' where that does not say its size.

    Args:
        variables: of the environment: Slurm's, AWS Batch's, or those of an indexed Kubernetes job.

    Raises:
        typer.BadParameter: it is none, or not of an array.
        OptionError: see `Share`.
    """
    from media.options import Share

    match = re.fullmatch(r"(auto|\d{1,9})(?:/(\d{1,9}))?", text)
    if not match or (match[1] != "auto" and match[2] is None):
        raise typer.BadParameter(f"{shortened(text)} is no share; expected one as 3/16, or auto")
    if match[1] != "auto":
        return Share(int(match[1]), int(match[2]))
    index, count = _place(variables)
    count = int(match[2]) if match[2] else count
    if count is None:
        raise typer.BadParameter("this job does not say of how many it is one; give auto/16 of 16")
    return Share(index + 1, count)


def _place(variables: Mapping[str, str]) -> tuple[int, int | None]:
    """Return which of an array's tasks this is, from 0, and how many there are, if that is said."""

    def number(name: str, default: int | None = None) -> int | None:
        value = variables.get(name, "")
        return int(value) if re.fullmatch(r"\d{1,9}", value) else default

    if (task := number("SLURM_ARRAY_TASK_ID")) is not None:
        first, step = number("SLURM_ARRAY_TASK_MIN", 0), number("SLURM_ARRAY_TASK_STEP", 1)
        return (task - (first or 0)) // (step or 1), number("SLURM_ARRAY_TASK_COUNT")
    if (job := number("AWS_BATCH_JOB_ARRAY_INDEX")) is not None:
        return job, number("AWS_BATCH_JOB_ARRAY_SIZE")
    if (index := number("JOB_COMPLETION_INDEX")) is not None:
        return index, None
    raise typer.BadParameter(
        "auto, and no variable of a job array is set (SLURM_ARRAY_TASK_ID, "
        "AWS_BATCH_JOB_ARRAY_INDEX, JOB_COMPLETION_INDEX); give a share as 3/16"
    )
