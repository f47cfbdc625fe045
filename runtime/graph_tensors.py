"""What is known of a tensor before a graph runs: its type, its shape, and of shapes their content.

A frame's height and width and the number of times are symbols, so that a shape is exact whatever
the frames are: nothing is guessed, and what cannot be known is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FLOAT, UINT8, INT8, INT32, INT64, HALF, BFLOAT16 = 1, 2, 3, 6, 7, 10, 16
FLOATS = FLOAT, HALF, BFLOAT16
DTYPES: dict[int, np.dtype[Any]] = {
    FLOAT: np.dtype("<f4"),
    UINT8: np.dtype("u1"),
    INT8: np.dtype("i1"),
    INT32: np.dtype("<i4"),
    INT64: np.dtype("<i8"),
    HALF: np.dtype("<f2"),
    BFLOAT16: np.dtype("<u2"),  # NumPy has none
}
# Frames' sides are multiples of 32.
_MOST_HALVINGS = 5


class Symbol(NamedTuple):
    """A dimension that an input decides: T times, or H or W pixels, halved so many times."""

    name: str
    halvings: int = 0

    def __str__(self) -> str:
        return f"{self.name}/{2**self.halvings}" if self.halvings else self.name

    def halved(self, times: int) -> Symbol:
        """Return the side after pooling, or with -1 after upsampling; ValueError beyond frames."""
        halvings = self.halvings + times
        if not 0 <= halvings <= _MOST_HALVINGS:
            raise ValueError(f"makes {self.name} larger than the frames', or a 64th of it")
        return self._replace(halvings=halvings)


Dimension = int | Symbol
Shape = tuple[Dimension, ...]
TIMES, HEIGHT, WIDTH = Symbol("T"), Symbol("H"), Symbol("W")


@dataclass(frozen=True)
class Tensor:
    """What is known of a tensor.

    Attributes:
        dtype: as in onnx.proto.
        shape: exact.
        sizes: the elements, if they are sizes of tensors, whole numbers of 64 bits or float.
        weight: the content, if the file holds it.
    """

    dtype: int
    shape: Shape
    sizes: Shape | None = None
    weight: NDArray[Any] | None = None

    def __str__(self) -> str:
        return f"{_name(self.dtype)} {shape_text(self.shape)}"

    @property
    def is_constant(self) -> bool:
        """Whether it has one size whatever the inputs are."""
        return all(isinstance(size, int) for size in self.shape)

    @property
    def elements(self) -> float:
        """How many elements it has, as if times, height and width were 1."""
        return math.prod(
            size if isinstance(size, int) else 0.5**size.halvings for size in self.shape
        )

    def check_type(self, *dtypes: int) -> None:
        """Raise a ValueError for any other type."""
        if self.dtype not in dtypes:
            expected = " or ".join(map(_name, dtypes))
            raise ValueError(f"takes {self}, expected {expected}")

    def content(self) -> Any:
        """Return a small weight as a number or a list; ValueError where it is none."""
        if self.weight is None or self.weight.size > 4:
            raise ValueError(f"takes {self}, expected a small constant")
        return self.weight.tolist()

    def vector(self) -> Shape:
        """Return the sizes that it lists; ValueError where it does not."""
        if not self.sizes or self.dtype != INT64 or len(self.shape) != 1:
            raise ValueError(f"takes {self}, expected a list of sizes")
        return self.sizes


ABSENT = Tensor(0, ())


def _name(dtype: int) -> str:
    if dtype == BFLOAT16:
        return "bfloat16"
    return DTYPES[dtype].name if dtype in DTYPES else "nothing"


def shape_text(shape: Shape) -> str:
    """Return a shape as messages show it."""
    return f"[{', '.join(str(size) for size in shape)}]"


def broadcast(*shapes: Shape) -> Shape:
    """Return the shape of what is computed element by element; ValueError where they do not fit."""
    rank = max(len(shape) for shape in shapes)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    sizes = [{*each} - {1} or {1} for each in zip(*padded, strict=True)]
    if any(len(each) > 1 for each in sizes):
        raise ValueError(f"takes {' and '.join(map(shape_text, shapes))}, which do not fit")
    return tuple(each.pop() for each in sizes)
