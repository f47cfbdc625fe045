"""What executes a double's runs: PyTorch's RRIN, or a copy by the driver alone."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from rrin_deploy.proof.double import Binding, Execute
from runtime.metadata import Metadata

if TYPE_CHECKING:
    from export import RRIN


def network_of(model: onnx.ModelProto) -> RRIN:
    """Return the PyTorch network whose weights a float32 model of ours has."""
    import torch

    from export import RRIN

    about = metadata_of(model)
    network = RRIN(about.base_width, align_corners=about.align_corners)
    named = {weight.name: weight for weight in model.graph.initializer}
    state = {
        name: torch.from_numpy(onnx.numpy_helper.to_array(named[name]).copy())
        for name in network.state_dict()
    }
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def metadata_of(model: onnx.ModelProto) -> Metadata:
    """Return what a model says of itself."""
    properties = {each.key: each.value for each in model.metadata_props}
    return Metadata.from_properties(properties, "the bundled model")


def torch_rrin(model: onnx.ModelProto) -> Execute:
    """Return what runs RRIN in PyTorch, on the stream and in the memory that it is given."""
    import torch

    from export.graph import DeployedRRIN

    deployed = DeployedRRIN(network_of(model), metadata_of(model).io).eval().cuda()
    torch.cuda.synchronize()  # the streams to come do not wait for the one that copied the weights

    def execute(handle: int, bindings: Mapping[str, Binding]) -> bool:
        stream: Any = torch.cuda.ExternalStream(handle)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(stream), torch.inference_mode():
            if torch.cuda.is_current_stream_capturing():
                return False  # PyTorch would give the memory in between to others
            tensors = {
                name: torch.as_tensor(binding, device="cuda") for name, binding in bindings.items()
            }
            made = tensors.pop("frames")
            made.copy_(deployed(**tensors)[0])
        return True

    return execute


def frame0_again(model: onnx.ModelProto) -> Execute:  # noqa: ARG001 - the weights play no part
    """Return what copies frame0 into every frame, by one call of the driver a frame."""
    driver = ctypes.CDLL("libcuda.so.1")
    copy = driver.cuMemcpyDtoDAsync_v2
    copy.argtypes = [ctypes.c_uint64, ctypes.c_uint64, ctypes.c_size_t, ctypes.c_void_p]

    def execute(handle: int, bindings: Mapping[str, Binding]) -> bool:
        frame0, frames = bindings["frame0"], bindings["frames"]
        nbytes = int(np.prod(frame0.shape)) * frame0.dtype.itemsize
        for index in range(frames.shape[0]):
            error = copy(frames.address + index * nbytes, frame0.address, nbytes, handle)
            if error:
                raise RuntimeError(f"cuMemcpyDtoDAsync gave {error}, expected 0")
        return True

    return execute
