"""Indexing with numbers, slices, None, `...` and tensors, for reading and for writing.

Basic indices become a chain of view ops (`select`, `slice`, `unsqueeze`); eagerly, without gradient, NumPy does the
whole chain at once. Index tensors and boolean masks go to the op `index`, writes to `index_put`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ir.errors import IndexOutOfRange, IngotError
from ..ir.locations import here
from ..ir.registry import Op, lookup
from .dispatch import EAGER, link_view
from .mode import mode
from .tape import Plan, plan_of, record_unary
from .tensor_base import TensorBase, wrap

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = ["basic_steps", "get", "replay", "set_"]

_BASIC = frozenset({int, slice, type(None), type(Ellipsis)})


def get(tensor: Tensor, index: Any) -> Any:
    """`tensor[index]`."""
    items = index if index.__class__ is tuple else (index,)
    for item in items:
        kind = item.__class__
        if kind not in _BASIC or (kind is slice and item.step is not None and item.step < 1):
            break
    else:
        if mode.tracer is None:
            if tensor._node is None or not mode.grad:
                return _view(tensor, index)
            if index.__class__ is slice:
                step = 1 if index.step is None else index.step
                return _recorded_view(
                    tensor, index, "slice", {"dim": 0, "start": index.start, "end": index.stop, "step": step}
                )
            if index.__class__ is int:
                return _recorded_view(tensor, index, "select", {"dim": 0, "index": index})
    steps, advanced = _parse(tensor, items)
    found: Any = tensor
    for name, attrs in steps:
        found = getattr(EAGER, name)(found, **attrs)
    if advanced:
        dims, indices = zip(*advanced, strict=True)
        found = EAGER.index(found, list(indices), dims=dims)
    return found


def _view(tensor: Tensor, index: Any) -> Any:
    try:
        array = tensor._array[index]
        if array.__class__ is not np.ndarray:
            # NumPy hands out a scalar, a copy, where no dimension is left; `...` keeps the view.
            array = tensor._array[(*index, ...) if index.__class__ is tuple else (index, ...)]
    except IndexError as error:
        raise IndexOutOfRange(f"index: {error}", location=here()) from None
    found = wrap(array)
    link_view(found, tensor, None, index)
    return found


def _recorded_view(tensor: Tensor, index: Any, name: str, attrs: dict[str, Any]) -> Any:
    """A view by one index, which one op describes."""
    found = _view(tensor, index)
    op, plan = _view_op(name)
    record_unary(plan, op, tensor, attrs, found)
    return found


@cache
def _view_op(name: str) -> tuple[Op, Plan | None]:
    op = lookup(name)
    return op, plan_of(op, (0,), 1)


def _parse(tensor: Tensor, items: tuple[Any, ...]) -> tuple[list[tuple[str, dict[str, Any]]], list[tuple[int, Any]]]:
    """An index as view ops, and the index tensors that are left with the dimensions they apply to."""
    from .creation import tensor as make_tensor

    items = tuple(_spread_masks(items))
    used = sum(1 for item in items if item is not None and item is not Ellipsis)
    if used > tensor.ndim:
        raise IndexOutOfRange(f"index: {used} indices for a tensor of {tensor.ndim} dimensions", location=here())
    if sum(1 for item in items if item is Ellipsis) > 1:
        raise IndexOutOfRange("index: more than one '...'", location=here())
    if Ellipsis in [i if i.__class__ in _BASIC else None for i in items]:
        at = next(k for k, item in enumerate(items) if item is Ellipsis)
        items = (*items[:at], *[slice(None)] * (tensor.ndim - used), *items[at + 1 :])
    steps: list[tuple[str, dict[str, Any]]] = []
    advanced: list[tuple[int, Any]] = []
    dim = 0
    for item in items:
        if item is None:
            steps.append(("unsqueeze", {"dim": dim}))
        elif isinstance(item, slice):
            if item != slice(None):
                steps.append(
                    (
                        "slice",
                        {
                            "dim": dim,
                            "start": item.start,
                            "end": item.stop,
                            "step": 1 if item.step is None else item.step,
                        },
                    )
                )
        elif isinstance(item, (TensorBase, list, np.ndarray)):
            advanced.append((dim, item if isinstance(item, TensorBase) else make_tensor(item)))
        elif isinstance(item, (int, np.integer)) or hasattr(item, "__ingot_size__"):
            steps.append(("select", {"dim": dim, "index": item if not isinstance(item, np.integer) else int(item)}))
            continue
        else:
            raise IndexOutOfRange(
                f"index: {item!r} is no index",
                expected="integers, slices, None, ..., tensors",
                location=here(),
            )
        dim += 1
    return steps, advanced


def _spread_masks(items: tuple[Any, ...]) -> list[Any]:
    """Boolean masks as one index tensor for each dimension that they cover."""
    found: list[Any] = []
    for item in items:
        if isinstance(item, bool):
            raise IndexOutOfRange(
                "index: True and False are no indices", location=here(), advice="use None or a mask tensor"
            )
        is_mask = isinstance(item, (TensorBase, np.ndarray, list)) and _is_bool(item)
        if not is_mask:
            found.append(item)
            continue
        mask = item if isinstance(item, TensorBase) else wrap(np.asarray(item))
        places = EAGER.nonzero(mask)
        found.extend(EAGER.select(places, 1, d) for d in range(mask._array.ndim))
    return found


def _is_bool(item: Any) -> bool:
    array = (
        item._array
        if isinstance(item, TensorBase)
        else np.asarray(item)
        if not isinstance(item, list) or not any(isinstance(x, TensorBase) for x in item)
        else None
    )
    return array is not None and array.dtype == np.bool_


def set_(tensor: Tensor, index: Any, value: Any) -> None:
    """`tensor[index] = value`, in place."""
    from . import inplace
    from .creation import as_tensor_like

    items = index if isinstance(index, tuple) else (index,)
    source = as_tensor_like(value, tensor)
    if len(items) == 1 and isinstance(items[0], TensorBase) and _is_bool(items[0]) and source._array.ndim == 0:
        mask = items[0]
        while mask._array.ndim < tensor._array.ndim:
            mask = EAGER.unsqueeze(mask, -1)
        inplace.assign(tensor, EAGER.where(mask, source, tensor))
        return
    steps, advanced = _parse(tensor, items)
    target: Any = tensor
    for name, attrs in steps:
        target = getattr(EAGER, name)(target, **attrs)
    if advanced:
        dims, indices = zip(*advanced, strict=True)
        source = EAGER.index_put(target, list(indices), source, dims=dims)
    inplace.assign(target, source)


def basic_steps(tensor: Any, index: Any) -> list[tuple[str, dict[str, Any]]]:
    """A basic index as a chain of view ops."""
    return _parse(tensor, index if isinstance(index, tuple) else (index,))[0]


def replay(base: Any, chain: tuple[Any, ...]) -> Any:
    """The view that a chain of view steps leads to from another base."""
    found = base
    for op, step in chain:
        if op is None:
            for name, attrs in basic_steps(found, step):
                found = getattr(EAGER, name)(found, **attrs)
        else:
            found = EAGER.apply(op, [found], step)
    return found


def expand_chain(base: Any, chain: tuple[Any, ...]) -> list[tuple[Any, dict[str, Any], Any]]:
    """A view chain with every step as (op, attributes, the tensor it is applied to)."""
    found: list[tuple[Any, dict[str, Any], Any]] = []
    current = base
    for op, step in chain:
        parts = [(op, step)] if op is not None else [(lookup(n), a) for n, a in basic_steps(current, step)]
        for part, attrs in parts:
            attrs = part.schema.check_attrs(attrs)
            found.append((part, attrs, current))
            current = EAGER.apply(part, [current], attrs)
    return found


def write_back(base: Any, chain: tuple[Any, ...], new: Any) -> Any:
    """The base's new value after the view at the end of `chain` has become `new`.

    Raises:
        IngotError: when a step cannot be undone (an expanded view: several elements share memory).
    """
    for op, attrs, before in reversed(expand_chain(base, chain)):
        if op.inverse is None:
            raise IngotError(
                f"an in-place change of a view made by {op.short}",
                expected="every element of the view in memory of its own",
                location=here(),
                advice="clone() the view first",
            )
        new = op.inverse(EAGER, before, new, **attrs)
    return new
