"""Files that a vs-mlrt plugin runs, told from those of our own runtime, and the plugin found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from runtime.errors import ArtifactError, BackendError, OptionError
from runtime.graph_check import MAX_BYTES
from runtime.manifest import is_engine
from runtime.metadata import Metadata
from runtime.onnx_file import read_onnx
from runtime.options import check_choice, check_file

ClipBackend = Literal["auto", "runtime", "ort", "ov", "trt", "trt_rtx"]
# In the order in which they are tried; see `runtime.backends`.
_OF_ONNX = (("ort", "CUDA"), ("ov", "CPU"), ("ort", "CPU"))
_OF_ENGINES = ("trt", "trt_rtx")
_PAIRS = 4  # whose frames are kept until all of their planes were taken
_OUT = "rrin"  # prefix of the properties that hold the planes of several frames


@dataclass(frozen=True)
class Form:
    """What a file of `build --target vs-mlrt` takes and gives.

    Attributes:
        path: the file.
        factor: None for one frame at any time; else it makes the factor - 1 frames between.
    """

    path: Path
    factor: int | None


def form_of(path: Path, backend: ClipBackend) -> Form | None:
    """Return what a file for vs-mlrt takes; None for what our runtime runs.

    Engines are ours unless a plugin that runs them is named, and then of any time.

    Raises:
        InputNotFoundError: there is no such file.
        ArtifactError: it takes planes, and is not of `build --target vs-mlrt`.
    """
    check_file(path, "export one, or build one with --target vs-mlrt")
    if is_engine(path):
        return Form(path, None) if backend in _OF_ENGINES else None
    with path.open("rb") as file:
        content = file.read(MAX_BYTES)
    try:
        model = read_onnx(content)
    except ValueError:
        return None  # whoever opens it says what is wrong
    if [value.name for value in model.inputs] != ["input"] or len(model.outputs) != 1:
        return None
    Metadata.from_properties(model.metadata, str(path))  # other networks take such planes as well
    taken, made = model.inputs[0].shape, model.outputs[0].shape
    if len(taken) == len(made) == 4:
        channels = made[1] or 0
        if (taken[1], channels) == (7, 3):
            return Form(path, None)
        if taken[1] == 6 and channels >= 3 and channels % 3 == 0:
            return Form(path, channels // 3 + 1)
    raise ArtifactError(
        f"{path}: takes {taken} and makes {made}; expected a file of build --target vs-mlrt"
    )


def check_backend(backend: ClipBackend, form: Form | None) -> None:
    """Raise OptionError unless a backend is one that a file is for."""
    check_choice("backend", backend, get_args(ClipBackend))
    if form is None and backend not in ("auto", "runtime"):
        raise OptionError(
            f"backend is {backend!r}, and the model is for our own runtime; build one with "
            "--target vs-mlrt, or take backend 'runtime'"
        )
    if form is not None and not is_engine(form.path) and backend in ("runtime", *_OF_ENGINES):
        raise OptionError(
            f"backend is {backend!r}, and {form.path} is for vs-mlrt's ort or ov; take one of "
            "these, or the file of export that it was built from"
        )


def run_plugin(core: Any, form: Form, backend: ClipBackend, clips: list[Any]) -> list[Any]:
    """Hand clips to vs-mlrt, and return the clips that it makes, one a time, RGBS.

    Args:
        core: of VapourSynth.
        form: the file.
        backend: 'auto' takes ONNX Runtime with CUDA, OpenVINO, or ONNX Runtime on the CPU: the
            first that opens the file here; any other that one alone.
        clips: two of RGBS, and for a file of any time one of GRAYS that says it.

    Raises:
        BackendError: none of them does.
    """
    reasons = []
    engines = ((backend, "the GPU"),) if backend in _OF_ENGINES else ()
    for plugin, device in engines or _OF_ONNX:
        if backend not in ("auto", plugin):
            continue
        if not hasattr(core, plugin):
            reasons.append(f"{plugin}: not installed (pip install {_package(plugin)})")
            continue
        try:
            return _made(
                core, getattr(core, plugin).Model, form, clips, _options(plugin, device, form.path)
            )
        except Exception as error:  # vapoursynth.Error, which only its own module may import
            reasons.append(f"{plugin} on {device}: {error}")
    raise BackendError(f"no plugin runs {form.path}: {'; '.join(reasons)}")


def _package(plugin: str) -> str:
    return f"vapoursynth-mlrt-{plugin}".replace("_", "-")


def _options(plugin: str, device: str, path: Path) -> dict[str, Any]:
    if plugin in _OF_ENGINES:
        return {"engine_path": str(path)}
    if plugin == "ort":
        return {"network_path": str(path), "provider": device}
    # The file says what runs in which type. OpenVINO would take bfloat16 for all of it.
    precision = {"INFERENCE_PRECISION_HINT": "f32"}
    return {"network_path": str(path), "device": device, "config": lambda: precision}


def _made(
    core: Any, model: Any, form: Form, clips: list[Any], options: dict[str, Any]
) -> list[Any]:
    if form.factor is None:
        return [model(clips, **options)]
    made = model(clips, flexible_output_prop=_OUT, **options)
    # Each plane is asked for by itself, and the pair is not to be run again for it.
    made["clip"].std.SetVideoCache(mode=1, fixedsize=True, maxsize=_PAIRS)
    planes = [
        made["clip"].std.PropToClip(prop=f"{_OUT}{index}") for index in range(made["num_planes"])
    ]
    rgb = int(clips[0].format.color_family)
    return [
        core.std.ShufflePlanes(planes[first : first + 3], [0, 0, 0], rgb)
        for first in range(0, len(planes), 3)
    ]
