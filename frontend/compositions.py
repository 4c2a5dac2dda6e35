"""Functions of PyTorch's names that select, repeat and write along a dimension, and small ones around them.

Each is written in operations that there are already, so that it has gradients and is captured with no more ado. Sums,
norms, orders and matrix products by other names are `derived`'s subject.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from ..ir.dtypes import int64
from ..ir.errors import ArgumentError
from ..ir.families import normalise_dim
from ..ir.locations import here
from .creation import as_tensor_like
from .dispatch import EAGER
from .einsum import einsum
from .tensor_base import TensorBase

__all__ = ["FUNCTIONS", "METHODS"]


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The places of the elements that are not zero: a row of indices for each, or with `as_tuple` a tensor for each
    dimension."""
    found = EAGER.nonzero(input)
    return tuple([EAGER.select(found, 1, dim) for dim in range(input.ndim)]) if as_tuple else found


def repeat_interleave(input: Any, repeats: Any, dim: int | None = None, *, output_size: Any = None) -> Any:
    """Each element, or each slice along a dimension, several times in a row.

    Args:
        repeats: how often: a number, or a tensor with a number for each slice.
        dim: without it, all elements of the flattened tensor.
        output_size: the sum of the repeats, where it is known.

    >>> import ingot
    >>> repeat_interleave(ingot.tensor([1, 2]), 2), repeat_interleave(ingot.tensor([1, 2]), ingot.tensor([1, 3]))
    (tensor([1, 1, 2, 2]), tensor([1, 2, 2, 2]))
    """
    x = input if dim is not None else input.reshape(-1)
    at = normalise_dim("repeat_interleave", dim or 0, x.ndim)
    if isinstance(repeats, TensorBase):
        return EAGER.index_select(x, at, _repeated_places(x.shape[at], repeats, output_size))
    sizes = list(x.shape)
    many = EAGER.unsqueeze(x, at + 1).expand(*sizes[: at + 1], repeats, *sizes[at + 1 :])
    return many.reshape(*sizes[:at], sizes[at] * repeats, *sizes[at + 1 :])


def _repeated_places(size: Any, repeats: Any, total: Any) -> Any:
    ends = EAGER.cumsum(EAGER.cast(repeats, dtype=int64).expand(size), 0)
    count = EAGER.select(ends, 0, -1).item() if total is None else total
    places = EAGER.unsqueeze(EAGER.arange(0, count, 1, int64), 1)
    return EAGER.sum(EAGER.le(ends, places), dim=(1,))


def _at(input: Any, dim: int, index: Any) -> tuple[Any, ...]:
    return (slice(None),) * normalise_dim("index", dim, input.ndim) + (index,)


def index_copy_(input: Any, dim: int, index: Any, source: Any) -> Any:
    """Write slices along a dimension at the given places, in place."""
    input[_at(input, dim, index)] = source
    return input


def index_fill_(input: Any, dim: int, index: Any, value: Any) -> Any:
    """Fill the slices along a dimension at the given places with a value, in place."""
    input[_at(input, dim, index)] = value
    return input


def _on_a_copy(change: Callable[..., Any]) -> Callable[..., Any]:
    def changed(input: Any, *args: Any, **kwargs: Any) -> Any:
        return change(EAGER.clone(input), *args, **kwargs)

    changed.__name__ = change.__name__.rstrip("_")
    changed.__doc__ = str(change.__doc__).replace(", in place.", ", in a copy.")
    return changed


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * (batch1 @ batch2), matrix by matrix."""
    product = EAGER.matmul(batch1, batch2)
    product = product if _is_one(alpha) else product * alpha
    return product + (input if _is_one(beta) else input * beta)


def _is_one(x: Any) -> bool:
    return isinstance(x, (int, float)) and x == 1


def logaddexp(input: Any, other: Any) -> Any:
    """log(exp(input) + exp(other)), shifted so that exp cannot overflow."""
    high = EAGER.maximum(input, other)
    apart = EAGER.where(EAGER.eq(input, other), 0.0, EAGER.minimum(input, other) - high)  # inf - inf is none
    return high + EAGER.log1p(EAGER.exp(apart))


def isin(elements: Any, test_elements: Any, *, invert: bool = False) -> Any:
    """Which elements are among others."""
    wanted = as_tensor_like(test_elements, elements).reshape(-1)
    found = EAGER.any(EAGER.eq(EAGER.unsqueeze(elements, -1), wanted), dim=(-1,))
    return EAGER.logical_not(found) if invert else found


def diff(input: Any, n: int = 1, dim: int = -1) -> Any:
    """The differences of neighbours along a dimension, `n` times over."""
    at = normalise_dim("diff", dim, input.ndim)
    for _ in range(n):
        last = EAGER.slice(input, dim=at, start=1, end=None, step=1)
        first = EAGER.slice(input, dim=at, start=0, end=-1, step=1)
        input = EAGER.ne(last, first) if input.dtype.kind == "bool" else last - first
    return input


def flip_along(dim: int) -> Callable[[Any], Any]:
    """The function that turns a tensor round along one dimension."""

    def flipped(input: Any) -> Any:
        return EAGER.flip(input, (dim,))

    flipped.__doc__ = f"The tensor turned round along dimension {dim}."
    return flipped


def is_nonzero(input: Any) -> bool:
    """Whether the only element of a tensor is not zero.

    Raises:
        ArgumentError: for another number of elements.
    """
    if input.numel() != 1:
        raise ArgumentError("is_nonzero: one element is asked for", found=f"{input.numel()}", location=here())
    return bool(input)


def scalar_tensor(s: Any, *, dtype: Any = None) -> Any:
    """A tensor without dimensions, of the default dtype."""
    from .creation import full

    return full((), s, dtype=dtype)


def _assert(condition: Any, message: Any = "") -> None:
    """`assert condition, message`, as a call.

    Raises:
        AssertionError: when the condition does not hold; in a program, at the call.
    """
    from .script.runtime import assert_

    assert_(condition, lambda: message)


def split_with_sizes(input: Any, split_sizes: Sequence[Any], dim: int = 0) -> Any:
    """The tensor in pieces of the given sizes."""
    return input.split(split_sizes, dim)


METHODS: Final[dict[str, Callable[..., Any]]] = {
    "baddbmm": baddbmm,
    "diff": diff,
    "index_copy": _on_a_copy(index_copy_),
    "index_copy_": index_copy_,
    "index_fill": _on_a_copy(index_fill_),
    "index_fill_": index_fill_,
    "isin": isin,
    "logaddexp": logaddexp,
    "nonzero": nonzero,
    "repeat_interleave": repeat_interleave,
    "split_with_sizes": split_with_sizes,
}
FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    **{name: function for name, function in METHODS.items() if not name.endswith("_")},
    "_assert": _assert,
    "einsum": einsum,
    "fliplr": flip_along(1),
    "flipud": flip_along(0),
    "is_nonzero": is_nonzero,
    "scalar_tensor": scalar_tensor,
}
