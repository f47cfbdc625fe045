"""The choice among backends, by what kind of file an artifact is and by what is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from .errors import OptionError
from .graph_check import read_checked
from .installation import is_installed
from .manifest import is_engine
from .metadata import Runtime
from .options import (
    check_choice,
    check_device,
    check_file,
    check_path,
    check_providers,
    check_threads,
)
from .session import Session

BackendName = Literal["onnxruntime", "openvino"]
_NOT_OF_ENGINES = ("backend", "threads", "providers", "cache")


def open_session(
    artifact: str | Path,
    *,
    backend: BackendName | None = None,
    device: int | str | None = None,
    threads: int | None = None,
    providers: Sequence[str] | None = None,
    cache: str | Path | None = None,
    trusted: bool = False,
) -> Session:
    """Open an artifact with the backend that its kind needs.

    The arguments and errors are those of `Interpolator`.
    """
    check_path("artifact", artifact, "rrin.onnx")
    if backend is not None:
        check_choice("backend", backend, get_args(BackendName))
    check_device(device)
    check_threads(threads)
    check_providers(providers)
    if cache is not None:
        check_path("cache", cache, "openvino-cache")
    path = Path(artifact)
    check_file(path, "expected an artifact such as rrin.onnx")
    options: dict[str, Any] = {
        "backend": backend, "device": device, "threads": threads, "providers": providers,
        "cache": cache,
    }  # fmt: skip
    return _open_engine(path, options, trusted) if is_engine(path) else _open_onnx(path, options)


def _open_engine(path: Path, options: dict[str, Any], trusted: bool) -> Session:
    _refuse(f"{path}: is an engine", options, _NOT_OF_ENGINES)
    device = options["device"]
    if isinstance(device, str):
        raise OptionError(f"{path}: is an engine, whose device is an index, not {device}")
    from .tensorrt_session import TensorRTSession

    return TensorRTSession(path, device=device or 0, trusted=trusted)


def _open_onnx(path: Path, options: dict[str, Any]) -> Session:
    # What was checked is what runs: a moment later the file may be another one.
    content, metadata = read_checked(path)
    backend = backend_for(path, metadata.runtime, options)
    threads, device = options["threads"], options["device"]
    if backend == "openvino":
        _refuse(f"{path}: runs in OpenVINO", options, ("providers",))
        if isinstance(device, int):
            raise OptionError(
                f"device is {device}; OpenVINO's have names: CPU, GPU, GPU.1, NPU and others"
            )
        from .openvino_session import OpenVinoSession

        return OpenVinoSession(
            path, content, metadata, device=device or "CPU", threads=threads, cache=options["cache"]
        )
    _refuse(f"{path}: runs in ONNX Runtime", options, ("cache",))
    if isinstance(device, str):
        raise OptionError(f"device is {device}; ONNX Runtime takes the index of a GPU, such as 0")
    from .onnxruntime_session import OnnxRuntimeSession

    return OnnxRuntimeSession(
        path, content, metadata, device=device, threads=threads, providers=options["providers"]
    )


def backend_for(path: Path, layout: Runtime, options: Mapping[str, Any]) -> BackendName:
    """Return what an ONNX file is run in here.

    Args:
        path: the file.
        layout: what it was laid out for.
        options: of `open_session`; what only one backend has decides.
    """
    device, named = options.get("device"), options.get("backend")
    if named:
        return named  # type: ignore[no-any-return]
    if options.get("providers") is not None or isinstance(device, int):
        return "onnxruntime"
    if isinstance(device, str) or options.get("cache") is not None:
        return "openvino"
    if not is_installed("openvino"):
        return "onnxruntime"
    if not is_installed("onnxruntime"):
        return "openvino"
    if layout == "onnxruntime":
        return "onnxruntime"
    from .onnxruntime_session import CUDA, loads

    return "onnxruntime" if loads(CUDA, path) else "openvino"


def _refuse(what: str, options: dict[str, Any], names: Sequence[str]) -> None:
    for name in names:
        if options[name] is not None:
            raise OptionError(f"{what}, which has no {name}; leave it out")


def options_for(artifact: str | Path, **given: Any) -> dict[str, Any]:
    """Return those of `open_session`'s options that the backend of an artifact has.

    For who opens several to compare them: an engine lacks what only ONNX files have.
    """
    lacks = _NOT_OF_ENGINES if is_engine(artifact) else ()
    return {name: value for name, value in given.items() if name not in lacks}
