"""The largest and smallest elements and where they lie; whether any or all elements are true."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import bool_, int64
from ..families import nest, normalise_dim, normalise_dims
from ..registry import NotDifferentiable
from .reduction import reduction_letters, reduction_onnx
from .views import restore_dims

__all__: list[str] = []


_BOOL = NotDifferentiable("its result is a bool")
_INDEX = NotDifferentiable("its result is an index")


# --------------------------------------------------------------------------------------------------- extremes, logic


def _reduce_plain(np: Any, ufunc: Any, x: Any, dim: Any, keepdim: Any, out: Any) -> Any:
    return np.asarray(ufunc.reduce(x, axis=dim if dim and x.ndim else None, out=out, keepdims=keepdim))


def amax_fast(np: Any, x: Any, *, dim: Any, keepdim: Any, out: Any = None, scratch: Any = None) -> Any:
    return _reduce_plain(np, np.maximum, x, dim, keepdim, out)


def amin_fast(np: Any, x: Any, *, dim: Any, keepdim: Any, out: Any = None, scratch: Any = None) -> Any:
    return _reduce_plain(np, np.minimum, x, dim, keepdim, out)


def any_fast(np: Any, x: Any, *, dim: Any, keepdim: Any, out: Any = None, scratch: Any = None) -> Any:
    return _reduce_plain(np, np.logical_or, x if x.dtype.kind == "b" else x != 0, dim, keepdim, out)


def all_fast(np: Any, x: Any, *, dim: Any, keepdim: Any, out: Any = None, scratch: Any = None) -> Any:
    return _reduce_plain(np, np.logical_and, x if x.dtype.kind == "b" else x != 0, dim, keepdim, out)


def _extreme_grad(F: Any, g: Any, y: Any, input: Any, dim: Any, keepdim: bool) -> Any:
    """g shared evenly among the elements that equal the extreme, as PyTorch does."""
    sizes = tuple(input.shape)
    dims = normalise_dims("amax", dim, len(sizes))
    if not dims:
        return g
    hit = F.cast(F.eq(input, restore_dims(F, y, sizes, dims, keepdim)), dtype=g.dtype)
    return hit * (restore_dims(F, g, sizes, dims, keepdim) / F.sum(hit, dim=dims, keepdim=True))


def _extreme(name: str, combiner: str, fast: Any, onnx: str, doc: str) -> None:
    def body(n: Any, input: Any, dim: Any, keepdim: Any) -> Any:
        letters, kept, over = reduction_letters(n, input, dim, keepdim)
        return n.out(kept, n.reduce(combiner, over, input[letters]))

    nest(
        f"{name}(input: Tensor, dim: int[] = [], keepdim: bool = False) -> Tensor",
        fast=fast,
        grad={"input": _extreme_grad},
        onnx=reduction_onnx(onnx, whole="int64"),
        doc=doc,
    )(body)


def _logic(name: str, fast: Any, onnx: str, doc: str) -> None:
    def body(n: Any, input: Any, dim: Any, keepdim: Any) -> Any:
        letters, kept, over = reduction_letters(n, input, dim, keepdim)
        return n.out(kept, n.reduce(name, over, input[letters]))

    def form(E: Any, input: Any, dim: Any, keepdim: bool) -> Any:
        # As a sum or product of 0 and 1, which are 0 and 1 where there are no elements.
        return reduction_onnx(onnx, whole="int64")(E, E.Cast(input, to=bool_), dim, keepdim)

    nest(
        f"{name}(input: Tensor, dim: int[]? = None, keepdim: bool = False) -> Tensor",
        fast=fast,
        grad=_BOOL,
        onnx=form,
        doc=doc,
    )(body)


_extreme(
    "amax", "max", amax_fast, "ReduceMax", "The largest element along `dim` (all by default); NaN if there is one."
)
_extreme(
    "amin", "min", amin_fast, "ReduceMin", "The smallest element along `dim` (all by default); NaN if there is one."
)
_logic("any", any_fast, "ReduceSum", "Whether any element along `dim` is not 0; NaN counts as true.")
_logic("all", all_fast, "ReduceProd", "Whether all elements along `dim` are not 0; NaN counts as true.")


# --------------------------------------------------------------------------------------------- where extremes lie


def argmax_fast(np: Any, x: Any, *, dim: Any, keepdim: Any, out: Any = None, scratch: Any = None) -> Any:
    return _argument(np, np.argmax, x, dim, keepdim, out)


def argmin_fast(np: Any, x: Any, *, dim: Any, keepdim: Any, out: Any = None, scratch: Any = None) -> Any:
    return _argument(np, np.argmin, x, dim, keepdim, out)


def _argument(np: Any, find: Any, x: Any, dim: Any, keepdim: Any, out: Any) -> Any:
    x = x if x.dtype.kind in "biuf" else x.astype(np.float32)
    axis = dim if x.ndim else None
    return np.asarray(find(x, axis=axis, out=out, keepdims=keepdim))


def _argument_onnx(name: str) -> Any:
    def form(E: Any, input: Any, dim: Any, keepdim: bool) -> Any:
        number = E.Cast(input, to=int64) if input.dtype is bool_ else input
        if dim is not None and input.ndim:
            return getattr(E, name)(number, axis=normalise_dim(name, dim, input.ndim), keepdims=int(keepdim))
        found = getattr(E, name)(E.Reshape(number, np.array([-1], np.int64)), axis=0, keepdims=0)
        return E.Reshape(found, np.array([1] * input.ndim, np.int64)) if keepdim else found

    return form


def _argument_nest(name: str, fast: Any, onnx: str, doc: str) -> None:
    def body(n: Any, input: Any, dim: Any, keepdim: Any) -> Any:
        letters, kept, over = reduction_letters(n, input, None if dim is None else (dim,), keepdim)
        return n.out(kept, n.reduce(name, over, input[letters]))

    nest(
        f"{name}(input: Tensor, dim: int? = None, keepdim: bool = False) -> Tensor",
        fast=fast,
        grad=_INDEX,
        onnx=_argument_onnx(onnx),
        doc=doc,
    )(body)


_argument_nest(
    "argmax", argmax_fast, "ArgMax", "Where the largest element lies: the first of equals, a NaN before all."
)
_argument_nest(
    "argmin", argmin_fast, "ArgMin", "Where the smallest element lies: the first of equals, a NaN before all."
)


def max_dim_fast(np: Any, x: Any, *, dim: Any, keepdim: Any, out: Any = None, scratch: Any = None) -> Any:
    return _extreme_and_place(np, np.argmax, x, dim, keepdim, out)


def min_dim_fast(np: Any, x: Any, *, dim: Any, keepdim: Any, out: Any = None, scratch: Any = None) -> Any:
    return _extreme_and_place(np, np.argmin, x, dim, keepdim, out)


def _extreme_and_place(np: Any, find: Any, x: Any, dim: Any, keepdim: Any, out: Any) -> Any:
    if not x.ndim:
        found = x.copy(), np.zeros((), np.int64)
    else:
        places = find(x if x.dtype.kind in "biuf" else x.astype(np.float32), axis=dim, keepdims=True)
        values = np.take_along_axis(x, places, dim)
        found = (values, places) if keepdim else (values.squeeze(dim), places.squeeze(dim))
    if out is None:
        return found
    out[0][...] = found[0]
    out[1][...] = found[1]
    return out


def _place_grad(F: Any, g: Any, y: Any, T: Any, dim: int, keepdim: bool) -> Any:
    """g of the values, put where they were taken from."""
    sizes = T.input.sizes
    if g[0] is None or not sizes:
        return g[0]
    axis = normalise_dim("max", dim, len(sizes))
    grad, places = (x if keepdim else F.unsqueeze(x, dim=axis) for x in (g[0], y[1]))
    return F.scatter(F.full(size=sizes, value=0, dtype=grad.dtype), axis, places, grad)


def _extreme_dim_onnx(reduce: str, find: str) -> Any:
    def form(E: Any, input: Any, dim: int, keepdim: bool) -> Any:
        return (
            reduction_onnx(reduce, whole="int64")(E, input, (dim,), keepdim),
            _argument_onnx(find)(E, input, dim, keepdim),
        )

    return form


def _extreme_dim(name: str, combiner: str, fast: Any, onnx: Any, doc: str) -> None:
    def body(n: Any, input: Any, dim: Any, keepdim: Any) -> Any:
        letters, kept, over = reduction_letters(n, input, (dim,), keepdim)
        return (
            n.out(kept, n.reduce(combiner, over, input[letters])),
            n.out(kept, n.reduce(f"arg{combiner}", over, input[letters])),
        )

    nest(
        f"{name}(input: Tensor, dim: int, keepdim: bool = False) -> (Tensor, Tensor)",
        fast=fast,
        grad={"input": _place_grad},
        onnx=onnx,
        doc=doc,
    )(body)


_extreme_dim(
    "max_dim",
    "max",
    max_dim_fast,
    _extreme_dim_onnx("ReduceMax", "ArgMax"),
    "The largest elements along `dim`, and where they lie (the first of equals, a NaN before all).",
)
_extreme_dim(
    "min_dim",
    "min",
    min_dim_fast,
    _extreme_dim_onnx("ReduceMin", "ArgMin"),
    "The smallest elements along `dim`, and where they lie (the first of equals, a NaN before all).",
)
