"""ONNX Runtime itself, imported here alone, without its telemetry.

From 1.29 on it keeps a device identifier and a database under the user's home, and reports what it
runs, unless this variable is set before it is imported; it has no option for it. Who wants the
telemetry sets ORT_DISABLE_TELEMETRY=0. Nothing else here touches the environment.
"""

from __future__ import annotations

import os

from .errors import BackendError
from .installation import install_hint

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
try:
    import onnxruntime as ort
except ImportError as error:
    raise BackendError(
        f"onnxruntime cannot be imported ({error}); install it: {install_hint('onnxruntime')}"
    ) from error

__all__ = ["ort"]
