"""The choice among backends, by what kind of file an artifact is and by what is installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from .errors import ArtifactError, BackendError, OptionError
from .graph_check import read_checked
from .installation import is_installed, offers_cuda
from .manifest import is_engine
from .metadata import Metadata, Runtime
from .options import (
    check_choice,
    check_file,
    check_path,
    check_providers,
    check_threads,
    check_whole,
    checked_device,
)
from .session import Session

if TYPE_CHECKING:
    from .onnxruntime_session import OnnxRuntimeSession

BackendName = Literal["onnxruntime", "openvino"]
Options = Mapping[str, Any]
_NOT_OF_ENGINES = ("backend", "threads", "providers", "cache", "memory_limit")


def open_session(
    artifact: str | Path,
    *,
    backend: BackendName | None = None,
    device: int | str | None = None,
    threads: int | None = None,
    providers: Sequence[str] | None = None,
    cache: str | Path | None = None,
    memory_limit: int | None = None,
    trusted: bool = False,
) -> Session:
    """Open an artifact with the backend that its kind needs.

    The arguments and errors are those of `Interpolator`.
    """
    check_path("artifact", artifact, "rrin.onnx")
    if backend is not None:
        check_choice("backend", backend, get_args(BackendName))
    device = checked_device(device)
    check_threads(threads)
    check_providers(providers)
    if cache is not None:
        check_path("cache", cache, "openvino-cache")
    if memory_limit is not None:
        check_whole("memory_limit", memory_limit, 1)
    path = Path(artifact)
    check_file(path, "expected an artifact such as rrin.onnx")
    options: Options = {
        "backend": backend, "device": device, "threads": threads, "providers": providers,
        "cache": cache, "memory_limit": memory_limit,
    }  # fmt: skip
    return _open_engine(path, options, trusted) if is_engine(path) else _open_onnx(path, options)


def _open_engine(path: Path, options: Options, trusted: bool) -> Session:
    _refuse(f"{path}: is an engine", options, _NOT_OF_ENGINES)
    device = options["device"]
    if isinstance(device, str):
        raise OptionError(f"{path}: is an engine, whose device is an index, not {device}")
    from .tensorrt_session import TensorRTSession

    return TensorRTSession(path, device=device or 0, trusted=trusted)


def _open_onnx(path: Path, options: Options) -> Session:
    # What was checked is what runs: a moment later the file may be another one.
    content, metadata = read_checked(path)
    chosen = backend_for(metadata.runtime, options)
    if metadata.precision == "bf16":
        if chosen == "onnxruntime":
            raise BackendError(
                f"{path}: is bf16, which runs in OpenVINO alone; take backend='openvino', or run "
                "the fp32 file that it was built of"
            )
        chosen = "openvino"
    if chosen == "openvino":
        return _open_openvino(path, content, metadata, options)
    session = _open_onnxruntime(path, content, metadata, options)
    if chosen is None and not session.on_gpu:
        session.close()
        return _open_openvino(path, content, metadata, options)
    return session


def _open_openvino(path: Path, content: bytes, metadata: Metadata, options: Options) -> Session:
    if metadata.precision == "int8" and metadata.runtime == "tensorrt":
        raise ArtifactError(
            f"{path}: is INT8 for TensorRT, whose weights of 8 bits overflow in OpenVINO on CPUs "
            "without VNNI; build it again for the target openvino, or take backend='onnxruntime'"
        )
    _refuse(f"{path}: runs in OpenVINO", options, ("providers",))
    device, cache = options["device"], options["cache"]
    if device is None:
        device = "CPU"
    if isinstance(device, int):
        raise OptionError(f"device is {device}; OpenVINO's have names, such as CPU, GPU.1 or NPU")
    if device != "CPU":
        _refuse(f"{path}: runs on OpenVINO's {device}", options, ("threads", "memory_limit"))
    if cache is not None:
        try:
            Path(cache).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OptionError(f"cache is {cache}, no folder: {error.strerror}") from error
    with _other_named("onnxruntime"):
        from .openvino_session import OpenVinoSession

    return OpenVinoSession(
        path, content, metadata, device=device, threads=options["threads"], cache=cache,
        memory_limit=options["memory_limit"],
    )  # fmt: skip


def _open_onnxruntime(
    path: Path, content: bytes, metadata: Metadata, options: Options
) -> OnnxRuntimeSession:
    _refuse(f"{path}: runs in ONNX Runtime", options, ("cache",))
    device = options["device"]
    if isinstance(device, str):
        raise OptionError(f"device is {device}; ONNX Runtime takes the index of a GPU, such as 0")
    with _other_named("openvino"):
        from .onnxruntime_session import OnnxRuntimeSession

    return OnnxRuntimeSession(
        path, content, metadata, device=device, threads=options["threads"],
        providers=options["providers"], memory_limit=options["memory_limit"],
    )  # fmt: skip


@contextmanager
def _other_named(other: BackendName) -> Iterator[None]:
    """Where a backend cannot be imported, name the other one that is installed."""
    try:
        yield
    except BackendError as error:
        hint = f"; or take backend='{other}', which is installed" if is_installed(other) else ""
        raise BackendError(f"{error}{hint}") from error


def backend_for(layout: Runtime, options: Options) -> BackendName | None:
    """Return what an ONNX file is run in here.

    Args:
        layout: what the file was laid out for.
        options: of `open_session`; what only one backend has decides.

    Returns:
        None for ONNX Runtime if its CUDA provider loads, which only opening shows, else OpenVINO.
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
    if layout in ("onnxruntime", "tensorrt"):
        return "onnxruntime"
    return None if offers_cuda() else "openvino"


def _refuse(what: str, options: Options, names: Sequence[str]) -> None:
    for name in names:
        if options[name] is not None:
            raise OptionError(f"{what}, which has no {name}; leave it out")


def options_for(artifact: str | Path, **given: Any) -> dict[str, Any]:
    """Return those of `open_session`'s options that the backend of an artifact has.

    For who opens several to compare them: an engine lacks what only ONNX files have.
    """
    lacks = _NOT_OF_ENGINES if is_engine(artifact) else ()
    return {name: value for name, value in given.items() if name not in lacks}
