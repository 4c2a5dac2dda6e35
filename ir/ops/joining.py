"""Larger tensors from smaller ones: cat, stack, pad."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from ..dtypes import promote
from ..errors import ArgumentError
from ..families import composite, nest, normalise_dim
from ..nest import as_index
from ..sizes import Size, ask, certain
from .literals import literal_of

__all__: list[str] = []


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
        if before != 0 and certain(">", before, 0) is not False:
            inside.append(index >= 0)
        if after != 0 and certain(">", after, 0) is not False:
            inside.append(index < as_index(size))
    return n.out(letters, n.guard(inside, input[at], literal_of(value, input.dtype)))
