"""Real engines, compiled by TensorRT-RTX on a machine without a GPU."""

import dataclasses
import hashlib
import sys
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx
import pytest
import tensorrt_rtx as trt

from engines import BuildOptions, CensusError, build, build_onnx
from engines.census import take_census
from engines.compilation import BuildError, _logger, _parse
from engines.flavours import load_flavour
from precision import Ranges
from precision.graph import load_graph
from runtime import ArtifactError, BackendError, InputNotFoundError, OptionError, check_parity
from runtime.errors import OutputError
from runtime.manifest import Manifest, manifest_path, read_plan
from tests.conftest import Exporter
from tests.models import SMALL_MODEL

RTX = BuildOptions(target="rtx", compute_capabilities=(89,))


@pytest.mark.parametrize(("precision", "kind"), [("fp16", "HALF"), ("fp32", "FLOAT")])
def test_engine_and_manifest(precision: Any, kind: str, tmp_path: Path) -> None:
    model = tmp_path / "rrin.onnx"
    model.write_bytes(SMALL_MODEL.read_bytes())
    phases: list[tuple[str, int, int]] = []
    report = build(
        model, precision=precision, options=RTX, keep_onnx=True,
        progress=lambda *step: phases.append(step),
    )  # fmt: skip
    assert report.engine == tmp_path / f"rrin.rtx.{precision}.engine"
    manifest = Manifest.load(report.engine)
    assert manifest == report.manifest
    assert manifest.census == {kind: 81}
    assert manifest.version == trt.__version__
    assert manifest.metadata.precision == precision
    assert manifest.profile.opt_size == (1280, 736)
    plan = read_plan(report.engine, manifest)
    assert len(plan) == report.size_bytes > 1_000_000
    assert report.kept_onnx == tmp_path / f"rrin.rtx.{precision}.engine.onnx"
    assert hashlib.sha256(model.read_bytes()).hexdigest() == manifest.onnx_sha256
    onnx.checker.check_model(str(report.kept_onnx), full_check=True)
    assert phases
    assert all(step >= 1 for _, step, _ in phases)


def test_int8_engine(ranges: Ranges, tmp_path: Path) -> None:
    model = tmp_path / "rrin.onnx"
    model.write_bytes(SMALL_MODEL.read_bytes())
    with pytest.raises(InputNotFoundError, match=r"rrin\.ranges\.json: no such file"):
        build(model, precision="int8", options=RTX)
    ranges.save(tmp_path / "rrin.ranges.json")
    report = build(model, precision="int8", options=RTX)
    assert report.engine == tmp_path / "rrin.rtx.int8.engine"
    assert report.manifest.census == {"INT8": 75, "HALF": 6}
    assert Manifest.load(report.engine).metadata.precision == "int8"
    kept = ("Flow_L.down_path.1", "Mask.midconv", "final.up_path.2")
    report = build(model, precision="int8", options=RTX, kept_float=kept)
    assert report.manifest.census == {"INT8": 75 - 2 - 1 - 3, "HALF": 6 + 2 + 1 + 3}
    assert Manifest.load(report.engine).metadata.kept_float == kept


