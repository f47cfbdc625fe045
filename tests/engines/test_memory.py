"""How much of a GPU's memory an engine takes, read from plans without a GPU."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tensorrt_rtx as trt

from engines import BuildOptions, build
from engines.flavours import Flavour
from engines.memory import context_bytes
from precision import Ranges
from runtime.manifest import Manifest, read_plan
from tests.models import SMALL_MODEL

RTX = Flavour("rtx", trt, "1.7.1.116")
OPTIONS = BuildOptions(target="rtx", compute_capabilities=(89,), max_size=(1280, 720))
# Summed over plans of TensorRT-RTX 1.7.1.116: the small model, FP16, one time, frames of up to
# 1280x736, and of that size alone.
MEASURED = 158_269_696
MEASURED_OF_ONE_SIZE = 150_732_800


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(SMALL_MODEL, tmp_path_factory.mktemp("x") / "x.engine", options=OPTIONS).engine


@pytest.mark.long
@pytest.mark.skipif(
    trt.__version__ != RTX.version, reason=f"measured with TensorRT-RTX {RTX.version}"
)
def test_memory_of_one_time_and_of_seven(engine: Path, tmp_path: Path) -> None:
    one = Manifest.load(engine).context_bytes
    options = dataclasses.replace(OPTIONS, max_times=7)
    seven = build(SMALL_MODEL, tmp_path / "x.engine", options=options).manifest.context_bytes
    assert one == pytest.approx(MEASURED, rel=0.2)
    assert seven is not None
    assert 4 * one <= seven <= 8 * one
    options = dataclasses.replace(OPTIONS, min_size=(1280, 720))
    fixed = build(SMALL_MODEL, tmp_path / "x.engine", options=options).manifest.context_bytes
    assert fixed == pytest.approx(MEASURED_OF_ONE_SIZE, rel=0.2)


@pytest.mark.long
def test_every_precision_and_several_gpus(ranges: Ranges, tmp_path: Path) -> None:
    ranges.save(tmp_path / "rrin.ranges.json")
    options = dataclasses.replace(OPTIONS, compute_capabilities=(86, 89, 120))
    found = {}
    for precision in ("fp32", "fp16", "int8"):
        report = build(
            SMALL_MODEL, tmp_path / "x.engine", precision=precision, options=options,
            ranges=tmp_path / "rrin.ranges.json" if precision == "int8" else None,
        )  # fmt: skip
        found[precision] = report.manifest.context_bytes or 0
    assert 1.5 * found["fp16"] < found["fp32"] < 2.5 * found["fp16"]
    assert 0.5 * found["fp16"] < found["int8"] < 1.5 * found["fp16"]


def changed(plan: bytes, old: bytes, new: bytes, count: int) -> bytes:
    assert old in plan
    return plan.replace(old, new, count)


@pytest.mark.parametrize("count", [1, -1])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"place=accelerator", b"place=elsewhere"),
        (b" size=", b" bytes="),
        (b"size=", b"size=-"),
        (b"size=", b"size=" + b"9" * 5000),
        (b"region = { name=devmem_topdown_1 ", b"region = { name=devmem_topdown_0 "),
    ],
)
def test_a_plan_that_names_its_memory_otherwise_gives_no_number(
    old: bytes, new: bytes, count: int, engine: Path
) -> None:
    plan = read_plan(engine, Manifest.load(engine))
    start = plan.index(b"region = { name=devmem")
    whole = plan[:start] + changed(plan[start:], old, new, count)
    assert context_bytes(RTX, whole, None) is None


def test_what_is_no_plan_gives_no_number() -> None:
    begun = b"region = { name=devmem"
    for plan in (b"", b"onnx", begun * 100_000, (begun + b"_" * 10_000 + b" size=1 ") * 100):
        assert context_bytes(RTX, plan, None) is None


@pytest.mark.parametrize("loaded", [None, SimpleNamespace(device_memory_size_v2=42)])
def test_classic_tensorrt_is_asked(loaded: Any) -> None:
    class Runtime:
        engine_host_code_allowed = False

        def __init__(self, log: str) -> None:
            assert log == "log"

        def deserialize_cuda_engine(self, plan: bytes) -> Any:
            assert plan == b"plan"
            assert self.engine_host_code_allowed
            return loaded

    classic = Flavour("tensorrt", SimpleNamespace(Runtime=Runtime), "10.3.0")
    assert context_bytes(classic, b"plan", "log") == (loaded and 42)
