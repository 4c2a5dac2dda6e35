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
from .structured import leaf_kind

__all__ = ["Growing", "Growth", "Run", "SymList"]

_STACK: Final = lookup("stack")


class Run:
    """Elements of a list that a captured loop has appended: one tensor with the element's number in front."""

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor

    def __len__(self) -> int:
        return int(self.size)

    @property
    def size(self) -> Any:
        return self.tensor.shape[0]


class Growth:
    """What one loop appends to one list in an iteration.

    Attributes:
        list: the list.
        items: what was appended.
        location: the first line that did.
    """

    def __init__(self, grown: SymList, location: Location | None) -> None:
        self.list = grown
        self.items: list[Any] = []
        self.location = location
        self.kind = ""

    def add(self, item: Any) -> None:
        """One more element.

        Raises:
            CaptureError: when it is neither a tensor nor a number.
        """
        if leaf_kind(item) is None:
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
        for item in items:
            self.append(item)

    def __iadd__(self, items: Any) -> Any:  # type: ignore[misc]
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
        if lists.depth != tracer.regions.depth:
            raise _refused(
                f"{how} in a branch that the run decides changes the length of a list",
                "a list that grows in every iteration",
                "append in both branches, or keep the elements in a tensor with a mask",
            )
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
                )
            yield item

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
                return EAGER.select(item.tensor, 0, index)
            index = index - size
        raise IndexError("list index out of range")

    def _from_end(self, items: list[Any], index: int) -> Any:
        for item in reversed(items):
            if isinstance(item, Run):
                return EAGER.select(item.tensor, 0, index)
            index += 1
            if index == 0:
                return item
        raise IndexError("list index out of range")

    def _slice(self, items: list[Any], index: slice) -> Any:
        if index == slice(None):
            return _made(items)
        if index == slice(None, None, -1):
            return _made([Run(EAGER.flip(x.tensor, (0,))) if isinstance(x, Run) else x for x in reversed(items)])
        whole = EAGER.slice(_joined(items), 0, index.start, index.stop, 1 if index.step is None else index.step)
        return _made([Run(whole)])

    def __ingot_joined__(self, op: Op, dim: int = 0) -> Any:
        """`stack` or `cat` of the elements."""
        whole = _joined(self.segments())
        if op is _STACK:
            return whole if dim == 0 else _moved(whole, dim if dim >= 0 else dim + whole.ndim)
        dim = dim if dim >= 0 else dim + whole.ndim - 1
        turned = whole if dim == 0 else _moved(whole, dim)
        sizes = list(turned.shape)
        return EAGER.reshape(turned, (*sizes[:dim], sizes[dim] * sizes[dim + 1], *sizes[dim + 2 :]))


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
        self._read: dict[int, Location | None] = {}

    def growth_of(self, grown: SymList) -> Growth:
        """What is appended to a list."""
        found = self.growths.get(id(grown))
        if found is None:
            found = self.growths[id(grown)] = Growth(grown, here())
        self._check(grown)
        return found

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
