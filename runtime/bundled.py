"""The model that comes with the package: which of its files a machine is given."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from .backends import backend_for

_FOLDER = Path(__file__).parent / "model"
BUNDLED_MODEL = _FOLDER / "rrin-w16.onnx"
BUNDLED_INT8 = _FOLDER / "rrin-w16.ov.int8.onnx"


def bundled_for(**options: Any) -> Path:
    """Return the bundled model's file for this machine, by options of `open_session`.

    It is INT8 where OpenVINO runs it on an x86-64 CPU, where that takes two thirds of the time and
    loses nothing visible: `runtime/model/README.md` has the figures. Elsewhere it is float32.
    """
    on_cpu = options.get("device") in (None, "CPU")
    measured = on_cpu and platform.machine() in ("x86_64", "AMD64")
    if measured and backend_for("openvino", options) == "openvino":
        return BUNDLED_INT8
    return BUNDLED_MODEL
