"""What running a graph takes at most, held against RRIN of the base width that its file names.

Exact shapes make it a sum. Tensors count as if none were ever freed, so that no order of the nodes
can make it more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

from .graph_tensors import DTYPES, Tensor
from .onnx_file import Node

# For the fields of `Cost`, the most for base width w: a * w**2 + b * w + c. INT8 for ONNX Runtime
# takes most, 843 * w + 890, 833 * w**2 + 494 * w and 37440 * w**2 + 1244 * w.
_MOST = {
    "bytes a pixel": (0, 850, 1000),
    "multiplications a pixel": (850, 500, 0),
    "constant elements": (38000, 1500, 0),
}
_WEIGHTS = 18720  # of RRIN of width 1


@dataclass
class Cost:
    """What running a graph takes at most.

    Attributes:
        held: bytes of the tensors that nodes make, for each pixel and time.
        multiplied: multiplications of the convolutions, for each pixel and time.
        constant: elements that are there whatever the frames are: of a kernel each time that a
            convolution takes it, and of what nodes make of constants.
    """

    held: float = 0
    multiplied: float = 0
    constant: float = 0

    def add(self, node: Node, taken: Sequence[Tensor], made: Tensor) -> None:
        """Add a node that takes and makes these tensors."""
        elements = made.elements * len(node.outputs)
        if made.is_constant:
            self.constant += elements
        else:
            self.held += elements * DTYPES[made.dtype].itemsize
        if node.operator == "Conv":
            kernel, made_pixels = taken[1].elements, elements / taken[2].elements
            self.constant += kernel
            self.multiplied += kernel * made_pixels

    def check(self, base_width: int) -> None:
        """Raise a ValueError where it is more than artifacts of that width take."""
        for found, (what, (a, b, c)) in zip(astuple(self), _MOST.items(), strict=True):
            most = a * base_width**2 + b * base_width + c
            if found > most:
                raise ValueError(
                    f"brings the {what} to {found:.0f}, expected {most} at most for base width "
                    f"{base_width}"
                )


def check_width(base_width: int, weights: Iterable[Tensor]) -> None:
    """Raise a ValueError where a file is too small for the base width that it names.

    How many times are run at once, and what else a graph may take, goes by it.
    """
    found, least = sum(weight.elements for weight in weights), _WEIGHTS * base_width**2
    if found < least:
        raise ValueError(
            f"names base width {base_width} but has {found:.0f} weights, expected {least} at least"
        )
