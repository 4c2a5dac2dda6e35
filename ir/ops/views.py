"""Ops whose result can share its operand's memory: reshape, permute, expand, slice, select, squeeze, unsqueeze.

Each states its `inverse`: how a change that was made through the view is written back to what it views. Ops that
rearrange into fresh memory are in `movement`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, IndexOutOfRange, ShapeError
from ..families import nest, normalise_dim, normalise_dims
from ..nest import as_index
from ..scalar import Expr
from ..sizes import Size, ask, equal, exact_div, maximum, minimum, product

__all__ = ["resolve_range", "resolve_shape", "restore_dims"]


# --------------------------------------------------------------------------------------------------------- reshape


def resolve_shape(op: str, sizes: Sequence[Size], shape: Sequence[Size]) -> tuple[Size, ...]:
    """The shape that `shape` asks for, with its -1 worked out.

    Raises:
        ShapeError: when the number of elements would change, or a -1 has no single answer.
    """
    unknown = [i for i, size in enumerate(shape) if isinstance(size, int) and size < 0]
    if not unknown:
        if equal(product(sizes), product(shape)) is not True:
            raise _reshape_error(op, sizes, shape)
        return tuple(shape)
    if len(unknown) > 1 or shape[unknown[0]] != -1:
        raise ShapeError(f"{op}: shape has more than one size to work out", found=f"shape={_show(shape)}")
    (at,) = unknown
    known = product([size for i, size in enumerate(shape) if i != at])
    total = product(sizes)
    if known == 0:
        raise ShapeError(f"{op}: -1 can be any size beside a size of 0", found=f"shape={_show(shape)}")
    size = exact_div(total, known)
    if size is None and ask("==", total % known, 0):
        size = total // known
    if size is None:
        raise _reshape_error(op, sizes, shape)
    return (*shape[:at], size, *shape[at + 1 :])


def _reshape_error(op: str, sizes: Sequence[Size], shape: Sequence[Size]) -> ShapeError:
    return ShapeError(
        f"{op}: shape has another number of elements than input",
        expected=f"a shape of {product(sizes)} elements",
        found=f"shape={_show(shape)}",
        notes=(f"input: {_show(sizes)}",),
    )


def _show(sizes: Sequence[Size]) -> str:
    return f"[{', '.join(map(str, sizes))}]"


def _regroup(letters: Sequence[Expr], sizes: Sequence[Size], target: Sequence[Size]) -> list[Expr]:
    """Where in a tensor of the sizes `target` the element lies that is at `letters` in one of `sizes`."""
    front = 0
    while front < min(len(sizes), len(target)) and sizes[front] == target[front]:
        front += 1
    back = 0
    while back < min(len(sizes), len(target)) - front and sizes[-1 - back] == target[-1 - back]:
        back += 1
    stop, target_stop = len(sizes) - back, len(target) - back
    linear: Expr = as_index(0)
    for letter, size in zip(letters[front:stop], sizes[front:stop], strict=True):
        linear = letter if linear == as_index(0) else linear * as_index(size) + letter
    found: list[Expr] = []
    for position in range(target_stop - 1, front - 1, -1):
        size = target[position]
        outermost = position == front
        found.append(linear if outermost else linear % as_index(size))
        linear = linear if outermost else linear // as_index(size)
    return [*letters[:front], *reversed(found), *letters[stop:]]


def reshape_fast(np: Any, x: Any, *, shape: Any, out: Any = None, scratch: Any = None) -> Any:
    return x.reshape(shape)


def _shape_operand(E: Any, sizes: Sequence[Size]) -> Any:
    """The shape as an ONNX tensor; one size that is not known ahead is left to ONNX as -1."""
    symbolic = [i for i, size in enumerate(sizes) if not isinstance(size, int)]
    if len(symbolic) == 1 and 0 not in sizes:
        return E.shape([-1 if i == symbolic[0] else size for i, size in enumerate(sizes)])
    return E.shape(sizes)


def _reshape_onnx(E: Any, input: Any, shape: Sequence[Size]) -> Any:
    sizes = resolve_shape("reshape", input.shape, shape)
    if any(isinstance(size, int) and size == 0 for size in sizes):
        return E.Reshape(input, E.shape(sizes), allowzero=1)
    return E.Reshape(input, _shape_operand(E, sizes))


@nest(
    "reshape(input: Tensor, shape: size[]) -> Tensor",
    fast=reshape_fast,
    view=True,
    inverse=lambda F, base, new, shape: F.reshape(new, shape=base.shape),
    grad={"input": lambda F, g, T: F.reshape(g, shape=T.input.sizes)},
    onnx=_reshape_onnx,
)
def reshape(n: Any, input: Any, shape: Any) -> Any:
    """The same elements in row-major order under other sizes; one size may be -1, which is worked out."""
    sizes = resolve_shape(n.op, input.sizes, shape)
    letters = n.letters(sizes)
    return n.out(letters, input[_regroup(letters, sizes, input.sizes)])


# --------------------------------------------------------------------------------------------------------- permute


def permute_fast(np: Any, x: Any, *, dims: Any, out: Any = None, scratch: Any = None) -> Any:
    return x.transpose(dims)


def _inverse_order(op: str, dims: Sequence[int]) -> tuple[int, ...]:
    order = normalise_dims(op, dims, len(dims)) if dims else ()
    return tuple(sorted(range(len(order)), key=order.__getitem__))


@nest(
    "permute(input: Tensor, dims: int[]) -> Tensor",
    fast=permute_fast,
    view=True,
    inverse=lambda F, base, new, dims: F.permute(new, dims=_inverse_order("permute", dims)),
    grad={"input": lambda F, g, dims: F.permute(g, dims=_inverse_order("permute", dims))},
    onnx=lambda E, input, dims: E.Transpose(input, perm=list(normalise_dims("permute", dims, len(dims)))),
)
def permute(n: Any, input: Any, dims: Any) -> Any:
    """The dimensions in another order: dimension i of the result is dimension dims[i] of the input."""
    n.require(
        len(dims) == input.ndim,
        "dims does not name every dimension of input once",
        f"{input.ndim} dims",
        f"dims={tuple(dims)}",
    )
    order = normalise_dims(n.op, dims, input.ndim) if dims else ()
    letters = n.letters([input.sizes[dim] for dim in order])
    back = _inverse_order(n.op, dims)
    return n.out(letters, input[[letters[i] for i in back]])


# ---------------------------------------------------------------------------------------------------------- expand


def expand_fast(np: Any, x: Any, *, size: Any, out: Any = None, scratch: Any = None) -> Any:
    shift = len(size) - x.ndim
    return np.broadcast_to(x, [x.shape[i - shift] if n == -1 and i >= shift else n for i, n in enumerate(size)])


def _expanded(op: str, sizes: Sequence[Size], size: Sequence[Size]) -> tuple[Size, ...]:
    shift = len(size) - len(sizes)
    if shift < 0:
        raise ShapeError(
            f"{op}: size has fewer entries than input has dimensions",
            expected=f"at least {len(sizes)}",
            found=f"size={_show(size)}",
        )
    found: list[Size] = []
    for i, wanted in enumerate(size):
        kept = isinstance(wanted, int) and wanted == -1
        if i < shift:
            if kept:
                raise ShapeError(f"{op}: a new dimension needs a size, not -1", found=f"size={_show(size)}")
            found.append(wanted)
            continue
        own = sizes[i - shift]
        if not kept and own != 1 and equal(own, wanted) is not True:
            raise ShapeError(
                f"{op}: only a dimension of size 1 can be expanded",
                expected=f"size[{i}] == input.size({i - shift})",
                found=f"{wanted} != {own}",
                notes=(f"input: {_show(sizes)}",),
            )
        found.append(own if kept else wanted)
    return tuple(found)


@nest(
    "expand(input: Tensor, size: size[]) -> Tensor",
    fast=expand_fast,
    view=True,
    grad={"input": lambda g: g},
    onnx=lambda E, input, size: E.Expand(input, E.shape(_expanded("expand", input.shape, size))),
)
def expand(n: Any, input: Any, size: Any) -> Any:
    """Dimensions of size 1 repeated up to `size`, and new ones in front; -1 keeps a size. The repeats share memory."""
    sizes = _expanded(n.op, input.sizes, size)
    letters = n.letters(sizes)
    own = letters[len(sizes) - input.ndim :]
    return n.out(letters, input[[0 if size == 1 else i for i, size in zip(own, input.sizes, strict=True)]])


# ------------------------------------------------------------------------------------------------ slice and select


def resolve_range(op: str, n: Size, start: Size | None, end: Size | None, step: int) -> tuple[Size, Size, Size]:
    """Start, end and length of `range(n)[start:end:step]`, by Python's rules for slices.

    Raises:
        ArgumentError: when the step is not positive.
    """
    if not isinstance(step, int) or step < 1:
        raise ArgumentError(f"{op}: step is not positive", expected="step >= 1", found=f"step={step}")
    first = 0 if start is None else _clamped(op, "start", start, n)
    last = n if end is None else _clamped(op, "end", end, n)
    return first, last, maximum(0, (last - first + (step - 1)) // step)


def _clamped(op: str, name: str, at: Size, n: Size) -> Size:
    negative = ask("<", at, 0)
    if negative is None:
        raise ShapeError(f"{op}: cannot tell whether {name} is negative", found=f"{name}={at}")
    return maximum(at + n, 0) if negative else minimum(at, n)


def slice_fast(
    np: Any, x: Any, *, dim: Any, start: Any, end: Any, step: Any, out: Any = None, scratch: Any = None
) -> Any:
    if step < 1:
        raise ValueError("slice: step is not positive")
    return x[(*(slice(None),) * (dim if dim >= 0 else dim + x.ndim), slice(start, end, step))]


def _slice_grad(F: Any, g: Any, T: Any, dim: int, start: Any, end: Any, step: int) -> Any:
    sizes = T.input.sizes
    axis = normalise_dim("slice", dim, len(sizes))
    if step != 1:
        zeros = F.full(size=sizes, value=0, dtype=g.dtype)
        return F.slice_scatter(zeros, g, dim=axis, start=start, end=end, step=step)
    first, _, length = resolve_range("slice", sizes[axis], start, end, 1)
    return F.pad(g, pad=_pad_one(len(sizes), axis, first, sizes[axis] - first - length))


def _pad_one(ndim: int, axis: int, before: Size, after: Size) -> tuple[Size, ...]:
    """The `pad` attribute that pads one dimension."""
    return (0, 0) * (ndim - 1 - axis) + (before, after)


@nest(
    "slice(input: Tensor, dim: int, start: size? = None, end: size? = None, step: int = 1) -> Tensor",
    fast=slice_fast,
    view=True,
    inverse=lambda F, base, new, dim, start, end, step: F.slice_scatter(
        base, new, dim=dim, start=start, end=end, step=step
    ),
    grad={"input": _slice_grad},
    onnx=lambda E, input, dim, start, end, step: E.Slice(
        input,
        E.shape([0 if start is None else start]),
        E.shape([np.iinfo(np.int64).max if end is None else end]),
        np.array([normalise_dim("slice", dim, input.ndim)], np.int64),
        np.array([step], np.int64),
    ),
)
def slice_(n: Any, input: Any, dim: Any, start: Any, end: Any, step: Any) -> Any:
    """Every step-th element from start to before end along `dim`, by Python's rules; the step is positive."""
    axis = normalise_dim(n.op, dim, input.ndim)
    first, _, length = resolve_range(n.op, input.sizes[axis], start, end, step)
    letters = n.letters([*input.sizes[:axis], length, *input.sizes[axis + 1 :]])
    at = letters[axis] if step == 1 else letters[axis] * step
    at = at if isinstance(first, int) and first == 0 else at + as_index(first)
    return n.out(letters, input[[*letters[:axis], at, *letters[axis + 1 :]]])


