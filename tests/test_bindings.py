"""Every name and call of TensorRT in our sources, against the real bindings of each version."""

import dataclasses
import os
import platform
import re
import sys
from typing import Any

import numpy as np
import pytest

from tests.simulation import tensorrt
from tests.simulation.bindings import ROOT, Use, empty_libraries, folder_of, lacking, uses

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"),
    reason="TensorRT's bindings are unpacked for Linux on x86-64 only",
)

VERSIONS = re.findall(r"^BINDINGS = (.*)$", (ROOT / "Makefile").read_text(), re.M)[0].split()
# Which expressions in our sources are objects of which class; '' is the module.
MODULE = dict.fromkeys(("trt", "self.trt", "self._trt", "flavour.trt"), "")
OBJECTS: dict[str, dict[str, str]] = {
    "engines/compilation.py": {
        "builder": "Builder",
        "parser": "OnnxParser",
        "parser.get_error(0)": "ParserError",
    },
    "engines/census.py": {
        **dict.fromkeys(("layer", "convolution"), "ILayer"),
        **dict.fromkeys(("data", "weight", "tensor"), "ITensor"),
        **dict.fromkeys(("layer.get_output(0)", "convolution.get_output(0)"), "ITensor"),
        "convolution.get_output(0).dtype": "DataType",
        "network": "INetworkDefinition",
        "warp": "IGridSampleLayer",
        "warp.interpolation_mode": "InterpolationMode",
        "warp.sample_mode": "SampleMode",
    },
    "engines/configuration.py": {
        "builder": "Builder",
        "config": "IBuilderConfig",
        "config.get_timing_cache()": "ITimingCache",
        "profile": "IOptimizationProfile",
    },
    "engines/flavours.py": {},
    "engines/layers.py": {"engine": "ICudaEngine", "inspector": "EngineInspector"},
    "engines/memory.py": {"engine": "ICudaEngine"},
    "runtime/tensorrt_execution.py": dict.fromkeys(
        ("context", "bound.context"), "IExecutionContext"
    ),
    "runtime/tensorrt_library.py": {"runtime": "Runtime"},
    "runtime/tensorrt_resources.py": {
        **dict.fromkeys(("engine", "self._engine"), "ICudaEngine"),
        "config": "IRuntimeConfig",
        "self._cache": "IRuntimeCache",
        "specialization": "DynamicShapesKernelSpecializationStrategy",
    },
    "runtime/tensorrt_session.py": {},
}
# What TensorRT-RTX alone has, and is used with it alone.
RTX_ONLY = {
    "ComputeCapability",
    "CudaGraphStrategy",
    "DynamicShapesKernelSpecializationStrategy",
    "IBuilderConfig.num_compute_capabilities",
    "IBuilderConfig.set_compute_capability",
    "ICudaEngine.create_runtime_config",
    "IRuntimeCache",
    "IRuntimeConfig",
}
# Members of TensorRT's objects that Python's, numpy's or ours have as well.
COMMON = {
    "append", "clear", "close", "count", "dtype", "get", "itemsize", "name", "nbytes", "pop",
    "release", "shape", "write", "align_corners", "engine", "enqueue", "kind", "metadata",
}  # fmt: skip


def used() -> list[Use]:
    return [use for file in OBJECTS for use in uses(file, MODULE | OBJECTS[file])[0]]


def simulated(names: dict[str, set[str]]) -> list[Use]:
    return [
        Use(owner, member, None, (), False, "the simulation")
        for owner, members in names.items()
        for member in members
    ]


def is_of_rtx_only(use: Use) -> bool:
    names = {use.owner, use.member if use.owner == "" else f"{use.owner}.{use.member}"}
    return bool(names & RTX_ONLY)


@pytest.fixture(scope="module", params=VERSIONS)
def classic(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An environment in which the real bindings of a version can be imported."""
    folder = folder_of(request.param)
    libraries = tmp_path_factory.mktemp("libraries")
    empty_libraries(folder, libraries)
    return {**os.environ, "LD_LIBRARY_PATH": str(libraries), "PYTHONPATH": f"{folder}:{ROOT}"}


def test_classic_tensorrt_has_every_name_and_call_that_is_used(classic: dict[str, str]) -> None:
    wanted = [use for use in used() if not is_of_rtx_only(use)]
    assert len(wanted) > 80
    assert not lacking("tensorrt_bindings", wanted + simulated(tensorrt.NAMES), classic)


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)]
)
def test_bindings_that_are_missing_fail_under_ci_and_are_skipped_elsewhere(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises((pytest.fail.Exception, pytest.skip.Exception)) as stopped:
        folder_of("0.0")  # a skip that is not caught would skip this test
    assert stopped.type is outcome
    assert "no bindings of TensorRT 0.0 in " in str(stopped.value)


def test_rtx_has_every_name_and_call_that_is_used() -> None:
    import tensorrt_rtx

    wanted = used() + simulated(tensorrt.NAMES) + simulated(tensorrt.RTX_NAMES)
    assert not lacking("tensorrt_rtx", wanted, {**os.environ, "PYTHONPATH": str(ROOT)})
    assert tensorrt_rtx.nptype(tensorrt_rtx.DataType.UINT8) == np.uint8


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        ({"member": "set_input_shapes"}, "IExecutionContext.set_input_shapes is not there"),
        ({"owner": "Context"}, "Context.set_input_shape is not there"),
        ({"arguments": 1}, r"IExecutionContext.set_input_shape takes \['name.*', 'shape.*'\]"),
        ({"arguments": 3}, "IExecutionContext.set_input_shape takes"),
        ({"keywords": ("size",), "arguments": 1}, "IExecutionContext.set_input_shape takes"),
        ({"member": "engine", "arguments": None, "sets": True}, "engine cannot be set"),
    ],
)
def test_a_name_or_a_call_that_there_is_not_is_found(broken: dict[str, Any], fault: str) -> None:
    good = Use("IExecutionContext", "set_input_shape", 2, (), False, "here:1")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert not lacking("tensorrt_rtx", [good], environment)
    (found,) = lacking("tensorrt_rtx", [dataclasses.replace(good, **broken)], environment)
    assert re.match(f"here:1: .*{fault}", found), found


def test_no_object_of_tensorrt_is_left_out() -> None:
    import tensorrt_rtx

    classes = [value for value in vars(tensorrt_rtx).values() if isinstance(value, type)]
    members = {name for each in classes for name in vars(each) if not name.startswith("_")}
    left = [
        (file, base, member)
        for file in OBJECTS
        for base, member in uses(file, MODULE | OBJECTS[file])[1]
        if member in members - COMMON
    ]
    assert not left
    others = [path for room in ("engines", "runtime") for path in (ROOT / room).glob("*.py")]
    left = [
        path.name
        for path in others
        if str(path.relative_to(ROOT)) not in OBJECTS and re.search(r"\btrt\b", path.read_text())
    ]
    assert not left
