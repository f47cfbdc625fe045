"""A checked ONNX file as OpenVINO's model."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ArtifactError, BackendError
from .openvino_library import CORE, openvino


def read_model(content: bytes) -> Any:
    """Return an ONNX file's content as a model.

    `Core.read_model` would look at the first bytes for formats of its own, which nothing here has
    checked.
    """
    frontend = openvino.frontend.FrontEndManager().load_by_framework("onnx")
    return frontend.convert(frontend.load(io.BytesIO(content)))


def has_bf16(device: str = "CPU") -> bool:
    """Say whether a device multiplies bfloat16 itself, by AVX512_BF16 or AMX_BF16 for example.

    Other CPUs with AVX-512 would be made to by OpenVINO all the same, slower than in float32, and
    those without compute in float32.
    """
    return "BF16" in CORE.get_property(device, "OPTIMIZATION_CAPABILITIES")


def cpu_request(content: bytes, threads: int, precision: str = "f32") -> Any:
    """Open an ONNX file of our own making on the CPU, in f32 or bf16.

    Raises:
        BackendError: the CPU has no bf16 arithmetic.
    """
    if precision == "bf16" and not has_bf16():
        raise BackendError("this CPU has no bf16 arithmetic")
    properties = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
    return CORE.compile_model(read_model(content), "CPU", properties).create_infer_request()


def unclip(model: Any, path: Path) -> None:
    """Take the frames from before they are clipped, where OpenVINO makes a number of NaN.

    Raises:
        ArtifactError: the graph does not end as `export` ends it, in a transposition of what is
            clipped to [0, 1].
    """
    (frames,) = model.get_results()
    last = frames.input_value(0).get_node()
    value = last.input_value(0) if last.get_type_name() == "Transpose" else None
    for operator, bound in (("Minimum", 1), ("Maximum", 0)):
        value = value and _bounded(value, operator, bound)
    if value is None:
        raise ArtifactError(f"{path}: does not clip its frames to [0, 1] last; export it again")
    last.input(0).replace_source_output(value)


def _bounded(value: Any, operator: str, bound: float) -> Any:
    """Return x where a value is `operator` of x and of that bound, else None."""
    node = value.get_node()
    inputs = node.input_values() if node.get_type_name() == operator else []
    constant = [each.get_node().get_type_name() == "Constant" for each in inputs]
    if sorted(constant) != [False, True]:
        return None
    found = np.asarray(inputs[constant.index(True)].get_node().get_data())
    return inputs[constant.index(False)] if (found == bound).all() else None
