"""Jobs of a file, one after the other: what fails keeps no other from being made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import cache
from pathlib import Path

from rich.text import Text

from rrin_deploy.console import errors, say
from rrin_deploy.failures import explanation
from rrin_deploy.interpolation import Artifact
from rrin_deploy.jobs import Job
from rrin_deploy.orders import make
from rrin_deploy.results import Outputs
from rrin_deploy.signals import raise_stopped
from runtime.errors import OutputError, OutputExistsError
from runtime.interpolator import Interpolator


def run_jobs(file: Path, jobs: Sequence[Job], results: Outputs) -> None:
    """Make what all jobs ask for; those of one artifact with the same options open it once.

    What is there already stays, unless it is to be overwritten: the same command goes on.

    Args:
        file: which the jobs are of.
        results: what became of each is added to it, in the order in which they were run.

    Raises:
        OutputError: not all were made, or not without fault.
    """
    for alike in _by_artifact(jobs):
        with _opened_once(alike[0].order.opened) as artifact:
            for job in alike:
                say(f": job {job.number} of {len(jobs)}", subject=job.order.output)
                results.append(_run(job, artifact))
    results.sort(key=lambda result: result["job"])
    found = [result["status"] for result in results]
    before = f", {found.count('there')} of them from before" if "there" in found else ""
    say(f": {len(jobs) - found.count('failed')} of {len(jobs)} jobs{before}", subject=file)
    if failed := [str(each["job"]) for each in results if each["status"] == "failed"]:
        raise OutputError(
            f"{file}: not all could be made, or not without fault, as said above; jobs that "
            f"failed: {', '.join(failed)}"
        )


def _by_artifact(jobs: Sequence[Job]) -> list[list[Job]]:
    """Put together what one artifact makes, in the order of the file."""
    alike: dict[str, list[Job]] = {}
    for job in jobs:
        alike.setdefault(repr((job.order.model, job.order.where)), []).append(job)
    return [*alike.values()]


@contextmanager
def _opened_once(opened: Callable[[], Interpolator]) -> Iterator[Artifact]:
    """Yield what opens an artifact where it is called first; it is closed after the block."""
    with ExitStack() as stack:

        @cache
        def interpolator() -> Interpolator:
            return stack.enter_context(opened())

        def artifact() -> AbstractContextManager[Interpolator]:
            return nullcontext(interpolator())

        yield artifact


def _run(job: Job, artifact: Artifact) -> dict[str, object]:
    """Make what a job asks for, or say why not; return what became of it."""
    outputs: Outputs = []
    result: dict[str, object] = {"job": job.number, "status": "made", "outputs": outputs}
    try:
        make(job.order, artifact, outputs)
    except OutputExistsError as error:
        if error.remedy is None:  # it appeared meanwhile
            return result | _failed(job, error)
        say(": is there already, and stays", subject=job.order.output)
        return result | {"status": "there"}
    except Exception as error:
        raise_stopped(error)
        return result | _failed(job, error)
    return result


def _failed(job: Job, error: Exception) -> dict[str, object]:
    why = explanation(error)[0]
    errors.print(Text("error:", "bold red"), f"job {job.number}: {why}", soft_wrap=True)
    return {"status": "failed", "error": why}
