"""The choice among backends, by what kind of file an artifact is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import OptionError
from .manifest import is_engine
from .options import check_file, check_path, check_providers, check_threads, check_whole
from .session import Session

_NOT_OF_ENGINES = ("threads", "providers")


def open_session(
    artifact: str | Path,
    *,
    device: int | None = None,
    threads: int | None = None,
    providers: Sequence[str] | None = None,
    trusted: bool = False,
) -> Session:
    """Open an artifact with the backend that its kind needs.

    Args:
        artifact: an ONNX file of `rrin-deploy export`, or an engine of `rrin-deploy build`.
        device: index of the GPU, for engines and the CUDA and TensorRT providers; None takes the
            first.
        threads: CPU threads within one operator, for ONNX Runtime, 1024 at most; None leaves it
            the choice.
        providers: ONNX Runtime execution providers, all of which have to load; None takes CUDA
            where it loads, else the CPU.
        trusted: whether the code in a version-compatible engine may run.

    Raises:
        InputNotFoundError, ArtifactError, BackendError.
        OptionError: an option that is not as above, an engine with `threads` or `providers`, or a
            `device` where no GPU is used.
    """
    check_path("artifact", artifact, "rrin.onnx")
    if device is not None:
        check_whole("device", device, 0)
    check_threads(threads)
    check_providers(providers)
    path = Path(artifact)
    check_file(path, "expected an artifact such as rrin.onnx")
    if is_engine(path):
        given = {"threads": threads, "providers": providers}
        for name in _NOT_OF_ENGINES:
            if given[name] is not None:
                raise OptionError(f"{path}: is an engine, which has no {name}; leave it out")
        from .tensorrt_session import TensorRTSession

        return TensorRTSession(path, device=int(device or 0), trusted=trusted)
    from .onnxruntime_session import OnnxRuntimeSession

    return OnnxRuntimeSession(path, device=device, threads=threads, providers=providers)


def options_for(artifact: str | Path, **given: Any) -> dict[str, Any]:
    """Return those of `open_session`'s options that the backend of an artifact has.

    For who opens several to compare them: an engine has neither threads nor providers.
    """
    lacks = _NOT_OF_ENGINES if is_engine(artifact) else ()
    return {name: value for name, value in given.items() if name not in lacks}
