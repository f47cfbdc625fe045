"""What arithmetic, and what moves elements about, makes of its inputs: a rule an operator.

As in `graph_layers`, what a rule does not know is a ValueError.
"""

from __future__ import annotations

from .errors import shown
from .graph_tensors import FLOAT, FLOATS, INT64, UINT8, Shape, Symbol, Tensor, broadcast, shape_text
from .onnx_file import Node


def same(_: Node, tensor: Tensor) -> Tensor:
    """Exp and the like: element by element."""
    tensor.check_type(FLOAT)
    return Tensor(FLOAT, tensor.shape)


def arithmetic(_: Node, left: Tensor, right: Tensor) -> Tensor:
    """Add and the like, of floats: integers divide into signals."""
    left.check_type(FLOAT)
    right.check_type(FLOAT)
    return Tensor(FLOAT, broadcast(left.shape, right.shape))


def subtraction(node: Node, left: Tensor, right: Tensor) -> Tensor:
    """Sub, which may take 1 from a side."""
    if left.dtype == INT64 and left.sizes and not left.shape and right.content() == 1:
        right.check_type(INT64)
        return Tensor(INT64, ())  # a side less 1, which no tensor has as its size
    return arithmetic(node, left, right)


def clipping(_: Node, tensor: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Clip: two numbers bound a tensor."""
    for each in (tensor, low, high):
        each.check_type(FLOAT)
    if low.shape or high.shape:
        raise ValueError(f"takes the bounds {low} and {high}, expected numbers")
    return Tensor(FLOAT, tensor.shape)


def cast(node: Node, tensor: Tensor) -> Tensor:
    """Cast: a side to float, else between what pixels are."""
    to = node.attributes["to"]
    if tensor.dtype == INT64 and to == FLOAT and not tensor.shape:
        return Tensor(to, (), tensor.sizes)
    tensor.check_type(*FLOATS, UINT8)
    return Tensor(to, tensor.shape)


def concatenation(node: Node, *tensors: Tensor) -> Tensor:
    """Concat: of channels, of coordinates, or of sizes."""
    first, axis = tensors[0], node.attributes["axis"]
    if axis == 0:
        return _vector(*(size for each in tensors for size in each.vector()))
    first.check_type(*FLOATS)
    place = axis % 4
    joined = 0
    for each in tensors:
        each.check_type(first.dtype)
        size = each.shape[place] if len(each.shape) == len(first.shape) == 4 else None
        if not isinstance(size, int) or _put(each.shape, place, 1) != _put(first.shape, place, 1):
            raise ValueError(f"takes {' and '.join(map(str, tensors))}, which do not fit")
        joined += size
    return Tensor(first.dtype, _put(first.shape, place, joined))


def gathering(node: Node, tensor: Tensor, index: Tensor) -> Tensor:
    """Gather: one element along an axis that has it."""
    axis = node.attributes.get("axis", 0)
    tensor.check_type(FLOAT)
    index.check_type(INT64)
    size, place = (*tensor.shape, *[None] * 4)[axis], index.content()
    if not isinstance(size, int) or not isinstance(place, int) or not 0 <= place < size:
        raise ValueError(f"takes element {shown(place)} along {axis} of {tensor}, which has none")
    return Tensor(FLOAT, tensor.shape[:axis] + tensor.shape[axis + 1 :])


def sizes_of(node: Node, tensor: Tensor) -> Tensor:
    """Shape, or part of it."""
    return _vector(*tensor.shape[node.attributes.get("start") : node.attributes.get("end")])


def squeezing(_: Node, tensor: Tensor) -> Tensor:
    """Squeeze: a size out of a list of one."""
    (size, *others) = tensor.vector()
    if others:
        raise ValueError(f"takes {tensor}, expected one size")
    return Tensor(INT64, (), (size,))


def unsqueezing(_: Node, tensor: Tensor, axes: Tensor) -> Tensor:
    """Unsqueeze: one more dimension at the end."""
    tensor.check_type(FLOAT)
    axes.check_type(INT64)
    if axes.content() != [-1]:
        raise ValueError(f"has the axes {shown(axes.content())}, expected [-1]")
    return Tensor(FLOAT, (*tensor.shape, 1))


def transposition(node: Node, tensor: Tensor) -> Tensor:
    """Transpose: between planes and pixels."""
    tensor.check_type(FLOAT)
    if len(tensor.shape) != 4:
        raise ValueError(f"takes {tensor}, expected four dimensions")
    return Tensor(FLOAT, tuple(tensor.shape[axis] for axis in node.attributes["perm"]))


def reshaping(_: Node, tensor: Tensor, shape: Tensor) -> Tensor:
    """Reshape: a row, laid along one axis."""
    tensor.check_type(FLOAT)
    sizes = shape.vector()
    if len(tensor.shape) != 1 or sizes.count(-1) != 1 or {*sizes} - {1, -1}:
        raise ValueError(f"makes {shape_text(sizes)} of {tensor}, expected one row along one axis")
    return Tensor(FLOAT, tuple(tensor.shape[0] if size == -1 else 1 for size in sizes))


def expansion(_: Node, tensor: Tensor, shape: Tensor) -> Tensor:
    """Expand: to sizes of tensors."""
    tensor.check_type(FLOAT)
    sizes = shape.vector()
    if any(isinstance(size, int) and size < 1 for size in sizes):
        raise ValueError(f"takes the shape {shape_text(sizes)}")
    return Tensor(FLOAT, broadcast(tensor.shape, sizes))


def counting(_: Node, start: Tensor, limit: Tensor, step: Tensor) -> Tensor:
    """Range: as many as a side of the frames has."""
    for each in (start, limit, step):
        each.check_type(FLOAT)
    if not limit.sizes or not isinstance(limit.sizes[0], Symbol):
        raise ValueError(f"takes {limit} as its limit, expected a side of the frames")
    if (start.content(), step.content()) != (0, 1):
        raise ValueError("does not count from 0 in steps of 1")
    return Tensor(FLOAT, limit.sizes)


def _vector(*sizes: int | Symbol) -> Tensor:
    if not 1 <= len(sizes) <= 4:
        raise ValueError(f"makes {len(sizes)} sizes, expected 1 to 4")
    return Tensor(INT64, (len(sizes),), sizes)


def _put(shape: Shape, place: int, size: int) -> Shape:
    return (*shape[:place], size, *shape[place + 1 :])
