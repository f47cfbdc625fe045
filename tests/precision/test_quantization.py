"""Q/DQ: the same frames but for a little, what is INT8 and what is not."""

import dataclasses
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from calibration import measure_ranges, vimeo90k
from precision import Ranges
from precision.balance import balance
from precision.blocks import block_of, int8_share, multiply_adds
from precision.conversion import with_precision
from precision.graph import (
    content_of,
    hidden_tensors,
    load_graph,
    maker_of,
    place_of,
    taken,
    unet_of,
)
from precision.quantization import _matched
from precision.ranges import Range
from runtime import ArtifactError, Interpolator
from runtime.errors import OptionError
from runtime.metadata import Runtime
from runtime.parity import psnr_db
from runtime.scene import render
from tests.conftest import Exporter
from tests.models import SMALL_MODEL

RUNTIMES: tuple[Runtime, ...] = ("onnxruntime", "openvino", "tensorrt")


# One at each place of a U-Net, and how many convolutions it has.
KEPT = {
    "Flow_L.down_path.0": 2,
    "refine_flow.down_path.0": 2,
    "Mask.down_path.3": 2,
    "Mask.midconv": 1,
    "final.up_path.0": 3,
    "final.up_path.2": 3,
}


def quantized(ranges: Ranges, runtime: Runtime, kept_float: Collection[str] = ()) -> ir.Model:
    graph = load_graph(SMALL_MODEL)
    return with_precision(*graph, "int8", ranges, runtime, kept_float=kept_float)[0]


def opened(model: ir.Model, path: Path) -> Interpolator:
    onnx.save(ir.to_proto(model), path)
    return Interpolator(path)


@pytest.mark.parametrize("before_activation", [True, False])
def test_balancing_changes_no_frame_and_evens_the_channels(
    before_activation: bool, ranges: Ranges, interpolate: Interpolator, tmp_path: Path
) -> None:
    model, _ = load_graph(SMALL_MODEL)
    balanced = balance(_matched(model.graph, ranges), before_activation=before_activation)
    for value in balanced.values():
        low, high = float(value.low[0]), float(value.high[0])
        assert -1.001 <= low <= high <= 1.001
    frames = render(100, 130, 0), render(100, 130, 1)
    with opened(model, tmp_path / "balanced.onnx") as ours:
        np.testing.assert_allclose(ours(*frames), interpolate(*frames), atol=2e-5)


def test_a_channel_that_hardly_speaks_is_not_raised_to_the_loudest(ranges: Ranges) -> None:
    # What calibration saw of it may be noise; in other frames it would be cut off.
    place = "Mask.down_path.0.block.1/LeakyRelu"
    low, high = np.full(8, -1e-9), np.full(8, 1e-9)
    high[3] = 5.0
    quiet = dataclasses.replace(ranges, tensors={**ranges.tensors, place: Range(low, high)})
    model, _ = load_graph(SMALL_MODEL)
    bias = model.graph.initializers["Mask.down_path.0.block.0.bias"]
    before = bias.const_value.numpy().copy()  # type: ignore[union-attr]
    balance(_matched(model.graph, quiet), before_activation=False)
    raised = bias.const_value.numpy() / before  # type: ignore[union-attr]
    np.testing.assert_allclose(raised / raised[3], np.where(np.arange(8) == 3, 1, 64), rtol=1e-5)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_frames_stay_close(
    runtime: Runtime, ranges: Ranges, interpolate: Interpolator, tmp_path: Path
) -> None:
    model = quantized(ranges, runtime)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    with opened(model, tmp_path / "rrin.int8.onnx") as ours:
        assert ours.metadata.precision == "int8"
        for size, t in (((96, 128), [0.5]), ((100, 150), [0.2, 0.9])):
            frames = render(*size, 4), render(*size, 5)
            psnr = psnr_db(ours(*frames, t), interpolate(*frames, t))
            assert 45 < psnr < 80  # near, and really quantized


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_is_quantized(runtime: Runtime, ranges: Ranges) -> None:
    graph = quantized(ranges, runtime).graph
    int8, others = set(), set()
    for node in graph:
        if node.op_type == "Conv" and "/Pool_" not in str(node.name):
            made_by = [value.producer() for value in node.inputs[:2] if value is not None]
            behind = [
                maker is not None and maker.op_type == "DequantizeLinear" for maker in made_by
            ]
            assert behind[0] == behind[1]
            (int8 if behind[0] else others).add(place_of(node))
    assert others == {
        "Flow_L.last/Conv",
        "refine_flow.last/Conv",
        "Mask.last/Conv",
        "final.last/Conv",
        "refine_flow.down_path.0.block.0/Conv",
        "Mask.down_path.0.block.0/Conv",
    }
    assert len(int8) == 75
    outside = [node for node in graph if not unet_of(node)]
    assert not any("Quantize" in node.op_type for node in outside)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_blocks_kept_in_float_hold_no_int8(
    runtime: Runtime, ranges: Ranges, interpolate: Interpolator, tmp_path: Path
) -> None:
    model = quantized(ranges, runtime, KEPT)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    convolutions: Counter[str] = Counter()
    for node in model.graph:
        # What lies in a block is named after it; a pooling in front of it, after its U-Net.
        inside = next((name for name in KEPT if re.match(rf"{name}[./]", place_of(node))), None)
        if inside is None:
            continue
        assert "Quantize" not in node.op_type, node.name
        if node.op_type == "Conv":
            convolutions[inside] += 1
            assert taken(node, 1).producer() is None, f"{node.name} takes an integer weight"
    assert convolutions == KEPT
    poolings = [node for node in model.graph if node.op_type == "AveragePool" and unet_of(node)]
    assert ("Mask.down_path.3" in map(block_of, poolings)) or runtime != "onnxruntime"
    onnx.save(ir.to_proto(model), tmp_path / "rrin.int8.onnx")
    with Interpolator(tmp_path / "rrin.int8.onnx", backend="onnxruntime") as ours:
        assert ours.metadata.kept_float == tuple(KEPT)
        frames = render(96, 128, 4), render(96, 128, 5)
        assert 45 < psnr_db(ours(*frames), interpolate(*frames)) < 80


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_all_blocks_in_float_make_the_frames_of_the_float_graph(
    runtime: Runtime, ranges: Ranges, interpolate: Interpolator, tmp_path: Path
) -> None:
    model = quantized(ranges, runtime, multiply_adds(8))
    assert not any("Quantize" in node.op_type for node in model.graph)
    frames = render(96, 128, 4), render(96, 128, 5)
    with opened(model, tmp_path / "rrin.int8.onnx") as ours:
        np.testing.assert_allclose(ours(*frames), interpolate(*frames), atol=2e-5)


