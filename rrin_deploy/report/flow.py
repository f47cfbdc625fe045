"""The motion that an ONNX file sees between two frames: what its two warps go by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.frames import to_input
from runtime.graph_check import read_checked
from runtime.installation import is_installed


def seen_flow(
    path: Path, frame0: NDArray[np.uint8], frame1: NDArray[np.uint8], threads: int | None
) -> NDArray[np.float32]:
    """Return how far each pixel of the middle frame moves from the first frame to the second.

    The warps look for it at two places, one in each frame; this is the way from one to the other.

    Returns:
        (H, W, 2) to the right and down, pixels.

    Raises:
        ArtifactError: not an ONNX file of ours.
        BackendError: neither ONNX Runtime nor OpenVINO is installed.
    """
    import onnx

    content, metadata = read_checked(path)
    model = onnx.load_model_from_string(content)
    grids = [node.input[1] for node in model.graph.node if node.op_type == "GridSample"]
    del model.graph.output[:]
    shapeless = (onnx.helper.make_tensor_value_info(grid, 1, None) for grid in grids)
    model.graph.output.extend(shapeless)
    height, width = frame0.shape[:2]
    tensors = {
        "frame0": to_input(frame0, metadata.io),
        "frame1": to_input(frame1, metadata.io),
        "t": np.array([0.5], np.float32),
    }
    whole = np.array(tensors["frame0"].shape[2:0:-1], np.float32)  # as the warps normalise by
    tensors["window"] = np.array([0, 0, *whole], np.float32)
    first, second = _run(model.SerializeToString(), grids, tensors, threads)
    moved: NDArray[np.float32] = (second - first)[0] * whole / 2
    return moved[:height, :width]


def _run(
    content: bytes, outputs: list[str], tensors: Mapping[str, NDArray[Any]], threads: int | None
) -> list[NDArray[np.float32]]:
    if is_installed("onnxruntime"):
        from runtime.onnxruntime_library import cpu_session

        session = cpu_session(content, threads)
        given = {node.name: tensors[node.name] for node in session.get_inputs()}
        return session.run(outputs, given)  # type: ignore[no-any-return]
    from runtime.openvino_model import cpu_request

    request = cpu_request(content, threads or 0)
    found = request.infer({port.any_name: tensors[port.any_name] for port in request.model_inputs})
    return [found[name] for name in outputs]