def test_onnx_for_onnxruntime(ranges: Ranges, tmp_path: Path) -> None:
    model = tmp_path / "rrin.onnx"
    model.write_bytes(SMALL_MODEL.read_bytes())
    ranges.save(tmp_path / "elsewhere.json")
    report = build_onnx(model, ranges=tmp_path / "elsewhere.json")
    assert report.path == tmp_path / "rrin.ort.int8.onnx"
    assert report.size_bytes == report.path.stat().st_size < 0.4 * model.stat().st_size
    assert report.census == {"INT8": 75, "FLOAT": 6}
    openvino = build_onnx(model, target="openvino", ranges=tmp_path / "elsewhere.json")
    assert openvino.path == tmp_path / "rrin.ov.int8.onnx"
    assert openvino.census == {"INT8": 75, "FLOAT": 6}
    replace(ranges, align_corners=True).save(tmp_path / "others.json")
    for target in (build, build_onnx):
        with pytest.raises(ArtifactError, match=r"others\.json: measured on checkpoint"):
            target(model, precision="int8", ranges=tmp_path / "others.json")  # type: ignore[operator]
    with pytest.raises(ArtifactError, match=r"ort\.int8\.onnx: is int8 already; start from"):
        build_onnx(report.path, tmp_path / "x.onnx", ranges=tmp_path / "elsewhere.json")
    half = build_onnx(model, precision="fp16")
    assert half.census == {"HALF": 81}
    with pytest.raises(OptionError, match="fp32 already"):
        build_onnx(model, precision="fp32")
    with pytest.raises(OptionError, match="give the new file another name"):
        build_onnx(model, model, precision="fp16")
    with pytest.raises(ArtifactError, match=r"ort\.fp16\.onnx: is fp16 already"):
        build_onnx(half.path, tmp_path / "x.onnx", precision="fp16")


def test_half_engine_is_smaller(tmp_path: Path) -> None:
    sizes = [
        build(SMALL_MODEL, tmp_path / f"{p}.engine", precision=p, options=RTX).size_bytes
        for p in ("fp32", "fp16")
    ]
    assert sizes[1] < 0.8 * sizes[0]


@pytest.mark.long
def test_one_engine_for_three_capabilities(exported: Exporter, tmp_path: Path) -> None:
    report = build(
        exported(align_corners=True),
        tmp_path / "x.engine",
        options=dataclasses.replace(RTX, compute_capabilities=(86, 89, 120)),
    )
    assert report.manifest.compute_capabilities == (86, 89, 120)
    assert report.manifest.metadata.align_corners is True


@pytest.mark.long
def test_full_width(exported: Exporter, tmp_path: Path) -> None:
    report = build(exported(32, "float32", True), tmp_path / "x.engine", options=RTX)
    assert report.manifest.metadata.base_width == 32
    assert report.manifest.census == {"HALF": 81}


def parsed(path: Path) -> tuple[Any, Any, Any]:
    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    assert parser.parse(path.read_bytes())
    return builder, parser, network


def test_census_sees_types_and_warps_that_were_not_asked_for(tmp_path: Path) -> None:
    _, metadata = load_graph(SMALL_MODEL)
    kept = parsed(SMALL_MODEL)
    network = kept[-1]
    assert take_census(trt, network, metadata) == {"FLOAT": 81}
    with pytest.raises(CensusError, match=r"ask for \{'FLOAT': 81\}, expected \{'HALF': 81\}"):
        take_census(trt, network, dataclasses.replace(metadata, precision="fp16"))
    with pytest.raises(
        CensusError, match=r"\('LINEAR', False, 'FILL'\), expected \('LINEAR', True"
    ):
        take_census(trt, network, dataclasses.replace(metadata, align_corners=True))

    model = onnx.load(SMALL_MODEL)
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "GridSample" and attribute.name == "mode":
                attribute.s = b"nearest"
    onnx.save(model, tmp_path / "nearest.onnx")
    kept = parsed(tmp_path / "nearest.onnx")
    with pytest.raises(CensusError, match="'NEAREST'"):
        take_census(trt, kept[-1], metadata)


