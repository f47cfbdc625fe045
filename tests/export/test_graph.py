"""The exported graph in ONNX Runtime, against the PyTorch module."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from export import RRIN, Reference, compare_stages, export_onnx, load_checkpoint
from export.graph import ParityError
from runtime import ArtifactError, Interpolator, check_parity
from runtime.backends import open_session
from runtime.errors import CheckpointError, InputNotFoundError, RrinError
from runtime.golden import Golden, golden_beside
from runtime.parity import judge, psnr_db
from runtime.scene import render_bytes
from tests.conftest import Exporter, unit
from tests.marks import others_long
from tests.models import SMALL_MODEL

Inputs = dict[str, np.ndarray]
STAGES = ("flow", "warped0", "warped1", "mask", "blend")


def pair(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    return render_bytes(width, height, 0), render_bytes(width, height, 1)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(
    ("width", "height", "times", "limit"),
    others_long(
        [(1, 1, 1, 2e-5), (333, 101, 3, 2e-5), (640, 360, 1, 2e-5), (1920, 70, 3, 1e-4)], 2
    ),
)
def test_small_model_equals_pytorch(
    width: int,
    height: int,
    times: int,
    limit: float,
    align_corners: bool,
    exported: Exporter,
    small_checkpoint: Path,
) -> None:
    reference = Reference(load_checkpoint(small_checkpoint, align_corners=align_corners))
    frame0, frame1 = map(unit, pair(width, height))
    t = np.linspace(0.2, 0.9, times)
    with Interpolator(exported(align_corners=align_corners), backend="onnxruntime") as interpolate:
        made = interpolate(frame0, frame1, t)
    assert made.shape == (times, height, width, 3)
    assert np.abs(made - reference(frame0, frame1, t)).max() <= limit


@pytest.mark.long
def test_the_small_model_is_what_export_makes(small_checkpoint: Path, tmp_path: Path) -> None:
    export_onnx(small_checkpoint, tmp_path / "again.onnx", io="float32")
    kept, made = onnx.load(SMALL_MODEL).graph, onnx.load(tmp_path / "again.onnx").graph
    assert [*made.node] == [*kept.node]
    assert [*made.initializer] == [*kept.initializer]
    assert [*made.input, *made.output] == [*kept.input, *kept.output]
    again, golden = (golden_beside(path) for path in (tmp_path / "again.onnx", SMALL_MODEL))
    for ours, theirs in zip(Golden.load(again).cases, Golden.load(golden).cases, strict=True):
        assert np.abs(ours.frames - theirs.frames).max() < 1e-5


@pytest.mark.long
def test_full_width_equals_pytorch(exported: Exporter, full_width_checkpoint: Path) -> None:
    reference = Reference(load_checkpoint(full_width_checkpoint, align_corners=True))
    frame0, frame1 = map(unit, pair(200, 90))
    t = [0.2, 0.5, 0.7]
    with Interpolator(exported(32, "float32", True)) as interpolate:
        assert interpolate.metadata.base_width == 32
        error = interpolate(frame0, frame1, t) - reference(frame0, frame1, t)
    assert np.abs(error).max() <= 2e-5


def test_bytes_equal_pytorch(exported: Exporter, small_checkpoint: Path) -> None:
    reference = Reference(load_checkpoint(small_checkpoint))
    frame0, frame1 = pair(450, 250)
    with Interpolator(exported(io="uint8")) as interpolate:
        made = interpolate(frame0, frame1, [0.25, 0.5, 0.75])
    assert made.dtype == np.uint8
    error = np.abs(made.astype(int) - reference(frame0, frame1, [0.25, 0.5, 0.75]))
    assert error.max() <= 1
    assert (error == 0).mean() >= 0.999


def test_align_corners_changes_the_frames(exported: Exporter) -> None:
    frame0, frame1 = map(unit, pair(160, 96))
    made = []
    for align_corners in (True, False):
        with Interpolator(exported(align_corners=align_corners)) as interpolate:
            made.append(interpolate(frame0, frame1))
    assert psnr_db(*made) < 45


def test_both_frames_and_the_time_matter(exported: Exporter) -> None:
    frame0, frame1 = map(unit, pair(160, 96))
    black = np.zeros_like(frame0)
    with Interpolator(exported()) as interpolate:
        made = interpolate(frame0, frame1, 0.5)
        for other in (
            interpolate(black, frame1, 0.5),
            interpolate(frame0, black, 0.5),
            interpolate(frame0, frame1, 0.1),
        ):
            assert np.abs(made - other).max() > 0.1


def test_export_takes_weights_of_zero_whose_blend_lies_between_two_levels(
    skip_tracing: Callable[..., None], small_network: RRIN, tmp_path: Path
) -> None:
    skip_tracing(io="uint8")
    state = {name: 0 * tensor for name, tensor in small_network.state_dict().items()}
    torch.save({"state_dict": state, "align_corners": False}, tmp_path / "zero.pth")
    report = export_onnx(tmp_path / "zero.pth", tmp_path / "zero.onnx", io="uint8")
    assert report.parity.artifact == str(tmp_path / "zero.onnx")
    assert report.parity.passed


def test_refused_export_names_the_limit_that_failed_and_the_file_that_was_asked_for(
    skip_tracing: Callable[..., None],
    small_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    skip_tracing()
    monkeypatch.setattr("export.graph.judge", lambda *arguments: judge(*arguments, min_psnr=199))
    output = tmp_path / "mine.onnx"
    with pytest.raises(ParityError, match=r"has [\d.]+ dB, expected 199\.00 dB at least") as caught:
        export_onnx(small_checkpoint, output, io="float32")
    assert str(caught.value).startswith(f"{output}: not written")


def test_stages_with_nan_are_counted(
    exported: Exporter, small_network: RRIN, tmp_path: Path
) -> None:
    graph = onnx.load(exported())
    (bias,) = (x for x in graph.graph.initializer if x.name == "Mask.last.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(2, np.nan, np.float32), bias.name))
    onnx.save(graph, tmp_path / "nan.onnx")
    stages = compare_stages(tmp_path / "nan.onnx", small_network, [(64, 32)])
    counts = {stage.stage: stage.not_finite for stage in stages}
    assert counts["flow"] == counts["warped0"] == 0
    assert counts["mask"] == 3 * 2 * 64 * 32
    json.dumps([dataclasses.asdict(stage) for stage in stages], allow_nan=False)


@pytest.mark.parametrize("align_corners", [True, False])
def test_tile_given_its_window_equals_the_whole_frame_away_from_the_cut(
    align_corners: bool, exported: Exporter
) -> None:
    width, height, left = 960, 192, 384
    frame0, frame1 = (unit(frame)[None] for frame in pair(width, height))
    t = np.array([0.5], np.float32)

    def run(x0: int) -> np.ndarray:
        window = np.array([x0, 0, width, height], np.float32)
        tile = {"frame0": frame0[:, :, x0:], "frame1": frame1[:, :, x0:]}
        return session.run({**tile, "t": t, "window": window})["frames"]

    with open_session(exported(align_corners=align_corners)) as session:
        whole, tile = run(0)[:, :, left:], run(left)
    away = slice(192, None)
    assert psnr_db(whole[:, :, away], tile[:, :, away]) >= 70


@pytest.mark.parametrize("io", ["uint8", "float32"])
def test_graph_keeps_its_contract(io: str, exported: Exporter) -> None:
    path = exported(io=io)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [opset.version for opset in model.opset_import if not opset.domain] == [19]
    kinds = {"uint8": onnx.TensorProto.UINT8, "float32": onnx.TensorProto.FLOAT}
    frames, floats = kinds[io], onnx.TensorProto.FLOAT
    ends = [*model.graph.input, *model.graph.output]
    assert {value.name: value.type.tensor_type.elem_type for value in ends} == {
        "frame0": frames, "frame1": frames, "t": floats, "window": floats, "frames": frames
    }  # fmt: skip
    with open_session(path) as session:
        assert session.metadata.io == io
        assert session.metadata.align_corners is False
        assert len(session.metadata.checkpoint_sha256) == 64
    grids = [node for node in model.graph.node if node.op_type == "GridSample"]
    for grid in grids:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in grid.attribute}
        assert attributes["mode"] == b"bilinear"
        assert attributes["align_corners"] == 0
    assert len(grids) == 2


def test_weights_and_nodes_keep_the_names_of_the_network(
    exported: Exporter, small_checkpoint: Path
) -> None:
    graph = onnx.load(exported()).graph
    weights = {tensor.name for tensor in graph.initializer}
    assert set(load_checkpoint(small_checkpoint).state_dict()) <= weights
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    for node in convolutions:
        assert node.name.startswith(node.input[1].removesuffix(".weight") + "/")
    assert len(convolutions) == 81
    assert set(STAGES) <= {name for node in graph.node for name in node.output}


def test_file_holds_no_path_of_the_machine_that_made_it(exported: Exporter) -> None:
    content = exported().read_bytes()
    assert b"network.py" not in content
    assert str(Path(__file__).parents[2]).encode() not in content


def test_golden_file_lies_beside_and_is_small(exported: Exporter) -> None:
    golden = golden_beside(exported())
    assert golden.stat().st_size <= 2 * 2**20
    sizes = [case.frame0.shape[:2] for case in Golden.load(golden).cases]
    assert any(height % 32 and width % 32 for height, width in sizes)


def test_stages_agree_and_show_where_a_difference_starts(
    exported: Exporter, small_checkpoint: Path, tmp_path: Path
) -> None:
    network = load_checkpoint(small_checkpoint)
    differences = compare_stages(exported(), network, [(100, 50)])
    assert [difference.stage for difference in differences] == list(STAGES)
    assert max(difference.max_abs_error for difference in differences) < 1e-4
    assert all(0 < each.mean_abs_error < each.max_abs_error / 2 for each in differences)
    assert differences[0].largest > 1  # pixels of flow

    model = onnx.load(exported())
    (bias,) = (x for x in model.graph.initializer if x.name == "Mask.last.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 1, bias.name))
    changed = tmp_path / "changed.onnx"
    onnx.save(model, changed)
    errors = {d.stage: d.max_abs_error for d in compare_stages(changed, network, [(100, 50)])}
    assert max(errors["flow"], errors["warped0"], errors["warped1"]) < 1e-4
    assert errors["mask"] > 0.01
    golden = golden_beside(exported())
    assert not check_parity(changed, golden).passed


def test_stages_need_a_file_of_ours(tmp_path: Path, small_checkpoint: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(ArtifactError, match="not an ONNX file"):
        compare_stages(path, load_checkpoint(small_checkpoint), [(64, 32)])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"checkpoint": ""}, "checkpoint is ''; expected a path"),
        ({"output": ""}, "output is ''; expected a path"),
        ({"output": "x.engine"}, r"x\.engine: .* ends in \.onnx"),
        ({"output": "rrin.golden.npz"}, r"rrin\.golden\.npz: .* ends in \.onnx"),
        ({"output": "none/rrin.onnx"}, "none: no such folder"),
        ({"output": "folder.onnx"}, "is a folder"),
        ({"io": "u8"}, "io is 'u8'; expected uint8 or float32"),
        ({"align_corners": "x"}, "align_corners is 'x'; expected True or False"),
    ],
)
def test_what_cannot_be_exported_is_refused_before_the_work(
    given: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.onnx").mkdir()
    monkeypatch.setattr(
        "export.graph.load_checkpoint", lambda *_, **__: pytest.fail("loaded already")
    )
    with pytest.raises(RrinError, match=message):
        export_onnx(**{"checkpoint": "c.pth", **given})  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["folder.onnx"]


@pytest.mark.parametrize(
    ("content", "error"),
    [(None, InputNotFoundError), (b"no checkpoint", CheckpointError)],
)
def test_failed_export_leaves_the_old_file(
    content: bytes | None, error: type[Exception], tmp_path: Path
) -> None:
    checkpoint, output = tmp_path / "c.pth", tmp_path / "rrin.onnx"
    if content is not None:
        checkpoint.write_bytes(content)
    output.write_bytes(b"old")
    with pytest.raises(error):
        export_onnx(checkpoint, output)
    assert output.read_bytes() == b"old"
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]


def test_graph_that_disagrees_with_pytorch_is_not_written(
    skip_tracing: Callable[..., None],
    tmp_path: Path,
    small_checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from export import graph

    skip_tracing("uint8")
    honest: Callable[..., onnx.ModelProto] = graph._graph

    def forget_a_bias(*args: object) -> onnx.ModelProto:
        model = honest(*args)
        (bias,) = (x for x in model.graph.initializer if x.name == "final.last.bias")
        bias.CopyFrom(onnx.numpy_helper.from_array(np.ones(3, np.float32), bias.name))
        return model

    monkeypatch.setattr(graph, "_graph", forget_a_bias)
    with pytest.raises(graph.ParityError, match="not written"):
        export_onnx(small_checkpoint, tmp_path / "rrin.onnx")
    assert not list(tmp_path.iterdir())
