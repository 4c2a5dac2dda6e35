"""Sums and products along dimensions, and what all reductions share.

Extremes are in `extremes`, means in `statistics`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import bool_, int64
from ..families import nest, normalise_dims
from .views import restore_dims

__all__ = ["reduction_letters", "reduction_onnx", "spread_over"]


def reduction_letters(n: Any, input: Any, dim: Any, keepdim: bool) -> tuple[list[Any], list[Any], list[Any]]:
    """The letters of the input, of the output, and those that are combined over."""
    dims = normalise_dims(n.op, dim, input.ndim)
    letters = n.letters(input.sizes)
    kept: list[Any] = []
    for i, letter in enumerate(letters):
        if i not in dims:
            kept.append(letter)
        elif keepdim:
            kept.append(n.letter(1))
    return letters, kept, [letters[i] for i in dims]


def _axes(dims: Any) -> Any:
    return np.array(dims, np.int64)


def reduction_onnx(name: str, whole: str | None = None) -> Any:
    """The ONNX form of a reduction; `whole` is the dtype that bools are reduced in."""

    def form(E: Any, input: Any, dim: Any, keepdim: bool) -> Any:
        dims = normalise_dims(name, dim, input.ndim)
        if not dims:
            return E.Identity(input)
        if whole is not None and input.dtype is bool_:
            found = getattr(E, name)(E.Cast(input, to=int64), _axes(dims), keepdims=int(keepdim))
            return E.Cast(found, to=bool_)
        return getattr(E, name)(input, _axes(dims), keepdims=int(keepdim))

    return form


def _accumulate(np: Any, ufunc: Any, x: Any, dim: Any, keepdim: Any, dtype: Any, out: Any) -> Any:
    """A sum or product of `x`: integers accumulate in int64, halves in float32."""
    axis = dim if dim and x.ndim else None
    if dtype is not None:
        target = getattr(dtype, "np", dtype)
        x = x if x.dtype == target else x.astype(target)
    else:
        target = np.int64 if x.dtype.kind in "iub" else x.dtype
    if (x.dtype.kind != "f" and x.dtype.kind not in "iub") or (x.dtype.itemsize == 2 and x.dtype.kind == "f"):
        wide = ufunc.reduce(x.astype(np.float32), axis=axis, keepdims=keepdim)
        if out is None:
            return np.asarray(wide).astype(target)
        out[...] = wide
        return out
    return np.asarray(ufunc.reduce(x, axis=axis, dtype=target, out=out, keepdims=keepdim))


def sum_fast(np: Any, x: Any, *, dim: Any, keepdim: Any, dtype: Any, out: Any = None, scratch: Any = None) -> Any:
    if dim is not None and len(dim) > 1 and dtype is None and x.dtype.kind == "f" and x.dtype.itemsize > 2:
        inner = _short_rows(x, dim)
        if inner:
            # NumPy starts anew for every row; a product with ones does not.
            lead = x.shape[: x.ndim - inner]
            rows = x.reshape(_product(lead), _product(x.shape[x.ndim - inner :]))
            totals = np.matmul(rows, np.ones(rows.shape[1], x.dtype))
            x = totals.reshape(lead + (1,) * inner)
    return _accumulate(np, np.add, x, dim, keepdim, dtype, out)


def _product(sizes: Any) -> Any:
    found = 1
    for size in sizes:
        found *= size
    return found


def _short_rows(x: Any, dim: Any) -> Any:
    """How many dimensions at the end are summed, where they make many short rows of contiguous memory; else 0."""
    ndim = x.ndim
    dims = [d + ndim if d < 0 else d for d in dim]
    inner = 0
    while inner < ndim and ndim - 1 - inner in dims:
        inner += 1
    if not inner or inner == ndim or not x.flags.c_contiguous:
        return 0
    length = _product(x.shape[ndim - inner :])
    return inner if 1 < length <= 128 and x.size >= 64 * length else 0


def prod_fast(np: Any, x: Any, *, dim: Any, keepdim: Any, dtype: Any, out: Any = None, scratch: Any = None) -> Any:
    return _accumulate(np, np.multiply, x, dim, keepdim, dtype, out)


def _accumulation_dtype(own: Any, dtype: Any) -> Any:
    if dtype is not None:
        return dtype
    return own if own.kind == "float" else int64


def spread_over(F: Any, g: Any, sizes: Any, dim: Any, keepdim: bool) -> Any:
    """The gradient of a sum: g at every element that was summed."""
    dims = normalise_dims("sum", dim, len(sizes))
    return F.expand(restore_dims(F, g, sizes, dims, keepdim), size=tuple(sizes))


def _accumulation_onnx(name: str) -> Any:
    def form(E: Any, input: Any, dim: Any, keepdim: bool, dtype: Any) -> Any:
        target = _accumulation_dtype(input.dtype, dtype)
        wide = input if input.dtype is target else E.Cast(input, to=target)
        return reduction_onnx(name)(E, wide, dim, keepdim)

    return form


@nest(
    "sum(input: Tensor, dim: int[]? = None, keepdim: bool = False, *, dtype: dtype? = None) -> Tensor",
    fast=sum_fast,
    grad={"input": lambda F, g, T, dim, keepdim: spread_over(F, g, T.input.sizes, dim, keepdim)},
    onnx=_accumulation_onnx("ReduceSum"),
)
def sum_(n: Any, input: Any, dim: Any, keepdim: Any, dtype: Any) -> Any:
    """The sum along `dim` (all dimensions by default). Integers and bools are summed in int64, halves in float32."""
    letters, kept, over = reduction_letters(n, input, dim, keepdim)
    return n.out(kept, n.sum(over, n.s.cast(input[letters], _accumulation_dtype(input.dtype, dtype))))


def _prod_grad(F: Any, g: Any, y: Any, input: Any, dim: Any, keepdim: bool, dtype: Any) -> Any:
    """g times the product of the others: y/x, but where x is the only 0, the product of what is not 0."""
    x = input if dtype is None else F.cast(input, dtype=dtype)
    sizes = tuple(x.shape)
    dims = normalise_dims("prod", dim, len(sizes))
    g, y = restore_dims(F, g, sizes, dims, keepdim), restore_dims(F, y, sizes, dims, keepdim)
    zero = F.eq(x, 0)
    safe = F.where(zero, 1.0, x)
    if not dims:
        return g
    rest = F.prod(safe, dim=dims, keepdim=True)
    alone = F.logical_and(zero, F.eq(F.sum(zero, dim=dims, keepdim=True), 1))
    return g * F.where(zero, F.where(alone, rest, 0.0), y / safe)


@nest(
    "prod(input: Tensor, dim: int[]? = None, keepdim: bool = False, *, dtype: dtype? = None) -> Tensor",
    fast=prod_fast,
    grad={"input": _prod_grad},
    onnx=_accumulation_onnx("ReduceProd"),
)
def prod(n: Any, input: Any, dim: Any, keepdim: Any, dtype: Any) -> Any:
    """The product along `dim` (all dimensions by default). Integers and bools are multiplied in int64."""
    letters, kept, over = reduction_letters(n, input, dim, keepdim)
    body = n.s.cast(input[letters], _accumulation_dtype(input.dtype, dtype))
    return n.out(kept, n.reduce("prod", over, body))
