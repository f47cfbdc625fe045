"""What runs in an engine after fusion, read from plans that TensorRT-RTX compiled without a GPU."""

import dataclasses
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tensorrt_rtx as trt

import precision.conversion
from engines import BuildOptions, Layer, build, layers_of
from engines.layers import inspected, written
from precision import Ranges
from precision.qdq import TENSORRT
from runtime import ArtifactError, BackendError
from runtime.manifest import Manifest, manifest_path
from tests.models import SMALL_MODEL

SEEN = "1.7.1.116"
SIZE = 1280, 736
RTX = BuildOptions(
    target="rtx", compute_capabilities=(89,), min_size=SIZE, opt_size=SIZE, max_size=SIZE
)
# Of the small model, for one size: kernels, what of them are reformats and quantizations of their
# own, bytes that they read and write for each pixel, and device memory for each pixel.
LIMITS = {
    "fp16": {"kernels": 128, "reformat": 15, "quantization": 0, "moved": 2660, "memory": 161},
    "int8": {"kernels": 179, "reformat": 1, "quantization": 0, "moved": 3925, "memory": 143},
}

pytestmark = pytest.mark.skipif(
    trt.__version__ != SEEN, reason=f"counted with TensorRT-RTX {SEEN}, here is {trt.__version__}"
)


def built(precision: Any, ranges: Ranges, folder: Path) -> Path:
    ranges.save(folder / "ranges.json")
    return build(
        SMALL_MODEL, folder / f"x.{precision}.engine", precision=precision, options=RTX,
        ranges=folder / "ranges.json" if precision == "int8" else None,
    ).engine  # fmt: skip


