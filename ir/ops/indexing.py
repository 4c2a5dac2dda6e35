"""Reading and writing along one dimension at places given by an index tensor: gather, scatter and their kin.

An index outside of the dimension is an error on every backend, and so is a negative one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..families import composite, nest, normalise_dim, scatter
from ..sizes import ask, equal
from .checks import require, require_integers

__all__: list[str] = []


def _inside(np: Any, index: Any, size: Any) -> Any:
    """Refuse indices outside of [0, size)."""
    if index.size and (index.min() < 0 or index.max() >= size):
        at = index.min() if index.min() < 0 else index.max()
        raise IndexError(f"index {at} is out of range for a dimension of size {size}")
    return index


def _along(np: Any, index: Any, dim: Any) -> Any:
    """The indices of all dimensions at which `index` counts along `dim`."""
    found = []
    for i, size in enumerate(index.shape):
        shape = [1] * index.ndim
        shape[i] = size
        found.append(index if i == dim else np.arange(size).reshape(shape))
    return tuple(found)


def _check_along(n: Any, input: Any, index: Any, dim: int) -> int:
    """The dimension counted from the front; refuses an index tensor that does not fit the input."""
    require_integers(n.op, index=index)
    n.require(
        index.ndim == input.ndim,
        "index and input differ in their number of dimensions",
        f"index of {input.ndim} dimensions",
        f"index: {index.type}   input: {input.type}",
    )
    axis = normalise_dim(n.op, dim, max(input.ndim, 1))
    for i in range(input.ndim):
        if i != axis:
            n.require(
                ask(">", index.sizes[i], input.sizes[i]) is not True,
                "index is larger than input",
                f"index.size({i}) <= input.size({i})",
                f"{index.sizes[i]} > {input.sizes[i]}",
            )
    return axis


def gather_fast(np: Any, x: Any, index: Any, *, dim: Any, out: Any = None, scratch: Any = None) -> Any:
    if x.ndim != index.ndim:
        raise ValueError("gather: index does not fit")
    if not x.ndim:
        _inside(np, index, 1)
        found = x.copy()
    else:
        axis = dim if dim >= 0 else dim + x.ndim
        found = x[_along(np, _inside(np, index, x.shape[axis]), axis)]
    if out is None:
        return found
    out[...] = found
    return out


@nest(
    "gather(input: Tensor, dim: int, index: Tensor) -> Tensor",
    fast=gather_fast,
    grad={
        "input": lambda F, g, T, dim, index: F.scatter_add(
            F.full(size=T.input.sizes, value=0, dtype=g.dtype), dim, index, g
        )
    },
    onnx=lambda E, input, dim, index: (
        E.GatherElements(input, index, axis=normalise_dim("gather", dim, input.ndim))
        if input.ndim
        else E.Identity(input)
    ),
)
def gather(n: Any, input: Any, index: Any, dim: Any) -> Any:
    """input[i][index[i][j]][k] for dim=1: the result has the sizes of `index`."""
    axis = _check_along(n, input, index, dim)
    letters = n.letters(index.sizes)
    if not letters:
        return n.out([], input[[]])
    return n.out(letters, input[[*letters[:axis], index[letters], *letters[axis + 1 :]]])


def _scatter_place(n: Any, input: Any, index: Any, src: Any, dim: int) -> tuple[list[Any], list[Any], Any]:
    axis = _check_along(n, input, index, dim)
    n.require(
        src.ndim == index.ndim and all(ask(">", a, b) is not True for a, b in zip(index.sizes, src.sizes, strict=True)),
        "src is smaller than index",
        f"sizes of at least ({', '.join(map(str, index.sizes))})",
        str(src.type),
    )
    letters = n.letters(index.sizes)
    at = [*letters[:axis], index[letters], *letters[axis + 1 :]] if letters else []
    return letters, at, n.s.cast(src[letters], input.dtype)


def _scattered(np: Any, x: Any, index: Any, src: Any, dim: Any, out: Any, add: Any) -> Any:
    if x.ndim != index.ndim or src.ndim != index.ndim:
        raise ValueError("scatter: index or src does not fit")
    if out is None:
        out = x.copy()
    else:
        np.copyto(out, x)
    part = src[tuple([slice(size) for size in index.shape])]
    if part.shape != index.shape:
        raise ValueError("scatter: src is smaller than index")
    if not x.ndim:
        out[...] = out + part if add else part
        return out
    axis = dim if dim >= 0 else dim + x.ndim
    at = _along(np, _inside(np, index, x.shape[axis]), axis)
    if add:
        # `add.at` is several times as fast on a flat array.
        flat: Any = 0
        for place, size in zip(at, out.shape, strict=True):
            flat = flat * size + place.astype(np.int64)
        flat = np.broadcast_to(flat, index.shape)
        np.add.at(out.reshape(-1), flat.reshape(-1), part.reshape(-1).astype(x.dtype, copy=False))
    else:
        out[at] = part
    return out


def scatter_fast(np: Any, x: Any, index: Any, src: Any, *, dim: Any, out: Any = None, scratch: Any = None) -> Any:
    return _scattered(np, x, index, src, dim, out, False)


def scatter_add_fast(np: Any, x: Any, index: Any, src: Any, *, dim: Any, out: Any = None, scratch: Any = None) -> Any:
    return _scattered(np, x, index, src, dim, out, True)


def _gathered_src(F: Any, g: Any, T: Any, dim: int, index: Any) -> Any:
    """The gradient of `src`: what was taken from it, and 0 for the rest."""
    found = F.gather(g, dim, index)
    rest = [a - b for a, b in zip(T.src.sizes, T.index.sizes, strict=True)]
    if all(equal(size, 0) is True for size in rest):
        return found
    return F.pad(found, pad=tuple(x for size in reversed(rest) for x in (0, size)))


def _scatter_onnx(reduction: str) -> Any:
    def form(E: Any, input: Any, dim: int, index: Any, src: Any) -> Any:
        if not input.ndim:
            value = E.Cast(src, to=input.dtype)
            return E.Add(input, value) if reduction == "add" else value
        zeros = np.zeros(src.ndim, np.int64)
        part = E.Slice(src, zeros, E.shape(index.shape), np.arange(src.ndim))
        part = E.Cast(part, to=input.dtype)
        axis = normalise_dim("scatter", dim, input.ndim)
        return E.ScatterElements(input, index, part, axis=axis, reduction=reduction)

    return form


@scatter(
    "scatter(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor",
    fast=scatter_fast,
    grad={
        "input": lambda F, g, T, dim, index: F.scatter(
            g, dim, index, F.full(size=T.index.sizes, value=0, dtype=g.dtype)
        ),
        "src": _gathered_src,
    },
    onnx=_scatter_onnx("none"),
)
def scatter_(n: Any, input: Any, index: Any, src: Any, dim: Any) -> Any:
    """A copy of input with src[i][j][k] at [i][index[i][j][k]][k], for dim=1. Where two go to one place, the last
    in row-major order stays."""
    letters, at, value = _scatter_place(n, input, index, src, dim)
    return n.scatter(input, letters, at, value, "set")


@scatter(
    "scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor",
    fast=scatter_add_fast,
    grad={"input": lambda g: g, "src": _gathered_src},
    onnx=_scatter_onnx("add"),
)
def scatter_add(n: Any, input: Any, index: Any, src: Any, dim: Any) -> Any:
    """A copy of input with src[i][j][k] added at [i][index[i][j][k]][k], for dim=1."""
    letters, at, value = _scatter_place(n, input, index, src, dim)
    return n.scatter(input, letters, at, value, "sum")


@composite("take_along_dim(input: Tensor, indices: Tensor, dim: int? = None) -> Tensor")
def take_along_dim(F: Any, input: Any, indices: Any, dim: Any) -> Any:
    """`gather` with broadcasting of the other dimensions; without dim, over the elements in row-major order."""
    if dim is None:
        return F.gather(F.reshape(input, shape=(-1,)), 0, F.reshape(indices, shape=(-1,)))
    require(
        "take_along_dim",
        input.ndim == indices.ndim,
        "indices and input differ in their number of dimensions",
        input=input,
        indices=indices,
    )
    axis = normalise_dim("take_along_dim", dim, input.ndim)
    sizes = [b if a == 1 else a for a, b in zip(input.shape, indices.shape, strict=True)]
    own, places = list(sizes), list(sizes)
    own[axis], places[axis] = input.shape[axis], indices.shape[axis]
    return F.gather(F.expand(input, size=tuple(own)), axis, F.expand(indices, size=tuple(places)))