def test_multiply_adds_of_blocks_are_those_of_their_integer_convolutions(ranges: Ranges) -> None:
    graph = quantized(ranges, "openvino").graph
    counted: dict[str, float] = {}
    whole = 0.0
    for node in graph:
        if node.op_type == "Conv":
            dequantized = taken(node, 1).producer()
            weight = content_of(taken(dequantized) if dequantized else taken(node, 1))
            # A level has twice the channels of the one above; `last` gives few, but takes 8.
            width = weight.shape[1] if block_of(node).endswith(".last") else weight.shape[0]
            cost = weight.size / (width // 8) ** 2
            whole += cost
            if dequantized:
                counted[block_of(node)] = counted.get(block_of(node), 0) + cost
    assert multiply_adds(8) == counted
    kept = ["Mask.midconv", "final.up_path.2"]
    expected = (sum(counted.values()) - sum(counted[name] for name in kept)) / whole
    assert int8_share(8, kept) == pytest.approx(expected)


def test_blocks_that_there_are_not_are_refused(ranges: Ranges) -> None:
    graph = load_graph(SMALL_MODEL)
    for wrong in (["Flow_L.down_path.5"], ["Flow_L.last"], "Mask.midconv"):
        with pytest.raises(OptionError, match="expected blocks of the U-Nets, such as"):
            with_precision(*graph, "int8", ranges, kept_float=wrong)
    with pytest.raises(OptionError, match="blocks to keep in float are given, and fp16 takes none"):
        with_precision(*graph, "fp16", kept_float=["Mask.midconv"])


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_pairs_of_products_fit_in_16_bits_for_cpus_without_vnni(
    runtime: Runtime, ranges: Ranges
) -> None:
    graph = quantized(ranges, runtime).graph
    weights = [
        value.const_value.numpy().astype(int)
        for value in graph.initializers.values()
        if value.const_value is not None and value.const_value.dtype == ir.DataType.INT8
    ]
    largest = max(int(abs(weight).max()) for weight in weights)
    assert 2 * 255 * largest < 2**15
    assert largest > 60  # and no bit more is given away


def test_a_dead_channel_keeps_its_bias(vimeo: Path, tmp_path: Path) -> None:
    # Nothing of a channel but its bias is left, as in networks whose training killed it.
    proto = onnx.load(SMALL_MODEL)
    tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
    for name in ("Flow_L.up_path.3.conv_block.block.2", "final.up_path.2.conv_block.block.2"):
        weight, bias = (
            onnx.numpy_helper.to_array(tensors[f"{name}.{kind}"]).copy()
            for kind in ("weight", "bias")
        )
        weight[0], bias[0] = 0, 1
        tensors[f"{name}.weight"].CopyFrom(onnx.numpy_helper.from_array(weight, f"{name}.weight"))
        tensors[f"{name}.bias"].CopyFrom(onnx.numpy_helper.from_array(bias, f"{name}.bias"))
    onnx.save(proto, tmp_path / "rrin.onnx")
    ranges = measure_ranges(tmp_path / "rrin.onnx", vimeo90k(vimeo, "train"))
    model, _ = with_precision(*load_graph(tmp_path / "rrin.onnx"), "int8", ranges, "onnxruntime")
    frames = render(96, 128, 4), render(96, 128, 5)
    with (
        opened(model, tmp_path / "rrin.int8.onnx") as ours,
        Interpolator(tmp_path / "rrin.onnx") as theirs,
    ):
        assert 45 < psnr_db(ours(*frames), theirs(*frames)) < 80


def test_tensorrt_gets_symmetric_int8(ranges: Ranges) -> None:
    graph = quantized(ranges, "tensorrt").graph
    for node in graph:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            scale, zero = (value.const_value.numpy() for value in node.inputs[1:])  # type: ignore[union-attr]
            assert scale.dtype == np.float16
            assert (scale > 0).all()
            assert zero.dtype == np.int8
            assert not zero.any()


def test_nothing_but_its_quantization_reads_what_a_convolution_makes_for_tensorrt(
    ranges: Ranges,
) -> None:
    # Else the convolution has to write half as well, and a kernel of its own quantizes.
    graph = quantized(ranges, "tensorrt").graph
    made = [value for _, value in hidden_tensors(graph)]
    readers = [sorted({use.node.op_type for use in value.uses()}) for value in made]
    # 13 are upsampled, which is in half, and 4 taken by the `last` convolutions.
    assert Counter(map(tuple, readers)) == {("QuantizeLinear",): 60, ("Resize",): 13, ("Conv",): 4}
    assert all(len(value.uses()) == 1 for value in made)


def test_scales_that_have_to_cancel_are_equal_to_the_last_bit(ranges: Ranges) -> None:
    graph = quantized(ranges, "tensorrt").graph
    between = [node for node in graph if node.op_type in ("AveragePool", "Concat")]
    between = [node for node in between if unet_of(node)]
    assert len(between) == 26
    for node in between:
        before = [maker_of(taken(node, index)) for index in range(len(node.inputs))]
        (after,) = (use.node for use in node.outputs[0].uses())
        assert {maker.op_type for maker in before} == {"DequantizeLinear"}
        assert after.op_type == "QuantizeLinear"
        scales = [content_of(taken(maker, 1)).tobytes() for maker in (*before, after)]
        assert len(set(scales)) == 1, node.name


def test_onnxruntime_runs_it_in_integers(ranges: Ranges, tmp_path: Path) -> None:
    onnx.save(ir.to_proto(quantized(ranges, "onnxruntime")), tmp_path / "rrin.int8.onnx")
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 4
    ort.InferenceSession(
        str(tmp_path / "rrin.int8.onnx"), options, providers=["CPUExecutionProvider"]
    )
    nodes = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert nodes.count("QLinearConv") == 75 + 13  # and the poolings
    assert nodes.count("QLinearConcat") == 13
    assert nodes.count("QLinearLeakyRelu") == 64 - 2 - 4  # not those beside a float convolution
    assert "AveragePool" not in nodes


@pytest.mark.long
def test_full_width_is_quantized_as_well(
    exported: Exporter, ranges: Ranges, tmp_path: Path
) -> None:
    # The wide network repeats each channel four times, so it has four times the same ranges.
    wide = {
        name: Range(value.low.repeat(4), value.high.repeat(4))
        for name, value in ranges.tensors.items()
    }
    source = exported(32, "float32", True)
    graph, about = load_graph(source)
    # Half a pixel in the warps, by align_corners, is nothing to them.
    wide_ranges = dataclasses.replace(
        ranges, tensors=wide, align_corners=True, checkpoint_sha256=about.checkpoint_sha256
    )
    model, _ = with_precision(graph, about, "int8", wide_ranges, "onnxruntime")
    frames = render(96, 128, 4), render(96, 128, 5)
    with opened(model, tmp_path / "rrin.int8.onnx") as ours, Interpolator(source) as theirs:
        assert 45 < psnr_db(ours(*frames), theirs(*frames)) < 80


def test_ranges_that_do_not_fit_are_refused(ranges: Ranges) -> None:
    graph = load_graph(SMALL_MODEL)
    with pytest.raises(OptionError, match="int8 needs the model's activation ranges"):
        with_precision(*graph, "int8")
    with pytest.raises(OptionError, match="runtime is 'any'; expected tensorrt or onnxruntime or"):
        with_precision(*graph, "int8", ranges, "any")
    with pytest.raises(ArtifactError, match="the ranges: measured on checkpoint 0000"):
        with_precision(*graph, "int8", dataclasses.replace(ranges, checkpoint_sha256="0" * 64))
    name, value = next(iter(ranges.tensors.items()))
    cut = {**ranges.tensors, name: Range(value.low[1:], value.high[1:])}
    with pytest.raises(ArtifactError, match=r"7 channels for .* which has 8 channels"):
        with_precision(*graph, "int8", dataclasses.replace(ranges, tensors=cut))
    with pytest.raises(ArtifactError, match="no range for"):
        with_precision(*load_graph(SMALL_MODEL), "int8", dataclasses.replace(ranges, tensors={}))
