"""Ops that move elements into fresh memory: clone, flip, cat, stack, pad, roll, repeat, triangles, write-backs.

Those that can share memory instead are in `views`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from ..dtypes import int64, promote
from ..errors import ArgumentError
from ..families import composite, elementwise, nest, normalise_dim, normalise_dims
from ..nest import as_index
from ..sizes import Size, ask, equal, product
from .literals import literal_of
from .onnx_places import write_places
from .views import resolve_index, resolve_range

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


# --------------------------------------------------------------------------------------------------- cat and stack


def _common_dtype(np: Any, dtypes: Any) -> Any:
    """PyTorch's result dtype of tensors, by their NumPy dtypes."""
    found = dtypes[0]
    for other in dtypes[1:]:
        a, b = found, other
        rank_a = 0 if a.kind == "b" else 1 if a.kind in "iu" else 2
        rank_b = 0 if b.kind == "b" else 1 if b.kind in "iu" else 2
        if rank_a != rank_b:
            found = a if rank_a > rank_b else b
        elif a.itemsize != b.itemsize:
            found = a if a.itemsize > b.itemsize else b
        elif a != b:
            found = np.dtype(np.int16) if rank_a == 1 else np.dtype(np.float32)
    return found


def cat_fast(np: Any, *tensors: Any, dim: Any, out: Any = None, scratch: Any = None) -> Any:
    first = tensors[0].dtype
    for x in tensors:
        if x.dtype is not first:
            first = _common_dtype(np, [y.dtype for y in tensors])
            tensors = tuple(y.astype(first) for y in tensors)
            break
    return np.concatenate(tensors, axis=dim, out=out)


def _cat_grad(F: Any, g: Any, T: Any, dim: int) -> Any:
    axis = normalise_dim("cat", dim, g.ndim)
    found = []
    start: Size = 0
    for type_ in T.tensors:
        end = start + type_.sizes[axis]
        found.append(F.slice(g, dim=axis, start=start, end=end, step=1))
        start = end
    return tuple(found)


@nest(
    "cat(tensors: Tensor[], dim: int = 0) -> Tensor",
    fast=cat_fast,
    grad={"tensors": _cat_grad},
    onnx=lambda E, tensors, dim: E.Concat(*_in_one_dtype(E, tensors), axis=normalise_dim("cat", dim, tensors[0].ndim)),
)
def cat(n: Any, tensors: Any, dim: Any) -> Any:
    """The tensors one behind the other along `dim`; their other sizes are equal."""
    if not tensors:
        raise ArgumentError("cat: tensors is empty", expected="one tensor or more")
    first = tensors[0]
    axis = normalise_dim(n.op, dim, first.ndim)
    for k, other in enumerate(tensors):
        n.require(
            other.ndim == first.ndim,
            "tensors differ in their number of dimensions",
            f"tensors[{k}] of {first.ndim} dimensions",
            str(other.type),
        )
        for i in range(first.ndim):
            if i != axis:
                left, right = f"tensors[{k}].size({i})", f"tensors[0].size({i})"
                n.require_equal("sizes differ", left, other.sizes[i], right, first.sizes[i])
    dtype = reduce(promote, (x.dtype for x in tensors))
    ends: list[Size] = []
    for x in tensors:
        ends.append((ends[-1] if ends else 0) + x.sizes[axis])
    letters = n.letters([*first.sizes[:axis], ends[-1], *first.sizes[axis + 1 :]])
    body: Any = None
    for x, end in zip(reversed(tensors), reversed(ends), strict=True):
        start = end - x.sizes[axis]
        at = letters[axis] if isinstance(start, int) and start == 0 else letters[axis] - as_index(start)
        read = n.s.cast(x[[*letters[:axis], at, *letters[axis + 1 :]]], dtype)
        body = read if body is None else n.s.where(letters[axis] < as_index(end), read, body)
    return n.out(letters, body)


def _in_one_dtype(E: Any, tensors: Sequence[Any]) -> list[Any]:
    dtype = reduce(promote, (x.dtype for x in tensors))
    return [x if x.dtype is dtype else E.Cast(x, to=dtype) for x in tensors]


@composite("stack(tensors: Tensor[], dim: int = 0) -> Tensor")
def stack(F: Any, tensors: Any, dim: Any) -> Any:
    """The tensors, all of the same sizes, one behind the other along a new dimension."""
    if not tensors:
        raise ArgumentError("stack: tensors is empty", expected="one tensor or more")
    axis = normalise_dim("stack", dim, tensors[0].ndim + 1)
    return F.cat([F.unsqueeze(x, dim=axis) for x in tensors], dim=axis)


