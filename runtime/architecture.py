"""RRIN's shape: what its definition fixes for every checkpoint, stated once for all rooms.

Source: H. Li, Y. Yuan, Q. Wang, "Video Frame Interpolation via Residue Refinement", ICASSP 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

# Height and width of what the graph takes are multiples of this; the deepest U-Net halves 4 times,
# and the authors pad to 32.
PADDING_MULTIPLE = 32
LEAKY_SLOPE = 0.1


@dataclass(frozen=True)
class UNetShape:
    """A U-Net of 3x3 convolutions, whose width doubles at each of its `depth` levels.

    Attributes:
        inputs, outputs: channels.
        depth: levels; the last is not pooled.
    """

    inputs: int
    outputs: int
    depth: int

    @property
    def convolutions(self) -> int:
        """Two a level on the way down, three on the way up, one in the middle, and the last."""
        return len(self.multiply_adds(1))

    def multiply_adds(self, base_width: int) -> dict[str, float]:
        """Return the multiply-adds for one pixel of the frame, by the convolution's module path.

        A level has twice the channels of the one above and a quarter of its pixels, so that each
        convolution from a width to itself costs as much at every level.
        """
        square = 9.0 * base_width**2
        costs = {}
        for level in range(self.depth):
            first = square / 2 if level else 9 * self.inputs * base_width
            costs[f"down_path.{level}.block.0"] = first
            costs[f"down_path.{level}.block.2"] = square
        costs["midconv"] = square
        for step in range(self.depth - 1):
            costs[f"up_path.{step}.up.1"] = 2 * square  # from twice the width
            costs[f"up_path.{step}.conv_block.block.0"] = 2 * square  # from the joined skip
            costs[f"up_path.{step}.conv_block.block.2"] = square
        costs["last"] = 9 * self.outputs * base_width
        return costs


# By their names in the checkpoint, in the order in which they run.
UNETS = {
    "Flow_L": UNetShape(inputs=6, outputs=4, depth=5),
    "refine_flow": UNetShape(inputs=10, outputs=4, depth=4),
    "Mask": UNetShape(inputs=16, outputs=2, depth=4),
    "final": UNetShape(inputs=9, outputs=3, depth=4),
}
_ONCE_A_PAIR = "Flow_L"  # the others run once a time


def padded(side: int) -> int:
    """Return the least multiple of `PADDING_MULTIPLE` that holds so many pixels."""
    return -(-side // PADDING_MULTIPLE) * PADDING_MULTIPLE


def multiply_adds(base_width: int, size: tuple[int, int], times: int) -> int:
    """Return the multiply-adds of all convolutions for one pair; the warps' are left out.

    Args:
        base_width: channels of the U-Nets' first level.
        size: frames' (width, height), pixels, as given; they are padded.
        times: how many frames are made of the pair.
    """
    pixels = padded(size[0]) * padded(size[1])
    runs = {name: 1 if name == _ONCE_A_PAIR else times for name in UNETS}
    costs = {name: sum(unet.multiply_adds(base_width).values()) for name, unet in UNETS.items()}
    return int(pixels * sum(runs[name] * cost for name, cost in costs.items()))
