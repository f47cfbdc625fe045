"""An ONNX file for ONNX Runtime or OpenVINO, in the precision that runs fastest there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import onnx_ir as ir

from engines.proof import Proof, find_golden, measure, output_of
from precision.conversion import load_with_precision
from precision.graph import is_pooling, unet_of
from runtime.errors import OptionError
from runtime.metadata import Precision
from runtime.options import check_choice, check_path

OnnxTarget = Literal["onnxruntime", "openvino"]
_SHORT: dict[OnnxTarget, str] = {"onnxruntime": "ort", "openvino": "ov"}
_TYPES: dict[ir.DataType | None, str] = {ir.DataType.FLOAT16: "HALF", ir.DataType.BFLOAT16: "BF16"}


@dataclass(frozen=True)
class OnnxReport:
    """What `build_onnx` wrote.

    Attributes:
        path, size_bytes: the ONNX file.
        target: the runtime that it is for.
        census: the U-Nets' convolutions by type.
        proof: how far it is from PyTorch.
    """

    path: Path
    size_bytes: int
    target: OnnxTarget
    census: dict[str, int]
    proof: Proof


def build_onnx(
    model: str | Path = "rrin.onnx",
    output: str | Path | None = None,
    *,
    precision: Precision = "int8",
    target: OnnxTarget = "onnxruntime",
    ranges: str | Path | None = None,
    kept_float: Collection[str] = (),
    golden: str | Path | None = None,
) -> OnnxReport:
    """Write a float32 ONNX file in another precision, with a golden file of its own beside it.

    Args:
        model: a float32 file that `rrin-deploy export` wrote.
        output: None puts it beside the model, as rrin.ort.int8.onnx or rrin.ov.int8.onnx.
        precision: fp16 is for CUDA, bf16 for OpenVINO on CPUs that have it; what int8 leaves out
            is float32.
        target: what int8 is laid out for: ONNX Runtime's own CPU kernels or OpenVINO; each runs
            the other's file too, but slower.
        ranges: for int8, the ranges file; None takes the one beside the model.
        kept_float: for int8, blocks that are not quantized, such as Flow_L.down_path.0; see
            `calibration.fit_budget`.
        golden: the model's golden file; None takes the one beside it, where there is one.

    Raises:
        InputNotFoundError, ArtifactError: the model, its ranges file or golden file is missing,
            damaged, not one of ours, or one of them is of another model.
        OutputError: see `Publication`.
        OptionError: another target, precision or block, bf16 for ONNX Runtime, or fp32, which the
            model is already.
    """
    check_path("model", model, "rrin.onnx")
    check_choice("target", target, get_args(OnnxTarget))
    check_choice("precision", precision, get_args(Precision))
    model = Path(model)
    if precision == "fp32":
        raise OptionError(f"{model}: is fp32 already, and {target} runs it as it is; choose int8")
    output = Path(output or model.with_name(f"{model.stem}.{_SHORT[target]}.{precision}.onnx"))
    if output.suffix != ".onnx" or output.resolve() == model.resolve():
        raise OptionError(f"{output}: give the new file another name, ending in .onnx")
    graph, metadata = load_with_precision(
        model, precision, Path(ranges) if ranges else None, target, kept_float=kept_float
    )
    reference = find_golden(model, Path(golden) if golden else None, output, metadata)
    published = output_of(output, golden=reference)
    content = ir.to_proto(graph).SerializeToString()
    measurement = measure(content, metadata, reference, model)
    measurement.publish(published, content)
    proof = measurement.prove(output)
    return OnnxReport(output, len(content), target, census_of(graph.graph), proof)


def census_of(graph: ir.Graph) -> dict[str, int]:
    """Count the U-Nets' convolutions by the type of what they take; pooling is none of them."""
    types: Counter[str] = Counter()
    for node in graph:
        data = node.inputs[0] if node.inputs else None
        if node.op_type != "Conv" or data is None or not unet_of(node) or is_pooling(node):
            continue
        producer = data.producer()
        quantized = producer is not None and producer.op_type == "DequantizeLinear"
        types["INT8" if quantized else _TYPES.get(data.dtype, "FLOAT")] += 1
    return dict(types)
