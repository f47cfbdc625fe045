"""Random RRINs that are hard on arithmetic: large flows, masks that saturate, samples outside.

The bundled model moves pixels a little and never says "neither frame is visible here", so that an
artifact which is wrong there still agrees with it. These do all of that, and PyTorch's float32
stays within 1e-4 of float64, so that a larger difference is the artifact's.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from export import RRIN, Reference
from export.network import Stages
from export.reference import planes_of
from runtime.scene import render_bytes

SIZE = (128, 64)  # width, height of the pair that the gains are set on, pixels
TIMES = (0.2, 0.5, 0.8)
_DEEP = ("down_path.2", "down_path.3", "down_path.4", "midconv", "up_path.0")


@functools.cache
def harsh_network(base_width: int, *, align_corners: bool, seed: int = 0) -> RRIN:
    """Draw an RRIN whose flows exceed 40 pixels and whose masks both fall below 1e-8 somewhere."""
    network = RRIN(base_width, align_corners=align_corners)
    random = np.random.default_rng(seed)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            drawn = random.standard_normal(weight.shape) * 0.02
            if weight.ndim == 4:
                # Filters of mean 0, or what all channels have in common drowns what differs; and
                # quiet deep levels, or float32 itself errs by more than an artifact may.
                drawn -= drawn.mean((1, 2, 3), keepdims=True)
                gain = 0.5 if any(deep in name for deep in _DEEP) else 1
                drawn *= gain * np.sqrt(2 / weight[0].numel()) / drawn.std()
            weight.copy_(torch.from_numpy(drawn))
        _set_spread(network, network.Flow_L, 18)  # pixels
        _set_spread(network, network.refine_flow, 0.8)
        _set_spread(network, network.Mask, 9, mean=-10)
        _set_spread(network, network.final, 0.05)
    return network.eval().requires_grad_(False)


@functools.lru_cache(maxsize=8)
def stages_in_float64(network: RRIN) -> Stages:
    """Run the network on its own scene, exactly."""
    with torch.inference_mode():
        return _stages(copy.deepcopy(network).double(), inputs()["t"].tolist())


def pair() -> list[np.ndarray]:
    """The network's own scene, uint8."""
    return [render_bytes(*SIZE, time) for time in (0, 1)]


def inputs() -> dict[str, np.ndarray]:
    """The pair as a float32 graph takes it, at `TIMES`."""
    frame0, frame1 = (frame.astype(np.float32)[None] / np.float32(255) for frame in pair())
    window = np.array([0, 0, *SIZE], np.float32)
    return {"frame0": frame0, "frame1": frame1, "t": np.array(TIMES, np.float32), "window": window}


@functools.lru_cache(maxsize=8)
def exact_and_own_error(network: RRIN) -> tuple[np.ndarray, float]:
    """What float64 makes of the pair at `TIMES`, and how far float32 is from it."""
    feeds = inputs()
    exact = stages_in_float64(network).frames.permute(0, 2, 3, 1).numpy()
    made = Reference(network)(feeds["frame0"][0], feeds["frame1"][0], feeds["t"])
    return exact, float(np.abs(made - exact).max())


def with_weights(exported: Path, network: RRIN, output: Path) -> Path:
    """Write the graph of an exported file with another network's weights; the metadata stays."""
    model = onnx.load(exported)
    set_weights(model, network)
    onnx.save(model, output)
    return output


def set_weights(model: onnx.ModelProto, network: RRIN) -> None:
    """Replace the weights of an exported graph by another network's of the same width."""
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    replaced = [tensor for tensor in model.graph.initializer if tensor.name in state]
    assert len(replaced) == len(state)
    for tensor in replaced:
        tensor.CopyFrom(onnx.numpy_helper.from_array(state[tensor.name], tensor.name))


def _stages(network: RRIN, times: Sequence[float]) -> Stages:
    dtype = network.Mask.last.weight.dtype
    planes = (planes_of(frame).to(dtype) for frame in pair())
    window = torch.tensor([0, 0, *SIZE], dtype=dtype)
    return network.stages(*planes, torch.tensor(times, dtype=dtype), window)


def _set_spread(network: RRIN, unet: nn.Module, spread: float, mean: float = 0) -> None:
    """Give each output channel of a U-Net this standard deviation and mean over the scene."""
    last = unet.last
    seen: list[torch.Tensor] = []
    hook = last.register_forward_hook(lambda _, __, made: seen.append(made))
    _stages(network, TIMES[1:2])
    hook.remove()
    gain = spread / seen[0].std((0, 2, 3))
    last.weight.mul_(gain[:, None, None, None])
    last.bias.copy_((last.bias - seen[0].mean((0, 2, 3))) * gain + mean)
