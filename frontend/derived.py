"""Functions of PyTorch's names that are a few ops each: matrix products by other names, norms, stacking, comparing.

What takes no more than an op of the name is not here: it is found in the registry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from ..ir.dtypes import int64
from ..ir.errors import ArgumentError, ShapeError
from ..ir.locations import here
from . import compositions, drawing
from .creation import as_tensor_like
from .dispatch import EAGER
from .number_limits import finfo, iinfo
from .tensor_base import TensorBase

__all__ = ["FUNCTIONS", "METHODS", "ValuesAndIndices"]


class ValuesAndIndices(NamedTuple):
    """What `sort`, `topk`, `max` and `min` along a dimension give."""

    values: Any
    indices: Any


# ---------------------------------------------------------------------------------------------------- order


def sort(input: Any, dim: int = -1, descending: bool = False) -> ValuesAndIndices:
    """Elements in order along a dimension, and where each stood."""
    return ValuesAndIndices(*EAGER.sort(input, dim, descending))


def topk(input: Any, k: Any, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesAndIndices:
    """The k largest or smallest elements along a dimension, and where each stood."""
    return ValuesAndIndices(*EAGER.topk(input, k, dim, largest, sorted))


def _extreme(name: str) -> Callable[..., Any]:
    def extreme(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
        if isinstance(dim, TensorBase):
            return getattr(EAGER, f"{name}imum")(input, dim)
        if dim is None:
            return getattr(EAGER, f"a{name}")(input)
        return ValuesAndIndices(*getattr(EAGER, f"{name}_dim")(input, dim, keepdim))

    extreme.__name__ = name
    extreme.__doc__ = f"The {name}imum of all elements; with `dim`, (values, indices) along it; or of two tensors."
    return extreme


# --------------------------------------------------------------------------------------------- arithmetic


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other, rounded down ("floor"), towards zero ("trunc"), or not at all.

    Raises:
        ArgumentError: for another rounding mode.
    """
    if rounding_mode is None:
        return EAGER.div(input, other)
    if rounding_mode == "floor":
        return EAGER.floor_divide(input, other)
    if rounding_mode != "trunc":
        raise ArgumentError(
            f"div: rounding_mode is {rounding_mode!r}", expected="None, 'floor' or 'trunc'", location=here()
        )
    quotient = EAGER.trunc(EAGER.div(input, other))
    wanted = EAGER.floor_divide(input, other).dtype  # integers stay integers
    return quotient if wanted.is_floating_point else EAGER.cast(quotient, dtype=wanted)


def clamp_min(input: Any, min: Any) -> Any:
    """No element below `min`."""
    return EAGER.maximum(input, min) if isinstance(min, TensorBase) else EAGER.clamp(input, min=min)


def clamp_max(input: Any, max: Any) -> Any:
    """No element above `max`."""
    return EAGER.minimum(input, max) if isinstance(max, TensorBase) else EAGER.clamp(input, max=max)


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """Every element within [min, max], which are numbers, tensors or None."""
    if not isinstance(min, TensorBase) and not isinstance(max, TensorBase):
        return EAGER.clamp(input, min, max)
    bounded = input if min is None else clamp_min(input, min)
    return bounded if max is None else clamp_max(bounded, max)


def lerp(input: Any, end: Any, weight: Any) -> Any:
    """input + weight * (end - input)."""
    return input + weight * (end - input)


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """input + value * tensor1 * tensor2."""
    return input + tensor1 * tensor2 * value


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """input + value * tensor1 / tensor2."""
    return input + tensor1 / tensor2 * value


def frac(input: Any) -> Any:
    """The part behind the point."""
    return input - EAGER.trunc(input)


