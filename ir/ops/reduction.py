"""Ops that combine elements along dimensions: sums, products, extremes and where they lie, variance, logsumexp.

Running combinations and sorts are in `ordering`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import bool_, int64
from ..errors import ExportError
from ..families import composite, nest, normalise_dim, normalise_dims
from ..registry import NotDifferentiable
from ..sizes import Size, maximum, product
from .checks import require_float
from .views import restore_dims

__all__ = ["count_of", "widened"]

_BOOL = NotDifferentiable("its result is a bool")
_INDEX = NotDifferentiable("its result is an index")


def _split_letters(n: Any, input: Any, dim: Any, keepdim: bool) -> tuple[list[Any], list[Any], list[Any]]:
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


def count_of(sizes: Sequence[Size], dims: Sequence[int]) -> Size:
    """The number of elements that are combined."""
    return product([sizes[dim] for dim in dims])


def widened(F: Any, x: Any) -> Any:
    """Halves in float32, in which they are accumulated; other dtypes as they are."""
    return F.cast(x, dtype=np.float32) if x.dtype.itemsize < 4 else x


def _axes(dims: Any) -> Any:
    return np.array(dims, np.int64)


def _reduction_onnx(name: str, whole: str | None = None) -> Any:
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


# ------------------------------------------------------------------------------------------------ sums and products


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


def _spread(F: Any, g: Any, sizes: Any, dim: Any, keepdim: bool) -> Any:
    """The gradient of a sum: g at every element that was summed."""
    dims = normalise_dims("sum", dim, len(sizes))
    return F.expand(restore_dims(F, g, sizes, dims, keepdim), size=tuple(sizes))


def _accumulation_onnx(name: str) -> Any:
    def form(E: Any, input: Any, dim: Any, keepdim: bool, dtype: Any) -> Any:
        target = _accumulation_dtype(input.dtype, dtype)
        wide = input if input.dtype is target else E.Cast(input, to=target)
        return _reduction_onnx(name)(E, wide, dim, keepdim)

    return form


@nest(
    "sum(input: Tensor, dim: int[]? = None, keepdim: bool = False, *, dtype: dtype? = None) -> Tensor",
    fast=sum_fast,
    grad={"input": lambda F, g, T, dim, keepdim: _spread(F, g, T.input.sizes, dim, keepdim)},
    onnx=_accumulation_onnx("ReduceSum"),
)
def sum_(n: Any, input: Any, dim: Any, keepdim: Any, dtype: Any) -> Any:
    """The sum along `dim` (all dimensions by default). Integers and bools are summed in int64, halves in float32."""
    letters, kept, over = _split_letters(n, input, dim, keepdim)
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
    letters, kept, over = _split_letters(n, input, dim, keepdim)
    body = n.s.cast(input[letters], _accumulation_dtype(input.dtype, dtype))
    return n.out(kept, n.reduce("prod", over, body))


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
        letters, kept, over = _split_letters(n, input, dim, keepdim)
        return n.out(kept, n.reduce(combiner, over, input[letters]))

    nest(
        f"{name}(input: Tensor, dim: int[] = [], keepdim: bool = False) -> Tensor",
        fast=fast,
        grad={"input": _extreme_grad},
        onnx=_reduction_onnx(onnx, whole="int64"),
        doc=doc,
    )(body)


def _logic(name: str, fast: Any, onnx: str, doc: str) -> None:
    def body(n: Any, input: Any, dim: Any, keepdim: Any) -> Any:
        letters, kept, over = _split_letters(n, input, dim, keepdim)
        return n.out(kept, n.reduce(name, over, input[letters]))

    def form(E: Any, input: Any, dim: Any, keepdim: bool) -> Any:
        # As a sum or product of 0 and 1, which are 0 and 1 where there are no elements.
        return _reduction_onnx(onnx, whole="int64")(E, E.Cast(input, to=bool_), dim, keepdim)

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
        letters, kept, over = _split_letters(n, input, None if dim is None else (dim,), keepdim)
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
            _reduction_onnx(reduce, whole="int64")(E, input, (dim,), keepdim),
            _argument_onnx(find)(E, input, dim, keepdim),
        )

    return form


def _extreme_dim(name: str, combiner: str, fast: Any, onnx: Any, doc: str) -> None:
    def body(n: Any, input: Any, dim: Any, keepdim: Any) -> Any:
        letters, kept, over = _split_letters(n, input, (dim,), keepdim)
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


# ---------------------------------------------------------------------------------------- mean, variance, logsumexp


def _count(x: Any, axis: Any) -> Any:
    if axis is None:
        return x.size
    count = 1
    for dim in axis:
        count *= x.shape[dim]
    return count


def _is_half(x: Any) -> Any:
    """Whether a float array is of 16 bits (bfloat16's kind is not NumPy's own)."""
    return x.dtype.itemsize == 2 and x.dtype.kind not in "iu"


def _quotient(np: Any, x: Any, y: Any) -> Any:
    """x/y by IEEE 754's rules, for a Python number y that may be 0."""
    return np.divide(x, np.asarray(y, x.dtype)) if y == 0 else x / y


