"""What captured branches and loops note about the lists that they change.

A loop that does nothing but append to a list from outside of it hands on one stack of what its iterations append:
`Growth`. What one side of a branch in it appends is stacked in every iteration, with whether it counts; what does not
is left out behind the loop. A loop that reads such a list as well, takes from it, or has an inner loop that appends to
it, carries its elements from iteration to iteration as one tensor that gets longer: `CarriedList` is raised where that
turns out, and the loop is captured once more. Both sides of a branch leave one structure behind: see `common`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...ir.locations import Location, here
from ..dispatch import EAGER
from ..tensor_base import TensorBase
from .grown_list import SymList, made_list
from .joining import check_alike, note_kin, run_of
from .run import Run, list_refused
from .structured import Cell, Leaves, held, leaf_kind

__all__ = [
    "CarriedList",
    "Growing",
    "Growth",
    "Growths",
    "ListChange",
    "common",
    "contents_now",
    "contents_of",
    "in_turn",
    "same_but_for_lists",
]


class CarriedList(BaseException):
    """A loop must carry a list. No error: no `except` of the user's may catch it.

    Attributes:
        list: the list.
    """

    def __init__(self, found: SymList) -> None:
        super().__init__()
        self.list = found


class Growth:
    """What one loop appends to one list in an iteration.

    Attributes:
        list: the list.
        items: what was appended.
        counts: for each, whether it is an element: True, or a run-time truth value where a branch decides.
        location: the first line that did.
        kind: what the elements are.
    """

    def __init__(self, grown: SymList, location: Location | None) -> None:
        self.list = grown
        self.items: list[Any] = []
        self.counts: list[Any] = []
        self.location = location
        self.kind = ""

    @property
    def identity(self) -> Any:
        """What tells it from other cells."""
        return "grown", id(self)

    def get(self) -> tuple[Any, ...]:
        """What was appended in the iteration so far, each with whether it counts."""
        return tuple(zip(self.items, self.counts, strict=True))

    def set(self, items: tuple[Any, ...]) -> None:
        """Let it be these."""
        self.items[:] = [item for item, _ in items]
        self.counts[:] = [counts for _, counts in items]

    def add(self, item: Any) -> None:
        """One more element.

        Raises:
            CaptureError: when it is neither a tensor nor a number, or not of the kind of the others.
        """
        kind = leaf_kind(item)
        if kind is not None and self.items and kind != self.kind:
            raise list_refused(
                f"a list that grows in a loop gets elements of types {self.kind} and {kind}",
                "tensors or numbers of one type",
                "append to one list for each, or make them one type",
            )
        self.kind = str(kind)
        if kind is None:
            raise list_refused(
                f"a list that grows in a loop gets an element of type {type(item).__name__}",
                "tensors or numbers of one type",
                "append to one list for each part",
            )
        if self.items:
            check_alike(self.items[0], item, here())
        self.items.append(item)
        self.counts.append(True)

    def stacked(self) -> list[Any]:
        """What each iteration hands on: the items; behind them what tells which count, where the run decides it."""
        return [*self.items, *(() if all(counts is True for counts in self.counts) else self.counts)]

    def leave(self, items: Any, counts: Any) -> None:
        """Behind the loop the list gets what counts.

        Args:
            items: the items of all iterations as one tensor.
            counts: for each, whether it counts; None where all do.
        """
        run = Run(items, self.kind, self.location)
        if counts is not None:
            chosen = EAGER.reshape(EAGER.nonzero(counts), (-1,))
            run = run.like(EAGER.index_select(items, 0, chosen))
            note_kin(run.tensor, [Run(items)])
        self.list.take(run)


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
        carried: the lists, by `id`, whose elements the loop carries.
    """

    def __init__(self, depth: int, outer: Growing | None, carried: Mapping[int, SymList]) -> None:
        self.depth = depth
        self.outer = outer
        self.growths: dict[int, Growth] = {}
        self.wanted: SymList | None = None
        self._carried = carried
        self._read: set[int] = set()

    def carries(self, found: SymList) -> bool:
        """Whether the loop carries a list's elements."""
        return id(found) in self._carried

    def carry(self, found: SymList) -> None:
        """The loop must carry a list's elements."""
        self.wanted = found
        raise CarriedList(found)

    def has_to_carry(self, found: SymList) -> bool:
        """Whether the loop, or one around it, has to carry a list that a loop in it must carry."""
        if found.depth >= self.depth:
            return False
        return not self.carries(found) or (self.outer is not None and self.outer.has_to_carry(found))

    def end(self) -> None:
        """The body has been captured: what `carry` has raised may have been caught."""
        if self.wanted is not None:
            raise CarriedList(self.wanted)

    def growth_of(self, grown: SymList) -> Growth:
        """What is appended to a list."""
        found = self.growths.get(id(grown))
        if found is None:
            found = self.growths[id(grown)] = Growth(grown, here())
        if id(grown) in self._read:
            self.carry(grown)
        return found

    def refuse_changed(self, region: Any) -> None:
        """Every element that an iteration appends must be a tensor of its own.

        Raises:
            CaptureError: when one from outside of the loop is changed by it.
        """
        for growth in self.growths.values():
            for item in growth.items:
                if isinstance(item, TensorBase) and region.has_touched(item):
                    raise list_refused(
                        "a loop appends a tensor to a list that it also changes in place",
                        "a tensor of its own for each iteration",
                        "append a clone()",
                        growth.location,
                    )

    def read(self, found: SymList) -> None:
        """The body, or that of a loop in it, reads a list from outside of it."""
        if self.carries(found):
            return
        self._read.add(id(found))
        if id(found) in self.growths:
            self.carry(found)
        if self.outer is not None and found.depth < self.outer.depth:
            self.outer.read(found)


