"""Ops along an order: running sums and products, sorting, the largest k."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import bool_, int64
from ..errors import ShapeError
from ..families import composite, normalise_dim, scan, sort
from ..registry import NotDifferentiable
from ..sizes import ask

__all__: list[str] = []


def _running_total(F: Any, x: Any, dim: int) -> Any:
    """The sum of x[i] and everything behind it."""
    return F.flip(F.cumsum(F.flip(x, dims=(dim,)), dim=dim), dims=(dim,)) if x.ndim else x


def _cumprod_grad(F: Any, g: Any, y: Any, input: Any, dim: int) -> Any:
    """The running total of g*y behind each element, over that element. The first 0 along `dim` gets the total that
    a 1 in its place would give; behind it everything is 0."""
    if not input.ndim:
        return g
    zero = F.eq(input, 0)
    first = F.logical_and(zero, F.eq(F.cumsum(zero, dim=dim), 1))
    safe = F.where(zero, 1.0, input)
    usual = _running_total(F, g * y, dim) / safe
    replaced = _running_total(F, g * F.cumprod(F.where(first, 1.0, input), dim=dim), dim)
    return F.where(zero, F.where(first, replaced, 0.0), usual)


def _cumsum_onnx(E: Any, input: Any, dim: int) -> Any:
    wide = input if input.dtype.kind == "float" else E.Cast(input, to=int64)
    if not input.ndim:
        return E.Identity(wide)
    return E.CumSum(wide, np.array(normalise_dim("cumsum", dim, input.ndim), np.int64))


def _cumprod_onnx(E: Any, input: Any, dim: int) -> Any:
    wide = input if input.dtype.kind == "float" else E.Cast(input, to=int64)
    if not input.ndim:
        return E.Identity(wide)
    return E.CumProd(wide, np.array(normalise_dim("cumprod", dim, input.ndim), np.int64))


scan(
    "cumsum(input: Tensor, dim: int) -> Tensor",
    combiner="sum",
    grad={"input": lambda F, g, dim: _running_total(F, g, dim)},
    onnx=_cumsum_onnx,
    doc="The sum of the elements up to each, along `dim`; integers and bools in int64.",
)
scan(
    "cumprod(input: Tensor, dim: int) -> Tensor",
    combiner="prod",
    grad={"input": _cumprod_grad},
    onnx=_cumprod_onnx,
    doc="The product of the elements up to each, along `dim`; integers and bools in int64.",
)


def _sort_grad(F: Any, g: Any, y: Any, T: Any, dim: int) -> Any:
    if g[0] is None or not T.input.sizes:
        return g[0]
    return F.scatter(F.full(size=T.input.sizes, value=0, dtype=g[0].dtype), dim, y[1], g[0])


def _sort_onnx(E: Any, input: Any, dim: int, descending: bool) -> Any:
    if not input.ndim:
        return E.Identity(input), np.array(0, np.int64)
    axis = normalise_dim("sort", dim, input.ndim)
    number = E.Cast(input, to=int64) if input.dtype is bool_ else input
    values, places = E.TopK(
        number, E.shape([input.shape[axis]]), axis=axis, largest=int(descending), sorted=1, outputs=2
    )
    return (E.Cast(values, to=bool_) if input.dtype is bool_ else values), places


sort(
    "sort(input: Tensor, dim: int = -1, descending: bool = False) -> (Tensor, Tensor)",
    grad={"input": _sort_grad},
    onnx=_sort_onnx,
    doc="The elements in order along `dim` and where they came from; equal elements keep their order, NaN counts as "
    "the largest.",
)


@composite(
    "argsort(input: Tensor, dim: int = -1, descending: bool = False) -> Tensor",
    grad=NotDifferentiable("its result is an index"),
)
def argsort(F: Any, input: Any, dim: Any, descending: Any) -> Any:
    """Where the elements come from when they are sorted along `dim`."""
    return F.sort(input, dim=dim, descending=descending)[1]


def _topk_onnx(E: Any, input: Any, k: Any, dim: int, largest: bool, sorted: bool) -> Any:
    if not input.ndim:
        return E.Identity(input), np.array(0, np.int64)
    axis = normalise_dim("topk", dim, input.ndim)
    return E.TopK(input, E.shape([k]), axis=axis, largest=int(largest), sorted=1, outputs=2)


@composite(
    "topk(input: Tensor, k: size, dim: int = -1, largest: bool = True, sorted: bool = True) -> (Tensor, Tensor)",
    onnx=_topk_onnx,
)
def topk(F: Any, input: Any, k: Any, dim: Any, largest: Any, sorted: Any) -> Any:
    """The k largest (or smallest) elements along `dim`, in order, and where they come from."""
    values, places = F.sort(input, dim=dim, descending=largest)
    size = input.shape[normalise_dim("topk", dim, input.ndim)] if input.ndim else 1
    if ask("<=", k, size) is False or ask("<", k, 0) is True:
        raise ShapeError("topk: k is out of range", expected=f"0 <= k <= {size}", found=f"k={k}")
    if not input.ndim:
        return values, places
    return tuple(F.slice(x, dim=dim, start=0, end=k, step=1) for x in (values, places))
