"""A tensor with a part of it replaced: what views' inverses and assignments to slices are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import int64
from ..families import nest, normalise_dim
from ..nest import as_index
from ..sizes import Size, equal
from .onnx_places import write_places
from .views import resolve_index, resolve_range

__all__: list[str] = []


def _written(np: Any, op: str, x: Any, src: Any, at: Any, out: Any) -> Any:
    """`x` with `src` in a part of it, in `out` where there is one."""
    if out is None:
        out = x.copy()
    else:
        np.copyto(out, x)
    part = out[at]
    if part.shape != src.shape:
        raise ValueError(f"{op}: src does not fit")
    part[...] = src
    return out


def slice_scatter_fast(
    np: Any, x: Any, src: Any, *, dim: Any, start: Any, end: Any, step: Any, out: Any = None, scratch: Any = None
) -> Any:
    if src.ndim != x.ndim or step < 1:
        raise ValueError("slice_scatter: src does not fit")
    at = (*(slice(None),) * (dim if dim >= 0 else dim + x.ndim), slice(start, end, step))
    return _written(np, "slice_scatter", x, src, at, out)


def _range_inside(n: Any, letter: Any, first: Size, last: Size, step: int) -> tuple[list[Any], Any]:
    """Whether a letter lies in a range, and where in it."""
    offset = letter - as_index(first)
    inside = [letter >= as_index(first), letter < as_index(last)]
    if step == 1:
        return inside, offset
    return [*inside, n.s.eq(offset % step, 0)], offset // step


def _slice_scatter_src_zero(F: Any, g: Any, T: Any, dim: int, start: Any, end: Any, step: int) -> Any:
    zeros = F.full(size=T.src.sizes, value=0, dtype=g.dtype)
    return F.slice_scatter(g, zeros, dim=dim, start=start, end=end, step=step)


def _replaced(E: Any, input: Any, src: Any, axis: int, first: Size, last: Size) -> Any:
    """What lies before, `src`, and what lies behind, joined."""
    axes = np.array([axis], np.int64)
    parts = [E.Cast(src, to=input.dtype)]
    if first != 0:
        parts.insert(0, E.Slice(input, np.array([0], np.int64), E.shape([first]), axes))
    if equal(last, input.shape[axis]) is not True:
        parts.append(E.Slice(input, E.shape([last]), np.array([np.iinfo(np.int64).max], np.int64), axes))
    return E.Concat(*parts, axis=axis)


def _slice_scatter_onnx(E: Any, input: Any, src: Any, dim: int, start: Any, end: Any, step: int) -> Any:
    axis = normalise_dim("slice_scatter", dim, input.ndim)
    first, last, length = resolve_range("slice_scatter", input.shape[axis], start, end, step)
    if step != 1:
        places = E.Range(E.number(first, int64), E.number(last, int64), E.number(step, int64))
        return write_places(E, input, [places], src, (axis,), axis, add=False)
    return _replaced(E, input, src, axis, first, first + length)


def _select_scatter_onnx(E: Any, input: Any, src: Any, dim: int, index: Any) -> Any:
    axis = normalise_dim("select_scatter", dim, input.ndim)
    at = resolve_index("select_scatter", input.shape[axis], index)
    return _replaced(E, input, E.Unsqueeze(src, np.array([axis], np.int64)), axis, at, at + 1)


@nest(
    "slice_scatter(input: Tensor, src: Tensor, dim: int = 0, start: size? = None, end: size? = None, step: int = 1)"
    " -> Tensor",
    fast=slice_scatter_fast,
    grad={
        "input": _slice_scatter_src_zero,
        "src": lambda F, g, dim, start, end, step: F.slice(g, dim=dim, start=start, end=end, step=step),
    },
    onnx=_slice_scatter_onnx,
)
def slice_scatter(n: Any, input: Any, src: Any, dim: Any, start: Any, end: Any, step: Any) -> Any:
    """A copy of input with `src` in place of its slice."""
    axis = normalise_dim(n.op, dim, input.ndim)
    first, last, length = resolve_range(n.op, input.sizes[axis], start, end, step)
    _require_sizes(n, src, [*input.sizes[:axis], length, *input.sizes[axis + 1 :]])
    letters = n.letters(input.sizes)
    inside, at = _range_inside(n, letters[axis], first, last, step)
    read = n.s.cast(src[[*letters[:axis], at, *letters[axis + 1 :]]], input.dtype)
    return n.out(letters, n.guard(inside, read, input[letters]))


def _require_sizes(n: Any, src: Any, sizes: Sequence[Size]) -> None:
    same = len(sizes) == src.ndim and all(equal(a, b) is True for a, b in zip(src.sizes, sizes, strict=True))
    n.require(
        same, "src does not fit the place it is written to", f"sizes ({', '.join(map(str, sizes))})", str(src.type)
    )


def select_scatter_fast(
    np: Any, x: Any, src: Any, *, dim: Any, index: Any, out: Any = None, scratch: Any = None
) -> Any:
    at = (*(slice(None),) * (dim if dim >= 0 else dim + x.ndim), index, ...)
    return _written(np, "select_scatter", x, src, at, out)


def _select_scatter_src_zero(F: Any, g: Any, T: Any, dim: int, index: Any) -> Any:
    return F.select_scatter(g, F.full(size=T.src.sizes, value=0, dtype=g.dtype), dim=dim, index=index)


@nest(
    "select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor",
    fast=select_scatter_fast,
    grad={
        "input": _select_scatter_src_zero,
        "src": lambda F, g, dim, index: F.select(g, dim=dim, index=index),
    },
    onnx=_select_scatter_onnx,
)
def select_scatter(n: Any, input: Any, src: Any, dim: Any, index: Any) -> Any:
    """A copy of input with `src` in place of its part at one index."""
    axis = normalise_dim(n.op, dim, input.ndim)
    at = resolve_index(n.op, input.sizes[axis], index)
    _require_sizes(n, src, [*input.sizes[:axis], *input.sizes[axis + 1 :]])
    letters = n.letters(input.sizes)
    read = n.s.cast(src[[*letters[:axis], *letters[axis + 1 :]]], input.dtype)
    return n.out(letters, n.guard(n.s.eq(letters[axis], as_index(at)), read, input[letters]))
