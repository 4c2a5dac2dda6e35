"""What emitted source calls besides NumPy.

Emitted source does not import this module: what it needs of it is copied into it. So nothing in here, nor in `arena`
and `blocks`, refers to the rest of Ingot, and every function and class stands by itself.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from .arena import arena
from .blocks import BLOCK, Pool, Resized, Scratch, fused

__all__ = [
    "Pool",
    "Resized",
    "Scratch",
    "arena",
    "copied",
    "fused",
    "inside",
    "select",
    "settled",
    "slabs",
    "sort_into",
    "steady",
]


def settled(view: Any, base: Any) -> Any:
    """The view, after making sure that it is one: a plan must not hold a copy of what is not computed yet."""
    if view.size and not np.may_share_memory(view, base):
        raise ValueError("the plan needs a view, and NumPy made a copy")
    return view


def copied(value: Any) -> Any:
    """A value that shares no memory with anything: arrays are copied, also those in tuples and lists."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(copied, value))
    return value.copy() if isinstance(value, np.ndarray) else value


def steady(value: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
    """`value` as an operand beside an array of the given shape.

    NumPy's maximum and minimum are several times faster on two arrays than on an array and a number. So this is an
    array of the last dimensions, where those are of a handy size.
    """
    start = len(shape)
    while start > 0 and prod(shape[start:]) < 512:
        start -= 1
    handy = 512 <= prod(shape[start:]) <= BLOCK
    return np.full(shape[start:], value, dtype) if handy else np.dtype(dtype).type(value)


# ----------------------------------------------------------------------------------------------------------- select


def select(condition: Any, a: Any, b: Any, out: Any, mask: Any) -> None:
    """out = a where the condition holds, else b; None stands for zero.

    Works on the bits, since NumPy's own `where` stumbles over each element that it did not predict. `mask` is an
    integer array of out's shape and itemsize. `out` may be a or b; a and b are not the same array.
    """
    bits = mask.dtype
    to = out.view(bits)
    np.copyto(mask, condition)
    if b is None:
        np.negative(mask, out=mask)
        np.bitwise_and(a.view(bits), mask, out=to)
    elif a is None:
        np.subtract(mask, 1, out=mask)
        np.bitwise_and(b.view(bits), mask, out=to)
    else:
        # Where they differ, by what was not written over: b ^ ((a ^ b) & m), or a ^ ((a ^ b) & ~m).
        if out is b:
            np.subtract(mask, 1, out=mask)
        else:
            np.negative(mask, out=mask)
        np.bitwise_xor(a.view(bits), b.view(bits), out=to)
        np.bitwise_and(to, mask, out=to)
        np.bitwise_xor(to, (a if out is b else b).view(bits), out=to)


# ------------------------------------------------------------------------------------------------------------ nests


def slabs(extents: tuple[int, ...]) -> Any:
    """Ranges of the first of several loops, of some million steps of all loops together."""
    n, inner = extents[0], prod(extents[1:])
    step = max(1, (1 << 22) // max(inner, 1))
    return ((start, min(start + step, n)) for start in range(0, n, step))


def inside(index: Any, mask: Any, size: int) -> Any:
    """Indices within [0, size), after making sure of that; where the mask does not hold, 0."""
    index = np.asarray(index if mask is None else np.where(mask, index, 0))
    if index.size and (index.min() < 0 or index.max() >= size):
        low = int(index.min())
        raise IndexError(f"index {low if low < 0 else int(index.max())} is out of range for a dimension of size {size}")
    return index


# ------------------------------------------------------------------------------------------------------------ sorts


def sort_into(x: Any, axis: int, descending: bool, values: Any, places: Any) -> None:
    """A stable sort along an axis: the values, and where each came from. NaN counts as the largest number."""
    if descending:
        # Sorting the reversed sequence and reversing again keeps equal elements in their order.
        order = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
        np.subtract(x.shape[axis] - 1, np.flip(order, axis), out=places)
    else:
        places[...] = np.argsort(x, axis=axis, kind="stable")
    values[...] = np.take_along_axis(x, places, axis)
