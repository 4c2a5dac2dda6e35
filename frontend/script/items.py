"""What a captured loop goes over: ranges, rows of tensors and grown lists whose length the run decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...ir.errors import CaptureError
from ...ir.locations import here
from ...ir.sizes import maximum, minimum
from ..capture.grown_list import Run, SymList
from ..capture.symint import SymInt, as_size
from ..dispatch import EAGER
from ..mode import mode
from ..tensor_base import TensorBase

__all__ = ["Items", "enumerate_", "items_of", "range_", "range_items", "reversed_", "zip_"]


class Items:
    """Things to go over, by number.

    Attributes:
        count: how many; a run-time integer, or a number.
        at: the item of a number.
    """

    def __init__(self, count: Any, at: Callable[[Any], Any]) -> None:
        self.count = count
        self.at = at

    def parts(self) -> list[Items]:
        """The same in pieces that are gone over one after the other."""
        return [self]

    def __iter__(self) -> Any:
        raise CaptureError(
            "Python iterates over a length that the run decides",
            expected="a loop in a scripted function",
            location=here(),
            context=mode.tracer.context if mode.tracer is not None else "",
            advice="put @ingot.jit.script above the function with the loop",
        )


class _Parts(Items):
    """A grown list: its own elements, and the runs between them."""

    def __init__(self, parts: list[Items], count: Any) -> None:
        super().__init__(count, lambda i: None)
        self._parts = parts

    def parts(self) -> list[Items]:
        return self._parts


def range_items(value: range) -> Items:
    """A range of plain numbers as items."""
    return Items(len(value), lambda i: value.start + value.step * i)


def items_of(value: Any) -> Items | None:
    """A value as items, where the run decides how many there are; None where Python knows."""
    if isinstance(value, Items):
        return value
    if isinstance(value, TensorBase) and mode.tracer is not None and value._array.ndim:
        count = value.shape[0]  # type: ignore[attr-defined]
        return _rows(value, count) if isinstance(count, SymInt) else None
    if isinstance(value, SymList) and value.has_runs:
        parts = [Items(x.size, x.element) if isinstance(x, Run) else _single(x) for x in value.segments()]
        return parts[0] if len(parts) == 1 else _Parts(parts, value.length())
    return None


def _rows(tensor: Any, count: Any) -> Items:
    return Items(count, lambda i: EAGER.select(tensor, 0, i))


def _single(value: Any) -> Items:
    return Items(1, lambda i: value)


def size(value: Any) -> Any:
    """A size as the program sees it."""
    return value if isinstance(value, int) else SymInt(value, mode.tracer)


def range_(*args: Any) -> Any:
    """`range`, of run-time numbers too."""
    args = tuple(_integer(arg) for arg in args)
    if not any(isinstance(arg, SymInt) for arg in args):
        return range(*args)
    start, stop, step = (0, args[0], 1) if len(args) == 1 else (*args, 1) if len(args) == 2 else args
    if not isinstance(step, int):
        raise CaptureError(
            "the step of a range is decided by the run",
            expected="a plain number",
            location=here(),
            context=mode.tracer.context,
        )
    first, last = as_size(start), as_size(stop)
    distance = last - first if step > 0 else first - last
    count = maximum(0, distance if abs(step) == 1 else (distance + abs(step) - 1) // abs(step))
    return Items(size(count), lambda i: start + step * i)


def _integer(value: Any) -> Any:
    if isinstance(value, TensorBase) and mode.tracer is not None and mode.tracer.varies(value):
        return mode.tracer.item(value)
    return value


def enumerate_(iterable: Any, start: int = 0) -> Any:
    """`enumerate`, of a length that the run decides too."""
    items = items_of(iterable)
    if items is None or len(items.parts()) != 1:
        return enumerate(iterable, start)
    return Items(items.count, lambda i: (i + start, items.at(i)))


def reversed_(value: Any) -> Any:
    """`reversed`, of a length that the run decides too."""
    items = items_of(value)
    if isinstance(value, SymList) and value.has_runs:
        return value[::-1]
    if items is None or len(items.parts()) != 1:
        return reversed(value)
    count = items.count
    return Items(count, lambda i: items.at(count - 1 - i))


def zip_(*iterables: Any, strict: bool = False) -> Any:
    """`zip`, of lengths that the run decides too."""
    items = [items_of(x) for x in iterables]
    if all(x is None for x in items):
        return zip(*iterables, strict=strict)
    found = [x if x is not None else _static(y) for x, y in zip(items, iterables, strict=True)]
    count = as_size(found[0].count)
    for x in found[1:]:
        other = as_size(x.count)
        count = count if count == other else minimum(count, other)
    return Items(size(count), lambda i: tuple(x.at(i) for x in found))


def _static(iterable: Any) -> Items:
    """Something of known length beside something that the run decides: its elements as one tensor."""
    if isinstance(iterable, TensorBase):
        return _rows(iterable, iterable.shape[0])  # type: ignore[attr-defined]
    if isinstance(iterable, range):
        return range_items(iterable)
    elements = list(iterable)
    if not elements or not all(isinstance(x, TensorBase) for x in elements):
        raise CaptureError(
            "zip() of a length that the run decides with a Python sequence",
            expected="tensors, ranges, or lists of tensors of one type",
            location=here(),
            context=mode.tracer.context,
        )
    return _rows(EAGER.stack(elements), len(elements))
