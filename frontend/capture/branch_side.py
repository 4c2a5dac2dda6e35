"""One side of a captured branch: its block, and what it leaves behind.

What lives here: `Side`, the record. Sides are captured in `branches`, and merged in `branch_merge`.
"""

from __future__ import annotations

from typing import Any

from ...ir.block import Block
from ...ir.locations import Location
from .grown_list import SymList, made_list
from .kept_inside import Kept
from .list_growth import ListChange, contents_of
from .list_identity import LostLists
from .reach import Change
from .regions import Region
from .structured import Cell, Leaves

__all__ = ["Side"]


class Side:
    """One side, captured: its block, and the values of what it has changed."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.cells: dict[Any, Cell] = {}
        self.values: dict[Any, Any] = {}
        self.changes: dict[Any, Change] = {}
        self.lists: dict[int, ListChange] = {}
        self.lost: LostLists | None = None
        self.region: Region | None = None
        self.raised: Exception | None = None
        self.line: Location | None = None
        self.gradient_lines: dict[int, Location | None] = {}
        self.kept: Kept | None = None

    def at_end(self, value: Any) -> Any:
        """A value with lists, dicts and tensors from outside as the side has changed them in place."""
        value = self._with_contents(value) if self.lists or self.changes else value
        if self.region is None or not (self.region.changed or self.region.lost):
            return value
        taken = Leaves(value)
        leaves = [self.region.at_end(leaf) for leaf in taken.leaves]
        return taken.rebuild(leaves) if any(x is not y for x, y in zip(leaves, taken.leaves, strict=True)) else value

    def _with_contents(self, value: Any) -> Any:
        """A value with what the side has left in its lists and dicts, which have been put back since."""
        if isinstance(value, SymList):
            change, before = self.lists.get(id(value)), list(list.__iter__(value))
            after = [self._with_contents(item) for item in (before if change is None else change.after)]
            same = change is None and all(x is y for x, y in zip(before, after, strict=True))
            return value if same else made_list(after, value.line)
        if type(value) is tuple:
            found = tuple(map(self._with_contents, value))
            return value if all(x is y for x, y in zip(value, found, strict=True)) else found
        if not isinstance(value, dict):
            return value
        changed = {change.key: change.after for change in self.changes.values() if change.place.owner is value}
        left = {key: self._with_contents(item) for key, item in {**value, **changed}.items()}
        same = not changed and all(left[key] is item for key, item in value.items())
        return value if same else left

    def put(self, cell: Cell, value: Any) -> None:
        self.cells[cell.identity] = cell
        self.values[cell.identity] = value

    def put_list(self, change: ListChange) -> None:
        """The elements of a list as one cell, in place of one for each."""
        for identity in [x for x in self.cells if x[:2] == ("place", id(change.owner))]:
            del self.cells[identity], self.values[identity]
        self.put(contents_of(change.owner, change.path), made_list(change.after, change.owner.line))
