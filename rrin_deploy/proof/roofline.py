"""What a card could do at best: the least time of RRIN by arithmetic and by memory traffic.

A convolution with what follows it elementwise reads its input and writes its output once; pooling,
resizing and joining are passes of their own. Weights and small tensors are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runtime.architecture import UNETS, UNetShape, multiply_adds, padded

# Flows, grids, warps, masks and blend in float32, read and written once: what a compiler that fuses
# all elementwise steps between two U-Nets moves.
_REST_BYTES = 538


@dataclass(frozen=True)
class Ceiling:
    """What was measured of a card.

    Attributes:
        multiply_adds: a second, of a large matrix product in the type in question.
        bytes: a second, read and written, of a large copy on the device.
    """

    multiply_adds: float
    bytes: float


def least_seconds(
    size: tuple[int, int], base_width: int, itemsize: int, ceiling: Ceiling
) -> tuple[float, float]:
    """Return the bounds by arithmetic and by memory for one time of a pair.

    Args:
        size: (width, height), pixels.
        itemsize: bytes of a value in the U-Nets.
    """
    pixels = padded(size[0]) * padded(size[1])
    moved = pixels * (itemsize * sum(map(sum, _moved(base_width))) + _REST_BYTES)
    return multiply_adds(base_width, size, 1) / ceiling.multiply_adds, moved / ceiling.bytes


def _moved(base_width: int) -> Iterator[list[float]]:
    """Yield the values that each U-Net reads and writes, per pixel of the frame."""
    for unet in UNETS.values():
        yield list(_of_unet(unet, base_width))


def _of_unet(unet: UNetShape, base_width: int) -> Iterator[float]:
    channels = unet.inputs
    for level in range(unet.depth):
        share = 0.25**level
        if level:
            yield channels * (4 * share + share)  # pooling
        width = base_width * 2**level
        yield (channels + width) * share
        yield 2 * width * share
        channels = width
    yield 2 * channels * 0.25 ** (unet.depth - 1)  # the middle
    for level in reversed(range(unet.depth - 1)):
        share, width = 0.25**level, base_width * 2**level
        yield 2 * width * (share / 4 + share)  # resizing
        yield (2 * width + width) * share
        yield 2 * width * share  # the skip, copied beside it
        yield (2 * width + width) * share
        yield 2 * width * share
    yield (base_width + unet.outputs)  # the last
