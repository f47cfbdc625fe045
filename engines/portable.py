"""An ONNX file for ONNX Runtime, in the precision that its provider runs fastest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx_ir as ir

from calibration.qdq import ONNXRUNTIME, OPENVINO, Layout
from calibration.unets import is_pooling, unet_of
from engines.precision import load_with_precision
from runtime.errors import ArtifactError, OptionError
from runtime.files import replacing
from runtime.metadata import Precision

Provider = Literal["cpu", "openvino"]
_LAYOUTS: dict[Provider, Layout] = {"cpu": ONNXRUNTIME, "openvino": OPENVINO}


@dataclass(frozen=True)
class OnnxReport:
    """What `build_onnx` wrote; the census counts the U-Nets' convolutions by type."""

    path: Path
    size_bytes: int
    census: dict[str, int]


def build_onnx(
    model: str | Path = "rrin.onnx",
    output: str | Path | None = None,
    *,
    precision: Precision = "int8",
    provider: Provider = "cpu",
    ranges: str | Path | None = None,
) -> OnnxReport:
    """Write a float32 ONNX file in another precision.

    Args:
        model: a float32 file that `rrin-deploy export` wrote.
        output: None puts it beside the model, as rrin.int8.onnx.
        precision: fp16 is for CUDA; what int8 leaves out is float32.
        provider: of ONNX Runtime, that int8 is laid out for; others run it too, but slower.
        ranges: for int8, the ranges file; None takes the one beside the model.

    Raises:
        InputNotFoundError, ArtifactError: the model or its ranges file is missing, damaged, not
            one of ours, or one of them is of another model.
        OptionError: fp32, which the model is already.
    """
    model = Path(model)
    if precision == "fp32":
        raise OptionError(f"{model}: is fp32 already, and ONNX Runtime runs it as it is")
    output = Path(output or model.with_name(f"{model.stem}.{precision}.onnx"))
    if output.suffix != ".onnx" or output.resolve() == model.resolve():
        raise ArtifactError(f"{output}: give the new file another name, ending in .onnx")
    graph, _ = load_with_precision(
        model, precision, Path(ranges) if ranges else None, _LAYOUTS[provider]
    )
    content = ir.to_proto(graph).SerializeToString()
    with replacing(output) as partial:
        partial.write_bytes(content)
    return OnnxReport(output, len(content), _census(graph.graph))


def _census(graph: ir.Graph) -> dict[str, int]:
    """Count the U-Nets' convolutions by the type of what they take; pooling is none of them."""
    types: Counter[str] = Counter()
    for node in graph:
        data = node.inputs[0] if node.inputs else None
        if node.op_type != "Conv" or data is None or not unet_of(node) or is_pooling(node):
            continue
        producer = data.producer()
        quantized = producer is not None and producer.op_type == "DequantizeLinear"
        half = data.dtype == ir.DataType.FLOAT16
        types["INT8" if quantized else "HALF" if half else "FLOAT"] += 1
    return dict(types)
