"""What cameras and codecs do to frames: light that changes, noise, compression."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

# The tables of JPEG's annex K, for quality 50.
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56), (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99), (47, 66, 99, 99, 99, 99, 99, 99),
    *(((99,) * 8,) * 4),
)  # fmt: skip
_TABLES = torch.tensor([_LUMA, _CHROMA, _CHROMA], dtype=torch.float32)
_TO_YUV = torch.tensor(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)
_TO_RGB = torch.linalg.inv(_TO_YUV)
_K = torch.arange(8)
# The orthonormal DCT-II of eight values.
_DCT = torch.cos(math.pi / 8 * (_K + 0.5) * _K[:, None]) / torch.where(_K > 0, 2, 8**0.5)[:, None]


def lit(rng: Generator, frames: Tensor, t: Tensor) -> Tensor:
    """Let the light of some scenes change over the time: fades, and exposure.

    Args:
        frames: [N, 3, 3, H, W] in [0, 1], at times 0, t and 1.
        t: [N].
    """
    changing = rng.random((len(frames), 1)) < 0.15
    ends = np.where(changing, rng.uniform(0.5, 1.2, (len(frames), 2)), 1)
    before, after = torch.from_numpy(ends).to(frames, non_blocking=True).T
    lights = torch.stack([before, torch.lerp(before, after, t), after], 1)
    return (frames * lights[:, :, None, None, None]).clamp(0, 1)


def noisy(rng: Generator, frames: Tensor) -> Tensor:
    """Let some scenes have noise; [N, F, 3, H, W] in [0, 1]."""
    level = np.where(rng.random(len(frames)) < 0.25, rng.uniform(0, 0.02, len(frames)), 0)
    generator = torch.Generator(frames.device).manual_seed(int(rng.integers(2**62)))
    noise = torch.randn(frames.shape, device=frames.device, generator=generator)
    levels = torch.from_numpy(level).to(frames, non_blocking=True)[:, None, None, None, None]
    return (frames + levels * noise).clamp(0, 1)


def compressed(frames: Tensor, quality: Tensor) -> Tensor:
    """Quantize frames as JPEG does, without subsampling of chroma.

    Args:
        frames: [N, 3, H, W] in [0, 1], H and W multiples of 8.
        quality: [N], 1 to 99.

    Source: ITU-T T.81, annexes A and K; libjpeg for what a quality means.
    """
    to_yuv, to_rgb, tables, dct = (
        each.to(frames.device, non_blocking=True) for each in (_TO_YUV, _TO_RGB, _TABLES, _DCT)
    )
    scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50)[:, None, None, None]
    steps = (tables * scale).round().clamp(min=1)[:, :, None, :, None]
    yuv = torch.einsum("dc,nchw->ndhw", to_yuv, 255 * frames - 128)
    height, width = frames.shape[2:]
    blocks = yuv.reshape(-1, 3, height // 8, 8, width // 8, 8)
    coefficients = torch.einsum("ij,ncrjsk,lk->ncrisl", dct, blocks, dct)
    kept = steps * (coefficients / steps).round()
    blocks = torch.einsum("ij,ncrisl,lk->ncrjsk", dct, kept, dct)
    rgb = torch.einsum("dc,nchw->ndhw", to_rgb, blocks.reshape(yuv.shape))
    return ((rgb + 128) / 255).clamp(0, 1)