def resolve_index(op: str, size: Size, index: Size) -> Size:
    """An index counted from the front.

    Raises:
        IndexOutOfRange: when the dimension does not have it.
    """
    if ask("<", index, 0):
        index = index + size
    if ask("<", index, 0) or ask(">=", index, size):
        raise IndexOutOfRange(
            f"{op}: index {index} is out of range", expected=f"{-size} <= index < {size}", found=f"size {size}"
        )
    return index


def select_fast(np: Any, x: Any, *, dim: Any, index: Any, out: Any = None, scratch: Any = None) -> Any:
    # The ellipsis makes the result an array even where no dimension is left.
    return x[(*(slice(None),) * (dim if dim >= 0 else dim + x.ndim), index, ...)]


def _select_grad(F: Any, g: Any, T: Any, dim: int, index: Any) -> Any:
    sizes = T.input.sizes
    axis = normalise_dim("select", dim, len(sizes))
    at = resolve_index("select", sizes[axis], index)
    return F.pad(F.unsqueeze(g, dim=axis), pad=_pad_one(len(sizes), axis, at, sizes[axis] - at - 1))


@nest(
    "select(input: Tensor, dim: int, index: int) -> Tensor",
    fast=select_fast,
    view=True,
    inverse=lambda F, base, new, dim, index: F.select_scatter(base, new, dim=dim, index=index),
    grad={"input": _select_grad},
    onnx=lambda E, input, dim, index: E.Squeeze(
        E.Gather(input, E.shape([index]), axis=normalise_dim("select", dim, input.ndim)),
        np.array([normalise_dim("select", dim, input.ndim)], np.int64),
    ),
)
def select(n: Any, input: Any, dim: Any, index: Any) -> Any:
    """The part at one index along `dim`, without that dimension."""
    axis = normalise_dim(n.op, dim, input.ndim)
    at = resolve_index(n.op, input.sizes[axis], index)
    letters = n.letters([*input.sizes[:axis], *input.sizes[axis + 1 :]])
    return n.out(letters, input[[*letters[:axis], at, *letters[axis:]]])


