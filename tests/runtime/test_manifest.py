"""What an artifact says of itself: refused where a field is absurd, whoever wrote it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime import ArtifactError
from runtime.manifest import Manifest, Profile, manifest_path
from runtime.metadata import Metadata

METADATA = Metadata("ab" * 32, 8, False, 32, "uint8", "fp16", 19, "rrin-deploy export")
MANIFEST = Manifest(
    target="rtx",
    version="1.4.0.76",
    compute_capabilities=(86, 89),
    version_compatible=False,
    hardware_compatible=False,
    profile=Profile((32, 32), (1280, 736), (1920, 1088), 7),
    census={"HALF": 81},
    metadata=METADATA,
    plan_sha256="cd" * 32,
    onnx_sha256="ef" * 32,
    context_bytes=158_269_696,
    options={"workspace_mib": None, "optimization_level": 3},
    seconds=12.5,
)


@pytest.mark.parametrize(
    "manifest", [MANIFEST, replace(MANIFEST, context_bytes=None), replace(MANIFEST, planes=(6, 9))]
)
def test_a_manifest_is_kept(manifest: Manifest, tmp_path: Path) -> None:
    manifest_path(tmp_path / "rrin.engine").write_bytes(manifest.to_bytes())
    assert Manifest.load(tmp_path / "rrin.engine") == manifest


def test_manifests_are_read_that_were_written_before_engines_took_planes() -> None:
    assert b"planes" not in MANIFEST.to_bytes()


def test_an_engine_says_which_sizes_it_takes() -> None:
    assert MANIFEST.profile.sizes == "32x32 to 1920x1088"
    assert Profile((1280, 736), (1280, 736), (1280, 736), 1).sizes == "1280x736 alone"


def test_a_manifest_of_another_format_says_what_to_do(tmp_path: Path) -> None:
    content = json.loads(MANIFEST.to_bytes())
    del content["context_bytes"]
    path = manifest_path(tmp_path / "rrin.engine")
    path.write_text(json.dumps(content | {"format_version": 1}))
    with pytest.raises(ArtifactError, match=r"manifest format 1; .* reads 2: build the engine ag"):
        Manifest.load(tmp_path / "rrin.engine")


def test_what_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    wide = replace(MANIFEST, profile=Profile((32, 32), (64, 64), (96, 96), 20_000))
    with pytest.raises(ArtifactError, match="max_times is 20000, expected 1 to 10000"):
        wide.to_bytes()
    assert not list(tmp_path.iterdir())


def size(name: str, *value: Any) -> dict[str, Any]:
    sizes = {"min_size": [32, 32], "opt_size": [64, 64], "max_size": [96, 96], "max_times": 1}
    return {"profile": sizes | {name: list(value)}}


def metadata(**changes: Any) -> dict[str, Any]:
    changed = {f"rrin.{name}": value for name, value in changes.items()}
    return {"metadata": METADATA.to_properties() | changed}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (size("min_size", -32, 32), r"profile min_size \[0\] is -32, expected 1 to"),
        (size("min_size", 0, 32), "is 0, expected 1 to"),
        (size("min_size", 64, 96), "expected them in growing order"),
        (size("max_size", 96, 32), "expected them in growing order"),
        (size("max_size", 10**9, 96), "max_size .* is 1000000000"),
        (size("opt_size", 64.5, 64), "is 64.5, expected a whole number"),
        (size("opt_size", 64), r"opt_size is \[64\], expected 2 items"),
        ({"profile": size("min_size", 1, 1)["profile"] | {"max_times": -7}}, "max_times is -7"),
        ({"profile": [1, 2, 3, 4]}, r"profile is \[1, 2, 3, 4\]"),
        ({"compute_capabilities": []}, r"compute_capabilities is \(\), expected 1 to"),
        ({"compute_capabilities": [-86]}, r"compute_capabilities \[0\] is -86"),
        ({"compute_capabilities": "86"}, "compute_capabilities is '86'"),
        ({"census": {"HALF": -81}}, "census HALF is -81"),
        ({"census": 81}, "census is 81"),
        ({"seconds": -1}, "seconds is -1"),
        ({"seconds": float("nan")}, "NaN, expected finite numbers"),
        ({"plan_sha256": "../../etc/passwd"}, "plan_sha256 is '../../etc/passwd'"),
        ({"onnx_sha256": None}, "onnx_sha256 is None"),
        ({"context_bytes": -1}, "context_bytes is -1, expected 0 to"),
        ({"context_bytes": "158 MB"}, "context_bytes is '158 MB', expected a whole number"),
        ({"context_bytes": 2**60}, "context_bytes is 1152921504606846976"),
        ({"options": [1]}, "options is"),
        ({"options": {"a": {"b": 1}}}, r"options a is \{'b': 1\}, expected a value"),
        ({"options": {"a": [[1]]}}, "options a is .*, expected a value"),
        ({"metadata": None}, "metadata is None"),
        (metadata(base_width=8), "metadata rrin.base_width is 8, expected text"),
        (metadata(base_width="-8"), "metadata base_width is '-8', expected a whole number"),
        (metadata(base_width="1099511627776"), "base_width is '1099511627776'"),
        (metadata(base_width="0"), "base_width is 0, expected 1 to"),
        (metadata(padding_multiple="1"), "padding_multiple is 1, expected 32"),
        (metadata(opset="99999"), "opset is 99999"),
        (metadata(precision="fp4"), "precision is 'fp4'"),
        (metadata(align_corners="1"), "align_corners is '1', expected true or false"),
        (metadata(checkpoint_sha256="ab"), "checkpoint_sha256 is 'ab'"),
        (metadata(producer="\x1b[31mred"), r"producer is '\\x1b\[31mred', expected a line of"),
        (metadata(format_version="9"), "format_version is 9"),
    ],
)
def test_absurd_fields_are_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    engine = tmp_path / "rrin.engine"
    manifest_path(engine).write_bytes(MANIFEST.to_bytes())
    content = json.loads(manifest_path(engine).read_text())
    manifest_path(engine).write_text(json.dumps(content | change))
    with pytest.raises(ArtifactError, match=f"not a manifest, or a damaged one .*{message}"):
        Manifest.load(engine)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("base_width", "8 000"),
        ("base_width", "-8"),
        ("base_width", "٨"),
        ("base_width", "9" * 5000),
        ("opset", ""),
        ("checkpoint_sha256", "z" * 64),
        ("producer", "a\nb"),
        ("io", "uint16"),
        ("format_version", "one"),
        ("kept_float", ""),
        ("kept_float", "Mask.midconv  Mask.up_path.0"),
        ("kept_float", " ".join(["Mask.midconv"] * 101)),
    ],
)
def test_absurd_metadata_is_refused(name: str, value: str) -> None:
    properties = METADATA.to_properties() | {f"rrin.{name}": value}
    with pytest.raises(ArtifactError, match=f"x: its RRIN metadata is damaged .*{name}.* is"):
        Metadata.from_properties(properties, "x")


def test_metadata_says_which_blocks_stayed_float_only_where_there_are_any(tmp_path: Path) -> None:
    assert "rrin.kept_float" not in METADATA.to_properties()  # as files were before there was it
    kept = replace(METADATA, precision="int8", kept_float=("Flow_L.down_path.0", "Mask.midconv"))
    assert Metadata.from_properties(kept.to_properties(), "x") == kept
    manifest_path(tmp_path / "rrin.engine").write_bytes(replace(MANIFEST, metadata=kept).to_bytes())
    assert Manifest.load(tmp_path / "rrin.engine").metadata == kept


def test_metadata_without_a_field() -> None:
    properties = METADATA.to_properties()
    del properties["rrin.opset"]
    with pytest.raises(ArtifactError, match=r"metadata is damaged \(lacks opset\)"):
        Metadata.from_properties(properties, "x")
