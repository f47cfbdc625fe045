"""Which part of the graph runs in which type, and what that costs."""

import copy
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from onnx import helper

from export import RRIN, Reference
from precision.conversion import load_with_precision, with_precision
from precision.graph import load_graph
from runtime import ArtifactError, InputNotFoundError, OptionError
from runtime.limits import FLOORS
from runtime.parity import psnr_db
from runtime.scene import render_bytes
from tests.conftest import Exporter, unit
from tests.evaluator import evaluate
from tests.harsh import exact_and_own_error, harsh_network, inputs, with_weights
from tests.models import SMALL_MODEL


@pytest.fixture(scope="module")
def halved() -> onnx.ModelProto:
    model, _ = with_precision(*load_graph(SMALL_MODEL), "fp16")
    return ir.to_proto(model)


@pytest.fixture(scope="module")
def bf16() -> onnx.ModelProto:
    model, _ = with_precision(*load_graph(SMALL_MODEL), "bf16", None, "openvino")
    return ir.to_proto(model)


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    return {
        value.name: value.type.tensor_type.elem_type
        for value in (*inferred.value_info, *inferred.input, *inferred.output)
    }


def test_half_graph_is_valid_and_typed_as_designed(halved: onnx.ModelProto) -> None:
    onnx.checker.check_model(halved, full_check=True)
    types = types_of(halved)
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    for node in halved.graph.node:
        if node.op_type in ("Conv", "LeakyRelu", "AveragePool", "Resize"):
            assert types[node.output[0]] == half, node.name
        if node.op_type in ("GridSample", "Exp", "Reciprocal", "Div", "Clip"):
            assert types[node.output[0]] == single, node.name
    for name in ("flow", "warped0", "warped1", "mask", "blend", "frames"):
        assert types[name] == single, name
    properties = {entry.key: entry.value for entry in halved.metadata_props}
    assert properties["rrin.precision"] == "fp16"


def test_bf16_graph_is_valid_and_float32_where_flow_masks_and_colours_are(
    bf16: onnx.ModelProto,
) -> None:
    onnx.checker.check_model(bf16, full_check=True)
    assert bf16.opset_import[0].version == 22
    types = types_of(bf16)
    narrow, single = onnx.TensorProto.BFLOAT16, onnx.TensorProto.FLOAT
    weights = {tensor.name: tensor.data_type for tensor in bf16.graph.initializer}
    convolutions = {narrow: 0, single: 0}
    for node in bf16.graph.node:
        made = types[node.output[0]]
        if node.op_type == "Conv":
            assert {weights[name] for name in node.input[1:]} == {made}, node.name
            assert (made == single) == (".last/" in node.name), node.name
            convolutions[made] += 1
        elif node.op_type in ("LeakyRelu", "AveragePool", "Resize"):
            assert made == narrow, node.name
        elif node.name.startswith("RRIN/") and node.op_type != "Cast":
            assert made != narrow, node.name
    assert convolutions == {narrow: 77, single: 4}
    samplings = [node for node in bf16.graph.node if node.op_type == "GridSample"]
    modes = [each for node in samplings for each in node.attribute if each.name == "mode"]
    assert not modes  # the default of both, linear by opset 22 and bilinear to OpenVINO
    properties = {entry.key: entry.value for entry in bf16.metadata_props}
    assert (properties["rrin.precision"], properties["rrin.opset"]) == ("bf16", "22")


def test_weights_take_half_the_room(halved: onnx.ModelProto, bf16: onnx.ModelProto) -> None:
    for model in (halved, bf16):
        assert model.ByteSize() < 0.55 * SMALL_MODEL.stat().st_size


def test_onnx_runtime_takes_the_half_graph(halved: onnx.ModelProto) -> None:
    # Its CPU computes half by way of float, so that this shows the wiring, not the rounding.
    full, half = (
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(
            None, scene(96, 64)
        )[0]
        for model in (SMALL_MODEL.read_bytes(), halved.SerializeToString())
    )
    assert 70 < psnr_db(full, half) < 130


def scene(width: int, height: int) -> dict[str, np.ndarray]:
    frame0, frame1 = (unit(render_bytes(width, height, time))[None] for time in (0, 1))
    window = np.array([0, 0, width, height], np.float32)
    return {
        "frame0": frame0,
        "frame1": frame1,
        "t": np.array([0.5], np.float32),
        "window": window,
    }


def in_half(model: onnx.ModelProto, operator: str) -> onnx.ModelProto:
    """Put the nodes of an operator outside the U-Nets in half as well."""
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    changed = copy.deepcopy(model)
    nodes = list(changed.graph.node)
    del changed.graph.node[:]
    for node in nodes:
        casts = []
        if node.op_type == operator and node.name.startswith("RRIN/"):
            for index, name in enumerate(node.input):
                node.input[index] = f"{node.name}/{index}"
                casts.append(helper.make_node("Cast", [name], [node.input[index]], to=half))
            name, node.output[0] = node.output[0], f"{node.name}/made"
            changed.graph.node.extend(
                [*casts, node, helper.make_node("Cast", [node.output[0]], [name], to=single)]
            )
        else:
            changed.graph.node.append(node)
    return changed


def harsh_half(network: RRIN, folder: Path) -> onnx.ModelProto:
    path = with_weights(SMALL_MODEL, network, folder / "harsh.onnx")
    return ir.to_proto(with_precision(*load_graph(path), "fp16")[0])