@dataclass(frozen=True, slots=True)
class ListChange:
    """A list that holds something else than before.

    Attributes:
        owner: the list.
        before, after: what it held and holds.
        path: the list as the program would write it.
    """

    owner: SymList
    before: list[Any]
    after: list[Any]
    path: str = "a list"

    @classmethod
    def of(cls, owner: SymList, before: Mapping[Any, Any]) -> ListChange:
        """The change of a list since it held what is told by number."""
        return cls(owner, list(before.values()), list(list.__iter__(owner)))

    def held(self, tracer: Any, region: Any) -> ListChange:
        """The same with what a block hands on of the tensors that it changes in place."""
        count = len(self.before)
        after = [
            item if i < count and item is self.before[i] else held(tracer, item, None, region)
            for i, item in enumerate(self.after)
        ]
        return replace(self, after=after)

    @property
    def resizes(self) -> bool:
        """Whether the number of elements is another one, or may be."""
        if len(self.before) != len(self.after):
            return True
        pairs = zip(self.before, self.after, strict=True)
        return any(a is not b and (isinstance(a, Run) or isinstance(b, Run)) for a, b in pairs)


def contents_of(found: SymList, path: str) -> Cell:
    """The elements of a list, as what a branch or a loop changes."""

    def write(value: Any) -> None:
        list.__setitem__(found, slice(None), list(list.__iter__(value)))

    return Cell(("list", id(found)), path, lambda: made_list(list(list.__iter__(found)), found.line), write)


def contents_now(value: Any) -> Any:
    """A value with copies of its lists and dicts, which may be put back to what they held before."""
    if isinstance(value, list):
        if isinstance(value, SymList):
            value.reading()
        items = [contents_now(item) for item in list.__iter__(value)]
        return made_list(items, value.line) if isinstance(value, SymList) else items
    if type(value) is tuple:
        return tuple(map(contents_now, value))
    return {key: contents_now(item) for key, item in value.items()} if isinstance(value, dict) else value


def common(value: Any, other: Any, outside: set[str] | None = None) -> Any:
    """A value with lists that have another structure than those at their places in `other` as one run each.

    Args:
        outside: the size variables that elements may have; None for any.

    Raises:
        CaptureError: for lists of elements of different types.
    """
    if isinstance(value, SymList) and isinstance(other, SymList):
        if Leaves(value).shape == Leaves(other).shape:
            return value
        items, others = list(list.__iter__(value)), list(list.__iter__(other))
        return made_list([run_of(items, others, outside, value.line or other.line)])
    if isinstance(value, tuple) and isinstance(other, tuple) and len(value) == len(other):
        items = [common(a, b, outside) for a, b in zip(value, other, strict=True)]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if isinstance(value, dict) and isinstance(other, dict) and list(value) == list(other):
        return {key: common(item, other[key], outside) for key, item in value.items()}
    return value


def in_turn(stacks: Sequence[Any]) -> Any:
    """Stacks over the iterations of a loop as one, one iteration's items after another's; None for none."""
    if len(stacks) < 2:
        return stacks[0] if stacks else None
    turned = EAGER.stack(stacks, dim=1)
    return EAGER.reshape(turned, (turned.shape[0] * len(stacks), *turned.shape[2:]))


def same_but_for_lists(shape: Any, other: Any) -> bool:
    """Whether what `Leaves` knows of two values differs in nothing but the lengths of lists."""
    if not isinstance(shape, tuple) or not isinstance(other, tuple):
        return bool(shape == other)
    if shape[0] is SymList and other[0] is SymList:
        return True
    if shape[:-1] != other[:-1] or len(shape[-1]) != len(other[-1]):
        return False
    return all(map(same_but_for_lists, shape[-1], other[-1]))