def mean_fast(np: Any, x: Any, *, dim: Any, keepdim: Any, dtype: Any, out: Any = None, scratch: Any = None) -> Any:
    axis = dim if dim and x.ndim else None
    if dtype is None and x.dtype.kind in "iub":
        raise TypeError("mean: input is not of a floating-point dtype")
    target = x.dtype if dtype is None else getattr(dtype, "np", dtype)
    if x.dtype != target:
        x = x.astype(target)
    wide = np.add.reduce(x.astype(np.float32) if _is_half(x) else x, axis=axis, keepdims=keepdim)
    count = _count(x, axis)
    if out is not None:
        return np.divide(wide, np.asarray(count, wide.dtype), out=out, casting="same_kind")
    return np.asarray(_quotient(np, wide, count), dtype=target)


def _mean_grad(F: Any, g: Any, T: Any, dim: Any, keepdim: bool) -> Any:
    sizes = T.input.sizes
    count = count_of(sizes, normalise_dims("mean", dim, len(sizes)))
    return _spread(F, g / count, sizes, dim, keepdim)


def _mean_onnx(E: Any, input: Any, dim: Any, keepdim: bool, dtype: Any) -> Any:
    if count_of(input.shape, normalise_dims("mean", dim, input.ndim)) == 0:
        raise ExportError("mean: ONNX does not say what the mean of no elements is")
    wide = input if dtype is None or dtype is input.dtype else E.Cast(input, to=dtype)
    return _reduction_onnx("ReduceMean")(E, wide, dim, keepdim)


@composite(
    "mean(input: Tensor, dim: int[]? = None, keepdim: bool = False, *, dtype: dtype? = None) -> Tensor",
    fast=mean_fast,
    grad={"input": _mean_grad},
    onnx=_mean_onnx,
)
def mean(F: Any, input: Any, dim: Any, keepdim: Any, dtype: Any) -> Any:
    """The mean along `dim` (all dimensions by default), of a floating-point tensor."""
    x = input if dtype is None else F.cast(input, dtype=dtype)
    require_float("mean", input=x)
    count = count_of(x.shape, normalise_dims("mean", dim, x.ndim))
    return _narrowed(F, F.sum(widened(F, x), dim=dim, keepdim=keepdim) / count, x.dtype)


def _narrowed(F: Any, x: Any, dtype: Any) -> Any:
    return x if x.dtype is dtype else F.cast(x, dtype=dtype)


