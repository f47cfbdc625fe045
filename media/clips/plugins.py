"""Files that a vs-mlrt plugin runs, told from those of our own runtime, and the plugin found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from runtime.errors import ArtifactError, BackendError, OptionError
from runtime.graph_check import MAX_BYTES
from runtime.manifest import Manifest, Target, is_engine, manifest_path
from runtime.metadata import Metadata
from runtime.onnx_file import read_onnx
from runtime.options import check_choice, check_file

ClipBackend = Literal["auto", "runtime", "ort", "ov", "trt", "trt_rtx"]
# In the order in which they are tried; see `runtime.backends`.
_PLUGINS = (
    *(("ort", "CUDA"), ("ov", "CPU"), ("ort", "CPU")),
    *(("trt", "the GPU"), ("trt_rtx", "the GPU")),
)
_OF_ONNX = ("ort", "ov")
_OF_ENGINES: dict[Target, ClipBackend] = {"tensorrt": "trt", "rtx": "trt_rtx"}
_PAIRS = 4  # whose frames are kept until all of their planes were taken
_OUT = "rrin"  # prefix of the properties that hold the planes of several frames


@dataclass(frozen=True)
class Form:
    """What a file of `build --target vs-mlrt` takes and gives.

    Attributes:
        path: the file.
        factor: None for one frame at any time; else it makes the factor - 1 frames between.
        plugins: those that run it.
    """

    path: Path
    factor: int | None
    plugins: tuple[str, ...] = _OF_ONNX


def form_of(path: Path, backend: ClipBackend) -> Form | None:
    """Return what a file for vs-mlrt takes; None for what our runtime runs.

    An engine without a manifest is ours unless a plugin that runs it is named, and then of any
    time.

    Raises:
        InputNotFoundError: there is no such file.
        ArtifactError: it takes planes, and is not of `build --target vs-mlrt`; or its manifest is
            damaged.
    """
    check_file(path, "export one, or build one with --target vs-mlrt")
    if is_engine(path):
        return _form_of_engine(path, backend)
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
    planes = (taken[1] or 0, made[1] or 0) if len(taken) == len(made) == 4 else (0, 0)
    return Form(path, _factor_of(path, planes))


def _form_of_engine(path: Path, backend: ClipBackend) -> Form | None:
    if not manifest_path(path).is_file():
        named = backend in _OF_ENGINES.values()
        return Form(path, None, (backend,)) if named else None
    manifest = Manifest.load(path)
    if manifest.planes is None:
        return None
    return Form(path, _factor_of(path, manifest.planes), (_OF_ENGINES[manifest.target],))


def _factor_of(path: Path, planes: tuple[int, int]) -> int | None:
    """Return the factor that a file of so many planes in and out is for; None for any time."""
    taken, made = planes
    if planes == (7, 3):
        return None
    if taken == 6 and made >= 3 and made % 3 == 0:
        return made // 3 + 1
    raise ArtifactError(
        f"{path}: takes {taken} planes and makes {made}; expected a file of build --target vs-mlrt"
    )


def check_backend(backend: ClipBackend, form: Form | None) -> None:
    """Raise OptionError unless a backend is one that a file is for."""
    check_choice("backend", backend, get_args(ClipBackend))
    if form is None and backend not in ("auto", "runtime"):
        raise OptionError(
            f"backend is {backend!r}, and the model is for our own runtime; build one with "
            "--target vs-mlrt, or take backend 'runtime'"
        )
    if form is not None and backend not in ("auto", *form.plugins):
        raise OptionError(
            f"backend is {backend!r}, and {form.path} is for vs-mlrt's "
            f"{' or '.join(form.plugins)}; take that, or the file of export that it was built from"
        )


def run_plugin(core: Any, form: Form, backend: ClipBackend, clips: list[Any]) -> list[Any]:
    """Hand clips to vs-mlrt, and return the clips that it makes, one a time, RGBS.

    Args:
        core: of VapourSynth.
        form: the file.
        backend: 'auto' takes the first that opens the file here, of an ONNX file ONNX Runtime with
            CUDA, OpenVINO, or ONNX Runtime on the CPU; any other that one alone.
        clips: two of RGBS, and for a file of any time one of GRAYS that says it.

    Raises:
        BackendError: none of them does.
    """
    reasons = []
    for plugin, device in _PLUGINS:
        if plugin not in form.plugins or backend not in ("auto", plugin):
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
    if plugin in _OF_ENGINES.values():
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
