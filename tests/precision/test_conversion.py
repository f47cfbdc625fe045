"""Which part of the graph runs in which type, and what that costs."""

import copy
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from export import RRIN
from export.network import Stages, _grid_coordinate
from export.reference import planes_of
from precision.conversion import with_precision
from precision.graph import CONVOLUTIONS, load_graph
from runtime import ArtifactError, InputNotFoundError
from runtime.interpolator import BUNDLED_MODEL
from runtime.parity import psnr_db
from runtime.scene import render_bytes
from tests.conftest import Exporter


@pytest.fixture(scope="module")
def halved() -> onnx.ModelProto:
    model, _ = with_precision(*load_graph(BUNDLED_MODEL), "fp16")
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


def test_weights_take_half_the_room(halved: onnx.ModelProto) -> None:
    assert halved.ByteSize() < 0.55 * BUNDLED_MODEL.stat().st_size


def test_onnx_runtime_takes_the_half_graph(halved: onnx.ModelProto) -> None:
    # Its CPU computes half by way of float, so that this shows the wiring, not the rounding.
    frames = [render_bytes(96, 64, time).astype(np.float32)[None] / 255 for time in (0, 1)]
    inputs = {
        "frame0": frames[0],
        "frame1": frames[1],
        "t": np.array([0.25, 0.5], np.float32),
        "window": np.array([0, 0, 96, 64], np.float32),
    }
    full, half = (
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, inputs)[0]
        for model in (BUNDLED_MODEL.read_bytes(), halved.SerializeToString())
    )
    assert 70 < psnr_db(full, half) < 130


class InHalf(torch.nn.Module):
    """A U-Net in half with casts at its borders, as the graph has it."""

    def __init__(self, unet: torch.nn.Module) -> None:
        super().__init__()
        self.unet = copy.deepcopy(unet).half()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.unet(x.half()).float()  # type: ignore[no-any-return]


def stages(network: RRIN, width: int, height: int, dtype: torch.dtype) -> Stages:
    frame0, frame1 = (planes_of(render_bytes(width, height, time)).to(dtype) for time in (0, 1))
    window = torch.tensor([0.0, 0.0, frame0.shape[3], frame0.shape[2]], dtype=dtype)
    with torch.inference_mode():
        return network.stages(frame0, frame1, torch.tensor([0.5], dtype=dtype), window)


@pytest.mark.parametrize(("width", "height"), [(224, 128), (2560, 64)])
def test_half_rounding_costs_little_where_it_is_allowed(
    width: int, height: int, small_network: RRIN
) -> None:
    # PyTorch on the CPU rounds to half after every operation.
    split = copy.deepcopy(small_network)
    for name in CONVOLUTIONS:
        setattr(split, name, InHalf(getattr(small_network, name)))
    exact = stages(small_network, width, height, torch.float32)
    rounded = stages(split, width, height, torch.float32)
    assert exact.flow.abs().quantile(0.95) > 1
    assert psnr_db(rounded.frames.numpy(), exact.frames.numpy()) >= 85
    assert (rounded.flow - exact.flow).abs().max() <= 0.02


@pytest.mark.parametrize(("dtype", "worst"), [(torch.float16, 0.2), (torch.float32, 0)])
def test_a_half_grid_misplaces_samples(dtype: torch.dtype, worst: float) -> None:
    # A ramp of one level a pixel, read at its own positions: what comes is the position read.
    width = 1920
    ramp = torch.arange(float(width)).expand(1, 1, 32, width)
    still = torch.zeros(1, 2, 32, width, dtype=dtype)
    window = torch.tensor([0, 0, width, 32], dtype=dtype)
    grid = _grid_coordinate(
        torch.arange(width, dtype=dtype) + still[:, 0], width, window[0], window[2], False
    ).float()
    read = F.grid_sample(
        ramp, torch.stack([grid, torch.zeros_like(grid)], dim=-1), align_corners=False
    )
    error = (read - (ramp - 0.5))[..., 1:-1].abs().max()
    assert error >= worst if worst else error < 1e-3


@pytest.mark.parametrize("io", ["uint8", "float32"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_every_artifact_can_be_converted_once(io: str, precision: str, exported: Exporter) -> None:
    model, metadata = with_precision(*load_graph(exported(io=io)), precision)  # type: ignore[arg-type]
    assert (metadata.precision, metadata.io) == (precision, io)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    if precision == "fp16":
        with pytest.raises(ArtifactError, match="fp16 already"):
            with_precision(model, metadata, "fp16")


def test_weights_beyond_halfs_range_are_refused() -> None:
    model, metadata = load_graph(BUNDLED_MODEL)
    bias = model.graph.initializers["final.last.bias"]
    bias.const_value = ir.tensor(np.full(3, 1e6, np.float32), name=bias.name)
    with pytest.raises(ArtifactError, match=r"final\.last\.bias exceeds half's range"):
        with_precision(model, metadata, "fp16")


def test_unrecognised_graphs_are_refused(tmp_path: Path) -> None:
    model = onnx.load(BUNDLED_MODEL)
    for node in model.graph.node:
        node.name = node.name.replace("Mask.", "Mosk.")
    path = tmp_path / "renamed.onnx"
    onnx.save(model, path)
    with pytest.raises(ArtifactError, match=r"'Mask': 0.*expected"):
        load_graph(path)
    path.write_bytes(b"no graph")
    with pytest.raises(ArtifactError, match="not an ONNX file"):
        load_graph(path)
    with pytest.raises(InputNotFoundError, match="rrin-deploy export CHECKPOINT"):
        load_graph(tmp_path / "none.onnx")
