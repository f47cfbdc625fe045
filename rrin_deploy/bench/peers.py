"""What a benchmark runs, each in a process of its own: artifacts, and what else one might use."""

from __future__ import annotations

import subprocess
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from runtime.architecture import padded
from runtime.backends import BackendName, options_for
from runtime.errors import BackendError
from runtime.frames import Frame, PairInterpolator
from runtime.installation import install_hint, is_installed
from runtime.interpolator import Interpolator

Kind = Literal[
    "artifact",
    "pytorch",
    "torch.compile",
    "onnxruntime",
    "openvino f32",
    "openvino bf16",
    "ncnn f32",
    "ncnn bf16",
]
FP32_PEERS = ("pytorch", "torch.compile", "onnxruntime", "openvino f32", "ncnn f32")


@dataclass(frozen=True)
class Contender:
    """Something to be timed.

    Attributes:
        name: for people.
        kind: what runs it.
        path: an artifact; for PyTorch a checkpoint, for ncnn the parameters, beside which lie the
            weights, for the others a plain ONNX file.
        backend, providers: for an artifact; None takes its own choice.
        trusted: of an artifact, whether it may run code of its own.
    """

    name: str
    kind: Kind
    path: Path
    backend: BackendName | None = None
    providers: tuple[str, ...] | None = None
    trusted: bool = False


def write_peers(model: Path, folder: Path, size: tuple[int, int], times: int) -> list[Contender]:
    """Write the network of a float32 artifact as its peers need it, and name them.

    Args:
        model: an ONNX file of `rrin-deploy export`, fp32.
        folder: where the files go.
        size: frames' (width, height), pixels; what is written but for PyTorch takes this one alone.
        times: how many a call has.

    Raises:
        ArtifactError: the artifact is not float32.
    """
    import onnx_ir as ir
    import torch

    from export import load_checkpoint
    from precision.graph import CONVOLUTIONS, check_float32, load_graph

    graph, metadata = load_graph(model)
    check_float32(metadata, str(model))
    state = {
        name: torch.from_numpy(value.const_value.numpy().copy())
        for name, value in graph.graph.initializers.items()
        if name.split(".")[0] in CONVOLUTIONS and isinstance(value.const_value, ir.TensorProtocol)
    }
    checkpoint, plain = folder / "network.pth", folder / "plain.onnx"
    torch.save({"state_dict": state, "align_corners": metadata.align_corners}, checkpoint)
    network = load_checkpoint(checkpoint)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what tracing makes constant, and of its deprecation
        _export_plainly(network, plain, size, times)
        parameters = _convert_for_ncnn(network, folder, size)
    return [
        Contender("PyTorch", "pytorch", checkpoint),
        Contender("torch.compile", "torch.compile", checkpoint),
        Contender("plain ONNX", "onnxruntime", plain),
        Contender("OpenVINO f32", "openvino f32", plain),
        Contender("OpenVINO bf16", "openvino bf16", plain),
        Contender("ncnn f32", "ncnn f32", parameters),
        Contender("ncnn bf16", "ncnn bf16", parameters),
    ]


def open_contender(contender: Contender, threads: int) -> PairInterpolator:
    """Return a callable of (frame0, frame1, t) on uint8 frames, that uses so many CPU threads.

    Raises:
        Exception: whatever its library raises where it cannot run here.
    """
    if contender.kind == "artifact":
        own = options_for(
            contender.path,
            backend=contender.backend,
            threads=threads,
            providers=contender.providers,
        )
        return Interpolator(contender.path, trusted=contender.trusted, skip_still=False, **own)
    if contender.kind in ("pytorch", "torch.compile"):
        return _torch(contender.path, threads, compiled=contender.kind == "torch.compile")
    if contender.kind == "onnxruntime":
        return _framed(_onnxruntime(contender.path, threads))
    library, precision = contender.kind.split()
    opened = _ncnn if library == "ncnn" else _openvino
    return _framed(opened(contender.path, threads, precision))


def _export_plainly(network: Any, path: Path, size: tuple[int, int], times: int) -> None:
    """Export as most people would: TorchScript, float32, planes, one size."""
    import torch

    width, height = (padded(side) for side in size)
    frame0, frame1 = torch.rand(1, 3, height, width), torch.rand(1, 3, height, width)
    t = torch.linspace(0.25, 0.75, times)
    torch.onnx.export(
        network,
        (frame0, frame1, t),
        str(path),
        dynamo=False,
        opset_version=16,
        input_names=["frame0", "frame1", "t"],
        output_names=["frames"],
    )


