"""OpenVINO itself, imported here alone, without its telemetry.

On import it would report that to Google, and keep an identifier under the user's home, unless the
package that does so is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import BackendError
from .installation import install_hint

__all__ = ["CORE", "openvino"]

_TELEMETRY = "openvino_telemetry"


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Let OpenVINO not find that package; who has imported it already keeps it."""
    hidden = _TELEMETRY not in sys.modules
    if hidden:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules[_TELEMETRY]


try:
    with _without_telemetry():
        import openvino
except (ImportError, OSError) as error:  # or a library of it cannot be loaded
    raise BackendError(
        f"openvino cannot be imported ({error}); install it: {install_hint('openvino')}"
    ) from error

# One for the whole process. The CPU's plugin gives the thread that loads it a stack for signal
# handlers, which it takes away together with its core. Of two cores of which the older ends first
# the stack that is left is one that is gone, and the next signal ends the process.
CORE = openvino.Core()
