"""Ops that move elements into fresh memory: clone, flip, roll, repeat, triangles.

Those that can share memory instead are in `views`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..families import composite, elementwise, nest, normalise_dim, normalise_dims
from ..nest import as_index
from ..sizes import product

__all__: list[str] = []


elementwise(
    "clone(input: Tensor) -> Tensor",
    scalar=lambda s, x: x,
    keep=("input",),
    grad={"input": lambda g: g},
    onnx="Identity",
    doc="A copy of input in memory of its own.",
)


# ------------------------------------------------------------------------------------------------------------ flip


def flip_fast(np: Any, x: Any, *, dims: Any, out: Any = None, scratch: Any = None) -> Any:
    turned = np.flip(x, dims) if dims else x
    if out is None:
        return turned.copy()
    out[...] = turned
    return out


@nest(
    "flip(input: Tensor, dims: int[]) -> Tensor",
    fast=flip_fast,
    grad={"input": lambda F, g, dims: F.flip(g, dims=dims)},
    onnx=lambda E, input, dims: E.Slice(
        input,
        np.full(len(dims), -1, np.int64),
        np.full(len(dims), np.iinfo(np.int64).min, np.int64),
        np.array(dims, np.int64),
        np.full(len(dims), -1, np.int64),
    ),
)
def flip(n: Any, input: Any, dims: Any) -> Any:
    """The elements in reverse order along the given dimensions."""
    turned = normalise_dims(n.op, dims, input.ndim) if dims else ()
    letters = n.letters(input.sizes)
    at = [as_index(input.sizes[i] - 1) - x if i in turned else x for i, x in enumerate(letters)]
    return n.out(letters, input[at])


# ------------------------------------------------------------------------------------------ roll, repeat, triangles


def roll_fast(np: Any, x: Any, *, shifts: Any, dims: Any, out: Any = None, scratch: Any = None) -> Any:
    if len(shifts) != max(len(dims), 1):
        raise ValueError("roll: shifts and dims differ in length")
    moved = np.roll(x, shifts, dims) if dims else np.roll(x, shifts[0])
    if out is None:
        return moved
    out[...] = moved
    return out


def _roll_onnx(E: Any, input: Any, shifts: Any, dims: Any) -> Any:
    """Each dimension cut in two and joined the other way round."""
    flat = not dims
    found = E.Reshape(input, np.array([-1], np.int64)) if flat else input
    sizes = (product(input.shape),) if flat else input.shape
    last = np.array([np.iinfo(np.int64).max], np.int64)
    for shift, dim in zip(shifts, dims or (0,), strict=True):
        axis = np.array([normalise_dim("roll", dim, len(sizes))], np.int64)
        size = sizes[int(axis[0])]
        cut = E.shape([(size - shift) % size if size != 0 else 0])
        parts = E.Slice(found, cut, last, axis), E.Slice(found, np.array([0], np.int64), cut, axis)
        found = E.Concat(*parts, axis=int(axis[0]))
    return E.Reshape(found, E.shape(input.shape)) if flat else found


@nest(
    "roll(input: Tensor, shifts: int[], dims: int[] = []) -> Tensor",
    fast=roll_fast,
    grad={"input": lambda F, g, shifts, dims: F.roll(g, shifts=tuple(-s for s in shifts), dims=dims)},
    onnx=_roll_onnx,
)
def roll(n: Any, input: Any, shifts: Any, dims: Any) -> Any:
    """Elements moved on by `shifts` places along `dims`, those that fall off coming in again in front. Without
    dims, along the elements in row-major order."""
    n.require(len(shifts) == max(len(dims), 1), "shifts and dims differ in length", "", f"shifts={shifts} dims={dims}")
    letters = n.letters(input.sizes)
    at: list[Any] = list(letters)
    if dims:
        for shift, dim in zip(shifts, normalise_dims(n.op, dims, input.ndim), strict=True):
            at[dim] = (letters[dim] - as_index(shift)) % as_index(input.sizes[dim])
        return n.out(letters, input[at])
    linear = as_index(0)
    for letter, size in zip(letters, input.sizes, strict=True):
        linear = linear * as_index(size) + letter
    linear = (linear - as_index(shifts[0])) % as_index(product(input.sizes))
    for i in reversed(range(input.ndim)):
        at[i] = linear % as_index(input.sizes[i])
        linear = linear // as_index(input.sizes[i])
    return n.out(letters, input[at])


def repeat_fast(np: Any, x: Any, *, repeats: Any, out: Any = None, scratch: Any = None) -> Any:
    if len(repeats) < x.ndim:
        raise ValueError("repeat: repeats has fewer entries than input has dimensions")
    repeated = np.tile(x, repeats)
    if out is None:
        return repeated
    out[...] = repeated
    return out


def _repeat_grad(F: Any, g: Any, T: Any, repeats: Any) -> Any:
    sizes = (1,) * (len(repeats) - len(T.input.sizes)) + tuple(T.input.sizes)
    split = tuple(size for pair in zip(repeats, sizes, strict=True) for size in pair)
    summed = F.sum(F.reshape(g, shape=split), dim=tuple(range(0, len(split), 2))) if split else g
    return F.reshape(summed, shape=T.input.sizes)


def _repeat_onnx(E: Any, input: Any, repeats: Any) -> Any:
    extra = len(repeats) - input.ndim
    whole = E.Reshape(input, E.shape((1,) * extra + tuple(input.shape))) if extra else input
    return E.Tile(whole, E.shape(repeats))


@nest(
    "repeat(input: Tensor, repeats: size[]) -> Tensor",
    fast=repeat_fast,
    grad={"input": _repeat_grad},
    onnx=_repeat_onnx,
)
def repeat(n: Any, input: Any, repeats: Any) -> Any:
    """The input repeats[i] times along dimension i; surplus entries make new dimensions in front."""
    extra = len(repeats) - input.ndim
    n.require(
        extra >= 0, "repeats has fewer entries than input has dimensions", f"at least {input.ndim}", str(len(repeats))
    )
    sizes = (1,) * extra + input.sizes
    letters = n.letters([size * times for size, times in zip(sizes, repeats, strict=True)])
    at = [i % as_index(size) for i, size in zip(letters[extra:], input.sizes, strict=True)]
    return n.out(letters, input[at])


@composite("tile(input: Tensor, dims: size[]) -> Tensor")
def tile(F: Any, input: Any, dims: Any) -> Any:
    """The input dims[i] times along dimension i, counted from the last; missing entries count as 1."""
    return F.repeat(input, repeats=(1,) * (input.ndim - len(dims)) + tuple(dims))


def tril_fast(np: Any, x: Any, *, diagonal: Any, out: Any = None, scratch: Any = None) -> Any:
    if x.ndim < 2:
        raise ValueError("tril: input is not a matrix")
    mask = np.tri(*x.shape[-2:], k=diagonal, dtype=bool)
    if out is None:
        return np.where(mask, x, np.zeros((), x.dtype))
    np.copyto(out, x)
    np.copyto(out, np.zeros((), x.dtype), where=~mask)
    return out


def triu_fast(np: Any, x: Any, *, diagonal: Any, out: Any = None, scratch: Any = None) -> Any:
    if x.ndim < 2:
        raise ValueError("triu: input is not a matrix")
    mask = np.tri(*x.shape[-2:], k=diagonal - 1, dtype=bool)
    if out is None:
        return np.where(mask, np.zeros((), x.dtype), x)
    np.copyto(out, x)
    np.copyto(out, np.zeros((), x.dtype), where=mask)
    return out


def _triangle(name: str, fast: Any, inside: Any, upper: int, doc: str) -> None:
    def body(n: Any, input: Any, diagonal: Any) -> Any:
        n.require(input.ndim >= 2, "input is not a matrix", "2 dimensions or more", str(input.type))
        letters = n.letters(input.sizes)
        return n.out(letters, n.guard(inside(letters[-2], letters[-1], diagonal), input[letters], 0))

    nest(
        f"{name}(input: Tensor, diagonal: int = 0) -> Tensor",
        fast=fast,
        grad={"input": lambda F, g, diagonal: getattr(F, name)(g, diagonal=diagonal)},
        onnx=lambda E, input, diagonal: E.Trilu(input, np.array(diagonal, np.int64), upper=upper),
        doc=doc,
    )(body)


_triangle(
    "tril", tril_fast, lambda i, j, d: j - i <= d, 0, "The elements on and below a diagonal of each matrix, else 0."
)
_triangle(
    "triu", triu_fast, lambda i, j, d: j - i >= d, 1, "The elements on and above a diagonal of each matrix, else 0."
)