def var_fast(np: Any, x: Any, *, dim: Any, correction: Any, keepdim: Any, out: Any = None, scratch: Any = None) -> Any:
    axis = dim if dim and x.ndim else None
    if x.dtype.kind in "iub":
        raise TypeError("var: input is not of a floating-point dtype")
    wide = x.astype(np.float32) if _is_half(x) else x
    count = _count(x, axis)
    centred = wide - _quotient(np, np.add.reduce(wide, axis=axis, keepdims=True), count)
    np.multiply(centred, centred, out=centred)
    total = np.add.reduce(centred, axis=axis, keepdims=keepdim)
    divisor = np.asarray(max(count - correction, 0), wide.dtype)
    if out is not None:
        return np.divide(total, divisor, out=out, casting="same_kind")
    return np.asarray(np.divide(total, divisor), dtype=x.dtype)


def _centred(F: Any, x: Any, dims: Any) -> Any:
    return x - F.mean(x, dim=dims, keepdim=True) if dims else x - x


def _freedom(sizes: Sequence[Size], dims: Sequence[int], correction: int) -> Size:
    return maximum(count_of(sizes, dims) - correction, 0)


def _var_grad(F: Any, g: Any, input: Any, dim: Any, correction: int, keepdim: bool) -> Any:
    sizes = tuple(input.shape)
    dims = normalise_dims("var", dim, len(sizes))
    slope = restore_dims(F, g, sizes, dims, keepdim) * 2.0 / _freedom(sizes, dims, correction)
    return _centred(F, input, dims) * slope


@composite(
    "var(input: Tensor, dim: int[]? = None, *, correction: int = 1, keepdim: bool = False) -> Tensor",
    fast=var_fast,
    grad={"input": _var_grad},
)
def var(F: Any, input: Any, dim: Any, correction: Any, keepdim: Any) -> Any:
    """The variance along `dim` (all by default): the squared distance from the mean, over n - correction."""
    require_float("var", input=input)
    x = widened(F, input)
    dims = normalise_dims("var", dim, x.ndim)
    centred = _centred(F, x, dims)
    total = F.sum(centred * centred, dim=dims, keepdim=keepdim) if dims else centred * centred
    return _narrowed(F, total / _freedom(x.shape, dims, correction), input.dtype)


def _std_grad(F: Any, g: Any, y: Any, input: Any, dim: Any, correction: int, keepdim: bool) -> Any:
    """0 where the deviation is 0, as in PyTorch."""
    flat = F.eq(y, 0)
    slope = F.where(flat, 0.0, g / (F.where(flat, 1.0, y) * 2.0))
    return _var_grad(F, slope, input, dim, correction, keepdim)


@composite(
    "std(input: Tensor, dim: int[]? = None, *, correction: int = 1, keepdim: bool = False) -> Tensor",
    grad={"input": _std_grad},
)
def std(F: Any, input: Any, dim: Any, correction: Any, keepdim: Any) -> Any:
    """The standard deviation along `dim`: the square root of `var`."""
    return F.sqrt(F.var(input, dim=dim, correction=correction, keepdim=keepdim))


def _logsumexp_grad(F: Any, g: Any, y: Any, input: Any, dim: Any, keepdim: bool) -> Any:
    sizes = tuple(input.shape)
    dims = normalise_dims("logsumexp", dim, len(sizes))
    g, y = restore_dims(F, g, sizes, dims, keepdim), restore_dims(F, y, sizes, dims, keepdim)
    return g * F.exp(input - y)


@composite(
    "logsumexp(input: Tensor, dim: int[], keepdim: bool = False) -> Tensor",
    grad={"input": _logsumexp_grad},
    onnx=_reduction_onnx("ReduceLogSumExp"),
)
def logsumexp(F: Any, input: Any, dim: Any, keepdim: Any) -> Any:
    """log(sum(exp(input))) along `dim`, shifted so that exp cannot overflow."""
    require_float("logsumexp", input=input)
    dims = normalise_dims("logsumexp", dim, input.ndim)
    top = F.detach(F.amax(input, dim=dims, keepdim=True))
    shift = F.where(F.isinf(top), 0.0, top)
    total = F.log(F.sum(F.exp(input - shift), dim=dims, keepdim=True)) + shift
    kept = tuple(size for i, size in enumerate(input.shape) if i not in dims)
    return total if keepdim else F.reshape(total, shape=kept)
