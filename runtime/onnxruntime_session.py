"""Artifacts run by ONNX Runtime, on the CPU or through any of its execution providers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ArtifactError, BackendError, OptionError, first_line, short_of_memory
from .graph_check import read_checked
from .graph_parts import parts_of
from .metadata import Metadata
from .onnxruntime_library import CPU, find_cuda, options_with, ort
from .session import Backend, DirectLease, Lease, Session
from .tiles import Extent

CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
_REMOTE = "AzureExecutionProvider"  # calls an endpoint for operators that no artifact has
# ONNX Runtime on the CPU takes 1.06 GB a time at 1920x1088 with base width 8, 508 bytes a pixel,
# from the second run of a shape on; 0.8 GB in the first.
_BYTES_PER_PIXEL_AND_WIDTH = 64
_RUN_BYTES = 2**30


class OnnxRuntimeSession(Session):
    """See `Session`.

    Args:
        path: the artifact, for messages.
        content, metadata: of it, checked.
        device, threads, providers, memory_limit: as for `open_session`.
    """

    def __init__(
        self,
        path: Path,
        content: bytes,
        metadata: Metadata,
        *,
        device: int | None = None,
        threads: int | None = None,
        providers: Sequence[str] | None = None,
        memory_limit: int | None = None,
    ) -> None:
        self.metadata = metadata
        parts = parts_of(content)
        options = options_with(threads)
        if metadata.runtime == "tensorrt":
            # It would join a concatenation in INT8 with its Q/DQ, which are half there, to one
            # that takes no half, and then refuse it.
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        times = _open(path, parts.times, options, device, providers)
        self._times: ort.InferenceSession | None = times
        self._outputs = [node.name for node in times.get_outputs()]
        self._pair: ort.InferenceSession | None = None
        if parts.pair is not None:
            self._pair = _open(path, parts.pair, options, device, providers)
        provider = times.get_providers()[0]
        self.backend = Backend("onnxruntime", ort.__version__, provider)
        self.on_gpu = provider in (CUDA, TENSORRT)
        if device is not None and not self.on_gpu:
            raise OptionError(f"{path}: runs on {provider}, which has no device; leave it out")
        self.any_size = provider != TENSORRT and memory_limit is None
        self._run_bytes: int | None = None
        if memory_limit is not None:
            if self.on_gpu:
                raise OptionError(f"memory_limit is for the CPU, and {path} runs on {provider}")
            per_pixel = metadata.base_width * _BYTES_PER_PIXEL_AND_WIDTH
            self.extent = Extent(pixels=memory_limit // per_pixel)
            self._run_bytes = min(memory_limit, _RUN_BYTES)
        self._place = ("cuda", device or 0) if self.on_gpu else ("cpu", 0)

    def lease(self) -> AbstractContextManager[Lease]:
        """See `Session.lease`; calls need nothing of their own."""
        self._open_times()  # else a pair at which nothing moves would not notice a closed session
        return nullcontext(DirectLease(self.run))

    def run(self, tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `Lease.start`. Many times run one after the other, which bounds the memory."""
        times, pair, session = tensors["t"], self._pair, self._open_times()
        height, width = tensors["frame0"].shape[1:3]
        at_once = times_at_once(height, width, self.metadata.base_width, self._run_bytes)
        try:
            flow = self._flow(pair, tensors, shrink=len(times) > at_once) if pair else {}
            given = {**tensors, **flow}
            runs = [
                session.run(self._outputs, {**given, "t": times[first : first + at_once]})
                for first in range(0, len(times), at_once)
            ]
        except Exception as error:  # its exceptions have no common base of their own
            if short_of_memory(error):
                raise BackendError(
                    f"{self.backend} is short of memory: {first_line(error)}; "
                    "take fewer times a call or smaller frames"
                ) from error
            raise ArtifactError(
                f"{self.backend} cannot run the artifact: {first_line(error)}; export it again"
            ) from error
        outputs = (
            runs[0]
            if len(runs) == 1
            else [np.concatenate(each) for each in zip(*runs, strict=True)]
        )
        made = dict(zip(self._outputs, outputs, strict=True))
        expected = len(times), *tensors["frame0"].shape[1:]
        if made["frames"].shape != expected:  # NumPy would broadcast them without a word
            raise ArtifactError(
                f"the artifact made frames of shape {made['frames'].shape}, expected {expected}; "
                "export it again"
            )
        return made

    def _open_times(self) -> ort.InferenceSession:
        if (session := self._times) is None:
            raise BackendError("the session is closed; open the artifact again")
        return session

    def _flow(
        self, session: ort.InferenceSession, tensors: Mapping[str, NDArray[Any]], *, shrink: bool
    ) -> dict[str, ort.OrtValue]:
        """Run the pair's part; what it makes stays where the times' part needs it.

        Args:
            shrink: give the memory back that it took, which costs time: taken anew in every call,
                it made calls of one time 5 % slower.
        """
        binding = session.io_binding()
        for name, array in tensors.items():
            if name != "t":
                binding.bind_cpu_input(name, array)
        names = [node.name for node in session.get_outputs()]
        for name in names:
            binding.bind_output(name, *self._place)
        options = ort.RunOptions()
        if shrink:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        session.run_with_iobinding(binding, options)
        return dict(zip(names, binding.get_outputs(), strict=True))

    def close(self) -> None:
        """See `Session.close`."""
        self._pair = self._times = None


