"""Ops that read or write at places given by index tensors: gather, index, embedding, scatter and their kin.

An index outside of the dimension is an error on every backend. Where PyTorch counts negative ones from the end
(`index`, `index_put`), so does the op; elsewhere they are errors too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from ..dtypes import int64
from ..errors import ArgumentError
from ..families import composite, elementwise, nest, normalise_dim, normalise_dims, opaque, scatter
from ..nest import as_index
from ..registry import NotDifferentiable
from ..sizes import Size, ask, equal, var
from ..types import TensorType, Type
from .checks import require, require_integers
from .literals import literal_of
from .onnx_places import read_places, write_places

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


# ---------------------------------------------------------------------------------------- gather and scatter by dim


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
        np.add.at(out, at, part.astype(x.dtype, copy=False))
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


# ------------------------------------------------------------------------------------------- whole rows by an index


def index_select_fast(np: Any, x: Any, index: Any, *, dim: Any, out: Any = None, scratch: Any = None) -> Any:
    if index.ndim > 1:
        raise ValueError("index_select: index has more than one dimension")
    if not x.ndim:
        raise ValueError("index_select: input has no dimensions")
    return np.take(x, _inside(np, index, x.shape[dim]).reshape(-1), axis=dim, out=out, mode="clip")


@nest(
    "index_select(input: Tensor, dim: int, index: Tensor) -> Tensor",
    fast=index_select_fast,
    grad={
        "input": lambda F, g, T, dim, index: F.index_add(
            F.full(size=T.input.sizes, value=0, dtype=g.dtype), dim, index, g
        )
    },
    onnx=lambda E, input, dim, index: E.Gather(input, index, axis=normalise_dim("index_select", dim, input.ndim)),
)
def index_select(n: Any, input: Any, index: Any, dim: Any) -> Any:
    """The parts of input at the given indices along `dim`, one behind the other."""
    require_integers(n.op, index=index)
    n.require(input.ndim > 0, "input has no dimensions", "", str(input.type))
    n.require(index.ndim == 1, "index is not a vector", "1 dimension", str(index.type))
    axis = normalise_dim(n.op, dim, input.ndim)
    letters = n.letters([*input.sizes[:axis], index.sizes[0], *input.sizes[axis + 1 :]])
    return n.out(letters, input[[*letters[:axis], index[letters[axis]], *letters[axis + 1 :]]])


def index_add_fast(np: Any, x: Any, index: Any, source: Any, *, dim: Any, out: Any = None, scratch: Any = None) -> Any:
    if index.ndim != 1 or source.ndim != x.ndim:
        raise ValueError("index_add: index or source does not fit")
    axis = dim if dim >= 0 else dim + x.ndim
    _inside(np, index, x.shape[axis])
    if source.shape != (*x.shape[:axis], index.shape[0], *x.shape[axis + 1 :]):
        raise ValueError("index_add: source does not fit")
    if out is None:
        out = x.copy()
    else:
        np.copyto(out, x)
    np.add.at(out, (*(slice(None),) * axis, index), source.astype(x.dtype, copy=False))
    return out


@scatter(
    "index_add(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor",
    fast=index_add_fast,
    grad={"input": lambda g: g, "source": lambda F, g, dim, index: F.index_select(g, dim, index)},
    onnx=lambda E, input, dim, index, source: write_places(
        E, input, [index], source, (axis := normalise_dim("index_add", dim, input.ndim),), axis, add=True
    ),
)
def index_add(n: Any, input: Any, index: Any, source: Any, dim: Any) -> Any:
    """A copy of input with each part of `source` added at its index along `dim`."""
    require_integers(n.op, index=index)
    n.require(index.ndim == 1, "index is not a vector", "1 dimension", str(index.type))
    axis = normalise_dim(n.op, dim, input.ndim)
    sizes = [*input.sizes[:axis], index.sizes[0], *input.sizes[axis + 1 :]]
    n.require(
        source.ndim == input.ndim and all(equal(a, b) is True for a, b in zip(source.sizes, sizes, strict=True)),
        "source does not fit",
        f"sizes ({', '.join(map(str, sizes))})",
        str(source.type),
    )
    letters = n.letters(sizes)
    at = [*letters[:axis], index[letters[axis]], *letters[axis + 1 :]]
    return n.scatter(input, letters, at, n.s.cast(source[letters], input.dtype), "sum")


def embedding_fast(np: Any, ids: Any, weight: Any, *, padding_idx: Any, out: Any = None, scratch: Any = None) -> Any:
    if weight.ndim != 2 or ids.dtype.kind not in "iu":
        raise ValueError("embedding: input or weight does not fit")
    return np.take(weight, _inside(np, ids, weight.shape[0]), axis=0, out=out, mode="clip")


@nest(
    "embedding(input: Tensor, weight: Tensor, padding_idx: int? = None) -> Tensor",
    fast=embedding_fast,
    grad={"weight": lambda F, g, T, input, padding_idx: F.embedding_grad(g, input, T.weight.sizes[0], padding_idx)},
    onnx=lambda E, input, weight, padding_idx: E.Gather(weight, input, axis=0),
)
def embedding(n: Any, input: Any, weight: Any, padding_idx: Any) -> Any:
    """The rows of `weight` at the indices in `input`. The row `padding_idx` gets no gradient."""
    require_integers(n.op, input=input)
    n.require(weight.ndim == 2, "weight is not a matrix", "sizes (number of rows, size of a row)", str(weight.type))
    letters = n.letters([*input.sizes, weight.sizes[1]])
    return n.out(letters, weight[input[letters[:-1]], letters[-1]])


def embedding_grad_fast(
    np: Any, g: Any, ids: Any, *, num_embeddings: Any, padding_idx: Any, out: Any = None, scratch: Any = None
) -> Any:
    width = g.shape[-1]
    if out is None:
        out = np.zeros((num_embeddings, width), g.dtype)
    else:
        out[...] = 0
    flat = _inside(np, ids, num_embeddings).reshape(-1)
    np.add.at(out, flat, g.reshape(flat.shape[0], width))
    if padding_idx is not None:
        out[padding_idx] = 0
    return out


def _embedding_grad_by_g(F: Any, g: Any, input: Any, padding_idx: Any) -> Any:
    found = F.embedding(input, g)
    if padding_idx is None:
        return found
    kept = F.ne(input, padding_idx % _rows(g))
    return F.where(F.unsqueeze(kept, dim=-1), found, 0.0)


def _rows(weight: Any) -> Any:
    return weight.shape[0]


def _embedding_grad_onnx(E: Any, g: Any, input: Any, num_embeddings: Size, padding_idx: int | None) -> Any:
    zeros = E.Expand(E.number(0, g), E.shape([num_embeddings, g.shape[-1]]))
    if padding_idx is not None:
        dropped = padding_idx + num_embeddings if padding_idx < 0 else padding_idx
        here = E.Equal(E.Unsqueeze(input, np.array([-1], np.int64)), E.number(dropped, input))
        g = E.Where(here, E.number(0, g), g)
    return write_places(E, zeros, [input], g, (0,), 0, add=True)


@scatter(
    "embedding_grad(grad_output: Tensor, input: Tensor, num_embeddings: size, padding_idx: int? = None) -> Tensor",
    fast=embedding_grad_fast,
    grad={"grad_output": _embedding_grad_by_g},
    onnx=lambda E, grad_output, input, num_embeddings, padding_idx: _embedding_grad_onnx(
        E, grad_output, input, num_embeddings, padding_idx
    ),
)
def embedding_grad(n: Any, grad_output: Any, input: Any, num_embeddings: Any, padding_idx: Any) -> Any:
    """The gradient of `embedding` by its weight: for each row, the sum of the gradients of where it was taken."""
    require_integers(n.op, input=input)
    letters = n.letters([*input.sizes, grad_output.sizes[-1]])
    row = as_index(input[letters[:-1]])
    value = grad_output[letters]
    if padding_idx is not None:
        dropped = padding_idx + num_embeddings if padding_idx < 0 else padding_idx
        value = n.s.where(n.s.eq(row, as_index(dropped)), n.s.const(0.0, value), value)
    type_ = grad_output.type.with_(sizes=(num_embeddings, grad_output.sizes[-1]))
    return n.scatter(type_, letters, [row, letters[-1]], value, "sum")


def one_hot_fast(np: Any, ids: Any, *, num_classes: Any, out: Any = None, scratch: Any = None) -> Any:
    if ids.dtype.kind not in "iu":
        raise TypeError("one_hot: input is not of an integer dtype")
    _inside(np, ids, num_classes)
    return np.equal(ids[..., None], np.arange(num_classes), out=out, dtype=None).astype(np.int64, copy=False)


def _one_hot_onnx(E: Any, input: Any, num_classes: Size) -> Any:
    front = np.array([] if input.ndim else [0], np.int64)  # ONNX takes tensors with dimensions only
    places = E.Unsqueeze(E.Cast(input, to=int64), front)
    return E.Squeeze(E.OneHot(places, E.shape([num_classes]), np.array([0, 1], np.int64), axis=-1), front)


@scatter(
    "one_hot(input: Tensor, num_classes: size) -> Tensor",
    fast=one_hot_fast,
    grad=NotDifferentiable("it works on integers"),
    onnx=lambda E, input, num_classes: _one_hot_onnx(E, input, num_classes),
)
def one_hot(n: Any, input: Any, num_classes: Any) -> Any:
    """For each index a row of `num_classes` numbers of int64: 1 at the index, else 0."""
    require_integers(n.op, input=input)
    letters = n.letters(input.sizes)
    type_ = TensorType(int64, (*input.sizes, num_classes))
    return n.scatter(type_, letters, [*letters, input[letters]], n.s.const(1, int64), "set")


# --------------------------------------------------------------------------------- several index tensors at once


def _check_indices(n: Any, input: Any, indices: Any, dims: Any) -> tuple[tuple[int, ...], list[Size]]:
    """The indexed dimensions, and the common sizes of the index tensors."""
    if not indices or len(indices) != len(dims):
        raise ArgumentError(
            f"{n.op}: indices and dims differ in number", found=f"{len(indices)} and dims={tuple(dims)}"
        )
    axes = normalise_dims(n.op, dims, input.ndim)
    n.require(list(axes) == sorted(axes), "dims are not in order", "rising dims", f"dims={tuple(dims)}")
    common: list[Size] = []
    for k, index in enumerate(indices):
        require_integers(n.op, **{f"indices[{k}]": index})
        common = _broadcast(n, common, list(index.sizes))
    return axes, common


def _broadcast(n: Any, a: list[Size], b: list[Size]) -> list[Size]:
    if len(a) < len(b):
        a, b = b, a
    found = list(a)
    shift = len(a) - len(b)
    for i, size in enumerate(b):
        if a[shift + i] == 1:
            found[shift + i] = size
        elif size != 1:
            same = equal(a[shift + i], size) is True
            n.require(same, "indices do not broadcast", "equal sizes, or 1", f"{a[shift + i]} != {size}")
    return found


def _front(axes: Sequence[int]) -> int:
    """Where the index tensors' dimensions go: to the first indexed dimension where all are neighbours, else to the
    front, as in NumPy."""
    return axes[0] if axes[-1] - axes[0] == len(axes) - 1 else 0


def _indexed(n: Any, input: Any, indices: Any, dims: Any) -> tuple[list[Any], list[Any]]:
    """The letters of the indexed tensor, and where in the input each of its elements lies."""
    axes, common = _check_indices(n, input, indices, dims)
    rest = [i for i in range(input.ndim) if i not in axes]
    front = _front(axes)
    before = [i for i in rest if i < front]
    behind = rest[len(before) :]
    sizes = [*(input.sizes[i] for i in before), *common, *(input.sizes[i] for i in behind)]
    letters = n.letters(sizes)
    shared = letters[len(before) : len(before) + len(common)]
    at: list[Any] = [None] * input.ndim
    for i, letter in zip(rest, [*letters[: len(before)], *letters[len(before) + len(common) :]], strict=True):
        at[i] = letter
    for axis, index in zip(axes, indices, strict=True):
        own = shared[len(shared) - index.ndim :]
        place = as_index(index[[0 if size == 1 else x for x, size in zip(own, index.sizes, strict=True)]])
        at[axis] = n.s.where(place < 0, place + as_index(input.sizes[axis]), place)
    return letters, at


def _selector(x: Any, indices: Any, dims: Any) -> Any:
    at = [slice(None)] * x.ndim
    for index, dim in zip(indices, dims, strict=True):
        if index.dtype.kind not in "iu":
            raise TypeError("index: indices are not of an integer dtype")
        at[dim] = index
    return tuple(at)


def index_fast(np: Any, x: Any, *indices: Any, dims: Any, out: Any = None, scratch: Any = None) -> Any:
    found = np.asarray(x[_selector(x, indices, dims)])
    if out is None:
        return found
    out[...] = found
    return out


def _index_grad(F: Any, g: Any, T: Any, indices: Any, dims: Any) -> Any:
    return F.index_put(F.full(size=T.input.sizes, value=0, dtype=g.dtype), indices, g, dims=dims, accumulate=True)


def _index_onnx(E: Any, input: Any, indices: Any, dims: Any) -> Any:
    axes = normalise_dims("index", dims, input.ndim)
    return read_places(E, input, indices, axes, _front(axes))


def _index_put_onnx(E: Any, input: Any, indices: Any, values: Any, dims: Any, accumulate: bool) -> Any:
    axes = normalise_dims("index_put", dims, input.ndim)
    return write_places(E, input, indices, values, axes, _front(axes), add=accumulate)


@nest(
    "index(input: Tensor, indices: Tensor[], *, dims: int[]) -> Tensor",
    fast=index_fast,
    grad={"input": _index_grad},
    onnx=_index_onnx,
)
def index(n: Any, input: Any, indices: Any, dims: Any) -> Any:
    """input[..., i, ..., j, ...] with index tensors at `dims`, which broadcast, as NumPy's integer indexing."""
    letters, at = _indexed(n, input, indices, dims)
    return n.out(letters, input[at])