def _convert_for_ncnn(network: Any, folder: Path, size: tuple[int, int]) -> Path:
    """Convert by pnnx, float32, for one size and one time; return where the parameters are.

    Where that cannot be nothing is there, which `open_contender` says.
    """
    import torch

    parameters = folder / "network.ncnn.param"
    if not is_installed("pnnx"):
        return parameters
    import pnnx

    width, height = (padded(side) for side in size)
    shapes = (1, 3, height, width), (1, 3, height, width), (1, 1, 1, 1)
    frames = tuple(map(torch.rand, shapes))
    traced = torch.jit.trace(network, frames, check_trace=False)  # type: ignore[no-untyped-call]
    traced.save(str(folder / "network.pt"))
    listed = ",".join(str(list(shape)).replace(" ", "") for shape in shapes)
    command = [pnnx.EXEC_PATH, "network.pt", f"inputshape={listed}", "fp16=0"]
    subprocess.run(command, cwd=folder, capture_output=True, check=False)  # noqa: S603
    return parameters


def _torch(checkpoint: Path, threads: int, *, compiled: bool) -> PairInterpolator:
    import torch

    from export import Reference, load_checkpoint

    # Of this process, which is the contender's own: what is compiled goes where its network lies.
    tempfile.tempdir = str(checkpoint.parent)
    torch.set_num_threads(threads)
    network = load_checkpoint(checkpoint)
    return Reference(torch.compile(network) if compiled else network)  # type: ignore[arg-type]


def _onnxruntime(path: Path, threads: int) -> Callable[[Sequence[Any]], NDArray[np.float32]]:
    from runtime.onnxruntime_library import cpu_session

    session = cpu_session(path.read_bytes(), threads)
    names = [node.name for node in session.get_inputs()]
    return lambda inputs: session.run(None, dict(zip(names, inputs, strict=True)))[0]


def _openvino(
    path: Path, threads: int, precision: str
) -> Callable[[Sequence[Any]], NDArray[np.float32]]:
    from runtime.openvino_model import cpu_request

    request = cpu_request(path.read_bytes(), threads, precision)
    return lambda inputs: np.asarray(request.infer(list(inputs))[0], np.float32)


def _ncnn(
    parameters: Path, threads: int, precision: str
) -> Callable[[Sequence[Any]], NDArray[np.float32]]:
    for module in ("ncnn", "pnnx"):
        if not is_installed(module):
            raise BackendError(f"{module} is not installed: {install_hint(module)}")
    import ncnn

    network = ncnn.Net()
    network.opt.num_threads = threads
    network.opt.use_bf16_storage = precision == "bf16"
    if network.load_param(str(parameters)) or network.load_model(
        str(parameters.with_suffix(".bin"))
    ):
        raise BackendError("pnnx did not convert the network for ncnn")

    def run(inputs: Sequence[Any]) -> NDArray[np.float32]:
        """Make one time after the other, each from the frames, as it takes no several at once."""
        frame0, frame1, times = inputs
        made = []
        for time in np.reshape(times, (-1, 1, 1, 1, 1)):
            with network.create_extractor() as extractor:
                for index, array in enumerate((frame0, frame1, time)):
                    # Its own copy: what NumPy holds it does not keep alive, and crashes.
                    given = ncnn.Mat(array, batch_index=0).clone()
                    extractor.input(f"in{index}", given)
                _, frames = extractor.extract("out0")
                made.append(frames.numpy(batch_index=0).copy())
        return np.concatenate(made)

    return run


def _framed(run: Callable[[Sequence[Any]], NDArray[np.float32]]) -> PairInterpolator:
    """Give a function on planes in [0, 1] frames that are uint8, as an application has them."""

    def planes(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        height, width = frame.shape[:2]
        beyond = (0, padded(height) - height), (0, padded(width) - width), (0, 0)
        whole = np.pad(frame, beyond, mode="edge")
        return np.ascontiguousarray(whole.transpose(2, 0, 1)[None] / np.float32(255))

    def interpolate(frame0: Frame, frame1: Frame, t: Any = 0.5) -> NDArray[np.uint8]:
        height, width = frame0.shape[:2]
        made = run([planes(frame0), planes(frame1), np.asarray(t, np.float32)])
        cropped = made[:, :, :height, :width].transpose(0, 2, 3, 1)
        frames: NDArray[np.uint8] = np.rint(cropped * np.float32(255)).astype(np.uint8)
        return frames

    return interpolate
