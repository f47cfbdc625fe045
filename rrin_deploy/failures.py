"""What a person is told of an error, and the exit code that goes with it."""

from __future__ import annotations

from runtime.errors import BackendError, OptionError, OutputExistsError, RrinError
from runtime.installation import install_hint

FAILED, WRONG_USAGE, CANNOT_RUN_HERE = 1, 2, 3
_EXTRAS = {
    "torch": "export",
    "onnx": "calibration",
    "onnx_ir": "calibration",
    "onnxscript": "export",
    "av": "video",
    "skimage": "eval",
    "matplotlib": "bench",
    "openvino": "bench",
    "onnxruntime": "cpu",
}


def explanation(error: Exception) -> tuple[str, int]:
    """Return one line, and the exit code."""
    message, code = _explanation(error)
    return " ".join(message.splitlines()), code


def _explanation(error: Exception) -> tuple[str, int]:
    if isinstance(error, BackendError):
        return str(error), CANNOT_RUN_HERE
    if isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
        hint = install_hint(_EXTRAS[error.name])
        return f"{error.name} is not installed, and this needs it: {hint}", CANNOT_RUN_HERE
    if isinstance(error, OutputExistsError):
        return f"{error}; --overwrite replaces what is there", FAILED
    if isinstance(error, OptionError):
        return str(error), WRONG_USAGE
    if isinstance(error, (RrinError, OSError)):
        return str(error), FAILED
    name = type(error).__name__
    return f"unexpected {name}: {error}; run again with --traceback and report it", FAILED
