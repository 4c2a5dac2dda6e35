"""Indexing by several integer tensors at once, `x[i, :, j]`, and writing there.

Negative indices count from the end, as in PyTorch; those outside of the dimension are errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ArgumentError
from ..families import nest, normalise_dims, scatter
from ..nest import as_index
from ..sizes import Size, equal
from .checks import require_integers
from .onnx_places import read_places, write_places

__all__: list[str] = []


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


def _add_rows(np: Any, out: Any, places: Any, rows: Any) -> None:
    """Add each row of `rows` to the row of `out` at its place. `add.at` is several times as fast on a flat array as on
    one of rows."""
    width = 1
    for size in out.shape[1:]:
        width *= size
    flat = places.reshape(-1, 1).astype(np.int64) * width + np.arange(width)
    np.add.at(out.reshape(-1), flat.reshape(-1), rows.reshape(-1))


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
        added = values.astype(x.dtype, copy=False)
        first = indices[0]
        if (
            len(indices) == 1
            and dims[0] == 0
            and first.size
            and -x.shape[0] <= first.min()
            and first.max() < x.shape[0]
        ):
            part = np.broadcast_to(added, (*first.shape, *x.shape[1:]))
            _add_rows(np, out, np.where(first < 0, first + x.shape[0], first), part)
        else:
            np.add.at(out, at, added)
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
