"""How far a network's stages are from the truth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from export.network import Stages
from training.samples import Batch

# Census: windows of 7 x 7, and how far a neighbour has to differ to count, of the full range.
_CENSUS, _CENSUS_STEP = 7, 0.05
_EPE_SCALES = (1, 4, 16)


@dataclass(frozen=True)
class Weights:
    """What each part of the loss counts.

    Attributes:
        image: Charbonnier distance of the frames, and half as much of the blend before `final`.
        gradient: L1 of the differences between neighbouring pixels.
        census: of the frames; sees structure whatever the light.
        flow: end-point error of the refined flow, pixels, and half as much of `Flow_L`'s.
        visibility: cross entropy of the masks.
    """

    image: float = 1.0
    gradient: float = 0.3
    census: float = 0.05
    flow: float = 0.004
    visibility: float = 0.01


def losses(
    stages: Stages, across: Tensor, batch: Batch, weights: Weights, *, align_corners: bool
) -> dict[str, Tensor]:
    """Return the weighted parts of a batch's loss, each a scalar; their sum is to be minimised.

    Args:
        stages: of N pairs, at one time each.
        across: [N, 4, H, W], pixels, what `Flow_L` made: at frame0 to frame1, and back.
        batch: what the stages were made of, and the truth.
        align_corners: the network's own: where its warps read, see `export.network.warp`.
    """
    error = stages.frames - batch.middle
    blend = stages.blend - batch.middle
    known = batch.drawn[:, None, None, None]
    wanted = as_read(batch.flow, align_corners=align_corners)
    flow = endpoint_error(stages.flow, wanted, known) + 0.5 * endpoint_error(
        across, batch.across, known
    )
    some = batch.visible.amax(1, keepdim=True) > 0  # hidden in both, anything will do
    visibility = _mean_of_known(some * _cross_entropy(stages.mask, batch.visible), known)
    return {
        "image": weights.image * (_charbonnier(error) + 0.5 * _charbonnier(blend)),
        "gradient": weights.gradient * _slopes(error),
        "census": weights.census * _census(stages.frames, batch.middle),
        "flow": weights.flow * flow,
        "visibility": weights.visibility * visibility,
    }


def endpoint_error(flow: Tensor, wanted: Tensor, known: Tensor) -> Tensor:
    """Mean distance of two [N, 4, H, W] flows, pixels, over what is known, at several scales.

    Coarse scales see that something large goes somewhere before the fine ones agree where.
    """
    total = flow.new_zeros(())
    for scale in _EPE_SCALES:
        apart = F.avg_pool2d(flow - wanted, scale)
        ends = torch.stack(apart.chunk(2, 1), 1).square().sum(2).add(1e-2).sqrt()
        total = total + _mean_of_known(ends, known)
    return total / len(_EPE_SCALES)


def as_read(flow: Tensor, *, align_corners: bool) -> Tensor:
    """Return the flow with which RRIN's warp reads where a true displacement leads.

    Its grid 2 (x / W - 0.5) reads half a pixel before x without `align_corners`, and at
    x (W - 1) / W with it.
    """
    if not align_corners:
        return flow + 0.5
    height, width = flow.shape[-2:]
    x = torch.arange(width, dtype=flow.dtype, device=flow.device)[None, :]
    y = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None]
    u, v = flow[:, 0::2], flow[:, 1::2]
    read = torch.stack([(x + u) * width / (width - 1) - x, (y + v) * height / (height - 1) - y], 2)
    return read.flatten(1, 2)


def _mean_of_known(values: Tensor, known: Tensor) -> Tensor:
    """Mean of [N, C, H, W] over the samples for which `known`, [N, 1, 1, 1], is 1; 0 for none."""
    return (known * values).mean(dim=(1, 2, 3)).sum() / known.sum().clamp(min=1)


def _cross_entropy(mask: Tensor, visible: Tensor) -> Tensor:
    """As PyTorch's, which stops a GPU for good where a value is no number."""
    likely = visible * mask + (1 - visible) * (1 - mask)
    return -likely.clamp(min=1e-6).log()


def _charbonnier(error: Tensor) -> Tensor:
    return (error.square() + 1e-6).sqrt().mean()


def _slopes(error: Tensor) -> Tensor:
    return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()


def _census(made: Tensor, wanted: Tensor) -> Tensor:
    """Soft Hamming distance of the census transforms of two [N, 3, H, W] images."""
    one, other = _transformed(made), _transformed(wanted)
    apart = (one - other).square()
    return (apart / (0.1 + apart)).mean()


def _transformed(image: Tensor) -> Tensor:
    grey = image.mean(1, keepdim=True)
    neighbours = F.unfold(F.pad(grey, [_CENSUS // 2] * 4, mode="replicate"), _CENSUS)
    apart = neighbours.view(len(grey), -1, *grey.shape[2:]) - grey
    transformed: Tensor = apart / (apart.square() + _CENSUS_STEP**2).sqrt()
    return transformed
