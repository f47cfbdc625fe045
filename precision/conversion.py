"""A float32 graph put in another precision: the U-Nets in half, or most of them in INT8."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_args

import onnx_ir as ir

from precision.graph import check_float32, load_graph
from precision.half import halve
from precision.qdq import ONNXRUNTIME, OPENVINO, TENSORRT, Layout
from precision.quantization import quantize
from precision.ranges import Ranges, ranges_beside
from runtime.errors import OptionError
from runtime.metadata import Metadata, Precision, Runtime
from runtime.options import check_choice

_LAYOUTS: dict[Runtime, Layout] = {
    "tensorrt": TENSORRT,
    "onnxruntime": ONNXRUNTIME,
    "openvino": OPENVINO,
}


def load_with_precision(
    path: Path, precision: Precision, ranges: Path | None, runtime: Runtime = "tensorrt"
) -> tuple[ir.Model, Metadata]:
    """Read a float32 file and return it in another precision; see `with_precision`.

    Args:
        ranges: the ranges file, for int8; None takes the one beside the model.
        runtime: see `with_precision`.

    Raises:
        InputNotFoundError: the model or its ranges file is missing.
        ArtifactError: either is damaged, or the ranges are of another model.
        OptionError: as `with_precision`.
    """
    model, metadata = load_graph(path)
    measured = None
    if precision == "int8":
        ranges = ranges or ranges_beside(path)
        measured = Ranges.load(ranges)
        measured.check_model(metadata, str(ranges))
    return with_precision(model, metadata, precision, measured, runtime)


def with_precision(
    model: ir.Model,
    metadata: Metadata,
    precision: Precision,
    ranges: Ranges | None = None,
    runtime: Runtime = "tensorrt",
) -> tuple[ir.Model, Metadata]:
    """Return the graph with its U-Nets in the type asked for; a float32 graph is changed in place.

    Args:
        model, metadata: as `load_graph` returns them.
        precision: of the U-Nets. What int8 leaves out is half for TensorRT, else float32.
        ranges: measured on this model; int8 needs them.
        runtime: what the graph is for, which its metadata will say; int8 is laid out for it.

    Raises:
        ArtifactError: the graph is not float32, so that there is nothing to start from; or the
            ranges are of another model.
        OptionError: another precision or runtime, or int8 without ranges.
    """
    check_choice("precision", precision, get_args(Precision))
    check_choice("runtime", runtime, tuple(_LAYOUTS))
    check_float32(metadata)
    layout = _LAYOUTS[runtime]
    if precision == "int8":
        if ranges is None:
            raise OptionError("int8 needs the model's activation ranges; calibrate it first")
        quantize(model.graph, ranges, layout)
    if precision == "fp16" or (precision == "int8" and layout.rest_in_half):
        halve(model.graph)
    metadata = dataclasses.replace(metadata, precision=precision, runtime=runtime)
    model.metadata_props.update(metadata.to_properties())
    return model, metadata
