"""Graphs against PyTorch where arithmetic is hard; see tests/harsh.py."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch

from calibration import measure_ranges, vimeo90k
from export import RRIN, Reference, export_onnx
from precision.conversion import with_precision
from precision.graph import load_graph
from runtime import Interpolator, check_parity
from runtime.golden import Golden
from runtime.parity import psnr_db
from tests.conftest import Exporter, unit
from tests.harsh import (
    TIMES,
    exact_and_own_error,
    harsh_network,
    inputs,
    pair,
    stages_in_float64,
    with_weights,
)

T = np.array(TIMES, np.float32)
Weighted = Callable[..., tuple[Path, RRIN]]


@pytest.fixture
def weighted(exported: Exporter, tmp_path: Path) -> Weighted:
    """A graph with a harsh network's weights, and the network."""

    def make(width: int = 8, io: str = "float32", align_corners: bool = False, seed: int = 0):
        network = harsh_network(width, align_corners=align_corners, seed=seed)
        source = exported(width, io, align_corners)
        return with_weights(source, network, tmp_path / "harsh.onnx"), network

    return make


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("width", [8, pytest.param(32, marks=pytest.mark.long)])
def test_is_harsh_and_yet_well_conditioned(width: int, align_corners: bool) -> None:
    network = harsh_network(width, align_corners=align_corners)
    stages = stages_in_float64(network)
    flow = stages.flow.abs()
    assert flow.flatten()[::7].quantile(0.95) > 10
    assert flow.max() > 40
    assert (stages.mask.amax(1) < 1e-8).sum() > 20
    outside = (stages.warped0 == 0).all(1)
    assert 0.01 < outside.double().mean() < 0.3
    _, error = exact_and_own_error(network)
    assert error < 1e-4


@pytest.mark.parametrize(
    ("width", "align_corners"),
    [(8, True), (8, False), pytest.param(32, True, marks=pytest.mark.long)],
    ids=str,
)
def test_graph_is_as_near_as_pytorch(width: int, align_corners: bool, weighted: Weighted) -> None:
    path, network = weighted(width, "float32", align_corners)
    frames = list(map(unit, pair()))
    exact, own_error = exact_and_own_error(network)
    with Interpolator(path) as interpolate:
        made = interpolate(*frames, T)
        single = interpolate(*frames, float(T[2]))
    assert np.abs(made - exact).max() <= 3 * own_error
    assert np.abs(single - exact[2]).max() <= 3 * own_error


def test_bytes_are_those_of_pytorch(weighted: Weighted) -> None:
    path, network = weighted(8, "uint8", False)
    with Interpolator(path) as interpolate:
        made = interpolate(*pair(), T)
    error = np.abs(made.astype(int) - Reference(network)(*pair(), T))
    assert error.max() <= 1
    assert (error == 0).mean() >= 0.999


def test_openvino_is_as_near_as_pytorch(weighted: Weighted) -> None:
    path, network = weighted(8, "float32", False)
    exact, own_error = exact_and_own_error(network)
    with Interpolator(path, backend="openvino") as interpolate:
        made = interpolate(*map(unit, pair()), T)
    assert np.abs(made - exact).max() <= 3 * own_error


def test_masks_are_accurate_where_both_are_tiny(weighted: Weighted) -> None:
    path, network = weighted()
    model = onnx.load(path)
    model.graph.output.append(
        onnx.helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, None)
    )
    session = onnxruntime.InferenceSession(model.SerializeToString())
    mask = session.run(["mask"], inputs())[0]
    exact = stages_in_float64(network).mask.numpy()
    tiny = (exact < 1e-8) & (exact > 1e-30)
    assert tiny.sum() > 100
    assert np.abs(mask[tiny] / exact[tiny] - 1).max() < 0.01


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_lower_precisions_stay_finite(precision: str, weighted: Weighted, vimeo: Path) -> None:
    path, network = weighted()
    ranges = measure_ranges(path, vimeo90k(vimeo, "train")) if precision == "int8" else None
    model, _ = with_precision(*load_graph(path), precision, ranges)
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    made = session.run(["frames"], inputs())[0]
    assert np.isfinite(made).all()
    exact, _ = exact_and_own_error(network)
    assert psnr_db(made, exact) > (35 if precision == "fp16" else 15)


def test_constants_of_the_network_are_all_in_the_graph(exported: Exporter) -> None:
    # What an optimiser takes for 0 or for 1 is missing from the file, and no test of usual weights
    # would see it: each constant of the arithmetic outside the U-Nets, as the paper has it.
    graph = onnx.load(exported(8, "float32", True)).graph
    constants = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and not tensor.dims
    }
    found = sorted(
        float(constants[name])
        for node in graph.node
        for name in node.input
        if name in constants and "." not in node.name.split("/")[0]
    )
    scale = 2.0**27
    expected = {1e-8 * scale, scale, 1.0, 2.0, 0.5, 0.0}
    assert {np.float32(value) for value in found} == {np.float32(value) for value in expected}
    by_operator = {
        (node.op_type, float(np.float32(constants[name])))
        for node in graph.node
        for name in node.input
        if name in constants
    }
    assert ("Add", float(np.float32(1e-8 * scale))) in by_operator


def test_export_takes_a_harsh_checkpoint_and_its_golden_file_sees_the_lost_term(
    skip_tracing: Callable[..., None], tmp_path: Path
) -> None:
    skip_tracing(align_corners=True)
    network = harsh_network(8, align_corners=True)
    checkpoint, output = tmp_path / "harsh.pth", tmp_path / "harsh.onnx"
    torch.save({"state_dict": network.state_dict(), "align_corners": True}, checkpoint)
    report = export_onnx(checkpoint, output, io="float32")
    assert report.parity.passed
    golden = Golden.load(report.golden)
    assert all(0 < case.reference_error < 1e-3 for case in golden.cases)

    model = onnx.load(output)
    (term,) = (
        tensor
        for tensor in model.graph.initializer
        if not tensor.dims and 1 < onnx.numpy_helper.to_array(tensor) < 2
    )
    term.CopyFrom(onnx.numpy_helper.from_array(np.float32(0), term.name))
    onnx.save(model, output)
    report = check_parity(output, golden)
    assert [case.passed for case in report.cases][-1] is False
