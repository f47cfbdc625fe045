"""Artifacts run by ONNX Runtime, on the CPU or through any of its execution providers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ArtifactError, BackendError, OptionError, first_line
from .graph_check import read_checked
from .onnxruntime_library import ort
from .session import Session, TensorSpec

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
_DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(float)": np.dtype(np.float32),
}
_FATAL_ONLY = 4
# As ONNX Runtime, C++, CUDA and cuBLAS say it.
_SHORT_OF_MEMORY = re.compile("failed to allocate|bad.?alloc|out of memory|alloc_failed", re.I)


class OnnxRuntimeSession(Session):
    """See `Session`. The arguments are those of `open_session`."""

    def __init__(
        self,
        path: Path,
        *,
        device: int = 0,
        threads: int | None = None,
        providers: Sequence[str] | None = None,
    ) -> None:
        # What was checked is what runs: a moment later the file may be another one.
        content, self.metadata = read_checked(path)
        session = _open(path, content, device, threads, providers)
        self._session: ort.InferenceSession | None = session
        self.inputs = {node.name: _spec(node, path) for node in session.get_inputs()}
        self.outputs = {node.name: _spec(node, path) for node in session.get_outputs()}
        self.backend = f"onnxruntime {ort.__version__} {session.get_providers()[0]}"

    def run(self, tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `Session.run`."""
        if self._session is None:
            raise BackendError("the session is closed; open the artifact again")
        try:
            outputs = self._session.run(list(self.outputs), dict(tensors))
        except Exception as error:  # its exceptions have no common base of their own
            if _SHORT_OF_MEMORY.search(str(error)):
                raise BackendError(
                    f"{self.backend} is short of memory: {first_line(error)}; "
                    "take fewer times a call or smaller frames"
                ) from error
            raise ArtifactError(
                f"{self.backend} cannot run the artifact: {first_line(error)}; export it again"
            ) from error
        made = dict(zip(self.outputs, outputs, strict=True))
        expected = len(tensors["t"]), *tensors["frame0"].shape[1:]
        if made["frames"].shape != expected:  # NumPy would broadcast them without a word
            raise ArtifactError(
                f"the artifact made frames of shape {made['frames'].shape}, expected {expected}; "
                "export it again"
            )
        return made

    def close(self) -> None:
        """See `Session.close`."""
        self._session = None


def loadable_providers(path: Path) -> dict[str, bool]:
    """Say of each provider that this onnxruntime was built with whether it really loads `path`."""
    loads = {}
    content, _ = read_checked(path)
    for provider in ort.get_available_providers():
        if provider == "AzureExecutionProvider":  # calls a remote endpoint, runs no graph
            continue
        try:
            _open(path, content, 0, None, [provider])
            loads[provider] = True
        except BackendError:
            loads[provider] = False
    return loads


def _open(
    path: Path,
    content: bytes,
    device: int,
    threads: int | None,
    providers: Sequence[str] | None,
) -> ort.InferenceSession:
    available = ort.get_available_providers()
    if providers is None:
        wanted = [provider for provider in (CUDA, CPU) if provider in available]
    else:
        wanted = list(providers)
        unknown = [provider for provider in wanted if provider not in available]
        if unknown or not wanted:
            raise BackendError(
                f"ONNX Runtime provider {', '.join(unknown) or 'list is empty'}: "
                f"this onnxruntime {ort.__version__} has {', '.join(available)}"
            )
    if threads is not None and threads < 1:
        raise OptionError(f"threads is {threads}; expected 1 or more, or None")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    # What it would print of a provider that did not load is said below, in one line.
    options.log_severity_level = _FATAL_ONLY
    try:
        session = ort.InferenceSession(
            content, options, providers=[_with_options(provider, device) for provider in wanted]
        )
    except Exception as error:  # its exceptions have no common base of their own
        if wanted != [CPU]:
            # Or the file is at fault, and this says so.
            _open(path, content, device, threads, [CPU])
            raise BackendError(
                f"ONNX Runtime provider {wanted[0]} cannot run {path}: {first_line(error)}"
            ) from error
        raise ArtifactError(
            f"{path}: not an ONNX file that ONNX Runtime can load, or a damaged one "
            f"({first_line(error)}); export it again"
        ) from error
    # ONNX Runtime goes on with the CPU where a provider does not load; its user should know.
    missing = [provider for provider in providers or () if provider not in session.get_providers()]
    if missing:
        raise BackendError(
            f"ONNX Runtime provider {', '.join(missing)} did not load on this machine; "
            "see rrin-deploy doctor, or ask for CPUExecutionProvider"
        )
    return session


def _with_options(provider: str, device: int) -> str | tuple[str, dict[str, str]]:
    if provider == CUDA:
        # The artifact says float32; TF32 convolutions would round to 10 bits of mantissa.
        return provider, {"device_id": str(device), "use_tf32": "0"}
    if provider == "TensorrtExecutionProvider":
        return provider, {"device_id": str(device)}
    return provider


def _spec(node: Any, path: Path) -> TensorSpec:
    if node.type not in _DTYPES:
        raise ArtifactError(f"{path}: {node.name} is {node.type}; expected uint8 or float32")
    return TensorSpec(_DTYPES[node.type], tuple(node.shape))
