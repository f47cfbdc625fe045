"""The evaluator against ONNX Runtime, and its rounding against numpy's own half."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import helper

from precision import Ranges
from precision.conversion import with_precision
from precision.graph import load_graph
from runtime.metadata import Runtime
from tests.evaluator import evaluate
from tests.harsh import exact_and_own_error, harsh_network, inputs, with_weights
from tests.models import SMALL_MODEL


def onnxruntime_values(model: onnx.ModelProto, names: Sequence[str]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(names, inputs())


@pytest.mark.parametrize("align_corners", [0, 1])
@pytest.mark.parametrize("harsh", [False, True])
def test_float32_is_onnxruntimes(harsh: bool, align_corners: int, tmp_path: Path) -> None:
    model, limit = onnx.load(SMALL_MODEL), 1e-5
    if harsh:
        network = harsh_network(8, align_corners=False)
        model = onnx.load(with_weights(SMALL_MODEL, network, tmp_path / "harsh.onnx"))
        _, own_error = exact_and_own_error(network)
        limit = 6 * own_error  # each may be 3 away from the truth
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "align_corners":
                attribute.i = align_corners
    made = evaluate(model, inputs())["frames"]
    (theirs,) = onnxruntime_values(model, ["frames"])
    assert np.abs(made - theirs).max() <= limit


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_int8_is_onnxruntimes(runtime: Runtime, ranges: Ranges) -> None:
    model = ir.to_proto(with_precision(*load_graph(SMALL_MODEL), "int8", ranges, runtime)[0])
    # The first ones: a value between two steps may fall to either, which adds up further down.
    steps = [node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"][:12]
    kind = onnx.TensorProto.UINT8
    model.graph.output.extend(helper.make_tensor_value_info(name, kind, None) for name in steps)
    made = evaluate(model, inputs(), steps)
    for name, theirs in zip(steps, onnxruntime_values(model, steps), strict=True):
        off = np.abs(made[name].astype(int) - theirs)
        assert off.max() <= 3
        assert (off == 0).mean() > 0.99


def test_each_result_is_rounded_to_half_as_numpy_rounds_it() -> None:
    nodes = [
        helper.make_node("Mul", ["a", "b"], ["product"]),
        helper.make_node("Add", ["product", "a"], ["sum"]),
        helper.make_node("Div", ["sum", "b"], ["quotient"]),
        helper.make_node("Cast", ["quotient"], ["result"], to=onnx.TensorProto.FLOAT),
    ]
    half = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT16, [999]) for name in ("a", "b")
    ]
    result = helper.make_tensor_value_info("result", onnx.TensorProto.FLOAT, [999])
    model = helper.make_model(helper.make_graph(nodes, "half", half, [result]))
    a, b = np.random.default_rng(0).standard_normal((2, 999)).astype(np.float16)
    made = evaluate(model, {"a": a, "b": b}, ["result"])["result"]
    np.testing.assert_array_equal(made, ((a * b + a) / b).astype(np.float32))
    unrounded = (a.astype(float) * b + a) / b
    assert (made != unrounded.astype(np.float16)).mean() > 0.1
