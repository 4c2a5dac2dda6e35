"""Lists in scripted functions: how many elements they have may be the run's to decide.

What a captured loop appends, or one side of a captured branch, is one tensor afterwards, with the elements' number in
front. It stands in the list as a `Run`. `stack` and `cat` take such a list, elements can be taken out of it, set and
added, and loops can go over it. (What branches and loops note about lists is the subject of `list_growth`.)
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any, Final

from ...ir.dtypes import get_default_dtype
from ...ir.errors import CaptureError
from ...ir.locations import Location, here
from ...ir.registry import Op, lookup
from ..dispatch import EAGER
from ..mode import mode
from ..tensor_base import TensorBase
from .joining import note_kin, run_of
from .run import Run, as_row, check_index, list_refused
from .sharing import base_of
from .symbols import SymBool
from .symint import as_size

__all__ = ["Run", "SymList", "made_list", "refuse_grown"]

_STACK: Final = lookup("stack")
_SELECT: Final = lookup("select")


def refuse_grown(result: Any, context: str) -> None:
    """The result of a program is as long as its signature says.

    Raises:
        CaptureError: when a list in it has grown in a captured loop.
    """
    if isinstance(result, SymList) and result.has_runs:
        run = next(item for item in result.segments() if isinstance(item, Run))
        raise CaptureError(
            "the program's result is a list whose length the run decides",
            expected="a list of as many elements in every call, or a tensor",
            location=run.location,
            context=context,
            advice="return ingot.stack(list)",
        )
    items = result.values() if isinstance(result, dict) else result if isinstance(result, (list, tuple)) else ()
    for item in items:
        refuse_grown(item, context)


class SymList(list[Any]):
    """A list of a scripted function.

    Attributes:
        depth: how many regions the capture was in when the list was made.
        line: where a branch or loop has last appended to it.
        lost: where a list has been changed that is this one or not, and what decides whether it is.
    """

    __slots__ = ("__weakref__", "_twins", "depth", "line", "lost")

    def __init__(self, items: Any = ()) -> None:
        super().__init__(items)
        self._twins: dict[int, tuple[weakref.ref[SymList], Location | None]] = {}  # by `id`; some are no more
        self.line: Location | None = None
        self.lost: tuple[Location | None, Location | None] | None = None
        self.depth = mode.tracer.regions.depth if mode.tracer is not None else 0

    # -- being another list or not

    def may_be(self, other: SymList, location: Location | None) -> None:
        """Note that this list and another are one, or not: the run decides it, at the branch or loop at `location`."""
        known = self._twins.get(id(other))
        if other is not self and (known is None or known[0]() is not other):
            self._twins[id(other)] = weakref.ref(other), location
            other._twins[id(self)] = weakref.ref(self), location

    def twins(self) -> list[SymList]:
        """The lists that this one may be, as far as they are in use."""
        self._twins = {key: twin for key, twin in self._twins.items() if twin[0]() is not None}
        return [other for reference, _ in self._twins.values() if (other := reference()) is not None]

    def _changing(self) -> None:
        """The list is about to be changed: what it may be is changed, or not."""
        self.refuse_lost()
        for reference, location in self._twins.values():
            other = reference()
            if other is not None and other.lost is None and mode.tracer is not None:
                other.lost = here(), location
                mode.tracer.regions.sharing.lost_lists.append(other)

    def refuse_lost(self) -> None:
        """The list is about to be used.

        Raises:
            CaptureError: when the run decides whether another list that was changed is this one.
        """
        if self.lost is not None:
            line, decides = self.lost
            raise list_refused(
                "a list is used that a change of another one has changed, or not, as the run decides",
                "a list of its own",
                "make a copy of the list before it gets two names: xs = list(ys)",
                found=[
                    f"a change at {line} of a list that is this one",
                    f"a branch or loop at {decides} that decides it",
                ],
            )

    # -- growing

    def append(self, item: Any) -> None:
        self._changing()
        loop = self._loop()
        if mode.tracer is not None and mode.tracer.regions.depth > self.depth:
            self.line = here()
        if loop is None or loop.carries(self):
            super().append(item)
        else:
            loop.growth_of(self).add(item)

    def extend(self, items: Any) -> None:
        if isinstance(items, SymList) and items.has_runs:
            for item in items.segments():
                self.take(item) if isinstance(item, Run) else self.append(item)
            return
        for item in items:
            self.append(item)

    def __iadd__(self, items: Any) -> Any:
        self.extend(items)
        return self

    def take(self, run: Run) -> None:
        """Elements of which the run decides how many there are."""
        self._resizing()
        super().append(run)

    def insert(self, index: Any, item: Any) -> None:
        self._resizing()
        if self.has_runs and index != 0:
            self._refuse("insert()")
        super().insert(index, item)

    def pop(self, index: Any = -1) -> Any:
        self._resizing()
        if not self.has_runs:
            return super().pop(index)
        if not isinstance(index, int) or index not in (0, -1):
            self._refuse("pop()")
        if not isinstance(list.__getitem__(self, index), Run):
            return super().pop(index)
        items = list(super().__iter__())
        if len(items) > 1 and not _has_some(items[index], 1):
            items = [self.one_run()]
        run = items[index]
        check_index(run.size, index, "pop from empty list")
        first, last = (1, None) if index == 0 else (0, -1)
        items[index] = run.like(EAGER.slice(run.tensor, 0, first, last, 1))
        super().__setitem__(slice(None), items)
        return run.element(index)

    def clear(self) -> None:
        self._resizing()
        super().clear()

    def __delitem__(self, index: Any) -> None:
        self._resizing()
        if not self.has_runs:
            super().__delitem__(index)
        elif isinstance(index, int) and index in (0, -1):
            self.pop(index)
        else:
            self._refuse("del")

    def __setitem__(self, index: Any, value: Any) -> None:
        self._changing()
        self.reading()
        if not self.has_runs:
            super().__setitem__(index, value)
            return
        if isinstance(index, slice):
            self._refuse("setting a slice")
        run = self.one_run()
        run_of([run], [value])  # refuses what is of another type
        if _is_element(value, run, index):  # xs[0] += 1, which has changed the run
            return
        check_index(run.size, index, "list assignment index out of range")
        row = as_row(value)
        new = run.like(EAGER.select_scatter(run.tensor, row, dim=0, index=index))
        note_kin(new.tensor, [run, row])
        super().__setitem__(slice(None), [new])

    def _loop(self) -> Any:
        """The innermost captured loop, if the list comes from outside of it."""
        loop = None if mode.tracer is None else mode.tracer.lists_growing
        return None if loop is None or self.depth >= loop.depth else loop

    def _resizing(self) -> None:
        """Elements are added or removed in another way than a loop can follow that only notes what it appends."""
        self._changing()
        loop = self._loop()
        if loop is not None and not loop.carries(self):
            loop.carry(self)

    # -- reading

    @property
    def has_runs(self) -> bool:
        return any(isinstance(item, Run) for item in super().__iter__())

    def reading(self) -> None:
        """The elements are about to be looked at."""
        self.refuse_lost()
        loop = self._loop()
        if loop is not None:
            loop.read(self)

    def segments(self) -> list[Any]:
        """The elements, with a `Run` for those of which the run decides how many there are."""
        self.reading()
        return list(super().__iter__())

    def one_run(self) -> Run:
        """All elements as one run. It takes their place in the list, unless that would be a change for the outside."""
        items = self.segments()
        run = run_of(items, line=self.line)
        tracer, loop = mode.tracer, self._loop()
        within = self.depth if loop is None or not loop.carries(self) else loop.depth
        if tracer is not None and tracer.regions.depth == within:
            super().__setitem__(slice(None), [run])
        return run

    def length(self) -> Any:
        """The number of elements, which may be a run-time number."""
        return sum((item.size if isinstance(item, Run) else 1 for item in self.segments()), 0)

    def __len__(self) -> int:
        self.reading()
        return int(self.length()) if self.has_runs else super().__len__()

    def __iter__(self) -> Iterator[Any]:
        self.reading()
        for item in super().__iter__():
            if isinstance(item, Run):
                raise list_refused(
                    "Python iterates over a list whose length the run decides",
                    "a loop in a scripted function, or one operation on all elements",
                    "use ingot.stack(list), or put @ingot.jit.script above the function that iterates",
                    here() or item.location,
                )
            yield item

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, list):
            return NotImplemented
        return made_list([*self.segments(), *(other.segments() if isinstance(other, SymList) else other)])

    def __radd__(self, other: Any) -> Any:
        return made_list([*other, *self.segments()]) if isinstance(other, list) else NotImplemented

    def copy(self) -> SymList:
        return made_list(self.segments())

    def _refuse(self, how: str) -> None:
        run = next(item for item in super().__iter__() if isinstance(item, Run))
        raise list_refused(
            f"{how} of a list whose length the run decides",
            "append(), extend(), +, insert(0, x), pop(), pop(0), clear(), len(), an index, a slice or a loop",
            "make a tensor of it by ingot.stack(list), and use that",
            here() or run.location,
        )

    def contains(self, value: Any) -> Any:
        """`value in list`, of a list of numbers that has grown."""
        found: Any = False
        for item in self.segments():
            if isinstance(item, Run) and len(item.tensor.shape) != 1:
                self._refuse("in")
            same = EAGER.any(EAGER.eq(item.tensor, value)) if isinstance(item, Run) else item == value
            same = same.as_tensor() if isinstance(same, SymBool) else same
            found = same if found is False else EAGER.logical_or(found, same)
        return SymBool(found, mode.tracer)

    def __getitem__(self, index: Any) -> Any:
        items = self.segments()
        if not any(isinstance(item, Run) for item in items):
            found = super().__getitem__(index)
            return SymList(found) if isinstance(index, slice) else found
        if isinstance(index, slice):
            return self._slice(items, index)
        if not isinstance(index, int):
            return self.one_run().element(index)
        left = index if index >= 0 else -1 - index  # elements between the end of the list that is counted from and it
        for item in items if index >= 0 else reversed(items):
            if isinstance(item, Run):
                if len(items) > 1 and not _has_some(item, left + 1):
                    break
                return item.element(left if index >= 0 else -1 - left)
            if left == 0:
                return item
            left -= 1
        return self.one_run().element(index)

    def _slice(self, items: list[Any], index: slice) -> Any:
        if index == slice(None):
            return made_list(items)
        if index == slice(None, None, -1):
            return made_list([_reversed(x) if isinstance(x, Run) else x for x in reversed(items)])
        run = self.one_run()
        whole = EAGER.slice(run.tensor, 0, index.start, index.stop, 1 if index.step is None else index.step)
        return made_list([run.like(whole)])

    def require_some(self, message: str, error: str = "RuntimeError") -> None:
        """Check at run time that there is an element: that a loop which appends has had iterations."""
        tracer, items = mode.tracer, self.segments()
        if tracer is None or not items or any(not isinstance(item, Run) for item in items):
            return
        count = as_size(self.length())
        if not tracer.known(">=", count, 1):
            tracer.require(tracer.relation_tensor(">=", count, 1), message, here(), error)

    def as_tensor(self) -> Any:
        """A tensor with a copy of the elements, which are numbers."""
        run = run_of(self.segments())
        if run.kind == "tensor":
            raise list_refused("ingot.tensor() of a list of tensors", "a list of numbers", "use ingot.stack(list)")
        self.require_some("tensor: the list is empty, and nothing tells its dtype", "ValueError")
        return EAGER.cast(run.tensor, dtype=get_default_dtype()) if run.kind == "float" else EAGER.clone(run.tensor)

    def __ingot_joined__(self, op: Op, dim: int = 0) -> Any:
        """`stack` or `cat` of the elements."""
        if any(isinstance(item, Run) and item.kind != "tensor" for item in self.segments()):
            raise list_refused(
                f"{op.short} of a list of numbers", "tensors", "append tensors, or make one by ingot.tensor(list)"
            )
        self.require_some(f"{op.short}: tensors is empty", "ValueError")
        whole = _joined(self.segments())
        if op is _STACK:
            return whole if dim == 0 else _moved(whole, dim if dim >= 0 else dim + whole.ndim)
        dim = dim if dim >= 0 else dim + whole.ndim - 1
        turned = whole if dim == 0 else _moved(whole, dim)
        sizes = list(turned.shape)
        return EAGER.reshape(turned, (*sizes[:dim], sizes[dim] * sizes[dim + 1], *sizes[dim + 2 :]))


def _refusing(name: str) -> Any:
    """A method of lists for what has as many elements as Python knows."""
    plain = getattr(list, name)

    def method(self: SymList, *args: Any, **kwargs: Any) -> Any:
        self.reading()
        if name in ("remove", "reverse", "sort", "__imul__"):
            self._changing()
        if self.has_runs:
            self._refuse("in" if name == "__contains__" else f"{name.strip('_')}()")
        return plain(self, *args, **kwargs)

    method.__name__ = name
    return method


_REFUSING: Final = (
    "remove", "reverse", "sort", "index", "count", "__contains__", "__mul__", "__rmul__", "__imul__", "__eq__",
    "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__reversed__",
)  # fmt: skip

for _name in _REFUSING:
    setattr(SymList, _name, _refusing(_name))


def made_list(items: list[Any], line: Location | None = None) -> SymList:
    """A list of elements and runs; `line` is where the last one was appended."""
    found = SymList()
    list.extend(found, items)
    found.line = line
    return found


def _has_some(run: Run, count: int) -> bool:
    """Whether a run is known to have so many elements."""
    return bool(mode.tracer is not None and mode.tracer.known(">=", as_size(run.size), count))


def _is_element(value: Any, run: Run, index: Any) -> bool:
    """Whether a value is the view on a run that its element is."""
    if not isinstance(value, TensorBase) or not value._chain or value._base is not base_of(run.tensor):
        return False
    op, step = value._chain[-1]
    before = len(run.tensor._chain)
    return len(value._chain) == before + 1 and op is _SELECT and step == {"dim": 0, "index": as_size(index)}


def _reversed(run: Run) -> Run:
    found = run.like(EAGER.flip(run.tensor, (0,)))
    note_kin(found.tensor, [run])
    return found


def _joined(items: list[Any]) -> Any:
    """All elements as one tensor, their number in front."""
    parts = [item.tensor if isinstance(item, Run) else EAGER.unsqueeze(item, 0) for item in items]
    return parts[0] if len(parts) == 1 else EAGER.cat(parts, dim=0)


def _moved(whole: Any, dim: int) -> Any:
    order = [*range(1, dim + 1), 0, *range(dim + 1, whole.ndim)]
    return EAGER.permute(whole, tuple(order))
