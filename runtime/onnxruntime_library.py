"""ONNX Runtime itself, imported here alone, without its telemetry.

From 1.29 on it keeps a device identifier and a database under the user's home, and reports what it
runs, unless this variable is set before it is imported; it has no option for it. Who wants the
telemetry sets ORT_DISABLE_TELEMETRY=0. Nothing else here touches the environment.
"""

from __future__ import annotations

import functools
import io
import os
from contextlib import redirect_stdout

from .errors import BackendError
from .installation import install_hint

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
try:
    import onnxruntime as ort
except (ImportError, OSError) as error:  # or a library of it cannot be loaded
    raise BackendError(
        f"onnxruntime cannot be imported ({error}); install it: {install_hint('onnxruntime')}"
    ) from error

__all__ = ["CPU", "cpu_session", "find_cuda", "options_with", "ort"]

CPU = "CPUExecutionProvider"
_FATAL_ONLY = 4


def options_with(threads: int | None) -> ort.SessionOptions:
    """Return options of a session; None leaves ONNX Runtime the number of threads.

    What it would print is left to the error that it raises, or to who asked for a provider.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = _FATAL_ONLY
    # Else it looks at the first bytes for its own format, which nothing here has checked.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return options


@functools.cache
def find_cuda() -> None:
    """Load CUDA and cuDNN from where pip has put them; a session finds them itself elsewhere."""
    if hasattr(ort, "preload_dlls"):  # from 1.21 on
        # It prints what it does not find; whether the provider loads is asked and said afterwards.
        with redirect_stdout(io.StringIO()):
            ort.preload_dlls()


def cpu_session(content: bytes, threads: int | None) -> ort.InferenceSession:
    """Open an ONNX file of our own making on the CPU."""
    return ort.InferenceSession(content, options_with(threads), providers=[CPU])