def index_put_fast(
    np: Any, x: Any, *operands: Any, dims: Any, accumulate: Any, out: Any = None, scratch: Any = None
) -> Any:
    *indices, values = operands
    at = _selector(x, indices, dims)
    if out is None:
        out = x.copy()
    else:
        np.copyto(out, x)
    if accumulate:
        np.add.at(out, at, values.astype(x.dtype, copy=False))
    else:
        out[at] = values
    return out


@scatter(
    "index_put(input: Tensor, indices: Tensor[], values: Tensor, *, dims: int[], accumulate: bool = False) -> Tensor",
    fast=index_put_fast,
    grad={
        "input": lambda F, g, T, indices, dims, accumulate: (
            g if accumulate else F.index_put(g, indices, F.full(size=(), value=0, dtype=g.dtype), dims=dims)
        ),
        "values": lambda F, g, indices, dims: F.index(g, indices, dims=dims),
    },
    onnx=_index_put_onnx,
)
def index_put(n: Any, input: Any, indices: Any, values: Any, dims: Any, accumulate: Any) -> Any:
    """A copy of input with `values`, which broadcast, written or added at the places that `index` reads. Where two
    go to one place, the last in row-major order stays."""
    letters, at = _indexed(n, input, indices, dims)
    sizes = [letter.extent for letter in letters]
    shift = len(sizes) - values.ndim
    n.require(
        shift >= 0 and all(b == 1 or equal(a, b) is True for a, b in zip(sizes[shift:], values.sizes, strict=True)),
        "values do not broadcast to the indexed part",
        f"sizes ({', '.join(map(str, sizes))})",
        str(values.type),
    )
    read = values[[0 if size == 1 else x for x, size in zip(letters[shift:], values.sizes, strict=True)]]
    return n.scatter(input, letters, at, n.s.cast(read, input.dtype), "sum" if accumulate else "set")