def reference(network: RRIN, feeds: dict[str, np.ndarray]) -> np.ndarray:
    return Reference(network)(feeds["frame0"][0], feeds["frame1"][0], feeds["t"])


@pytest.mark.parametrize(("width", "height"), [(224, 128), (1920, 32)])
def test_half_rounding_costs_little_where_it_is_allowed(
    width: int, height: int, halved: onnx.ModelProto, small_network: RRIN
) -> None:
    feeds = scene(width, height)
    made = evaluate(halved, feeds, ("frames", "flow"))
    assert np.quantile(np.abs(made["flow"]), 0.95) > 1
    assert psnr_db(made["frames"], reference(small_network, feeds)) >= 87


@pytest.mark.parametrize(("width", "height"), [(224, 128), (1920, 32)])
def test_bf16_rounding_keeps_to_its_limits(
    width: int, height: int, bf16: onnx.ModelProto, small_network: RRIN
) -> None:
    feeds = scene(width, height)
    made = evaluate(bf16, feeds)["frames"]
    exact = reference(small_network, feeds)
    assert 65 < psnr_db(made, exact) < 85  # a graph that is not rounded is at 140
    assert np.abs(made - exact).max() < FLOORS["bf16"].max_abs_error / 3


@pytest.mark.parametrize("operator", ["Add", "Div", "GridSample", "Mul", "Sub"])
def test_half_rounding_would_cost_much_elsewhere(
    operator: str, halved: onnx.ModelProto, small_network: RRIN
) -> None:
    feeds = scene(224, 64)
    made = evaluate(in_half(halved, operator), feeds)["frames"]
    error = np.abs(made - reference(small_network, feeds))
    assert np.isnan(error).any() or np.square(error).mean() > 10**-8  # 80 dB


def test_bf16_rounding_is_borne_by_large_flows_and_tiny_masks(tmp_path: Path) -> None:
    network = harsh_network(8, align_corners=False)
    path = with_weights(SMALL_MODEL, network, tmp_path / "harsh.onnx")
    model = ir.to_proto(with_precision(*load_graph(path), "bf16", None, "openvino")[0])
    exact, _ = exact_and_own_error(network)
    made = evaluate(model, inputs())["frames"]
    assert np.isfinite(made).all()
    assert psnr_db(made, exact) > 32


def test_half_rounding_is_borne_by_large_flows_and_tiny_masks(tmp_path: Path) -> None:
    network = harsh_network(8, align_corners=False)
    model = harsh_half(network, tmp_path)
    exact, _ = exact_and_own_error(network)
    assert psnr_db(evaluate(model, inputs())["frames"], exact) >= 46
    assert psnr_db(evaluate(in_half(model, "Exp"), inputs())["frames"], exact) < 25


def test_masks_that_saturate_in_half_give_no_nan(tmp_path: Path) -> None:
    network = copy.deepcopy(harsh_network(8, align_corners=False))
    with torch.no_grad():
        network.Mask.last.weight.mul_(5000)
    model = harsh_half(network, tmp_path)
    (logits,) = (node.output[0] for node in model.graph.node if node.name.startswith("Mask.last/"))
    made = evaluate(model, inputs(), ("frames", "mask", logits))
    assert np.isneginf(made[logits]).any()
    assert (made["mask"] == 0).all(1).any()
    assert np.isfinite(made["frames"]).all()


@pytest.mark.parametrize("io", ["uint8", "float32"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_every_artifact_can_be_converted_once(io: str, precision: str, exported: Exporter) -> None:
    model, metadata = with_precision(*load_graph(exported(io=io)), precision)  # type: ignore[arg-type]
    assert (metadata.precision, metadata.io) == (precision, io)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    if precision == "fp16":
        with pytest.raises(ArtifactError, match="fp16 already"):
            with_precision(model, metadata, "fp16")


def test_a_converted_file_is_refused_before_its_ranges_are_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "rrin.ort.fp16.onnx"
    onnx.save(ir.to_proto(with_precision(*load_graph(SMALL_MODEL), "fp16")[0]), path)
    with pytest.raises(ArtifactError, match=r"rrin\.ort\.fp16\.onnx: is fp16 already; start from"):
        load_with_precision(path, "int8", None)
    with pytest.raises(OptionError, match="runtime is 'nope'; expected"):
        load_with_precision(tmp_path / "none.onnx", "int8", None, "nope")  # type: ignore[arg-type]


def test_weights_beyond_halfs_range_are_refused() -> None:
    model, metadata = load_graph(SMALL_MODEL)
    bias = model.graph.initializers["final.last.bias"]
    bias.const_value = ir.tensor(np.full(3, 1e6, np.float32), name=bias.name)
    with pytest.raises(ArtifactError, match=r"final\.last\.bias exceeds half's range"):
        with_precision(model, metadata, "fp16")


def test_unrecognised_graphs_are_refused(tmp_path: Path) -> None:
    model = onnx.load(SMALL_MODEL)
    for node in model.graph.node:
        node.name = node.name.replace("Mask.", "Mosk.")
    path = tmp_path / "renamed.onnx"
    onnx.save(model, path)
    with pytest.raises(ArtifactError, match=r"'Mask': 0.*expected"):
        load_graph(path)
    path.write_bytes(b"no graph")
    with pytest.raises(ArtifactError, match="not an ONNX file"):
        load_graph(path)
    with pytest.raises(InputNotFoundError, match="export it from a checkpoint"):
        load_graph(tmp_path / "none.onnx")