def test_failed_builds_leave_the_old_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = tmp_path / "rrin.rtx.fp16.engine"
    engine.write_bytes(b"old")
    monkeypatch.setattr("engines.census._expected", lambda _: {"INT8": 81})
    with pytest.raises(CensusError):
        build(SMALL_MODEL, engine, options=RTX)
    assert engine.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == [engine.name]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"compute_capabilities": (90,)}, BackendError, "no compute capability 90; it has 75, 80"),
        ({"compute_capabilities": ["89"]}, OptionError, "a compute capability is '89'; expected"),
        ({"compute_capabilities": 89}, OptionError, "compute_capabilities is 89; expected a tuple"),
        ({"opt_size": "640x360"}, OptionError, "opt_size is 640x360; expected a tuple"),
        ({"min_size": None}, OptionError, "min_size is None; expected a tuple"),
        ({"min_size": (1,)}, OptionError, "min_size is .1,., expected 2 items"),
        ({"min_size": (640, 360), "opt_size": (320, 180)}, OptionError, "growing order"),
        ({"min_size": (0, 32)}, OptionError, r"min_size \[0\] is 0, expected 1 to 65536"),
        ({"max_size": (1920,)}, OptionError, r"max_size is \(1920,\), expected 2 items"),
        ({"max_times": 0}, OptionError, "max_times is 0, expected 1 to 10000"),
        ({"max_times": 20_000}, OptionError, "max_times is 20000, expected 1 to 10000"),
        ({"max_times": 2.0}, OptionError, "max_times is 2.0, expected a whole number"),
        ({"target": "rtxx"}, OptionError, "target is 'rtxx'; expected tensorrt or rtx"),
        ({"workspace_mib": -1}, OptionError, "workspace_mib is -1; expected a whole number, 1 to"),
        ({"workspace_mib": 1.5}, OptionError, "workspace_mib is 1.5; expected a whole number"),
        ({"optimization_level": 9}, OptionError, "optimization_level is 9; expected .* 0 to 5"),
        ({"timing_cache": Path("x")}, OptionError, "RTX has no timing cache"),
        ({"version_compatible": True}, OptionError, "RTX has no timing cache"),
    ],
)
def test_options_that_cannot_be(
    options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        build(SMALL_MODEL, tmp_path / "x.engine", options=dataclasses.replace(RTX, **options))
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_workspace_of_rtx_is_the_memory_of_a_context(tmp_path: Path) -> None:
    free = build(SMALL_MODEL, tmp_path / "free.engine", options=RTX).manifest.context_bytes
    assert free
    enough, less = (
        dataclasses.replace(RTX, workspace_mib=free // 2**20 + more) for more in (2, -2)
    )
    limited = build(SMALL_MODEL, tmp_path / "limited.engine", options=enough)
    assert limited.manifest.context_bytes == free
    with pytest.raises(BuildError, match=f"OutOfMemory.*; allowed were {free // 2**20 - 2} MiB"):
        build(SMALL_MODEL, tmp_path / "x.engine", options=less)


def test_precisions_and_targets_that_are_none(tmp_path: Path) -> None:
    unknown: Any = "xx"
    for target, name in ((build, "x.engine"), (build_onnx, "x.onnx")):
        with pytest.raises(
            OptionError, match="precision is 'xx'; expected fp32 or fp16 or bf16 or int8"
        ):
            target(SMALL_MODEL, tmp_path / name, precision=unknown)  # type: ignore[operator]
    with pytest.raises(OptionError, match="target is 'xx'; expected onnxruntime or openvino"):
        build_onnx(SMALL_MODEL, tmp_path / "x.onnx", target=unknown)
    with pytest.raises(OptionError, match="ranges are given, and fp16 takes none"):
        build_onnx(SMALL_MODEL, tmp_path / "x.onnx", precision="fp16", ranges="r.json")
    with pytest.raises(OptionError, match="ranges are given, and fp16 takes none"):
        build(SMALL_MODEL, tmp_path / "x.engine", ranges="r.json", options=RTX)
    with pytest.raises(OptionError, match="bf16 is for openvino, and onnxruntime has none"):
        build_onnx(SMALL_MODEL, tmp_path / "x.onnx", precision="bf16")
    with pytest.raises(OptionError, match="bf16 is for openvino, and tensorrt has none"):
        build(SMALL_MODEL, tmp_path / "x.engine", precision="bf16", options=RTX)
    with pytest.raises(OptionError, match="is fp32 already, and openvino runs it"):
        build_onnx(SMALL_MODEL, tmp_path / "x.onnx", precision="fp32", target="openvino")
    assert not list(tmp_path.iterdir())


def test_models_and_outputs_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="export it from a checkpoint"):
        build(tmp_path / "rrin.onnx", options=RTX)
    with pytest.raises(OptionError, match=r"named \*\.engine"):
        build(SMALL_MODEL, tmp_path / "x.plan", options=RTX)
    with pytest.raises(InputNotFoundError, match="no such folder"):
        build(SMALL_MODEL, tmp_path / "none" / "x.engine", options=RTX)


@pytest.mark.parametrize("name", ["x.engine", "x.engine.json", "x.engine.onnx", "x.golden.npz"])
def test_outputs_that_cannot_be_written_are_refused_before_the_work(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(OutputError, match="is a folder; expected the name of a file"):
        build(
            SMALL_MODEL, tmp_path / "x.engine", options=RTX, keep_onnx=True,
            progress=lambda *_: pytest.fail("TensorRT works already"),
        )  # fmt: skip


def test_golden_file_of_another_artifact_is_not_replaced(tmp_path: Path) -> None:
    onnx_file = build_onnx(SMALL_MODEL, tmp_path / "x.onnx", precision="fp16").path
    with pytest.raises(OptionError, match=r"x\.golden\.npz, its golden file, is .*x\.onnx's"):
        build(SMALL_MODEL, tmp_path / "x.engine", options=RTX)
    assert check_parity(onnx_file).passed


def test_graph_that_tensorrt_cannot_parse() -> None:
    # What TensorRT does not know is refused before; it has the last word all the same.
    model = onnx.load(SMALL_MODEL)
    for node in model.graph.node:
        if node.op_type == "Reciprocal":
            node.op_type = "Bernoulli"
    flavour = load_flavour("rtx")
    with pytest.raises(BuildError, match="cannot parse the graph"):
        _parse(flavour, _logger(flavour.trt), model.SerializeToString())


def test_classic_tensorrt_without_a_package_or_a_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(BackendError, match=r"tensorrt is not installed; .*-RTX builds") as refused:
        build(SMALL_MODEL, tmp_path / "x.engine", options=BuildOptions(target="tensorrt"))
    assert refused.value.remedy == ("target", "rtx")
    assert load_flavour(None).target == "rtx"

    classic: Any = ModuleType("tensorrt")
    classic.__version__ = "8.6.1"
    classic.__spec__ = ModuleSpec("tensorrt", None, origin="here")
    monkeypatch.setitem(sys.modules, "tensorrt", classic)
    with pytest.raises(BackendError, match=r"8\.6\.1 is too old; 10\.3 or newer"):
        load_flavour("tensorrt")
    classic.__version__ = "10.3.0"
    flavour = load_flavour(None)
    assert (flavour.target, flavour.version) == ("tensorrt", "10.3.0")
    with pytest.raises(BackendError, match="leave compute_capabilities out"):
        flavour.capabilities((89,))


def test_float32_is_not_tf32(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    flags = []
    honest = trt.Builder.build_serialized_network

    def watch(self: Any, network: Any, config: Any) -> Any:
        flags.append(config.get_flag(trt.BuilderFlag.TF32))
        return honest(self, network, config)

    monkeypatch.setattr(trt.Builder, "build_serialized_network", watch)
    build(SMALL_MODEL, tmp_path / "x.engine", precision="fp32", options=RTX)
    assert flags == [False]


def test_engine_can_be_read_without_its_builder(exported: Exporter, tmp_path: Path) -> None:
    report = build(exported(io="uint8"), tmp_path / "x.engine", options=RTX)
    content = manifest_path(report.engine).read_text()
    assert str(tmp_path) not in content
    metadata = Manifest.load(report.engine).metadata
    assert (metadata.io, metadata.align_corners) == ("uint8", False)
