"""A file of jobs: inputs and outputs, each with the options of `interpolate` by their long names.

It is read and checked as a whole, as the command line of each job would be, before any begins.
"""

from __future__ import annotations

import datetime
import difflib
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import typer

from rrin_deploy.commands import interpolate
from rrin_deploy.failures import explanation
from rrin_deploy.given import Order
from rrin_deploy.orders import is_pair, make, order_of
from rrin_deploy.pipes import is_piped
from runtime.errors import OptionError, RrinError
from runtime.options import check_file

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Of the command line alone, for a person to look at, or of runs on several machines.
_NOT_IN_JOBS = ("json", "preview", "progress", "ray", "share")
_MOST_BYTES = 2**20  # thousands of jobs


@dataclass(frozen=True)
class Job:
    """One of a file's.

    Attributes:
        number: from 1, in the order of the file.
    """

    number: int
    order: Order


class _Fits(Exception):  # noqa: N818 - no error
    """All that a job asks for was found to fit, and its artifact would be opened."""


def read_jobs(file: Path) -> list[Job]:
    """Read a file of jobs, and check all of them; relative paths start from its folder.

    Raises:
        InputNotFoundError: there is no such file.
        OptionError: it is no such file, or one of the jobs cannot be as it is; with its number.
    """
    check_file(file, "expected a file of jobs")
    if (size := file.stat().st_size) > _MOST_BYTES:
        raise OptionError(f"{file}: has {size} bytes; expected {_MOST_BYTES} at most")
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{file}: is no TOML: {error}") from error
    if unknown := content.keys() - {"job", "defaults"}:
        raise OptionError(f"{file}: holds {min(unknown)!r}; expected [[job]] and [defaults] alone")
    tables, defaults = content.get("job", []), content.get("defaults", {})
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise OptionError(f"{file}: its job is no list of tables; expected [[job]] before each")
    if not tables:
        raise OptionError(f"{file}: holds no job; expected [[job]] with input and output")
    if not isinstance(defaults, dict) or {"input", "output"} & defaults.keys():
        raise OptionError(f"{file}: its defaults are no options; input and output are a job's own")
    command, jobs = _interpolate(), list[Job]()
    for number, table in enumerate(tables, 1):
        try:
            job = Job(number, _order(command, {**defaults, **table}, file.parent))
            _check(job)
        except (typer.BadParameter, RrinError, OSError) as error:
            raise OptionError(f"{file}: job {number}: {explanation(error)[0]}") from error
        jobs.append(job)
    try:
        _check_apart(jobs)
    except OptionError as error:
        raise OptionError(f"{file}: {error}") from error
    return jobs


def _order(command: Any, table: Mapping[str, Any], folder: Path) -> Order:
    """Return what a table asks for, read as the command's line is."""
    for name in ("input", "output"):
        if name not in table:
            raise OptionError(f"has no {name}")
    arguments = [
        argument
        for name, value in table.items()
        if name != "input"
        for argument in _arguments(command, name, value)
    ]
    inputs = _texts("input", table["input"])
    found = command([*arguments, "--", *inputs], standalone_mode=False, windows_expand_args=False)
    parameters = {name: _within(folder, value) for name, value in found.items()}
    del parameters["as_json"], parameters["progress"]
    return order_of(**parameters)


def _interpolate() -> Any:
    """Return the command `interpolate`, but that it only returns its parameters."""
    app = typer.Typer(add_completion=False)

    @app.command()
    @wraps(interpolate.command)
    def command(**parameters: Any) -> dict[str, Any]:
        return parameters

    return typer.main.get_command(app)


def _arguments(command: Any, name: str, value: object) -> list[str]:
    """Return an option as it would be typed."""
    options = {
        option.removeprefix("--"): parameter
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("--") and option.removeprefix("--") not in _NOT_IN_JOBS
    }
    if name not in options:
        near = difflib.get_close_matches(name, options, 1)
        help_ = f"did you mean {near[0]}?" if near else "see rrin-deploy interpolate --help"
        raise OptionError(f"{name} is no option of a job; {help_}")
    parameter = options[name]
    if value is False and not parameter.is_flag:  # takes back a default
        return []
    if parameter.is_flag:
        if not isinstance(value, bool):
            _refuse(name, value, "true or false")
        if value:
            return [f"--{name}"]
        off = [option for option in parameter.secondary_opts if option != f"--{name}"]
        return off[:1]
    texts = _texts(name, value)
    if len(texts) > 1 and not parameter.multiple:
        _refuse(name, value, "one value")
    return [f"--{name}={text}" for text in texts]


def _texts(name: str, value: object) -> list[str]:
    """Return a value, or those of a list, as they would be typed."""
    values = value if isinstance(value, list) else [value]
    for each in values:
        if isinstance(each, datetime.time):
            _refuse(name, each, 'a time in quotes, as "0:10"')
        if isinstance(each, bool) or not isinstance(each, (str, int, float)):
            _refuse(name, each, "text or a number")
    if not values:
        _refuse(name, value, "text or a number")
    return [*map(str, values)]


def _refuse(name: str, value: object, expected: str) -> NoReturn:
    shown = json.dumps(value) if isinstance(value, (bool, str)) else value
    raise OptionError(f"{name} is {shown}; expected {expected}")


def _within(folder: Path, value: Any) -> Any:
    """Return a parameter's value, its relative paths as from a folder."""
    if isinstance(value, Path):
        return folder / value
    return [_within(folder, each) for each in value] if isinstance(value, list) else value


def _check(job: Job) -> None:
    """Raise where a job cannot be made, as far as that is known before its artifact is open.

    Raises:
        BadParameter, RrinError, OSError: why.
    """
    from media.images.numbering import is_pattern

    order = job.order
    if any(map(is_piped, (*order.inputs, order.output))):
        raise OptionError("reads or writes a pipe; expected files")
    for path in order.inputs:
        if not (path.exists() or is_pattern(path)):
            raise OptionError(f"{path}: no such file or folder")
    if len(order.inputs) > 1 and not is_pair(order.inputs):
        raise OptionError("has several inputs that are no two images; write a job for each")
    if order.model is not None:
        check_file(order.model, "expected an artifact")
    within = order.output.parent.parent if is_pattern(order.output) else order.output.parent
    if not within.is_dir():
        raise OptionError(f"{within}: no such folder, for {order.output.name}; make it first")
    with suppress(_Fits):
        make(order, _not_opened, [])


def _check_apart(jobs: Sequence[Job]) -> None:
    """Raise where two jobs write to one file or folder, or one reads what another writes.

    Raises:
        OptionError: why.
    """
    writers: dict[Path, Job] = {}
    for job in jobs:
        output = job.order.output
        other = writers.setdefault(_place_of(output), job)
        if other is not job:
            raise OptionError(
                f"job {job.number}: {output} is the output of job {other.number}, too, or in it"
            )
    for job in jobs:
        for path in job.order.inputs:
            place = _place_of(path)
            writer = writers.get(place) or writers.get(place.parent)
            if writer is not None and writer is not job:
                raise OptionError(
                    f"job {job.number}: {path} is the output of job {writer.number}, or in it; "
                    "run the one that reads it from another file, afterwards"
                )


def _place_of(path: Path) -> Path:
    """Return the file or, of a pattern, the folder that is read or written."""
    from media.images.numbering import is_pattern

    return (path.parent if is_pattern(path) else path).resolve()


def _not_opened() -> NoReturn:
    raise _Fits
