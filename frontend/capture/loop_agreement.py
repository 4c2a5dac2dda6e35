"""Whether one capture of a loop's body leaves behind what it assumed, and what the next one is to assume.

What lives here: `LoopAgreement`. It decides which cells are carried, with what types and sizes. Which of them share
memory is the subject of `carried_sharing`.
"""

from __future__ import annotations

from typing import Any

from ...ir.errors import CaptureError
from ...ir.sizes import Size, bounds
from ...ir.types import TensorType
from .carried_values import Attempt, Carried, Leaf, LoopState
from .control_tape import is_recorded
from .list_growth import common, same_but_for_lists
from .list_identity import other_lists
from .sharing import base_of
from .structured import Cell, Leaves, Static, Unbound, describe, leaf_kind
from .symint import SymInt, as_size

__all__ = ["LoopAgreement"]


class LoopAgreement:
    """What attempts show about what a loop carries."""

    def __init__(self, state: LoopState) -> None:
        self.state = state
        self.tracer = state.tracer
        self.sizes = state.sizes
        self.sharing = state.regions.sharing

    def holds(self, attempt: Attempt) -> bool:
        """Whether the attempt leaves behind what it assumed; what it shows is kept for the next one.

        Raises:
            CaptureError: when a value changes its type from iteration to iteration.
        """
        state = self.state
        settled = attempt.lost.is_known_to(state.lost)
        state.lost = attempt.lost
        settled &= state.sharing.learn_losses(attempt.region)
        for identity, (cell, after) in attempt.after.items():
            if identity[0] == "tensor" and identity[1] in state.sharing.lost:
                state.carried.pop(identity, None)
                continue
            known = state.carried.get(identity)
            if known is not None:
                settled &= self._agrees(known, after)
            elif not self._same(cell.read(), after):
                state.carried[identity] = self._newly_carried(cell, after)
                settled = False
        return state.sharing.learn(self._given(attempt), attempt.region) and settled

    def _given(self, attempt: Attempt) -> list[tuple[Leaf, Any]]:
        """Each tensor that is carried under a name, or in an object, with what the body hands on for it, or None."""
        found: list[tuple[Leaf, Any]] = []
        for identity, carried in self.state.carried.items():
            if carried.is_contents:
                continue
            after = Leaves(attempt.after[identity][1])
            fits = after.shape == carried.shape.shape
            pairs = zip(carried.leaves, after.leaves if fits else [None] * len(carried.leaves), strict=True)
            found += [(leaf, given) for leaf, given in pairs if leaf.kind == "tensor"]
        return found

    # ------------------------------------------------------------------------------------------ what stays the same

    def _same(self, before: Any, after: Any) -> bool:
        """Whether a cell holds at the end of the body what it held before the loop."""
        if before is after:
            return True
        if self.tracer.is_late(before):  # to compare it would be to use it
            return False
        if other_lists(after, before):
            return False
        a, b = Leaves(before), Leaves(after)
        return a.shape == b.shape and all(map(self._same_leaf, a.leaves, b.leaves))

    def _same_leaf(self, x: Any, y: Any) -> bool:
        if x is y:
            return True
        if leaf_kind(x) == "tensor":
            if self.sharing.loss_of(x) or self.sharing.loss_of(y) or base_of(x) is not base_of(y):
                return False
            return self.tracer.value_of(x) is self.tracer.value_of(y)
        if isinstance(x, SymInt) and isinstance(y, SymInt):
            return bool(as_size(x) == as_size(y))
        return type(x) is type(y) and isinstance(x, (bool, int, float)) and (x == y or (x != x and y != y))

    # ------------------------------------------------------------------------------------------- what is new to it

    def _newly_carried(self, cell: Cell, after: Any) -> Carried:
        """A cell that the body changes, which was not known."""
        before = cell.read()
        if isinstance(before, Unbound) or self.tracer.is_late(before):
            return self._late(cell, after)
        shape = Leaves(before)
        found = Carried(cell, shape, [self._leaf(x) for x in shape.leaves])
        self._agrees(found, after)
        if found.shape.shape != Leaves(after).shape:  # which has lists of other lengths
            return found
        for leaf, then in zip(found.leaves, Leaves(after).leaves, strict=True):
            if leaf.kind == "int":
                self._first_step(leaf, as_size(leaf.start), as_size(then))
        return found

    def _late(self, cell: Cell, after: Any) -> Carried:
        """A cell that has no value before the loop."""
        shape = Leaves(after)
        if not cell.is_own and _has_objects(shape.shape):  # made anew by each iteration, such as a function
            return Carried(cell, Leaves(Unbound(cell.name)), [], late=True)
        return Carried(cell, shape, [self._late_leaf(leaf) for leaf in shape.leaves], late=True)

    def _late_leaf(self, value: Any) -> Leaf:
        type_ = self.state.type_of(value)
        if isinstance(type_, TensorType):
            sizes = tuple(self.sizes.late() if self.state.is_inner(size) else size for size in type_.sizes)
            type_ = type_.with_(sizes=sizes)
        return Leaf(str(leaf_kind(value)), None, type_)

    def _leaf(self, value: Any) -> Leaf:
        return Leaf(str(leaf_kind(value)), value, self.state.type_of(value), loss=self.sharing.loss_of(value))

    def _first_step(self, leaf: Leaf, start: Size, then: Size) -> None:
        """What the first iteration tells about an integer."""
        leaf.derived = self.sizes.known(start, then)
        if self.tracer.known(">=", then, start):
            leaf.low = start if isinstance(start, int) else bounds(start)[0]

    # ------------------------------------------------------------------------------------------ what was carried

    def _agrees(self, known: Carried, after: Any) -> bool:
        """Whether a carried cell's value at the end of the body fits its type at the beginning; else the type is made
        more general."""
        if isinstance(after, Unbound) or known.drops:
            return True
        shape = Leaves(after)
        if shape.shape != known.shape.shape:
            self._join_lists(known, after, shape)
            return False
        pairs = list(zip(known.leaves, shape.leaves, strict=True))
        same = [self._is_recorded_as(leaf, y) for leaf, y in pairs]
        lost = [self._loses(leaf, y) for leaf, y in pairs]
        if known.late:
            fits = [self._late_fits(leaf, y) for leaf, y in pairs]
            return all(fits)
        fits = [self._fits(known.cell, leaf, y, i in known.shape.runs) for i, (leaf, y) in enumerate(pairs)]
        return all(fits) and all(same) and not any(lost)

    def _join_lists(self, known: Carried, after: Any, shape: Leaves) -> None:
        """Lists that change their lengths are carried as one tensor each."""
        before = known.shape.rebuild(known.shape.leaves)
        if known.late or not same_but_for_lists(known.shape.shape, shape.shape):
            raise self._refusal(known.cell, before, after)
        known.shape = Leaves(common(before, after, self.state.outside))
        known.leaves = [self._leaf(x) for x in known.shape.leaves]

    def _is_recorded_as(self, leaf: Leaf, after: Any) -> bool:
        """Whether a leaf carries a gradient as it did before."""
        before = leaf.recorded
        leaf.recorded = before or is_recorded(leaf.start) or is_recorded(after)
        return leaf.recorded == before

    def _loses(self, leaf: Leaf, after: Any) -> bool:
        """Whether an iteration hands on unknown contents, which was not known."""
        loss = self.sharing.loss_of(after)
        if loss is None or leaf.loss is not None:
            return False
        leaf.loss = loss
        return True

    def _late_fits(self, leaf: Leaf, after: Any) -> bool:
        """Whether a leaf that has no value before the loop has the sizes that an earlier attempt has shown; a size that
        other variables have changed since is one of its own."""
        now, then = leaf.type, self.state.type_of(after)
        if not isinstance(now, TensorType) or not isinstance(then, TensorType) or len(now.sizes) != len(then.sizes):
            return True
        sizes = [
            p if p == q or self.sizes.is_one(p) else self.sizes.late()
            for p, q in zip(now.sizes, then.sizes, strict=True)
        ]
        leaf.type = now.with_(sizes=tuple(sizes))
        return bool(leaf.type == now)

    def _fits(self, cell: Cell, leaf: Leaf, after: Any, is_run: bool) -> bool:
        if leaf.kind == "int":
            return self._int_fits(leaf, as_size(after))
        now, then = leaf.type, self.state.type_of(after)
        if now == then:  # the key of a random state, among others
            return True
        assert isinstance(now, TensorType) and isinstance(then, TensorType)
        if then.dtype is not now.dtype or len(then.sizes) != len(now.sizes):
            raise self._refusal(cell, leaf.start, after)
        start = self.state.type_of(leaf.start)
        assert isinstance(start, TensorType)
        sizes = tuple(map(self.sizes.following, now.sizes, start.sizes, then.sizes))
        if is_run:
            self.sizes.counts_elements(sizes[0])
            if sizes[1:] != start.sizes[1:]:
                raise self.state.refused_sizes(then.with_(sizes=then.sizes[1:]))
        leaf.type = now.with_(sizes=sizes)
        return bool(sizes == now.sizes)

    def _int_fits(self, leaf: Leaf, then: Size) -> bool:
        if leaf.derived is not None:
            if self.sizes.following(leaf.derived, as_size(leaf.start), then) == leaf.derived:
                return True
            leaf.derived = None
            return False
        lowest = then if isinstance(then, int) else bounds(then)[0]
        if leaf.low is not None and (lowest is None or lowest < leaf.low):
            leaf.low = None
            return False
        return True

    def _refusal(self, cell: Cell, before: Any, after: Any) -> CaptureError:
        location = self.state.location
        file = location.file if location is not None else ""
        line = f" at {file}:{cell.lines[0]}" if cell.lines[0] else ""
        found = f"{describe(self.tracer, before)} before the loop, {describe(self.tracer, after)} after an iteration"
        return CaptureError(
            f"{cell.name} changes its type in a loop whose length the run decides",
            expected="the same dtype, number of dimensions and structure in every iteration",
            found=found + line,
            location=location,
            context=self.tracer.context,
            advice="give it before the loop the type that it has at the end of the body",
        )


def _has_objects(shape: Any) -> bool:
    """Whether a structure has parts that are neither tensors nor numbers, nor plain constants."""
    if isinstance(shape, Static):
        return not (shape.value is None or isinstance(shape.value, (str, bytes, Unbound)))
    return isinstance(shape, tuple) and any(map(_has_objects, shape[-1]))