# ------------------------------------------------------------------------------------------ squeeze and unsqueeze


def _squeezed(op: str, sizes: Sequence[Size], dim: Sequence[int] | None) -> tuple[int, ...]:
    """The dimensions that are dropped: those asked for, of size 1."""
    dims = range(len(sizes)) if dim is None else (normalise_dims(op, dim, len(sizes)) if dim else ())
    return tuple(i for i in dims if equal(sizes[i], 1) is True)


def squeeze_fast(np: Any, x: Any, *, dim: Any, out: Any = None, scratch: Any = None) -> Any:
    ndim = x.ndim
    dims = range(ndim) if dim is None else [d + ndim if d < 0 else d for d in dim]
    if ndim and any(d < 0 or d >= ndim for d in dims):
        raise IndexError("squeeze: a dim is out of range")
    return x.reshape([size for i, size in enumerate(x.shape) if size != 1 or i not in dims])


@nest(
    "squeeze(input: Tensor, dim: int[]? = None) -> Tensor",
    fast=squeeze_fast,
    view=True,
    inverse=lambda F, base, new, dim: F.reshape(new, shape=base.shape),
    grad={"input": lambda F, g, T: F.reshape(g, shape=T.input.sizes)},
    onnx=lambda E, input, dim: E.Squeeze(input, np.array(_squeezed("squeeze", input.shape, dim), np.int64)),
)
def squeeze(n: Any, input: Any, dim: Any) -> Any:
    """Without the dimensions of size 1, all of them or those named; other dimensions stay."""
    dropped = _squeezed(n.op, input.sizes, dim)
    kept = [i for i in range(input.ndim) if i not in dropped]
    letters = n.letters([input.sizes[i] for i in kept])
    at = dict(zip(kept, letters, strict=True))
    return n.out(letters, input[[at.get(i, 0) for i in range(input.ndim)]])