def nan_to_num(input: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """NaN and infinities replaced, infinities by the dtype's extremes unless given."""
    if not input.dtype.is_floating_point:
        return EAGER.clone(input)
    from ml_dtypes import finfo

    largest = float(finfo(input.dtype.np).max)
    found = EAGER.where(EAGER.isnan(input), nan, input)
    found = EAGER.where(found == float("inf"), largest if posinf is None else posinf, found)
    return EAGER.where(found == float("-inf"), -largest if neginf is None else neginf, found)


# -------------------------------------------------------------------------------------------- matrix products


def _matrix_product(name: str, left: int, right: int) -> Callable[..., Any]:
    def product(input: Any, other: Any) -> Any:
        if (input.ndim, other.ndim) != (left, right):
            raise ShapeError(
                f"{name}: the operands have other numbers of dimensions",
                expected=f"{left} and {right} dimensions",
                found=f"{input.ndim} and {other.ndim}",
                location=here(),
                advice="use matmul",
            )
        return EAGER.matmul(input, other)

    product.__name__ = name
    product.__doc__ = f"The product of tensors of {left} and {right} dimensions."
    return product


mm = _matrix_product("mm", 2, 2)
mv = _matrix_product("mv", 2, 1)
dot = _matrix_product("dot", 1, 1)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * (mat1 @ mat2)."""
    product = mm(mat1, mat2)
    return (input if beta == 1 else input * beta) + (product if alpha == 1 else product * alpha)


# --------------------------------------------------------------------------------------------------- reductions


def norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Any:
    """The p-norm of all elements, or along dimensions. "fro" is 2; infinities give the extreme absolute values.

    >>> import ingot
    >>> ingot.norm(ingot.tensor([3.0, 4.0])).item()
    5.0
    """
    if isinstance(p, str) and p != "fro":
        raise ArgumentError(f"norm: p is {p!r}", expected="a number or 'fro'", location=here())
    power = 2.0 if p == "fro" or p is None else float(p)
    dims = {} if dim is None and not keepdim else {"dim": dim, "keepdim": keepdim}
    size = EAGER.abs(input)
    if power == float("inf"):
        return EAGER.amax(size, **dims)
    if power == float("-inf"):
        return EAGER.amin(size, **dims)
    if power == 0:
        return EAGER.sum(EAGER.cast(input != 0, dtype=input.dtype), **dims)
    if power == 1:
        return EAGER.sum(size, **dims)
    if power == 2:
        return EAGER.sqrt(EAGER.sum(input * input, **dims))
    return EAGER.sum(size**power, **dims) ** (1 / power)


def _spread_of(name: str) -> Callable[..., Any]:
    def spread(
        input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: int = 1
    ) -> Any:
        if isinstance(dim, bool):  # var(unbiased)
            dim, unbiased = None, dim
        by = correction if unbiased is None else int(unbiased)
        return getattr(EAGER, name)(input, dim, correction=by, keepdim=keepdim)

    spread.__name__ = name
    spread.__doc__ = {"var": "The variance", "std": "The standard deviation"}[name] + (
        " of all elements or along `dim`; `unbiased=False` is `correction=0`."
    )
    return spread


var, std = _spread_of("var"), _spread_of("std")


def var_mean(input: Any, dim: Any = None, **options: Any) -> tuple[Any, Any]:
    """Variance and mean."""
    return var(input, dim, **options), EAGER.mean(input, dim, options.get("keepdim", False))


def std_mean(input: Any, dim: Any = None, **options: Any) -> tuple[Any, Any]:
    """Standard deviation and mean."""
    return std(input, dim, **options), EAGER.mean(input, dim, options.get("keepdim", False))


def count_nonzero(input: Any, dim: Any = None) -> Any:
    """How many elements are not 0, in all or along `dim`."""
    return EAGER.sum(input != 0, dim)


# --------------------------------------------------------------------------------------------------- comparing


def isclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """Where elements are equal, or within `atol + rtol * abs(other)` of each other."""
    near = EAGER.logical_and(EAGER.abs(input - other) <= atol + rtol * EAGER.abs(other), EAGER.isfinite(input - other))
    found = EAGER.logical_or(near, input == other)
    if equal_nan:
        found = EAGER.logical_or(found, EAGER.logical_and(EAGER.isnan(input), EAGER.isnan(other)))
    return found


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition holds, else `other`; with the condition alone, the indices where it holds, one
    tensor for each dimension."""
    if input is None and other is None:
        return EAGER.nonzero(condition).unbind(1)
    return EAGER.where(condition, input, other)


def masked_select(input: Any, mask: Any) -> Any:
    """The elements where the mask holds, in one dimension."""
    return input[mask]


# ----------------------------------------------------------------------------------------------- rearranging


def contiguous(input: Any) -> Any:
    """The tensor with its elements in memory in row-major order; itself where they are."""
    return input if input.is_contiguous() else EAGER.clone(input)


def narrow(input: Any, dim: int, start: Any, length: Any) -> Any:
    """The view of `length` elements from `start` along a dimension.

    Raises:
        ShapeError: when the dimension has no such elements.
    """
    size = input.shape[dim]
    if start < 0:
        start = start + size
    if start < 0 or length < 0 or start + length > size:
        raise ShapeError(
            "narrow: start and length lie outside of the dimension",
            expected=f"0 <= start, start + length <= {size}",
            found=f"start={start} length={length}",
            location=here(),
        )
    return EAGER.slice(input, dim, start, start + length)


def unflatten(input: Any, dim: int, sizes: Sequence[Any]) -> Any:
    """One dimension as several."""
    at = dim % input.ndim
    shape = tuple(input.shape)
    return EAGER.reshape(input, (*shape[:at], *sizes, *shape[at + 1 :]))


def ravel(input: Any) -> Any:
    """All elements in one dimension."""
    return EAGER.reshape(input, (-1,))


def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Dimensions moved to other places; the others keep their order. A view."""
    sources = [source] if isinstance(source, int) else list(source)
    targets = [destination] if isinstance(destination, int) else list(destination)
    ndim = input.ndim
    moved = {t % ndim: s % ndim for s, t in zip(sources, targets, strict=True)}
    rest = iter([d for d in range(ndim) if d not in moved.values()])
    return EAGER.permute(input, tuple(moved[d] if d in moved else next(rest) for d in range(ndim)))


def t(input: Any) -> Any:
    """A matrix transposed; vectors stay as they are."""
    return input.t()


def hstack(tensors: Sequence[Any]) -> Any:
    """Tensors side by side: along dimension 1, or 0 for vectors."""
    return EAGER.cat(list(tensors), dim=0 if tensors[0].ndim < 2 else 1)


def vstack(tensors: Sequence[Any]) -> Any:
    """Tensors on top of each other, vectors as rows."""
    return EAGER.cat([x if x.ndim > 1 else EAGER.reshape(x, (1, -1)) for x in tensors], dim=0)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """The coordinates of a grid over vectors, one tensor of the grid's sizes for each.

    Raises:
        ArgumentError: for an indexing other than "ij" and "xy".
    """
    if indexing not in ("ij", "xy"):
        raise ArgumentError(f"meshgrid: indexing is {indexing!r}", expected="'ij' or 'xy'", location=here())
    vectors = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else list(tensors)
    count = len(vectors)
    shape = tuple(v.shape[0] if v.ndim else 1 for v in vectors)
    ones = [(1,) * i + (-1,) + (1,) * (count - 1 - i) for i in range(count)]
    grids = [EAGER.expand(EAGER.reshape(v, one), shape) for v, one in zip(vectors, ones, strict=True)]
    if indexing == "xy" and count > 1:
        grids = [g.transpose(0, 1) for g in grids]
    return tuple(grids)


def scatter(input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None) -> Any:
    """A copy of `input` with the elements of `src`, or one number, put at `index` along a dimension."""
    given = value if src is None else src
    if not isinstance(given, TensorBase):
        given = EAGER.expand(as_tensor_like(given, input), tuple(index.shape))
    return EAGER.scatter(input, dim, index, given)


def broadcast_to(input: Any, shape: Sequence[Any]) -> Any:
    """Dimensions of size 1 stretched to the given sizes; a view."""
    return EAGER.expand(input, tuple(shape))


def diagonal(input: Any) -> Any:
    """The diagonal of a matrix, as a new tensor.

    Raises:
        ShapeError: when `input` is not a matrix.
    """
    if input.ndim != 2:
        raise ShapeError("diagonal: input is not a matrix", found=f"{input.ndim} dimensions", location=here())
    rows, columns = input.shape
    short = rows if rows < columns else columns
    places = EAGER.arange(0, short, 1, int64)
    return EAGER.index(input, [places, places], dims=(0, 1))


def diag(input: Any) -> Any:
    """A vector as a diagonal matrix, or a matrix's diagonal."""
    if input.ndim != 1:
        return diagonal(input)
    return EAGER.eye(input.shape[0], dtype=input.dtype) * input


def trace(input: Any) -> Any:
    """The sum of a matrix's diagonal."""
    return EAGER.sum(diagonal(input))


def _op(name: str) -> Callable[..., Any]:
    """Another name of an op."""

    def renamed(*args: Any, **kwargs: Any) -> Any:
        return getattr(EAGER, name)(*args, **kwargs)

    renamed.__name__ = name
    renamed.__doc__ = f"The same as `{name}`."
    return renamed


_RENAMED: Final = {
    "absolute": "abs", "arccos": "acos", "arcsin": "asin", "arctan": "atan", "divide": "div", "ger": "outer",
    "greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le", "multiply": "mul", "negative": "neg",
    "not_equal": "ne", "sgn": "sign", "subtract": "sub", "true_divide": "div",
}  # fmt: skip

METHODS: Final[dict[str, Callable[..., Any]]] = {
    **{alias: _op(name) for alias, name in _RENAMED.items()},
    **{
        f.__name__: f
        for f in (
            addcdiv, addcmul, addmm, clamp, clamp_max, clamp_min, contiguous, count_nonzero, diag, diagonal, div, dot,
            frac, isclose, lerp, masked_select, mm, movedim, mv, nan_to_num, narrow, norm, ravel, scatter, sort, std,
            topk, trace, unflatten, var,
        )
    },
    "clip": clamp,
    "max": _extreme("max"),
    "min": _extreme("min"),
    "moveaxis": movedim,
    "argwhere": _op("nonzero"),
}  # fmt: skip

FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    **METHODS,
    **compositions.FUNCTIONS,
    **drawing.FUNCTIONS,
    "broadcast_to": broadcast_to,
    "concat": _op("cat"),
    "concatenate": _op("cat"),
    "hstack": hstack,
    "meshgrid": meshgrid,
    "std_mean": std_mean,
    "t": t,
    "var_mean": var_mean,
    "vstack": vstack,
    "where": where,
    "finfo": finfo,
    "iinfo": iinfo,
}
METHODS.update(compositions.METHODS)
METHODS.update(drawing.METHODS)