# ------------------------------------------------------------------------------------------------------- by masks

elementwise(
    "masked_fill(input: Tensor, mask: Tensor, value: number) -> Tensor",
    scalar=lambda s, x, mask, value: s.where(mask, s.const(literal_of(value, s.dtype(x)), s.dtype(x)), x),
    keep=("mask",),
    grad={"input": lambda F, g, mask: F.masked_fill(g, mask, 0)},
    onnx=lambda E, input, mask, value: E.Where(mask, E.number(literal_of(value, input.dtype), input), input),
    doc="`value` where the mask holds, else input.",
)

_fresh = count()


def _nonzero_type(types: Sequence[Type], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    (type_,) = types
    assert isinstance(type_, TensorType)
    return (TensorType(int64, (var(f"nonzero{next(_fresh)}"), len(type_.sizes))),)


opaque(
    "nonzero(input: Tensor) -> Tensor",
    infer=_nonzero_type,
    kernel=lambda x: np.argwhere(x) if isinstance(x, np.ndarray) else x.nonzero(),
    grad=NotDifferentiable("its result is an index"),
    onnx=lambda E, input: E.Transpose(E.NonZero(input), perm=[1, 0]),
    doc="The places of all elements that are not 0, one row each, in row-major order.",
    extras={"binds_sizes": True},
)
