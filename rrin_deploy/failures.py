"""What a person is told of an error, and the exit code that goes with it."""

from __future__ import annotations

import typer

from runtime.errors import BackendError, OptionError, RrinError
from runtime.installation import install_hint

FAILED, WRONG_USAGE, CANNOT_RUN_HERE = 1, 2, 3


def explanation(error: Exception) -> tuple[str, int]:
    """Return one line, and the exit code."""
    message, code = _explanation(error)
    if isinstance(error, RrinError) and error.remedy is not None:
        message += f": {_option(*error.remedy)}"
    return " ".join(message.splitlines()), code


def _explanation(error: Exception) -> tuple[str, int]:
    if isinstance(error, BackendError):
        return str(error), CANNOT_RUN_HERE
    if isinstance(error, ModuleNotFoundError) and (hint := install_hint(str(error.name))):
        return f"{error.name} is not installed, and this needs it: {hint}", CANNOT_RUN_HERE
    if isinstance(error, typer.BadParameter):
        # Only where the parser raised it is there an option to be named.
        return error.format_message() if error.param else error.message, WRONG_USAGE
    if isinstance(error, OptionError):
        return str(error), WRONG_USAGE
    if isinstance(error, (RrinError, OSError)):
        return str(error), FAILED
    name = type(error).__name__
    return f"unexpected {name}: {error}; run again with --traceback and report it", FAILED


def _option(argument: str, value: object) -> str:
    """Return an argument of Python as it is typed on the command line."""
    name = f"--{argument.replace('_', '-')}"
    return name if value is True else f"{name} {value}"
