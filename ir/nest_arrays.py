"""Nests and scatters computed on arrays: the reference meaning, vectorised over the whole index space.

Ops whose speed matters have a quick kernel of their own; this one defines what that kernel must give, and carries
users' nests. Large index spaces are computed in slabs of the first letter; a sum of products goes to `einsum`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .arrays import algebra_of, namespace
from .dtypes import DType, bfloat16, bool_, float16, float32
from .errors import IndexOutOfRange
from .nest import COMBINERS, Letter, Nest, NestOutput, Read, Scatter
from .scalar import Const, Expr, SizeLeaf
from .sizes import Size, evaluate

__all__ = ["run_nest"]

_SLAB = 1 << 20  # elements of the index space computed at once


def run_nest(nest: Nest, arrays: Sequence[Any], bindings: Mapping[str, int] | None = None) -> tuple[Any, ...]:
    """Every output of a nest.

    Args:
        nest: built for the types of `arrays`.
        arrays: one per operand, or None.
        bindings: values of the size variables.

    Raises:
        IndexOutOfRange: when a read or a write falls outside.
    """
    sizes = bindings or {}
    return tuple(
        _run_scatter(output, arrays, sizes) if isinstance(output, Scatter) else _run_output(output, arrays, sizes)
        for output in nest.outputs
    )


def _extent(size: Size, bindings: Mapping[str, int]) -> int:
    return size if isinstance(size, int) else evaluate(size, bindings)


class _Space:
    """An index space: every letter is one axis of it."""

    def __init__(self, letters: Sequence[Letter], arrays: Sequence[Any], bindings: Mapping[str, int], xp: Any) -> None:
        self.arrays = arrays
        self.bindings = bindings
        self.xp = xp
        self.algebra = algebra_of(xp)
        self.shape = [_extent(letter.extent, bindings) for letter in letters]
        self.values: dict[Letter, Any] = {}
        self._known: dict[tuple[Expr, int], tuple[Any, Any]] = {}
        for axis, letter in enumerate(letters):
            self.restrict(letter, axis, 0, self.shape[axis])

    def restrict(self, letter: Letter, axis: int, start: int, stop: int) -> None:
        self._known.clear()
        shape = [1] * len(self.shape)
        shape[axis] = stop - start
        self.values[letter] = self.xp.arange(start, stop, dtype=np.int64).reshape(shape)
        self.shape[axis] = stop - start

    def compute(self, expr: Expr, mask: Any = None) -> Any:
        """The value of an expression at every point (broadcastable); `mask` says where it is wanted."""
        key = expr, id(mask)
        found = self._known.get(key)
        if found is None:
            # The mask is kept beside the value, so that its id stays its own.
            found = self._known[key] = (self._compute(expr, mask), mask)
        return found[0]

    def _compute(self, expr: Expr, mask: Any) -> Any:
        if isinstance(expr, Letter):
            return self.values[expr]
        if isinstance(expr, Const):
            return expr.dtype.np.type(expr.value)
        if isinstance(expr, SizeLeaf):
            return np.int64(evaluate(expr.size, self.bindings))
        if isinstance(expr, Read):
            return self._read(expr, mask)
        if expr.op == "where":
            return self._where(expr, mask)
        args = [self.compute(arg, mask) for arg in expr.args]
        if expr.op == "cast":
            return self.algebra.cast(args[0], expr.dtype)
        return getattr(self.algebra, expr.op)(*args)

    def _where(self, expr: Expr, mask: Any) -> Any:
        condition = self.compute(expr.args[0], mask)
        both = mask is None
        a = self.compute(expr.args[1], condition if both else mask & condition)
        b = self.compute(expr.args[2], ~condition if both else mask & ~condition)
        return self.xp.where(condition, a, b)

    def _read(self, expr: Read, mask: Any) -> Any:
        array = self.arrays[expr.operand]
        if view := self._view(expr, array):
            return view[0]
        if not array.size and mask is not None and not mask.any():
            return array.dtype.type(0)  # nothing is read: there may be no place 0 to point the indices at
        at = [
            check_inside(self.xp, self.compute(arg, mask), mask, size)
            for arg, size in zip(expr.args, array.shape, strict=True)
        ]
        return array[tuple(at)]

    def _view(self, expr: Read, array: Any) -> tuple[Any] | None:
        """A transposed view where every index is a letter of its own that runs over the whole axis."""
        axes: list[int] = []
        letters = list(self.values)
        for arg, size in zip(expr.args, array.shape, strict=True):
            if not isinstance(arg, Letter) or self.values[arg].size != size or letters.index(arg) in axes:
                return None
            axes.append(letters.index(arg))
        order = sorted(range(len(axes)), key=axes.__getitem__)
        shape = [1] * len(self.shape)
        for axis, size in zip(axes, array.shape, strict=True):
            shape[axis] = size
        return (array.transpose(order).reshape(shape),)


def check_inside(xp: Any, index: Any, mask: Any, size: int) -> Any:
    """Indices within [0, size), with the places that `mask` leaves out set to 0.

    Raises:
        IndexOutOfRange: when a wanted one lies outside.
    """
    if mask is not None:
        index = xp.where(mask, index, 0)
    index = xp.asarray(index)
    if index.size:
        low, high = int(index.min()), int(index.max())
        if low < 0 or high >= size:
            raise IndexOutOfRange(f"index {low if low < 0 else high} is out of range for a dimension of size {size}")
    return index


def _run_output(output: NestOutput, arrays: Sequence[Any], bindings: Mapping[str, int]) -> Any:
    xp = namespace(*arrays)
    if (found := _einsum(output, arrays, bindings, xp)) is not None:
        return found
    letters = output.letters + output.over
    space = _Space(letters, arrays, bindings, xp)
    shape = tuple(space.shape)
    total = math.prod(shape)
    if total <= _SLAB or not output.letters:
        return _slab(output, space, shape)
    step = max(1, _SLAB * shape[0] // total)
    parts = []
    for start in range(0, shape[0], step):
        stop = min(start + step, shape[0])
        space.restrict(letters[0], 0, start, stop)
        parts.append(_slab(output, space, (stop - start, *shape[1:])))
    return xp.concatenate(parts, axis=0)


def _slab(output: NestOutput, space: _Space, shape: tuple[int, ...]) -> Any:
    xp = space.xp
    body = xp.asarray(space.compute(output.body))
    dense = xp.broadcast_to(body, shape)
    if output.combiner is None:
        return xp.array(dense, dtype=output.dtype.np)
    kept = len(output.letters)
    if not output.over:
        return xp.zeros(shape, np.int64) if output.combiner.startswith("arg") else xp.array(dense)
    flat = xp.ascontiguousarray(dense).reshape(*shape[:kept], math.prod(shape[kept:]))
    if not flat.size and COMBINERS[output.combiner][0] is None:
        return xp.zeros(shape[:kept], output.dtype.np)  # no element of the output exists either
    return combine(xp, output.combiner, flat, output.dtype)


def combine(xp: Any, combiner: str, flat: Any, dtype: DType) -> Any:
    """`flat` combined over its last axis."""
    if combiner in ("argmax", "argmin"):
        if flat.dtype == bool_.np:
            flat = flat.astype(np.uint8)
        return xp.asarray(getattr(xp, combiner)(flat, axis=-1)).astype(np.int64)
    if combiner in ("sum", "prod"):
        wide = float32.np if dtype in (float16, bfloat16) else dtype.np
        return xp.asarray(getattr(xp, combiner)(flat, axis=-1, dtype=wide)).astype(dtype.np)
    return xp.asarray(getattr(xp, combiner)(flat, axis=-1)).astype(dtype.np)


def _einsum(output: NestOutput, arrays: Sequence[Any], bindings: Mapping[str, int], xp: Any) -> Any:
    """A float sum of a product of plainly indexed operands, or None where the output is not one."""
    body = output.body
    if output.combiner != "sum" or body.op != "mul" or body.dtype.kind != "float" or body.dtype.itemsize < 4:
        return None
    operands: list[Any] = []
    for factor in body.args:
        if not isinstance(factor, Read) or not all(isinstance(i, Letter) for i in factor.args):
            return None
        array = arrays[factor.operand]
        if any(_extent(i.extent, bindings) != n for i, n in zip(factor.args, array.shape, strict=True)):  # type: ignore[attr-defined]
            return None
        operands += [array, [i.number for i in factor.args]]  # type: ignore[attr-defined]
    used = {number for axes in operands[1::2] for number in axes}
    letters = output.letters + output.over
    if used != {letter.number for letter in letters} or len(letters) > 30:
        return None
    return xp.asarray(xp.einsum(*operands, [letter.number for letter in output.letters], optimize=True))


def _run_scatter(output: Scatter, arrays: Sequence[Any], bindings: Mapping[str, int]) -> Any:
    xp = namespace(*arrays)
    shape = tuple(_extent(size, bindings) for size in output.type.sizes)
    if isinstance(output.base, Const):
        result = xp.full(shape, output.base.value, output.type.dtype.np)
    else:
        result = xp.array(arrays[output.base])
    space = _Space(output.letters, arrays, bindings, xp)
    whole = tuple(space.shape)
    at = []
    for index, size in zip(output.at, shape, strict=True):
        inside = check_inside(xp, space.compute(index), None, size)
        at.append(xp.broadcast_to(inside, whole))
    value = xp.broadcast_to(xp.asarray(space.compute(output.value)), whole)
    if output.combiner == "set":
        result[tuple(at)] = value
        return result
    ufunc = {"sum": "add", "prod": "multiply", "max": "maximum", "min": "minimum"}[output.combiner]
    getattr(xp, ufunc).at(result, tuple(at), value)
    return result