@pytest.fixture(scope="module")
def engines(ranges: Ranges, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("engines")
    return {precision: built(precision, ranges, folder) for precision in LIMITS}


def too_much(engine: Path) -> list[str]:
    manifest = Manifest.load(engine)
    layers = layers_of(engine)
    pixels = SIZE[0] * SIZE[1]
    found = {
        "kernels": len(layers),
        "reformat": sum(layer.kind == "reformat" for layer in layers),
        "quantization": sum(layer.kind == "quantization" for layer in layers),
        "moved": sum(layer.bytes or 0 for layer in layers) / pixels,
        "memory": (manifest.context_bytes or 0) / pixels,
    }
    limits = LIMITS[manifest.metadata.precision]
    return [name for name, limit in limits.items() if not 0.9 * limit <= found[name] <= limit]


def convolutions(layers: list[Layer]) -> Counter[tuple[Any, ...]]:
    return Counter(
        (*layer.takes, *layer.gives, layer.activates)
        for layer in layers
        if layer.kind == "convolution"
    )


@pytest.mark.long
@pytest.mark.parametrize("precision", list(LIMITS))
def test_an_engine_runs_no_more_than_it_did(precision: str, engines: dict[str, Path]) -> None:
    assert too_much(engines[precision]) == []


def test_half_convolutions_hold_their_activation_and_int8_ones_write_float32(
    engines: dict[str, Path],
) -> None:
    half = convolutions(layers_of(engines["fp16"]))
    assert half["half", "half", True] == 51
    assert half["half", "half", False] == 27
    int8 = convolutions(layers_of(engines["int8"]))
    # Which is why FP16 is recommended for RTX; where this fails, see whether INT8 is worth it.
    assert int8["int8", "float", False] == 75
    assert sum(half.values()) == sum(int8.values()) == 81


def test_a_quantization_too_many_is_seen(
    ranges: Ranges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = dataclasses.replace(TENSORRT, carried=frozenset())
    monkeypatch.setitem(precision.conversion.LAYOUTS, "tensorrt", layout)
    engine = built("int8", ranges, tmp_path)
    assert set(too_much(engine)) == {"kernels", "quantization", "moved", "memory"}
    alone = [layer for layer in layers_of(engine) if layer.kind == "quantization"]
    assert len(alone) == 13  # behind each pooling
    assert {(layer.takes, layer.gives) for layer in alone} == {(("half",), ("int8",))}


def test_bytes_are_unknown_where_sizes_are(tmp_path: Path) -> None:
    options = dataclasses.replace(RTX, max_size=(1920, 1088))
    report = build(SMALL_MODEL, tmp_path / "x.engine", options=options)
    layers = layers_of(report.engine)
    assert len(layers) == LIMITS["fp16"]["kernels"]
    assert all(layer.bytes is None for layer in layers if layer.kind == "convolution")


def test_a_convolution_in_full(engines: dict[str, Path]) -> None:
    first = next(layer for layer in layers_of(engines["fp16"]) if layer.kind == "convolution")
    assert first.nodes == (
        "Flow_L.down_path.0.block.1/LeakyRelu_9",
        "Flow_L.down_path.0.block.0/Conv_8",
    )
    assert (first.takes, first.gives) == (("half",), ("half",))
    assert first.bytes == SIZE[0] * SIZE[1] * 2 * (6 + 8)
    assert first.computes == "Flow_L.down_path.0.block.1 LeakyRelu Conv"


def test_kernels_without_nodes_copy_skip_tensors(engines: dict[str, Path]) -> None:
    layers = layers_of(engines["fp16"])
    # A skip is written into the concatenation, and copied out of it for the pooling that follows.
    follows = {layer.kind for copy, layer in pairwise(layers) if not copy.nodes}
    assert follows == {"pooling"}
    unnamed = Counter((each.name, each.kind, each.takes) for each in layers if not each.nodes)
    assert unnamed == {("Move", "reformat", ("half",)): 13}


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [("Move", "reformat"), ("ConcCast", "reformat"), ("MulMaxResi", "other"), ("Grid", "other")],
)
def test_kernels_without_nodes_are_what_they_are_called(
    kernel: str, kind: str, engines: dict[str, Path]
) -> None:
    plan = engines["fp16"].read_bytes()
    plan = plan.replace(
        b"function={ name=__myl_Move ", b"function={ name=__myl_%b " % kernel.encode()
    )
    assert {layer.kind for layer in written(plan, "x") if not layer.nodes} == {kind}


@pytest.mark.parametrize(
    "plan", [b"", b"header {\n", b"header {\n\nmain {\n", b"\nmain {\n\n}" * 9]
)
def test_a_plan_that_says_nothing_is_refused(plan: bytes) -> None:
    with pytest.raises(ArtifactError, match=r"x\.engine: its plan does not name its kernels"):
        written(plan, "x.engine")


# As TensorRT writes it, of 8 and of 10.
INSPECTED = {
    "Layers": [
        {
            "Name": "Reformatting CopyNode for Input Tensor 0 to final.last",
            "LayerType": "Reformat",
            "Inputs": [{"Dimensions": [1, 8, 4, 4], "Format/Datatype": "Row major linear FP32"}],
            "Outputs": [
                {"Dimensions": [1, 8, 4, 4], "Format/Datatype": "Channel major FP16 format"}
            ],
        },
        {
            "Name": "final.midconv + final/LeakyRelu",
            "LayerType": "CaskConvolution",
            "Inputs": [{"Dimensions": [1, 8, -1, -1], "Format/Datatype": "Int8"}],
            "Outputs": [{"Dimensions": [1, 8, -1, -1], "Format/Datatype": "Half"}],
            "Metadata": "[ONNX Layer: final.midconv/Conv_7]\u001f[ONNX Layer: final/LeakyRelu_8]",
        },
    ]
}


def test_what_tensorrts_inspector_says() -> None:
    reformat, convolution = inspected(json.dumps(INSPECTED))
    assert (reformat.kind, reformat.takes, reformat.gives) == ("reformat", ("float",), ("half",))
    assert reformat.bytes == 128 * (4 + 2)
    assert (convolution.kind, convolution.activates) == ("convolution", True)
    assert (convolution.takes, convolution.gives, convolution.bytes) == (("int8",), ("half",), None)


@pytest.fixture
def classic(engines: dict[str, Path], tmp_path: Path) -> Path:
    """The manifest of a TensorRT engine, and a plan with it."""
    engine = tmp_path / "x.engine"
    engine.write_bytes(engines["fp16"].read_bytes())
    manifest = Manifest.load(engines["fp16"])
    manifest = dataclasses.replace(manifest, target="tensorrt", version="10.3.0")
    manifest_path(engine).write_bytes(manifest.to_bytes())
    return engine


@pytest.mark.parametrize("code", [True, False])
@pytest.mark.parametrize("loads", [True, False])
def test_tensorrt_is_asked_for_the_layers_of_its_engines(
    loads: bool, code: bool, classic: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = SimpleNamespace(get_engine_information=lambda _: json.dumps(INSPECTED))
    engine = SimpleNamespace(create_engine_inspector=lambda: asked) if loads else None
    runtime = SimpleNamespace(deserialize_cuda_engine=lambda _: engine)
    library = SimpleNamespace(
        __version__="10.3.0",
        Logger=trt.Logger,
        Runtime=lambda _: runtime,
        LayerInformationFormat=trt.LayerInformationFormat,
    )
    monkeypatch.setattr("engines.layers.import_for", lambda *_: library)
    if code:
        manifest = dataclasses.replace(Manifest.load(classic), version_compatible=True)
        manifest_path(classic).write_bytes(manifest.to_bytes())
        with pytest.raises(ArtifactError, match=r"holds code, .* trusted=True"):
            layers_of(classic)
    if loads:
        assert layers_of(classic, trusted=code) == inspected(json.dumps(INSPECTED))
    else:
        with pytest.raises(BackendError, match="inspect it on the machine that it was built on"):
            layers_of(classic, trusted=code)
    assert hasattr(runtime, "engine_host_code_allowed") is code


def test_layer_information_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = []
    honest = trt.Builder.build_serialized_network

    def watch(self: Any, network: Any, config: Any) -> Any:
        kept.append(config.profiling_verbosity)
        return honest(self, network, config)

    monkeypatch.setattr(trt.Builder, "build_serialized_network", watch)
    build(SMALL_MODEL, tmp_path / "x.engine", options=RTX)
    assert kept == [trt.ProfilingVerbosity.DETAILED]
