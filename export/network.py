"""RRIN in PyTorch: four U-Nets and two backward warps.

The reference that every artifact is held against. Parameter names are those of the authors'
checkpoints, so their state dicts load without renaming.

Source: H. Li, Y. Yuan, Q. Wang, "Video Frame Interpolation via Residue Refinement", ICASSP 2020.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runtime.architecture import LEAKY_SLOPE, UNETS, UNetShape
from runtime.options import check_flag, check_whole

BASE_WIDTH, MAX_BASE_WIDTH = 32, 4096
# The blend's weights are multiplied by this, which changes no bit of their quotient. Unscaled, its
# 1e-8 is taken for 0 by the exporter's optimiser, and is 0 in half.
_WEIGHT_SCALE = 2.0**27


def _conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)


class _DoubleConv(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            _conv3x3(in_channels, out_channels),
            nn.LeakyReLU(LEAKY_SLOPE),
            _conv3x3(out_channels, out_channels),
            nn.LeakyReLU(LEAKY_SLOPE),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)  # type: ignore[no-any-return]


class _UpBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            _conv3x3(in_channels, out_channels),
        )
        self.conv_block = _DoubleConv(in_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.conv_block(torch.cat([self.up(x), skip], dim=1))  # type: ignore[no-any-return]


class UNet(nn.Module):
    """A U-Net of 3x3 convolutions, [N, inputs, H, W] to [N, outputs, H, W].

    H and W are multiples of 2**(depth - 1).
    """

    def __init__(self, shape: UNetShape, base_width: int) -> None:
        super().__init__()
        widths = [base_width * 2**level for level in range(shape.depth)]
        self.down_path = nn.ModuleList(
            _DoubleConv(before, after)
            for before, after in zip([shape.inputs, *widths], widths, strict=False)
        )
        self.midconv = _conv3x3(widths[-1], widths[-1])
        self.up_path = nn.ModuleList(_UpBlock(2 * width, width) for width in reversed(widths[:-1]))
        self.last = _conv3x3(base_width, shape.outputs)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 - the class says it
        x = self.down_path[0](x)
        skips = []
        for down in self.down_path[1:]:
            skips.append(x)
            x = down(F.avg_pool2d(x, 2))
        x = F.leaky_relu(self.midconv(x), LEAKY_SLOPE)
        for up in self.up_path:
            x = up(x, skips.pop())
        return self.last(x)  # type: ignore[no-any-return]


class Stages(NamedTuple):
    """What RRIN computes for T times of one pair, in order.

    flow: [T, 4, H, W], pixels: (u, v) from the wanted time to frame0, then to frame1.
    warped0, warped1: [T, 3, H, W], the frames sampled along the flow.
    mask: [T, 2, H, W] in (0, 1), visibility of each warped frame.
    blend: [T, 3, H, W], the visible parts of both, weighted by time.
    frames: [T, 3, H, W] in [0, 1], the interpolated frames.
    """

    flow: Tensor
    warped0: Tensor
    warped1: Tensor
    mask: Tensor
    blend: Tensor
    frames: Tensor


class RRIN(nn.Module):
    """Residue-refinement interpolation of one pair of frames at a vector of times.

    Args:
        base_width: channels of the U-Nets' first level; the authors' model has 32.
        align_corners: how the warp's normalised grid maps to pixels (`grid_sample`). Part of what
            was trained: the authors' PyTorch 1.0 behaved as True.

    Raises:
        OptionError: `base_width` is not from 1 to 4096, or `align_corners` neither True nor False.

    Attributes:
        align_corners_assumed: whether neither the checkpoint nor its user said `align_corners`.
    """

    align_corners_assumed = False

    def __init__(self, base_width: int = BASE_WIDTH, *, align_corners: bool = True) -> None:
        super().__init__()
        check_whole("base_width", base_width, 1, MAX_BASE_WIDTH)
        check_flag("align_corners", align_corners)
        self.base_width = base_width
        self.align_corners = align_corners
        self.Flow_L = UNet(UNETS["Flow_L"], base_width)
        self.refine_flow = UNet(UNETS["refine_flow"], base_width)
        self.Mask = UNet(UNETS["Mask"], base_width)
        self.final = UNet(UNETS["final"], base_width)

    def forward(self, frame0: Tensor, frame1: Tensor, t: Tensor) -> Tensor:
        """Interpolate whole frames.

        Args:
            frame0, frame1: [1, 3, H, W] in [0, 1]; H and W multiples of 32.
            t: [T] in (0, 1).

        Returns:
            [T, 3, H, W] in [0, 1].
        """
        height, width = frame0.shape[-2:]
        window = torch.tensor([0, 0, width, height], device=frame0.device, dtype=frame0.dtype)
        return self.stages(frame0, frame1, t, window).frames

    def stages(self, frame0: Tensor, frame1: Tensor, t: Tensor, window: Tensor) -> Stages:
        """Interpolate, and keep every intermediate tensor.

        Args:
            frame0, frame1, t: as in `forward`.
            window: [4] = (x0, y0, W, H), pixels: where these frames lie in the whole padded frame.
        """
        pair = torch.cat([frame0, frame1], dim=1)
        # The expensive half of the flow does not depend on t, so it has batch 1 and broadcasts.
        flow01, flow10 = self.Flow_L(pair).chunk(2, dim=1)
        t = t.reshape(-1, 1, 1, 1)
        s = 1 - t
        linear_flow = torch.cat([t * (t * flow10 - s * flow01), s * (s * flow01 - t * flow10)], 1)
        pairs = pair.expand(t.shape[0], -1, -1, -1)
        frames0, frames1 = pairs.chunk(2, dim=1)

        flow = linear_flow + self.refine_flow(torch.cat([linear_flow, pairs], dim=1))
        flow0, flow1 = flow.chunk(2, dim=1)
        warped0 = warp(frames0, flow0, window, align_corners=self.align_corners)
        warped1 = warp(frames1, flow1, window, align_corners=self.align_corners)

        mask = torch.sigmoid(self.Mask(torch.cat([flow, pairs, warped0, warped1], dim=1)))
        mask0, mask1 = mask.chunk(2, dim=1)
        weight0, weight1 = _WEIGHT_SCALE * s * mask0, _WEIGHT_SCALE * t * mask1
        blend = (weight0 * warped0 + weight1 * warped1) / (weight0 + weight1 + _WEIGHT_SCALE * 1e-8)
        residue = self.final(torch.cat([pairs, blend], dim=1))
        frames = (residue + blend).clamp(0, 1)
        return Stages(flow, warped0, warped1, mask, blend, frames)


def warp(image: Tensor, flow: Tensor, window: Tensor, *, align_corners: bool) -> Tensor:
    """Sample `image` at every pixel's position plus its flow, bilinearly, zeros outside.

    The position x + u is normalised over the whole frame as 2 * (x / W - 0.5), as the authors do;
    `align_corners` then decides which pixel that means. A tile has to be sampled as the whole
    frame would be, so the position is followed through the frame's size and back to the tile's.

    Args:
        image: [T, C, H, W].
        flow: [T, 2, H, W], pixels, (u, v).
        window: [4] = (x0, y0, W, H), pixels: where the image lies in the whole frame.

    Returns:
        [T, C, H, W].

    Source: torch.nn.functional.grid_sample; ONNX operator GridSample.
    """
    height, width = image.shape[-2:]
    x = torch.arange(width, device=image.device, dtype=flow.dtype).reshape(1, 1, width)
    y = torch.arange(height, device=image.device, dtype=flow.dtype).reshape(1, height, 1)
    grid = torch.stack(
        [
            _grid_coordinate(x + flow[:, 0], width, window[0], window[2], align_corners),
            _grid_coordinate(y + flow[:, 1], height, window[1], window[3], align_corners),
        ],
        dim=-1,
    )
    return F.grid_sample(
        image, grid, mode="bilinear", padding_mode="zeros", align_corners=align_corners
    )


def _grid_coordinate(
    position: Tensor, size: int, offset: Tensor, full_size: Tensor, align_corners: bool
) -> Tensor:
    """Normalised coordinate, over `size` pixels, of the pixel that the whole frame's grid reads.

    Over a whole frame both branches are the authors' 2 * (position / size - 0.5), bit for bit.
    """
    if not align_corners:
        # That grid reads pixel position - 0.5, whatever the frame's size.
        return 2 * (position / size - 0.5)
    # That grid reads pixel p * (full - 1) / full, where p = position + offset.
    scaled = position * ((full_size - 1) / (size - 1)) / full_size
    return 2 * (scaled - 0.5) - 2 * offset / (full_size * (size - 1))
