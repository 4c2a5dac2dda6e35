"""Whole rows by their indices: index_select, embedding, one-hot and their gradients.

An index outside of the dimension is an error on every backend, and so is a negative one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import int64
from ..families import nest, normalise_dim, scatter
from ..nest import as_index
from ..registry import NotDifferentiable
from ..sizes import Size, equal
from ..types import TensorType
from .checks import require_integers
from .onnx_places import write_places

__all__: list[str] = []


def _inside(np: Any, index: Any, size: Any) -> Any:
    """Refuse indices outside of [0, size)."""
    if index.size and (index.min() < 0 or index.max() >= size):
        at = index.min() if index.min() < 0 else index.max()
        raise IndexError(f"index {at} is out of range for a dimension of size {size}")
    return index


def _add_rows(np: Any, out: Any, places: Any, rows: Any) -> None:
    """Add each row of `rows` to the row of `out` at its place. `add.at` is several times as fast on a flat array as on
    one of rows."""
    width = 1
    for size in out.shape[1:]:
        width *= size
    flat = places.reshape(-1, 1).astype(np.int64) * width + np.arange(width)
    np.add.at(out.reshape(-1), flat.reshape(-1), rows.reshape(-1))


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
    added = source.astype(x.dtype, copy=False)
    if axis == 0:
        _add_rows(np, out, index, added)
    else:
        np.add.at(out, (*(slice(None),) * axis, index), added)
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
    _add_rows(np, out, _inside(np, ids, num_embeddings), g)
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