def times_at_once(height: int, width: int, base_width: int, run_bytes: int | None = None) -> int:
    """Return how many times one run may have where its memory grows with each.

    The flow is made before them, once for all runs: fewer at once bound the memory and cost no
    more than the start of a run.
    """
    most = _RUN_BYTES if run_bytes is None else run_bytes
    return max(1, most // (height * width * base_width * _BYTES_PER_PIXEL_AND_WIDTH))


def loadable_providers(path: Path) -> dict[str, bool]:
    """Say of each provider that this onnxruntime was built with whether it really loads `path`."""
    loads = {}
    content, _ = read_checked(path)
    for provider in _available():
        try:
            _open(path, content, options_with(None), None, [provider])
            loads[provider] = True
        except BackendError:
            loads[provider] = False
    return loads


def _available() -> list[str]:
    return [provider for provider in ort.get_available_providers() if provider != _REMOTE]


def _open(
    path: Path,
    content: bytes,
    options: ort.SessionOptions,
    device: int | None,
    providers: Sequence[str] | None,
) -> ort.InferenceSession:
    available = _available()
    if providers is None:
        wanted = [provider for provider in (CUDA, CPU) if provider in available]
    else:
        wanted = list(providers)
        if _REMOTE in wanted:
            raise OptionError(
                f"{_REMOTE} is no provider that runs models; choose among {', '.join(available)}"
            )
        unknown = [provider for provider in wanted if provider not in available]
        if unknown or not wanted:
            raise BackendError(
                f"ONNX Runtime provider {', '.join(unknown) or 'list is empty'}: "
                f"this onnxruntime {ort.__version__} has {', '.join(available)}"
            )
    # A plan of all tensors at once took 767 MB instead of 574 for a frame of 1280x736.
    options.enable_mem_pattern = False
    try:
        session = ort.InferenceSession(
            content, options, providers=[_with_options(each, device) for each in wanted]
        )
    except Exception as error:  # its exceptions have no common base of their own
        if short_of_memory(error):
            raise BackendError(
                f"{path}: there is not enough memory to open it ({first_line(error)}); free some, "
                "or take fewer threads"
            ) from error
        if wanted != [CPU]:
            # Or the file is at fault, and this says so.
            _open(path, content, options, device, [CPU])
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
            "install the libraries that it needs, or ask for CPUExecutionProvider"
        )
    return session


def _with_options(provider: str, device: int | None) -> str | tuple[str, dict[str, str]]:
    if provider not in (CUDA, TENSORRT):
        return provider
    find_cuda()
    options = {"device_id": str(device or 0)}
    if provider == TENSORRT:
        # Its cache of engines knows a model by its names, not by its weights, and would be code
        # beside a file that is data.
        return provider, options
    # The artifact says float32; TF32 convolutions would round to 10 bits of mantissa. Tensor cores
    # want channels last. A search at every new shape, the default, takes seconds each time.
    wanted = {"use_tf32": "0", "prefer_nhwc": "1", "cudnn_conv_algo_search": "HEURISTIC"}
    return provider, options | wanted