# ------------------------------------------------------------------------------------------------------------- pad


def pad_fast(np: Any, x: Any, *, pad: Any, mode: Any, value: Any, out: Any = None, scratch: Any = None) -> Any:
    if mode != "constant" or len(pad) % 2 or len(pad) > 2 * x.ndim:
        raise ValueError("pad: mode or pad is not supported")
    sizes = list(x.shape)
    inner = [slice(None)] * x.ndim
    outer = [slice(None)] * x.ndim
    for i in range(len(pad) // 2):
        axis = x.ndim - 1 - i
        before, after = pad[2 * i], pad[2 * i + 1]
        size = sizes[axis]
        sizes[axis] = size + before + after
        if sizes[axis] < 0:
            raise ValueError("pad: a size becomes negative")
        # A negative amount crops, and may crop everything.
        inner[axis] = slice(max(0, -before), max(0, size + min(0, after)))
        outer[axis] = slice(max(0, before), max(0, sizes[axis] - max(0, after)))
    if out is None:
        out = np.zeros(sizes, x.dtype) if value == 0 else np.full(sizes, value, x.dtype)
    else:
        out[...] = value
    moved = x[tuple(inner)]
    if moved.size:
        out[tuple(outer)] = moved
    return out


def _pads(pad: Sequence[Size], ndim: int) -> list[tuple[Size, Size]]:
    """(before, after) for every dimension; `pad` begins with the last one."""
    found: list[tuple[Size, Size]] = [(0, 0)] * ndim
    for i in range(len(pad) // 2):
        found[ndim - 1 - i] = pad[2 * i], pad[2 * i + 1]
    return found


def _pad_onnx(E: Any, input: Any, pad: Any, mode: str, value: float) -> Any:
    pairs = _pads(pad, input.ndim)
    amounts = E.shape([before for before, _ in pairs] + [after for _, after in pairs])
    return E.Pad(input, amounts, E.number(literal_of(value, input.dtype), input), mode=mode)


@nest(
    "pad(input: Tensor, pad: int[], mode: str = 'constant', value: float = 0.0) -> Tensor",
    fast=pad_fast,
    grad={"input": lambda F, g, pad: F.pad(g, pad=tuple(-amount for amount in pad))},
    onnx=_pad_onnx,
)
def pad_(n: Any, input: Any, pad: Any, mode: Any, value: Any) -> Any:
    """`value` around the input; `pad` counts (before, after) from the last dimension on, negative amounts crop."""
    if mode != "constant":
        raise ArgumentError(f"pad: mode {mode!r} is not supported", expected="mode='constant'")
    n.require(
        len(pad) % 2 == 0 and len(pad) <= 2 * input.ndim,
        "pad does not hold two amounts a dimension",
        f"an even number of entries, at most {2 * input.ndim}",
        f"pad={tuple(pad)}",
    )
    pairs = _pads(pad, input.ndim)
    sizes = [size + before + after for size, (before, after) in zip(input.sizes, pairs, strict=True)]
    n.require(not any(ask("<", size, 0) for size in sizes), "pad crops more than there is", "", f"pad={tuple(pad)}")
    letters = n.letters(sizes)
    at, inside = [], []
    for letter, size, (before, after) in zip(letters, input.sizes, pairs, strict=True):
        index = letter - as_index(before) if before != 0 else letter
        at.append(index)
        if before != 0 and ask(">", before, 0) is not False:
            inside.append(index >= 0)
        if after != 0 and ask(">", after, 0) is not False:
            inside.append(index < as_index(size))
    return n.out(letters, n.guard(inside, input[at], literal_of(value, input.dtype)))


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


# ----------------------------------------------------------------------------------------------------- write-backs


def slice_scatter_fast(
    np: Any, x: Any, src: Any, *, dim: Any, start: Any, end: Any, step: Any, out: Any = None, scratch: Any = None
) -> Any:
    if src.ndim != x.ndim or step < 1:
        raise ValueError("slice_scatter: src does not fit")
    at = (*(slice(None),) * (dim if dim >= 0 else dim + x.ndim), slice(start, end, step))
    if out is None:
        out = x.copy()
    else:
        np.copyto(out, x)
    part = out[at]
    if part.shape != src.shape:
        raise ValueError("slice_scatter: src does not fit")
    part[...] = src
    return out


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
    if out is None:
        out = x.copy()
    else:
        np.copyto(out, x)
    part = out[at]
    if part.shape != src.shape:
        raise ValueError("select_scatter: src does not fit")
    part[...] = src
    return out


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
