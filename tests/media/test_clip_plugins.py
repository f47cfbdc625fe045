"""Which plugin of vs-mlrt is given what; real ones run in tests/vapoursynth."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest

from engines import build_vs_mlrt
from media.clips.plugins import Form, check_backend, form_of, run_plugin
from runtime import ArtifactError, BackendError, InputNotFoundError, OptionError
from runtime.manifest import manifest_path
from tests.models import SMALL_MODEL
from tests.runtime.test_manifest import MANIFEST


def core(**plugins: Any) -> SimpleNamespace:
    return SimpleNamespace(**{name: SimpleNamespace(Model=run) for name, run in plugins.items()})


def refuse(*_: Any, **options: Any) -> Any:
    raise RuntimeError(f"no {options.get('provider', 'such')} here")


def test_files_say_what_they_take(tmp_path: Path) -> None:
    for factor in (None, 3):
        path = build_vs_mlrt(SMALL_MODEL, tmp_path / f"{factor}.onnx", factor=factor).path
        assert form_of(path, "auto") == Form(path, factor)
    assert form_of(SMALL_MODEL, "auto") is None
    engine = tmp_path / "x.engine"
    engine.write_bytes(b"")
    assert form_of(engine, "auto") is None
    assert form_of(engine, "trt_rtx") == Form(engine, None, ("trt_rtx",))
    with pytest.raises(InputNotFoundError, match="no such file"):
        form_of(tmp_path / "none.onnx", "auto")
    with pytest.raises(OptionError, match="is for vs-mlrt's ort or ov"):
        check_backend("trt", Form(tmp_path / "None.onnx", None))


def test_engines_say_what_they_take_where_their_manifest_is_there(tmp_path: Path) -> None:
    engine = tmp_path / "rrin.engine"
    engine.write_bytes(b"")
    for planes, factor in (((7, 3), None), ((6, 9), 4)):
        manifest_path(engine).write_bytes(replace(MANIFEST, planes=planes).to_bytes())
        assert form_of(engine, "auto") == Form(engine, factor, ("trt_rtx",))
    for backend in ("ort", "trt", "runtime"):
        with pytest.raises(OptionError, match=r"is for vs-mlrt's trt_rtx; take that, or the file"):
            check_backend(backend, form_of(engine, backend))
    manifest_path(engine).write_bytes(replace(MANIFEST, planes=(6, 4)).to_bytes())
    with pytest.raises(ArtifactError, match="takes 6 planes and makes 4"):
        form_of(engine, "auto")
    manifest_path(engine).write_bytes(MANIFEST.to_bytes())
    with pytest.raises(OptionError, match="the model is for our own runtime"):
        check_backend("trt_rtx", form_of(engine, "trt_rtx"))


@pytest.mark.parametrize("channels", [-3, 0, 4])
def test_files_that_make_no_frames_are_refused(channels: int, tmp_path: Path) -> None:
    path = build_vs_mlrt(SMALL_MODEL, tmp_path / "x.onnx", factor=3).path
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = channels
    onnx.save(model, path)
    with pytest.raises(ArtifactError, match=f"takes 6 planes and makes {channels}; expected a"):
        form_of(path, "auto")


@pytest.mark.parametrize("factor", [None, 3])
def test_files_of_others_are_not_taken_for_ours(factor: int | None, tmp_path: Path) -> None:
    path = build_vs_mlrt(SMALL_MODEL, tmp_path / "x.onnx", factor=factor).path
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    with pytest.raises(ArtifactError, match="not an RRIN artifact"):
        form_of(path, "auto")


def test_the_first_plugin_that_opens_the_file_is_taken(tmp_path: Path) -> None:
    form = Form(tmp_path / "rrin.vs.fp16.onnx", None)
    asked = []

    def run(clips: Any, **options: Any) -> str:
        asked.append((clips, options))
        return "made"

    def without_cuda(clips: Any, **options: Any) -> str:
        return refuse(**options) if options["provider"] == "CUDA" else run(clips, **options)

    assert run_plugin(core(ort=run, ov=refuse), form, "auto", ["a"]) == ["made"]
    assert asked.pop() == (["a"], {"network_path": str(form.path), "provider": "CUDA"})
    run_plugin(core(ort=without_cuda, ov=run), form, "auto", [])
    assert asked.pop()[1]["config"]() == {"INFERENCE_PRECISION_HINT": "f32"}
    run_plugin(core(ort=without_cuda, ov=run), form, "ort", [])
    assert asked.pop()[1]["provider"] == "CPU"
    engine = Form(tmp_path / "rrin.engine", None, ("trt_rtx",))
    run_plugin(core(trt_rtx=run, ort=refuse), engine, "trt_rtx", [])
    assert asked.pop()[1] == {"engine_path": str(engine.path)}
    run_plugin(core(trt=refuse, trt_rtx=run, ort=refuse), engine, "auto", [])
    assert asked.pop()[1] == {"engine_path": str(engine.path)}
    with pytest.raises(BackendError, match=r"trt_rtx: not .* install vapoursynth-mlrt-trt-rtx\)"):
        run_plugin(core(ort=run), engine, "trt_rtx", [])
    with pytest.raises(BackendError, match=r"no CUDA here; ov: not installed .*no CPU here"):
        run_plugin(core(ort=refuse), form, "auto", [])
