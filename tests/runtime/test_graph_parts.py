"""A graph run in two parts does what it does in one, and computes the flow once a pair."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from engines import build_onnx
from precision import Ranges
from runtime import Interpolator
from runtime.backends import open_session
from runtime.bundled import BUNDLED_MODEL
from runtime.graph_parts import parts_of
from tests import harsh
from tests.conftest import Exporter
from tests.marks import others_long
from tests.models import SMALL_MODEL

CPU = ["CPUExecutionProvider"]


def feeds_of(path: Path, times: int) -> dict[str, np.ndarray]:
    feeds = {**harsh.inputs(), "t": np.arange(1, times + 1, dtype=np.float32) / (times + 1)}
    if "uint8" in path.name:
        feeds |= {f"frame{index}": frame[None] for index, frame in enumerate(harsh.pair())}
    return feeds


def assert_as_whole(path: Path) -> None:
    whole = onnxruntime.InferenceSession(path, providers=CPU)
    with open_session(path, providers=CPU) as session:
        for times in (1, 3, 7):
            feeds = feeds_of(path, times)
            found, expected = session.run(feeds)["frames"], whole.run(["frames"], feeds)[0]
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.fixture(params=[2**30, 2**24, 1], ids=["one run", "runs of three", "runs of one"])
def _memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.onnxruntime_session._RUN_BYTES", request.param)


@pytest.mark.usefixtures("_memory")
@pytest.mark.parametrize(
    ("io", "align_corners"), [("uint8", False), ("float32", True), ("float32", False)]
)
def test_parts_do_what_the_whole_does(io: str, align_corners: bool, exported: Exporter) -> None:
    assert_as_whole(exported(io=io, align_corners=align_corners))


@pytest.mark.usefixtures("_memory")
@pytest.mark.parametrize("align_corners", [True, False])
def test_parts_of_a_harsh_checkpoint(
    align_corners: bool, exported: Exporter, tmp_path: Path
) -> None:
    network = harsh.harsh_network(8, align_corners=align_corners)
    plain = exported(align_corners=align_corners)
    assert_as_whole(harsh.with_weights(plain, network, tmp_path / "harsh.onnx"))


@pytest.mark.parametrize("precision", others_long(["int8", "fp16", "int8 for openvino"]))
def test_parts_of_other_precisions(precision: str, ranges: Ranges, tmp_path: Path) -> None:
    ranges.save(tmp_path / "ranges.json")
    report = build_onnx(
        SMALL_MODEL,
        tmp_path / "built.onnx",
        precision="fp16" if precision == "fp16" else "int8",
        target="openvino" if "openvino" in precision else "onnxruntime",
        ranges=None if precision == "fp16" else tmp_path / "ranges.json",
    )
    assert_as_whole(report.path)


def test_parts_are_models_and_share_no_convolution() -> None:
    path = BUNDLED_MODEL
    parts = parts_of(path.read_bytes())
    assert parts.pair is not None
    pair, times = (onnx.load_from_string(part) for part in (parts.pair, parts.times))
    for model in (pair, times):
        onnx.checker.check_model(model, full_check=True)
    whole = Counter(node.name for node in onnx.load(path).graph.node if node.op_type == "Conv")
    assert whole == Counter(
        node.name for model in (pair, times) for node in model.graph.node if node.op_type == "Conv"
    )
    handed_over = list(pair.graph.output)
    shapes = [[dim.dim_value for dim in each.type.tensor_type.shape.dim] for each in handed_over]
    assert [shape[:2] for shape in shapes] == [[1, 2], [1, 2]]  # pixels, to either frame
    assert [each.name for each in times.graph.input[-2:]] == [each.name for each in handed_over]
    assert len(parts.pair) + len(parts.times) < path.stat().st_size * 1.01


def test_flow_is_computed_once_a_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    honest = onnxruntime.InferenceSession

    def profiled(content: bytes, options: onnxruntime.SessionOptions, **rest: object) -> object:
        options.enable_profiling = True
        options.profile_file_prefix = str(tmp_path / f"profile{len(opened)}")
        opened.append(honest(content, options, **rest))
        return opened[-1]

    monkeypatch.setattr(onnxruntime, "InferenceSession", profiled)
    monkeypatch.setattr("runtime.onnxruntime_session._RUN_BYTES", 1)
    with Interpolator(providers=CPU) as interpolate:
        interpolate(*harsh.pair(), np.arange(1, 8) / 8)
    events = [
        event
        for session in opened
        for event in json.loads(Path(session.end_profiling()).read_text())
        if event.get("args", {}).get("op_name", "").endswith("Conv")  # fused or not
    ]
    assert len(events) == 24 + 7 * (81 - 24)  # Flow_L has 24 of the 81 convolutions


def without_types(model: onnx.ModelProto) -> None:
    del model.graph.value_info[:]


def with_times_everywhere(model: onnx.ModelProto) -> None:
    """Let the first convolution depend on the times, by nothing."""
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    numbers = {"nothing": np.zeros(1, np.float32), "planes": np.array([-1, 1, 1, 1], np.int64)}
    for name, array in numbers.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    made = [
        onnx.helper.make_node("Mul", ["t", "nothing"], ["none"], name="none"),
        onnx.helper.make_node("Reshape", ["none", "planes"], ["zeros"], name="zeros"),
        onnx.helper.make_node("Add", [first.input[0], "zeros"], ["timed"], name="timed"),
    ]
    at = list(model.graph.node).index(first)
    first.input[0] = "timed"
    for offset, node in enumerate(made):
        model.graph.node.insert(at + offset, node)


def changed(path: Path, change: Callable[[onnx.ModelProto], None], output: Path) -> Path:
    model = onnx.load(path)
    change(model)
    onnx.save(model, output)
    return output


def test_graph_that_is_all_times_runs_as_it_is(exported: Exporter, tmp_path: Path) -> None:
    path = changed(exported(), with_times_everywhere, tmp_path / "timed.onnx")
    assert parts_of(path.read_bytes()).pair is None
    assert_as_whole(path)


def test_graph_without_types_runs_as_it_is(exported: Exporter, tmp_path: Path) -> None:
    path = changed(exported(), without_types, tmp_path / "bare.onnx")
    assert parts_of(path.read_bytes()).pair is None
    assert_as_whole(path)
