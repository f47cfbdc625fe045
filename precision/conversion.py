"""A float32 graph put in another precision: the U-Nets in half, bfloat16, or mostly INT8."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import get_args

import onnx_ir as ir

from precision.blocks import check_blocks, multiply_adds
from precision.graph import check_float32, load_graph
from precision.narrowing import narrow
from precision.qdq import ONNXRUNTIME, OPENVINO, TENSORRT, Layout
from precision.quantization import quantize
from precision.ranges import Ranges, ranges_beside
from runtime.errors import OptionError
from runtime.metadata import Metadata, Precision, Runtime, opset_of
from runtime.options import check_choice

LAYOUTS: dict[Runtime, Layout] = {
    "tensorrt": TENSORRT,
    "onnxruntime": ONNXRUNTIME,
    "openvino": OPENVINO,
}


def load_with_precision(
    path: Path,
    precision: Precision,
    ranges: Path | None,
    runtime: Runtime = "tensorrt",
    *,
    kept_float: Collection[str] = (),
) -> tuple[ir.Model, Metadata]:
    """Read a float32 file and return it in another precision; see `with_precision`.

    Args:
        ranges: the ranges file, for int8; None takes the one beside the model.
        runtime, kept_float: see `with_precision`.

    Raises:
        InputNotFoundError: the model or its ranges file is missing.
        ArtifactError: either is damaged, or the ranges are of another model.
        OptionError: as `with_precision`.
    """
    _check(precision, runtime, ranges, kept_float)
    model, metadata = load_graph(path)
    check_float32(metadata, str(path))
    measured = None
    if precision == "int8":
        ranges = ranges or ranges_beside(path)
        measured = Ranges.load(ranges)
        measured.check_model(metadata, str(ranges))
    return _converted(model, metadata, precision, measured, runtime, kept_float)


def with_precision(
    model: ir.Model,
    metadata: Metadata,
    precision: Precision,
    ranges: Ranges | None = None,
    runtime: Runtime = "tensorrt",
    *,
    kept_float: Collection[str] = (),
) -> tuple[ir.Model, Metadata]:
    """Return the graph with its U-Nets in the type asked for; a float32 graph is changed in place.

    Args:
        model, metadata: as `load_graph` returns them.
        precision: of the U-Nets. What int8 leaves out is half for TensorRT, else float32. bf16 is
            for OpenVINO alone, and leaves the U-Nets' last convolutions in float32.
        ranges: measured on this model; int8 needs them, and nothing else takes them.
        runtime: what the graph is for, which its metadata will say; int8 is laid out for it.
        kept_float: blocks of the U-Nets that int8 leaves out besides, such as Flow_L.down_path.0 or
            Mask.midconv; the metadata names them. They cost time and save quality: see
            `calibration.fit_budget`.

    Raises:
        ArtifactError: the graph is not float32, so that there is nothing to start from; or the
            ranges are of another model.
        OptionError: another precision, runtime or block, int8 without ranges, ranges or blocks
            without int8, or bf16 for another runtime.
    """
    _check(precision, runtime, ranges, kept_float)
    check_float32(metadata, "the graph")
    if precision == "int8":
        if ranges is None:
            raise OptionError("int8 needs the model's activation ranges; calibrate it first")
        ranges.check_model(metadata, "the ranges")
    return _converted(model, metadata, precision, ranges, runtime, kept_float)


def _converted(
    model: ir.Model,
    metadata: Metadata,
    precision: Precision,
    ranges: Ranges | None,
    runtime: Runtime,
    kept_float: Collection[str],
) -> tuple[ir.Model, Metadata]:
    """Do what `with_precision` says, once all is checked; ranges are given for int8 alone."""
    layout = LAYOUTS[runtime]
    if ranges is not None:
        quantize(model.graph, ranges, layout, kept_float=kept_float)
    if precision == "fp16" or (precision == "int8" and layout.rest_in_half):
        narrow(model.graph, ir.DataType.FLOAT16)
    if precision == "bf16":
        narrow(model.graph, ir.DataType.BFLOAT16)
        _leave_out_mode(model.graph)
    opset = model.opset_imports[""] = opset_of(precision)
    kept = tuple(name for name in multiply_adds(metadata.base_width) if name in kept_float)
    metadata = dataclasses.replace(
        metadata, precision=precision, runtime=runtime, kept_float=kept, opset=opset
    )
    model.metadata_props.update(metadata.to_properties())
    return model, metadata


def _leave_out_mode(graph: ir.Graph) -> None:
    """Leave out the mode of bilinear sampling, which is the default by another name from 20 on."""
    for node in graph:
        if node.op_type == "GridSample":
            node.attributes.pop("mode", None)


def _check(
    precision: Precision, runtime: Runtime, ranges: object, kept_float: Collection[str]
) -> None:
    check_choice("precision", precision, get_args(Precision))
    check_choice("runtime", runtime, tuple(LAYOUTS))
    check_blocks(kept_float)
    if precision == "bf16" and runtime != "openvino":
        raise OptionError(f"bf16 is for openvino, and {runtime} has none; take fp16, or openvino")
    for what, given in (("ranges", ranges is not None), ("blocks to keep in float", kept_float)):
        if given and precision != "int8":
            raise OptionError(
                f"{what} are given, and {precision} takes none; leave them out, or take int8"
            )
