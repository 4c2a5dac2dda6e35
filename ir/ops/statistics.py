"""Mean, variance, standard deviation and logsumexp along dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ExportError
from ..families import composite, normalise_dims
from ..sizes import Size, maximum, product
from .checks import require_float
from .halves import narrowed, widened
from .reduction import reduction_onnx, spread_over
from .views import restore_dims

__all__ = ["count_of"]


def count_of(sizes: Sequence[Size], dims: Sequence[int]) -> Size:
    """The number of elements that are combined."""
    return product([sizes[dim] for dim in dims])


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
    return spread_over(F, g / count, sizes, dim, keepdim)


def _mean_onnx(E: Any, input: Any, dim: Any, keepdim: bool, dtype: Any) -> Any:
    if count_of(input.shape, normalise_dims("mean", dim, input.ndim)) == 0:
        raise ExportError("mean: ONNX does not say what the mean of no elements is")
    wide = input if dtype is None or dtype is input.dtype else E.Cast(input, to=dtype)
    return reduction_onnx("ReduceMean")(E, wide, dim, keepdim)


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
    return narrowed(F, F.sum(widened(F, x), dim=dim, keepdim=keepdim) / count, x.dtype)


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
    return narrowed(F, total / _freedom(x.shape, dims, correction), input.dtype)


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
    onnx=reduction_onnx("ReduceLogSumExp"),
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