def unsqueeze_fast(np: Any, x: Any, *, dim: Any, out: Any = None, scratch: Any = None) -> Any:
    return np.expand_dims(x, dim)


@nest(
    "unsqueeze(input: Tensor, dim: int) -> Tensor",
    fast=unsqueeze_fast,
    view=True,
    inverse=lambda F, base, new, dim: F.reshape(new, shape=base.shape),
    grad={"input": lambda F, g, T: F.reshape(g, shape=T.input.sizes)},
    onnx=lambda E, input, dim: E.Unsqueeze(
        input, np.array([normalise_dim("unsqueeze", dim, input.ndim + 1)], np.int64)
    ),
)
def unsqueeze(n: Any, input: Any, dim: Any) -> Any:
    """With a new dimension of size 1 at `dim`."""
    axis = normalise_dim(n.op, dim, input.ndim + 1)
    letters = n.letters([*input.sizes[:axis], 1, *input.sizes[axis:]])
    return n.out(letters, input[[*letters[:axis], *letters[axis + 1 :]]])


def sized_fast(np: Any, x: Any, *, size: Any, out: Any = None, scratch: Any = None) -> Any:
    if x.shape != tuple(size):
        raise ValueError("sized: input has other sizes")
    return x.view()


@nest(
    "sized(input: Tensor, size: size[]) -> Tensor",
    fast=sized_fast,
    view=True,
    inverse=lambda F, base, new, size: F.sized(new, size=base.shape),
    grad={"input": lambda F, g, T: F.sized(g, size=T.input.sizes)},
    onnx=lambda E, input, size: E.Identity(input),
)
def sized(n: Any, input: Any, size: Any) -> Any:
    """The input under other names for its sizes: they are the same numbers, or it is an error when it is run."""
    same = len(size) == input.ndim and all(equal(a, b) is not False for a, b in zip(input.sizes, size, strict=True))
    n.require(same, "input has other sizes", f"sizes {_show(size)}", str(input.type))
    letters = n.letters(size)
    return n.out(letters, input[letters])


def restore_dims(F: Any, x: Any, sizes: Sequence[Size], dims: Sequence[int], keepdim: bool) -> Any:
    """The result of a reduction with the reduced dimensions back as size 1, so that it broadcasts to `sizes`."""
    if keepdim or not sizes:
        return x
    return F.reshape(x, shape=tuple(1 if i in dims else size for i, size in enumerate(sizes)))
