"""What the body of a loop has changed, at its end: variables, Python objects, lists, tensors in place, gradients.

What lives here: `LoopChanges`, which notes it in the attempt. Whether the next iteration may begin with it is the
subject of `loop_agreement`.
"""

from __future__ import annotations

from typing import Any

from ...ir.locations import Location
from ..mode import mode
from ..tensor_base import TensorBase
from .carried_values import Attempt, LoopState
from .gradient_cells import Pair, gradient_cell
from .grown_list import made_list
from .kept_inside import Kept
from .list_growth import common, contents_now, contents_of
from .reach import Reach
from .structured import Cell, Leaves, Names, held, settled, stand_in

__all__ = ["LoopChanges"]


class LoopChanges:
    """What one capture of the body has changed.

    Args:
        names: the variables that it assigns.
        before: what these held before the loop.
        reach: what it can reach.
    """

    def __init__(self, state: LoopState, attempt: Attempt, names: Names, before: tuple[Any, ...], reach: Reach) -> None:
        self.state = state
        self.tracer = state.tracer
        self.attempt = attempt
        self.region = attempt.region
        self.names = names
        self.before = before
        self.reach = reach

    def note(self) -> None:
        """Note all of it."""
        attempt = self.attempt
        self._note_names()
        attempt.lists.end()
        attempt.lists.refuse_changed(self.region)
        attempt.result = held(self.tracer, attempt.result, None, self.region)
        self._note_objects()
        self._note_lists()
        for base in self.region.changed.values():
            self._note_contents(base)
        for tensor, old, line in self.region.gradients():
            self._note_gradient(tensor, old, line)
        for identity, carried in self.state.carried.items():
            if identity not in attempt.after:
                attempt.after[identity] = carried.cell, carried.cell.read()
        if mode.grad:
            left = [attempt.result, *(after for _, after in attempt.after.values())]
            attempt.kept = Kept((x for value in left for x in Leaves(value).leaves), self.region.began)

    def _note_names(self) -> None:
        for cell, old in zip(self.names.cells(), self.before, strict=True):
            value = settled(self.tracer, cell, cell.read(), self.state.location)
            self._note_value(cell, held(self.tracer, value, old, self.region), old)

    def _note_objects(self) -> None:
        """Elements, attributes and enclosing variables."""
        for change in self.reach.changes():
            if id(change.place.owner) in self.state.lists:
                continue
            self.attempt.changes.append(change)
            cell = Cell(change.identity, change.path, change.read, change.write)
            self._note_value(cell, held(self.tracer, change.after, change.before, self.region), change.before)

    def _note_lists(self) -> None:
        """The elements of lists that are carried; those of one structure with what the iteration began with."""
        attempt, lists = self.attempt, self.state.lists
        for one in self.reach.lists():
            if one.resizes and id(one.owner) not in lists:
                attempt.lists.carry(one.owner)
            if id(one.owner) in lists:
                cell = contents_of(one.owner, one.path)
                attempt.after[cell.identity] = cell, made_list(one.held(self.tracer, self.region).after, one.owner.line)
        for identity, (cell, after) in attempt.after.items():
            known = self.state.carried.get(identity)
            if known is not None and known.shape.runs and not known.late:
                attempt.after[identity] = cell, common(after, known.entering, self.state.outside)

    def _note_value(self, cell: Cell, value: Any, before: Any) -> None:
        """What the body leaves in a cell: lists and dicts as they are now, for they are put back."""
        if value is not before:
            self.attempt.left[cell.identity], value = value, contents_now(value)
        self.attempt.after[cell.identity] = cell, value

    def _note_contents(self, base: Any) -> None:
        """The elements of a tensor that is changed in place."""
        regions = self.state.regions
        identity = ("tensor", id(base), base)
        cell = Cell(identity, "a tensor", lambda: stand_in(base), lambda new: regions.change(base, new))
        self.attempt.after[identity] = cell, stand_in(base)

    def _note_gradient(self, tensor: Any, old: Any, line: Location | None) -> None:
        """What the body leaves as a tensor's gradient; as two values where there is none before or afterwards."""
        state = self.state
        self.tracer.gradients.stays(tensor, old)
        after, pair = held(self.tracer, tensor._grad, old, self.region), state.pairs.get(id(tensor))
        if pair is None and isinstance(old, TensorBase) and isinstance(after, TensorBase):
            cell = gradient_cell(self.tracer, tensor)
        else:
            if pair is None:
                pair = state.pairs[id(tensor)] = Pair(self.tracer, tensor, line)
                state.carried.pop(pair.cell().identity, None)
            cell, after = pair.cell(), pair.of(after)
        self.attempt.after[cell.identity] = cell, after
