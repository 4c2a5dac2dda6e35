"""Lists in scripted functions: they may grow in loops whose length the run decides.

What a captured loop appends is one tensor afterwards, the elements of all iterations stacked. It stands in the list as
a `Run`. `stack` and `cat` take such a list, elements can be taken out of it, and loops can go over it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ...ir.errors import CaptureError
from ...ir.locations import Location, here
from ...ir.registry import Op, lookup
from ..dispatch import EAGER
from ..mode import mode
from ..tensor_base import TensorBase
from .sharing import base_of
from .structured import leaf_kind
from .symbols import SymBool, SymFloat
from .symint import as_size

__all__ = ["Growing", "Growth", "Growths", "Run", "SymList", "as_kind", "refuse_grown"]

_STACK: Final = lookup("stack")


class Run:
    """Elements of a list that a captured loop has appended: one tensor with the element's number in front.

    Attributes:
        kind: what the elements are: `"tensor"`, `"int"`, `"float"` or `"bool"`.
        location: the line that appends them.
    """

    def __init__(self, tensor: Any, kind: str = "tensor", location: Location | None = None) -> None:
        self.tensor = tensor
        self.kind = kind
        self.location = location

    def like(self, tensor: Any) -> Run:
        """Other elements of the same kind."""
        return Run(tensor, self.kind, self.location)

    def element(self, index: Any) -> Any:
        """One element, as the tensor or run-time number that was appended."""
        return as_kind(self.kind, EAGER.select(self.tensor, 0, index))

    def __len__(self) -> int:
        return int(self.size)

    @property
    def size(self) -> Any:
        return self.tensor.shape[0]


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


def as_kind(kind: str, tensor: Any) -> Any:
    """A tensor without dimensions as the run-time number that it stands for; others as they are."""
    tracer = mode.tracer
    if kind == "tensor" or tracer is None:
        return tensor
    return tracer.integer(tensor) if kind == "int" else {"float": SymFloat, "bool": SymBool}[kind](tensor, tracer)


class Growth:
    """What one loop appends to one list in an iteration.

    Attributes:
        list: the list.
        items: what was appended.
        location: the first line that did.
        kind: what the elements are.
    """

    def __init__(self, grown: SymList, location: Location | None) -> None:
        self.list = grown
        self.items: list[Any] = []
        self.location = location
        self.kind = ""

    def get(self) -> tuple[Any, ...]:
        """The elements of the iteration so far."""
        return tuple(self.items)

    def set(self, items: tuple[Any, ...]) -> None:
        """Let these be the elements."""
        self.items[:] = items

    def add(self, item: Any) -> None:
        """One more element.

        Raises:
            CaptureError: when it is neither a tensor nor a number, or not of the kind of the others.
        """
        kind = leaf_kind(item)
        if kind is not None and self.items and kind != self.kind:
            raise _refused(
                f"a list that grows in a loop gets elements of types {self.kind} and {kind}",
                "tensors or numbers of one type",
                "append to one list for each, or make them one type",
            )
        self.kind = str(kind)
        if kind is None:
            raise _refused(
                f"a list that grows in a loop gets an element of type {type(item).__name__}",
                "tensors or numbers of one type",
                "append to one list for each part",
            )
        self.items.append(item)


class SymList(list[Any]):
    """A list of a scripted function.

    Attributes:
        depth: how many regions the capture was in when the list was made.
    """

    __slots__ = ("depth",)

    def __init__(self, items: Any = ()) -> None:
        super().__init__(items)
        self.depth = mode.tracer.regions.depth if mode.tracer is not None else 0

    # -- growing

    def append(self, item: Any) -> None:
        growth = self._growth("append()")
        if growth is None:
            super().append(item)
        else:
            growth.add(item)

    def extend(self, items: Any) -> None:
        if isinstance(items, SymList) and items.has_runs and self._growth("extend()") is None:
            for item in items.segments():
                self.take(item) if isinstance(item, Run) else self.append(item)
            return
        for item in items:
            self.append(item)

    def __iadd__(self, items: Any) -> Any:
        self.extend(items)
        return self

    def take(self, run: Run) -> None:
        """Elements that a loop has appended."""
        if mode.tracer is not None and mode.tracer.regions.depth > self.depth:
            raise _refused(
                "a list grows in a loop within a branch or loop that it was not made in",
                "a list that grows where it was made",
                "make the list in the same block, and hand its stack() on",
            )
        super().append(run)

    def _growth(self, how: str) -> Growth | None:
        """Where the innermost captured loop notes what it appends, if the list comes from outside of it."""
        tracer = mode.tracer
        lists = None if tracer is None else tracer.lists_growing
        if lists is None or self.depth >= lists.depth:
            return None
        if lists.outer is not None and self.depth < lists.outer.depth:
            raise _refused(
                f"{how} in an inner loop of a list from outside of the outer one",
                "a list that grows in one loop",
                "collect in a list of the outer loop's body and append its stack()",
            )
        found: Growth = lists.growth_of(self)
        return found

    # -- reading

    @property
    def has_runs(self) -> bool:
        return any(isinstance(item, Run) for item in super().__iter__())

    def _reading(self) -> None:
        lists = None if mode.tracer is None else mode.tracer.lists_growing
        if lists is not None and self.depth < lists.depth:
            lists.read(self)

    def segments(self) -> list[Any]:
        """The elements, with a `Run` for those that a loop has appended."""
        self._reading()
        return list(super().__iter__())

    def length(self) -> Any:
        """The number of elements, which may be a run-time number."""
        return sum((item.size if isinstance(item, Run) else 1 for item in self.segments()), 0)

    def __len__(self) -> int:
        self._reading()
        return int(self.length()) if self.has_runs else super().__len__()

    def __iter__(self) -> Iterator[Any]:
        self._reading()
        for item in super().__iter__():
            if isinstance(item, Run):
                raise _refused(
                    "Python iterates over a list that has grown in a loop whose length the run decides",
                    "a loop in a scripted function, or one operation on all elements",
                    "use ingot.stack(list), or put @ingot.jit.script above the function that iterates",
                    here() or item.location,
                )
            yield item

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, list):
            return NotImplemented
        return _made([*self.segments(), *(other.segments() if isinstance(other, SymList) else other)])

    def __radd__(self, other: Any) -> Any:
        return _made([*other, *self.segments()]) if isinstance(other, list) else NotImplemented

    def copy(self) -> SymList:
        return _made(self.segments())

    def pop(self, index: Any = -1) -> Any:
        items = self.segments()
        if not self.has_runs:
            return super().pop(index)
        last = items[-1]
        if index != -1 or not isinstance(last, Run) or self._is_from_outside():
            self._refuse("pop()")
        assert isinstance(last, Run)
        found = last.element(-1)
        list.__setitem__(self, -1, last.like(EAGER.slice(last.tensor, 0, None, -1, 1)))
        return found

    def _is_from_outside(self) -> bool:
        return mode.tracer is not None and mode.tracer.regions.depth > self.depth

    def _refuse(self, how: str) -> None:
        run = next(item for item in super().__iter__() if isinstance(item, Run))
        raise _refused(
            f"{how} of a list that has grown in a loop whose length the run decides",
            "append(), extend(), +, pop(), len(), an index, a slice or a loop",
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
        if isinstance(index, int) and index < 0:
            return self._from_end(items, index)
        for item in items:
            size = item.size if isinstance(item, Run) else 1
            if not isinstance(item, Run):
                if isinstance(index, int) and index == 0:
                    return item
            elif item is items[-1] or bool(index < size):
                return item.element(index)
            index = index - size
        raise IndexError("list index out of range")

    def _from_end(self, items: list[Any], index: int) -> Any:
        for item in reversed(items):
            if isinstance(item, Run):
                return item.element(index)
            index += 1
            if index == 0:
                return item
        raise IndexError("list index out of range")

    def _slice(self, items: list[Any], index: slice) -> Any:
        if index == slice(None):
            return _made(items)
        if index == slice(None, None, -1):
            return _made([x.like(EAGER.flip(x.tensor, (0,))) if isinstance(x, Run) else x for x in reversed(items)])
        [run, *others] = [item for item in items if isinstance(item, Run)]
        if run.kind != "tensor" and (others or len(items) > 1):
            self._refuse("a slice")
        joined = run.tensor if len(items) == 1 else _joined(items)
        whole = EAGER.slice(joined, 0, index.start, index.stop, 1 if index.step is None else index.step)
        return _made([run.like(whole)])

    def require_some(self, message: str) -> None:
        """Check at run time that there is an element: that a loop which appends has had iterations."""
        tracer, items = mode.tracer, self.segments()
        if tracer is None or not items or any(not isinstance(item, Run) for item in items):
            return
        count = as_size(self.length())
        if not tracer.known(">=", count, 1):
            tracer.require(tracer.relation_tensor(">=", count, 1), message, here())

    def __ingot_joined__(self, op: Op, dim: int = 0) -> Any:
        """`stack` or `cat` of the elements."""
        if any(isinstance(item, Run) and item.kind != "tensor" for item in self.segments()):
            raise _refused(
                f"{op.short} of a list of numbers", "tensors", "append tensors, or one tensor with all of the numbers"
            )
        self.require_some(f"{op.short}: tensors is empty")
        whole = _joined(self.segments())
        if op is _STACK:
            return whole if dim == 0 else _moved(whole, dim if dim >= 0 else dim + whole.ndim)
        dim = dim if dim >= 0 else dim + whole.ndim - 1
        turned = whole if dim == 0 else _moved(whole, dim)
        sizes = list(turned.shape)
        return EAGER.reshape(turned, (*sizes[:dim], sizes[dim] * sizes[dim + 1], *sizes[dim + 2 :]))


def _refusing(name: str) -> Any:
    """A method of lists for what has not grown in a captured loop."""
    plain = getattr(list, name)

    def method(self: SymList, *args: Any, **kwargs: Any) -> Any:
        if self.has_runs:
            self._refuse("in" if name == "__contains__" else f"{name.strip('_')}()")
        return plain(self, *args, **kwargs)

    method.__name__ = name
    return method


_REFUSING: Final = (
    "insert", "remove", "clear", "reverse", "sort", "index", "count", "__setitem__", "__delitem__", "__contains__",
    "__mul__", "__rmul__", "__imul__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__reversed__",
)  # fmt: skip

for _name in _REFUSING:
    setattr(SymList, _name, _refusing(_name))


def _made(items: list[Any]) -> SymList:
    found = SymList()
    list.extend(found, items)
    return found


def _joined(items: list[Any]) -> Any:
    """All elements as one tensor, their number in front."""
    parts = [item.tensor if isinstance(item, Run) else EAGER.unsqueeze(item, 0) for item in items]
    return parts[0] if len(parts) == 1 else EAGER.cat(parts, dim=0)


def _moved(whole: Any, dim: int) -> Any:
    order = [*range(1, dim + 1), 0, *range(dim + 1, whole.ndim)]
    return EAGER.permute(whole, tuple(order))


class Growths:
    """What the loop around a branch appends to lists, as it is before a side of the branch."""

    def __init__(self, tracer: Any) -> None:
        self._growing: Growing | None = tracer.lists_growing
        growths = self._growing.growths if self._growing is not None else {}
        self._before = {growth: growth.get() for growth in growths.values()}

    def changed(self) -> list[tuple[Growth, tuple[Any, ...]]]:
        """The lists that the side has appended to, with all that the iteration appends to them until its end."""
        growths = self._growing.growths.values() if self._growing is not None else ()
        return [(growth, growth.get()) for growth in growths if len(growth.items) != len(self._before.get(growth, ()))]

    def restore(self) -> None:
        """Take back what the side has appended."""
        for growth in list(self._growing.growths.values()) if self._growing is not None else ():
            growth.set(self._before.get(growth, ()))


class Growing:
    """The lists that one capture of a loop's body makes longer.

    Args:
        depth: how many regions the capture is in, in the body itself.
        outer: the same of the loop around it.
    """

    def __init__(self, depth: int, outer: Growing | None) -> None:
        self.depth = depth
        self.outer = outer
        self.growths: dict[int, Growth] = {}
        self.last_append: Location | None = None
        self._read: dict[int, Location | None] = {}

    def growth_of(self, grown: SymList) -> Growth:
        """What is appended to a list."""
        self.last_append = here()
        found = self.growths.get(id(grown))
        if found is None:
            found = self.growths[id(grown)] = Growth(grown, here())
        self._check(grown)
        return found

    def refuse_changed(self, region: Any) -> None:
        """Every element that an iteration appends must be a tensor of its own.

        Raises:
            CaptureError: when one from outside of the loop is changed by it.
        """
        for growth in self.growths.values():
            for item in growth.items:
                if isinstance(item, TensorBase) and id(base_of(item)) in region.changed:
                    raise _refused(
                        "a loop appends a tensor to a list that it also changes in place",
                        "a tensor of its own for each iteration",
                        "append a clone()",
                        growth.location,
                    )

    def read(self, found: SymList) -> None:
        """The body reads a list from outside of it."""
        self._read.setdefault(id(found), here())
        self._check(found)

    def _check(self, found: SymList) -> None:
        if id(found) in self.growths and id(found) in self._read:
            raise _refused(
                "a loop whose length the run decides reads a list that it makes longer",
                "a list that the loop only appends to",
                "carry the last element in a variable, or the elements in a tensor that ingot.cat makes longer",
                self._read[id(found)],
            )


def _refused(what: str, expected: str, advice: str, location: Location | None = None) -> CaptureError:
    context = mode.tracer.context if mode.tracer is not None else ""
    return CaptureError(what, expected=expected, location=location or here(), context=context, advice=advice)
