"""The `rrin-deploy` command: its subcommands, and how their errors reach a person."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer
from rich.text import Text

from rrin_deploy import __version__
from rrin_deploy.commands import (
    bench,
    build,
    calibrate,
    demo,
    doctor,
    estimate,
    eval,  # noqa: A004 - a module of commands, named as its command
    export,
    inspect,
    interpolate,
    live,
    parity,
    prove,
    report,
    run,
    train,
)
from rrin_deploy.console import errors
from rrin_deploy.failures import explanation
from rrin_deploy.signals import raise_stopped

app = typer.Typer(
    name="rrin-deploy",
    help="From a PyTorch RRIN checkpoint to interpolated frames on any device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    train,
    export,
    calibrate,
    build,
    interpolate,
    run,
    live,
    parity,
    eval,
    bench,
    report,
    estimate,
    inspect,
    demo,
    doctor,
    prove,
):
    app.command(module.__name__.rpartition(".")[2])(module.command)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"rrin-deploy {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where in the code an error came from.")
    ] = False,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Exit codes: 0 done; 1 it failed; 2 wrong usage; 3 this machine cannot do that; 128 + n ended by
    signal n, as 130 by Ctrl-C; see `rrin_deploy.signals`.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        app(
            [argument for argument in arguments if argument != "--traceback"],
            prog_name="rrin-deploy",
        )
    except Exception as error:
        if "--traceback" in arguments:
            raise
        raise_stopped(error)
        _fail(*explanation(error))
    sys.exit(0)


def _fail(message: str, code: int) -> NoReturn:
    errors.print(Text("error:", "bold red"), message, soft_wrap=True)
    sys.exit(code)
