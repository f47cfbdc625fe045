"""A network made wider without changing what it computes."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from export.network import RRIN
from runtime.errors import OptionError
from runtime.options import check_whole


def widened(network: RRIN, base_width: int) -> RRIN:
    """Return a network of a greater width that computes the same.

    The new channels are random, and nothing that was there listens to them yet: their outgoing
    weights are 0, and learn first. Source: Chen, Goodfellow, Shlens, "Net2Net: Accelerating
    Learning via Knowledge Transfer", ICLR 2016, where new channels are copies instead.

    Raises:
        OptionError: `base_width` is less than the network's.
    """
    check_whole("base_width", base_width, 1)
    if base_width < network.base_width:
        raise OptionError(
            f"the width is {base_width}, and that of the network to begin from "
            f"{network.base_width}; expected as much or more"
        )
    wide = RRIN(base_width, align_corners=network.align_corners)
    with torch.no_grad():
        for narrow_unet, wide_unet in zip(network.children(), wide.children(), strict=True):
            _copy(narrow_unet, wide_unet)
    return wide


def _copy(narrow: nn.Module, wide: nn.Module) -> None:
    for (name, one), other in zip(narrow.named_modules(), wide.modules(), strict=True):
        if isinstance(one, nn.Conv2d) and isinstance(other, nn.Conv2d):
            # After a concatenation the inputs are two halves, [up, skip], each with new channels.
            halves = 2 if name.endswith("conv_block.block.0") else 1
            other.weight[: one.out_channels] = 0
            for old, new in zip(
                one.weight.chunk(halves, 1), other.weight.chunk(halves, 1), strict=True
            ):
                new[: old.shape[0], : old.shape[1]] = old
            cast(Tensor, other.bias)[: one.out_channels] = cast(Tensor, one.bias)
