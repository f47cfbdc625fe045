"""`rrin-deploy run`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rrin_deploy.progress import ProgressAs, progress_as
from rrin_deploy.results import FORMAT, AsJson, Outputs, document


def command(
    file: Annotated[Path, typer.Argument(help="The jobs, such as jobs.toml.")],
    as_json: AsJson = False,
    progress: ProgressAs = "bar",
) -> None:
    """Do what a file of jobs says: many inputs, each with its options of `interpolate`.

    A `[[job]]` has an `input` (two images are a list), an `output`, and options by their long
    names, such as `factor = 2` or `no-cuts = true`; `[defaults]` has those of all jobs. Relative
    paths start from the file's folder. All jobs are checked before the first begins, and a wrong
    one is exit code 2.

    A job that fails does not keep the others from being made; the exit code is 1 then. The same
    command goes on: what is there already stays, unless `overwrite = true`.

    Example: `rrin-deploy run jobs.toml --json`
    """
    from rrin_deploy.job_runs import run_jobs
    from rrin_deploy.jobs import read_jobs

    results: Outputs = []
    with document(as_json) as give, progress_as(progress):
        give({"format": FORMAT, "jobs": results})
        run_jobs(file, read_jobs(file), results)
