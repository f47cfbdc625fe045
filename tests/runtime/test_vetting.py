"""ONNX files that are made to hurt: none of them reaches the library that would run it."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, get_args
from unittest.mock import Mock

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from precision import Ranges
from precision.conversion import with_precision
from precision.graph import load_graph
from runtime import ArtifactError, BackendError, Interpolator
from runtime.backends import BackendName
from runtime.graph_check import read_checked
from runtime.metadata import Precision, Runtime
from runtime.scene import render_bytes
from tests.conftest import ROOT, Exporter
from tests.fuzz.random_graphs import random_model
from tests.fuzz.seeds import write_model
from tests.models import SMALL_MODEL


def first(model: onnx.ModelProto, operator: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.op_type == operator)


def weight(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(each for each in model.graph.initializer if each.name == name)


def attribute(node: onnx.NodeProto, name: str) -> onnx.AttributeProto:
    return next(each for each in node.attribute if each.name == name)


def replaced(model: onnx.ModelProto, node: onnx.NodeProto, index: int, content: Any) -> None:
    """Give a node a constant of its own as input `index`."""
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(content), "own"))
    node.input[index] = "own"


def body(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    value = helper.make_tensor_value_info("go", TensorProto.BOOL, [])
    return helper.make_graph(list(nodes), "body", [], [value])


def with_loop(model: onnx.ModelProto) -> None:
    true = helper.make_node("Constant", [], ["go"], value=numpy_helper.from_array(np.array(True)))
    model.graph.node.append(helper.make_node("Loop", [], ["x"], name="endless", body=body(true)))


def with_if(model: onnx.ModelProto) -> None:
    branches = {"then_branch": body(), "else_branch": body()}
    model.graph.node.append(helper.make_node("If", ["t"], ["x"], name="either", **branches))


def with_foreign_operator(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("FFT", ["t"], ["x"], name="own", domain="com.own"))


def with_unlisted_operator(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Tile", ["t", "t"], ["x"], name="tiles"))


def with_split_into_too_many(model: onnx.ModelProto) -> None:
    attribute(first(model, "Split"), "num_outputs").i = 2**40


def with_split_of_three_outputs(model: onnx.ModelProto) -> None:
    first(model, "Split").output.append("third")


def with_split_by_sizes(model: onnx.ModelProto) -> None:
    split = first(model, "Split")
    split.attribute.remove(attribute(split, "num_outputs"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([2**40, 1]), "own"))
    split.input.append("own")


def with_huge_resize(model: onnx.ModelProto) -> None:
    replaced(model, first(model, "Resize"), 2, np.array([1, 1, 1000, 1000], np.float32))


def with_resize_of_resize(model: onnx.ModelProto) -> None:
    last = [node for node in model.graph.node if node.op_type == "Resize"][-1]
    last.input[0] = "frame0"


def with_huge_expand(model: onnx.ModelProto) -> None:
    replaced(model, first(model, "Expand"), 1, np.array([2**40, 1, 1, 1]))


def with_expand_by_concat(model: onnx.ModelProto) -> None:
    shape = next(
        each for each in model.graph.node if first(model, "Expand").input[1] in each.output
    )
    replaced(model, shape, 1, np.array([65536]))


def with_huge_range(model: onnx.ModelProto) -> None:
    replaced(model, first(model, "Range"), 1, np.float32(1e15))


def with_reshape_of_frames(model: onnx.ModelProto) -> None:
    first(model, "Reshape").input[0] = "frame0"


def with_broadcast_weight(model: onnx.ModelProto) -> None:
    replaced(model, first(model, "Mul"), 1, np.zeros((65536, 1, 1, 1), np.float32))


def with_doubling_concats(model: onnx.ModelProto) -> None:
    made = "permute"
    for index in range(11):
        node = helper.make_node("Concat", [made, made], [f"x{index}"], name=f"c{index}", axis=1)
        model.graph.node.append(node)
        made = node.output[0]


def with_dilated_convolution(model: onnx.ModelProto) -> None:
    attribute(first(model, "Conv"), "dilations").ints[:] = [2**31, 2**31]


def with_padded_convolution(model: onnx.ModelProto) -> None:
    attribute(first(model, "Conv"), "pads").ints[:] = [2**31] * 4


def appended(model: onnx.ModelProto, operator: str, taken: list[str], **attributes: Any) -> str:
    """Append a node that makes one tensor; return its name."""
    name = f"own{len(model.graph.node)}"
    model.graph.node.append(helper.make_node(operator, taken, [name], name=name, **attributes))
    return name


def constant(model: onnx.ModelProto, content: Any) -> str:
    """Add a weight; return its name."""
    name = f"constant{len(model.graph.initializer)}"
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(content), name))
    return name


def to_front(model: onnx.ModelProto, count: int) -> None:
    """Move the last nodes before all others, which may then take what they make."""
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes[-count:] + nodes[:-count])


def with_division_that_overflows(model: onnx.ModelProto) -> None:
    least, minus = (constant(model, np.int32(value)) for value in (-(2**31), -1))
    appended(model, "Div", [least, minus])


def with_division_by_a_side_less_itself(model: onnx.ModelProto) -> None:
    side = appended(model, "Shape", ["frame0"], start=1, end=2)
    appended(model, "Div", [side, appended(model, "Sub", [side, side])])


def with_range_of_a_cast_weight(model: onnx.ModelProto) -> None:
    limit = appended(model, "Cast", [constant(model, np.float32(8e8))], to=TensorProto.FLOAT)
    first(model, "Range").input[1] = limit
    to_front(model, 1)


def with_expand_to_a_product(model: onnx.ModelProto) -> None:
    size = appended(model, "Shape", ["frame0"], start=1, end=2)
    for _ in range(3):
        size = appended(model, "Mul", [size, size])
    shape = appended(model, "Concat", [size, constant(model, np.array([1]))], axis=0)
    first(model, "Expand").input[1] = shape
    to_front(model, 5)


def with_expand_to_height_by_height(model: onnx.ModelProto) -> None:
    side = appended(model, "Shape", ["frame0"], start=1, end=2)
    one = constant(model, np.array([1]))
    shape = appended(model, "Concat", [side, side, one, one], axis=0)
    replaced(model, first(model, "Expand"), 0, np.float32(0))
    first(model, "Expand").input[1] = shape
    to_front(model, 2)


def with_concats_of_the_first_axis(model: onnx.ModelProto) -> None:
    appended(model, "Concat", ["frame0"] * 4, axis=0)


def with_many_small_nodes(model: onnx.ModelProto) -> None:
    for _ in range(1500):
        appended(model, "Exp", ["blend"])


def with_one_convolution_many_times(model: onnx.ModelProto) -> None:
    deep = next(node for node in model.graph.node if "Flow_L.midconv.weight" in node.input)
    for index in range(60):
        copy = model.graph.node.add()
        copy.CopyFrom(deep)
        copy.output[0] = copy.name = f"again{index}"


def with_scalar_constants_expanded(model: onnx.ModelProto) -> None:
    shape = constant(model, np.array([4, 4, 4, 4]))
    made = appended(model, "Expand", [constant(model, np.float32(0)), shape])
    for _ in range(12):
        made = appended(model, "Concat", [made] * 4, axis=1)


def with_split_of_one_channel(model: onnx.ModelProto) -> None:
    first(model, "Split").input[0] = "permute"


def with_gathering_beyond(model: onnx.ModelProto) -> None:
    first(model, "Gather").input[1] = constant(model, np.int64(4))


def with_short_bias(model: onnx.ModelProto) -> None:
    replaced(model, first(model, "Conv"), 2, np.zeros(1, np.float32))


def with_weight_of_other_channels(model: onnx.ModelProto) -> None:
    replaced(model, first(model, "Conv"), 1, np.zeros((8, 5, 3, 3), np.float32))


def with_half_bias(model: onnx.ModelProto) -> None:
    replaced(model, first(model, "Conv"), 2, np.zeros(8, np.float16))


def with_scale_of_nothing(model: onnx.ModelProto) -> None:
    scale, zero = constant(model, np.float32(0)), constant(model, np.uint8(0))
    appended(model, "QuantizeLinear", ["cat", scale, zero])


def with_turned_frames(model: onnx.ModelProto) -> None:
    last = next(node for node in model.graph.node if "frames" in node.output)
    attribute(last, "perm").ints[:] = [0, 3, 1, 2]


def with_wide_name(model: onnx.ModelProto) -> None:
    next(each for each in model.metadata_props if each.key == "rrin.base_width").value = "4096"


def with_narrow_name(model: onnx.ModelProto) -> None:
    next(each for each in model.metadata_props if each.key == "rrin.base_width").value = "2"


def with_wrong_group(model: onnx.ModelProto) -> None:
    attribute(first(model, "Conv"), "group").i = 3


def with_external_data(model: onnx.ModelProto) -> None:
    tensor = weight(model, "final.last.bias")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def with_short_weight(model: onnx.ModelProto) -> None:
    weight(model, "final.last.weight").dims[0] = 2**40


def with_unsigned_dimension(model: onnx.ModelProto) -> None:
    weight(model, "final.last.weight").dims[:] = [-1, -8, 9, 3]


def with_sparse_weight(model: onnx.ModelProto) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "sparse")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "indices")
    sparse = helper.make_sparse_tensor(values, indices, [2**40])
    model.graph.sparse_initializer.append(sparse)


def with_function(model: onnx.ModelProto) -> None:
    opsets = [helper.make_opsetid("", 19)]
    node = helper.make_node("Neg", ["x"], ["y"])
    model.functions.append(helper.make_function("own", "f", ["x"], ["y"], [node], opsets))


def with_training(model: onnx.ModelProto) -> None:
    model.training_info.add()


def with_foreign_opset(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def with_other_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 11


def with_wrong_output_shape(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[3].dim_value = 1


def with_wrong_input_type(model: onnx.ModelProto) -> None:
    model.graph.input[2].type.tensor_type.elem_type = TensorProto.INT64


def with_cycle(model: onnx.ModelProto) -> None:
    first(model, "Add").input[0] = "frames"


def with_two_makers(model: onnx.ModelProto) -> None:
    first(model, "Conv").output[0] = "t"


def with_too_many_nodes(model: onnx.ModelProto) -> None:
    model.graph.node.extend(
        helper.make_node("Neg", ["t"], [f"x{index}"], name=f"n{index}") for index in range(2000)
    )


@pytest.fixture
def library_untouched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    reached: list[object] = []

    def session(*arguments: object, **_: object) -> None:
        reached.append(arguments[0])
        raise RuntimeError("not to be run")

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    yield
    assert not reached


ATTACKS: list[tuple[Callable[[onnx.ModelProto], None], str]] = [
    (with_loop, "a subgraph"),
    (with_if, "a subgraph"),
    (with_foreign_operator, r"own \(FFT\) is an operator of com.own that no artifact has"),
    (with_unlisted_operator, r"tiles \(Tile\) is an operator that no artifact has"),
    (with_split_into_too_many, r"\(Split\) has num_outputs 1099511627776, expected one of \(2,\)"),
    (with_split_of_three_outputs, r"\(Split\) has 1 inputs and 3 outputs"),
    (with_split_by_sizes, "own holds .1099511627776, 1., expected four of -4 to 4"),
    (with_huge_resize, r"\(Resize\) scales by \[1.0, 1.0, 1000.0, 1000.0\]"),
    (with_resize_of_resize, r"\(Resize\) takes float32 \[1, H, W, 3\]"),
    (with_huge_expand, "own holds .*1099511627776"),
    (with_expand_by_concat, "own holds .65536."),
    (with_huge_range, r"\(Range\) takes float32 \[\] as its limit, expected a side"),
    (with_reshape_of_frames, r"\(Reshape\) makes \[-1, 1, 1, 1\] of float32 \[1, H, W, 3\]"),
    (with_broadcast_weight, r"\(Mul\) takes .* \[65536, 1, 1, 1\], which do not fit"),
    (with_doubling_concats, r"\(Concat\) brings the bytes a pixel to \d+, expected 7800"),
    (with_dilated_convolution, r"\(Conv\) has dilations"),
    (with_padded_convolution, r"\(Conv\) has a weight of .* pads"),
    (with_wrong_group, r"\(Conv\) has group 3"),
    (with_division_that_overflows, r"\(Div\) takes int32 \[\], expected float32"),
    (with_division_by_a_side_less_itself, r"\(Sub\) takes int64 \[1\], expected float32"),
    (with_range_of_a_cast_weight, r"\(Range\) takes float32 \[\] as its limit, expected a side"),
    (with_expand_to_a_product, r"\(Mul\) takes int64 \[1\], expected float32"),
    (with_expand_to_height_by_height, r"\(Expand\) makes float32 \[H, H, 1, 1\]"),
    (with_concats_of_the_first_axis, r"\(Concat\) takes float32 \[1, H, W, 3\], expected a list"),
    (with_many_small_nodes, r"\(Exp\) brings the bytes a pixel"),
    (with_one_convolution_many_times, r"\(Conv\) brings the"),
    (with_scalar_constants_expanded, r"\(Concat\) brings the constant elements"),
    (with_split_of_one_channel, r"\(Split\) halves .*\[1, 3, H, W\], which has an odd number"),
    (with_gathering_beyond, r"\(Gather\) takes element 4 along 1 of"),
    (with_short_bias, r"\(Conv\) has .* a bias of \[1\] for .* do not fit"),
    (with_weight_of_other_channels, r"\(Conv\) has .* weight of \[8, 5, 3, 3\] .* do not fit"),
    (with_half_bias, r"\(Conv\) takes float16 \[8\], expected float32"),
    (with_scale_of_nothing, r"\(QuantizeLinear\) has a scale that is not above 0"),
    (with_turned_frames, r"makes float32 \[T, W, 3, H\] as frames, expected"),
    (with_wide_name, "names base width 4096 but has .* weights, expected"),
    (with_narrow_name, r"brings the .* for base width 2"),
    (with_external_data, r"external data"),
    (with_short_weight, r"final.last.weight has dimensions"),
    (with_unsigned_dimension, r"final.last.weight has dimensions"),
    (with_sparse_weight, "sparse weights"),
    (with_function, "functions"),
    (with_training, "training information"),
    (with_foreign_opset, "opsets .*com.microsoft.*, expected 19 alone"),
    (with_other_opset, "opsets .*11.*, expected 19 alone"),
    (with_wrong_output_shape, r"frames has data type 1 and shape .*, expected 1 and"),
    (with_wrong_input_type, r"t has data type 7"),
    (with_cycle, "takes frames, which nothing before it makes"),
    (with_two_makers, "makes t, which is there already"),
    (with_too_many_nodes, "more than 2000 nodes"),
]


@pytest.mark.usefixtures("library_untouched")
@pytest.mark.parametrize(
    ("attack", "message"), ATTACKS, ids=[attack.__name__ for attack, _ in ATTACKS]
)
def test_hostile_graphs_are_refused_before_anything_runs_them(
    attack: Callable[[onnx.ModelProto], None], message: str, tmp_path: Path
) -> None:
    model = onnx.load(SMALL_MODEL)
    attack(model)
    path = tmp_path / "hostile.onnx"
    path.write_bytes(model.SerializeToString())
    for read in (Interpolator, load_graph):
        with pytest.raises(ArtifactError, match=message) as caught:
            read(path)
        assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("library_untouched")
@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (b"\x72\x08\x0a\x01k\x12\x03\xff\xfe\xfd", r"metadata .* is not UTF-8"),
        (b"\x3a\x00", "graph twice"),
        (b"\x08\x0a", "ir_version twice"),
        (b"\x08" + b"\xff" * 11, "more than 64 bits"),
        (b"\x0b\x0c", "wire type 3"),
        (b"\x72\x7f", "cut short"),
        (b"\xa2\x06\x00", "field 100, which no file of ours has"),
    ],
)
def test_hostile_bytes_are_refused(extra: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.onnx"
    path.write_bytes(SMALL_MODEL.read_bytes() + extra)
    with pytest.raises(ArtifactError, match=message):
        Interpolator(path)


@pytest.mark.usefixtures("library_untouched")
def test_files_cut_short_anywhere_are_refused(tmp_path: Path) -> None:
    content = SMALL_MODEL.read_bytes()
    path = tmp_path / "short.onnx"
    for size in np.random.default_rng(0).integers(0, len(content), 50):
        path.write_bytes(content[:size])
        with pytest.raises(ArtifactError):
            Interpolator(path)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("bfc_arena.cc:360 Failed to allocate memory for requested buffer of size 98304", "memory"),
        ("std::bad_alloc", "memory"),
        ("CUDA failure 2: out of memory ; GPU=0", "memory"),
        ("running Div node. Name:'d' Status Message: Integer division by zero", "artifact"),
    ],
)
def test_failures_are_blamed_on_memory_only_where_it_is_short(said: str, error: str) -> None:
    expected = {"memory": BackendError, "artifact": ArtifactError}[error]
    frame = np.zeros((32, 32, 3), np.float32)
    with Interpolator(backend="onnxruntime") as interpolate:
        failing = SimpleNamespace(run=Mock(side_effect=RuntimeError(said)))
        interpolate._session._times = failing  # type: ignore[attr-defined]
        with pytest.raises(expected, match=re.escape(said)) as caught:
            interpolate(frame, 1 - frame)
    assert ("take fewer times" in str(caught.value)) == (error == "memory")


def test_frames_of_another_shape_are_not_broadcast() -> None:
    frame = np.zeros((32, 32, 3), np.float32)
    with Interpolator(backend="onnxruntime") as interpolate:
        turned = SimpleNamespace(run=lambda *_: [np.zeros((1, 3, 32, 32), np.float32)])
        interpolate._session._times = turned  # type: ignore[attr-defined]
        with pytest.raises(ArtifactError, match=r"expected \(1, 32, "):
            interpolate(frame, 1 - frame)


def test_what_is_accepted_runs_without_harm(tmp_path: Path) -> None:
    """Random graphs, run in a process of little memory and time that a signal would end."""
    accepted = []
    for seed in range(150):
        path = tmp_path / f"{seed}.onnx"
        path.write_bytes(random_model(Random(seed)))  # noqa: S311
        with contextlib.suppress(ArtifactError):
            read_checked(path)
            accepted.append(str(path))
    command = [sys.executable, "-m", "tests.fuzz.random_runs", *accepted]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout[-200:] + made.stderr[-2000:]
    assert 75 < len(accepted) < 150


@pytest.mark.parametrize("base_width", [1, 3, 6])
def test_every_width_is_accepted(base_width: int, tmp_path: Path) -> None:
    path = tmp_path / "rrin.onnx"
    write_model(path, base_width)
    assert read_checked(path)[1].base_width == base_width


def test_exports_are_accepted(exported: Exporter) -> None:
    for io, align_corners in (("uint8", False), ("float32", True)):
        _, metadata = read_checked(exported(io=io, align_corners=align_corners))
        assert (metadata.io, metadata.align_corners) == (io, align_corners)


@pytest.mark.parametrize(
    ("precision", "runtime"),
    [
        ("fp16", "tensorrt"),
        ("bf16", "openvino"),
        ("int8", "onnxruntime"),
        ("int8", "openvino"),
        ("int8", "tensorrt"),
    ],
)
def test_every_precision_is_accepted(
    precision: Precision, runtime: Runtime, ranges: Ranges, tmp_path: Path
) -> None:
    model, metadata = load_graph(SMALL_MODEL)
    measured = ranges if precision == "int8" else None
    model, _ = with_precision(model, metadata, precision, measured, runtime)
    path = tmp_path / "own.onnx"
    path.write_bytes(ir.to_proto(model).SerializeToString())
    content, metadata = read_checked(path)
    assert content == path.read_bytes()
    assert metadata.precision == precision
    load_graph(path)


@pytest.mark.parametrize("backend", get_args(BackendName))
@pytest.mark.parametrize("first", [b'<net version="11" name="q"></net>', b"__ORTM__"])
def test_what_was_checked_is_what_runs(first: bytes, backend: BackendName, tmp_path: Path) -> None:
    """Libraries look at the first bytes of a file for formats of their own."""
    model = onnx.load(SMALL_MODEL)
    model.ClearField("producer_name")
    producer = b"\x12" + bytes([len(first)]) + first
    path = tmp_path / "rrin.onnx"
    path.write_bytes(producer + model.SerializeToString())
    frames = [render_bytes(64, 64, time) for time in (0, 1)]
    with (
        Interpolator(path, backend=backend) as ours,
        Interpolator(SMALL_MODEL, backend=backend) as plain,
    ):
        assert np.array_equal(ours(*frames), plain(*frames))


@pytest.mark.parametrize("bounds", [(0.4, 0.6), (1.0, 0.0), (0.0, 0.5)])
def test_openvino_takes_no_other_clipping(bounds: tuple[float, float], tmp_path: Path) -> None:
    model = onnx.load(SMALL_MODEL)
    clip = next(node for node in model.graph.node if "clamp" in node.output)
    for name, bound in zip(clip.input[1:], bounds, strict=True):
        clip.input[list(clip.input).index(name)] = f"bound_{bound}"
        model.graph.initializer.append(
            onnx.numpy_helper.from_array(np.array(bound, np.float32), f"bound_{bound}")
        )
    onnx.save(model, tmp_path / "rrin.onnx")
    with pytest.raises(ArtifactError, match=r"does not clip its frames to \[0, 1\]"):
        Interpolator(tmp_path / "rrin.onnx", backend="openvino")
