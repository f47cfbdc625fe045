"""The blocks of the U-Nets, each INT8 or float as a whole, and what they cost.

A block is named by its module path, as Flow_L.down_path.0: on the way down two convolutions, on the
way up three, in the middle one. What lies between two, a pooling, is of the block that reads it.
"""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from precision.graph import is_pooling, maker_of, place_of, taken, unet_of
from runtime.architecture import UNETS
from runtime.errors import OptionError

# Never INT8: what they give or take is flow, a mask or a colour; see `precision.quantization`.
LEFT_OUT = frozenset(
    [f"{unet}.last" for unet in UNETS]
    + [f"{unet}.down_path.0.block.0" for unet in ("refine_flow", "Mask")]
)
_STEPS = ("down_path", "up_path")  # that hold blocks, by number


def multiply_adds(base_width: int) -> dict[str, float]:
    """Return for one pixel of the frame, at one time, those of each block's INT8 convolutions.

    Blocks come in the order in which they run; what is never INT8 is in none.

    Args:
        base_width: channels of the U-Nets' first level.
    """
    costs: dict[str, float] = {}
    for place, cost in _convolutions(base_width).items():
        if place not in LEFT_OUT:
            costs[_block(place)] = costs.get(_block(place), 0) + cost
    return costs


def int8_share(base_width: int, kept_float: Collection[str]) -> float:
    """Return the share of all convolutions' multiply-adds that is INT8, 0 to 1, at one time."""
    costs = multiply_adds(base_width)
    int8 = sum(cost for name, cost in costs.items() if name not in kept_float)
    return int8 / sum(_convolutions(base_width).values())


def quantized_count(kept_float: Collection[str]) -> int:
    """Return how many of the U-Nets' convolutions are INT8."""
    places = [place for place in _convolutions(1) if place not in LEFT_OUT]
    return sum(_block(place) not in kept_float for place in places)


def is_int8(place: str, kept_float: Collection[str]) -> bool:
    """Whether an INT8 graph runs the convolution of that module path in INT8."""
    return place not in LEFT_OUT and _block(place) not in kept_float


def check_blocks(kept_float: Collection[str]) -> None:
    """Raise OptionError unless all are names of blocks."""
    known = multiply_adds(1)
    if isinstance(kept_float, str) or not known.keys() >= set(kept_float):
        found = kept_float if isinstance(kept_float, str) else next(iter({*kept_float} - {*known}))
        raise OptionError(
            f"kept_float names {found!r}; expected blocks of the U-Nets, such as Flow_L.down_path.0"
        )


def block_of(node: ir.Node) -> str:
    """Return the block that a node of a U-Net is of; that of the `last` convolution is its own."""
    if node.op_type == "AveragePool" or is_pooling(node):
        return block_of(next(use.node for use in node.outputs[0].uses()))
    place = place_of(node).split("/")[0]
    if place == unet_of(node):  # the LeakyReLU behind midconv, a module of the U-Net itself
        return block_of(maker_of(taken(node)))
    return _block(place)


def _convolutions(base_width: int) -> dict[str, float]:
    return {
        f"{name}.{path}": cost
        for name, unet in UNETS.items()
        for path, cost in unet.multiply_adds(base_width).items()
    }


def _block(place: str) -> str:
    unet, step, *inner = place.split(".")
    return f"{unet}.{step}.{inner[0]}" if step in _STEPS else f"{unet}.{step}"
