"""`einsum`: sums of products in Einstein's notation, as batched matrix products.

Operands are taken from left to right. What neither a later operand nor the result names is summed up as soon as
possible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..ir.dtypes import int64
from ..ir.errors import ArgumentError, ShapeError
from ..ir.locations import here
from .dispatch import EAGER

__all__ = ["einsum"]

Labels = list[Any]  # a letter for each dimension, or a number for one that `...` stands for


def einsum(equation: str, *operands: Any) -> Any:
    """The sum of products that an equation describes.

    A letter names a dimension; it has the same size wherever it stands. Letters that the result lacks are summed over.
    A letter that an operand has twice takes its diagonal. `...` stands for any further dimensions, which broadcast.
    Without `->` the result has the letters that occur once, in alphabetical order.

    Args:
        equation: the letters of each operand, separated by commas, and those of the result: `"bij,bjk->bik"`.
        operands: tensors, or one list of them.

    Raises:
        ArgumentError: for an equation that says nothing, or does not fit the operands.
        ShapeError: when a letter stands for two sizes.

    >>> import ingot
    >>> einsum("ij,kj->ik", ingot.tensor([[1.0, 2.0]]), ingot.tensor([[3.0, 4.0], [5.0, 6.0]]))
    tensor([[11., 17.]])
    >>> einsum("ii", ingot.eye(3))
    tensor(3.)
    """
    tensors = list(operands[0]) if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else list(operands)
    terms, result = _parsed(equation, [x.ndim for x in tensors])
    parts = [_diagonals(x, labels) for x, labels in zip(tensors, terms, strict=True)]
    _check_sizes(parts)
    found, labels = parts[0]
    for i, (other, others) in enumerate(parts[1:], 2):
        kept = {*result, *(label for _, later in parts[i:] for label in later)}
        found, labels = _product(found, labels, other, others, kept)
    found, labels = _summed(found, labels, set(result))
    missing = [label for label in result if label not in labels]  # only `...` of no operand
    assert not missing, "every label of the result has been found in an operand"
    return _arranged(found, labels, result)


# ------------------------------------------------------------------------------------------------- the equation


def _parsed(equation: str, dims: Sequence[int]) -> tuple[list[Labels], Labels]:
    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    if len(texts) != len(dims):
        raise _refusal(equation, f"{len(dims)} operands", f"{len(texts)} terms")
    terms = [_labels(equation, text, ndim) for text, ndim in zip(texts, dims, strict=True)]
    hidden = sorted({label for term in terms for label in term if isinstance(label, int)})
    counts = Counter(label for term in terms for label in term)
    if not arrow:
        once = sorted(label for label, count in counts.items() if count == 1 and isinstance(label, str))
        return terms, [*hidden, *once]
    result = _labels(equation, right, len(right.replace("...", "")) + len(hidden), hidden)
    unknown = [label for label in result if label not in counts]
    if unknown or len(set(result)) < len(result):
        raise _refusal(equation, "letters of the operands, each once, in the result", right)
    return terms, result


def _labels(equation: str, text: str, ndim: int, hidden: Sequence[int] | None = None) -> Labels:
    """A letter for each dimension; those under `...` are counted from the last: -1, -2, ..."""
    before, dots, after = text.partition("...")
    if not all(letter.isascii() and letter.isalpha() for letter in before + after):
        raise _refusal(equation, "letters, commas, '...' and '->'", text)
    more = ndim - len(before) - len(after)
    if more < 0 or (more and not dots):
        raise _refusal(equation, f"{ndim} dimensions", text)
    between = list(range(-more, 0)) if hidden is None else list(hidden) if dots else []
    return [*before, *between, *after]


def _refusal(equation: str, expected: str, found: str) -> ArgumentError:
    return ArgumentError(f"einsum: '{equation}' does not fit", expected=expected, found=found, location=here())


# ------------------------------------------------------------------------------------------------- the products


def _diagonals(x: Any, labels: Labels) -> tuple[Any, Labels]:
    """An operand that has each label once: of those that stand twice the diagonal."""
    while True:
        twice = next((label for label, count in Counter(labels).items() if count > 1), None)
        if twice is None:
            return x, labels
        first = labels.index(twice)
        second = labels.index(twice, first + 1)
        if _differ(x.shape[first], x.shape[second]):
            raise _sizes_differ(twice, x.shape[first], x.shape[second])
        rest = [i for i in range(len(labels)) if i not in (first, second)]
        x = EAGER.permute(x, (*rest, first, second))
        n = x.shape[-1]
        places = EAGER.arange(0, n, 1, int64)
        same = EAGER.eq(EAGER.unsqueeze(places, 1), places)
        x = EAGER.sum(EAGER.where(same, x, 0), dim=(-1,))
        labels = [*(labels[i] for i in rest), twice]


def _check_sizes(parts: Sequence[tuple[Any, Labels]]) -> None:
    sizes: dict[Any, Any] = {}
    for x, labels in parts:
        for label, size in zip(labels, x.shape, strict=True):
            other = sizes.setdefault(label, size)
            if isinstance(other, int) and other == 1:
                sizes[label] = size
            elif _differ(size, other) and not (isinstance(size, int) and size == 1):
                raise _sizes_differ(label, other, size)


def _differ(a: Any, b: Any) -> bool:
    return isinstance(a, int) and isinstance(b, int) and a != b


def _sizes_differ(label: Any, a: Any, b: Any) -> ShapeError:
    name = "..." if isinstance(label, int) else repr(label)
    return ShapeError(f"einsum: {name} stands for two sizes", found=f"{a} and {b}", location=here())


def _summed(x: Any, labels: Labels, kept: set[Any]) -> tuple[Any, Labels]:
    over = tuple(i for i, label in enumerate(labels) if label not in kept)
    return (EAGER.sum(x, dim=over), [label for label in labels if label in kept]) if over else (x, labels)


def _product(a: Any, left: Labels, b: Any, right: Labels, kept: set[Any]) -> tuple[Any, Labels]:
    """The product of two operands, summed over what they share and nobody else names."""
    a, left = _summed(a, left, {*kept, *right})
    b, right = _summed(b, right, {*kept, *left})
    a, b = _one_sized(a, left, b, right), _one_sized(b, right, a, left)
    shared = [label for label in left if label in right]
    batch, inner = [x for x in shared if x in kept], [x for x in shared if x not in kept]
    rows, columns = [x for x in left if x not in right], [x for x in right if x not in left]
    sizes = dict(zip(left, a.shape, strict=True)) | dict(zip(right, b.shape, strict=True))
    many, n, k, m = (_count([sizes[x] for x in part]) for part in (batch, rows, inner, columns))
    first = _arranged(a, left, [*batch, *rows, *inner]).reshape(many, n, k)
    second = _arranged(b, right, [*batch, *inner, *columns]).reshape(many, k, m)
    labels = [*batch, *rows, *columns]
    return EAGER.matmul(first, second).reshape(*[sizes[x] for x in labels]), labels


def _one_sized(a: Any, labels: Labels, b: Any, others: Labels) -> Any:
    """An operand with its dimensions of size 1 repeated to the other's size."""
    sizes = list(a.shape)
    for i, label in enumerate(labels):
        other = b.shape[others.index(label)] if label in others else 1
        if isinstance(sizes[i], int) and sizes[i] == 1 and not (isinstance(other, int) and other == 1):
            sizes[i] = other
    return a.expand(*sizes) if any(x is not y for x, y in zip(sizes, a.shape, strict=True)) else a


def _count(sizes: Sequence[Any]) -> Any:
    found: Any = 1
    for size in sizes:
        found = found * size
    return found


def _arranged(x: Any, labels: Labels, wanted: Labels) -> Any:
    order = tuple(labels.index(label) for label in wanted)
    return x if order == tuple(range(len(order))) else EAGER.permute(x, order)
