"""What a captured loop leaves behind in variables, objects, tensors that it changes in place, and gradients.

What lives here: `LoopResults`, which lets the cells that the loop carries hold the node's outputs. What it appends to
lists is the subject of `loop_stacks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...ir.node import Node
from ...ir.sizes import SizeExpr
from ..tensor_base import TensorBase
from .carried_values import Attempt, Carried, LoopState
from .control_tape import hide_leaves, record_control
from .list_identity import Identities
from .sharing import Loss
from .structured import Undefined, made_leaf
from .symbols import SymBool
from .symint import SymInt, as_size

__all__ = ["LoopResults"]


class LoopResults:
    """What the cells hold behind a loop.

    Args:
        renamed: for each size that changes in the loop what stands for it behind the loop.
    """

    def __init__(self, state: LoopState, attempt: Attempt, renamed: Mapping[str, SizeExpr]) -> None:
        self.state = state
        self.attempt = attempt
        self.tracer = state.tracer
        self.regions = state.regions
        self.leaves = state.yielded()
        self.renamed = renamed

    def leave(self, node: Node, results: Sequence[Any]) -> list[Any]:
        """Let the cells hold the outputs; gives what stands for the leaves that are handed on."""
        made = []
        for leaf, tensor, output in zip(self.leaves, results, node.outputs, strict=False):  # stacks come behind them
            made.append(made_leaf(self.tracer, leaf.kind, tensor, output, "k", leaf.low))
        captured = record_control(self.tracer, node, made, recorded=[leaf.recorded for leaf in self.leaves])
        hide_leaves(self.tracer, made, [(leaf.start, after) for leaf, after in self.state.ends(self.attempt)])
        by_leaf = {id(leaf): value for leaf, value in zip(self.leaves, made, strict=True)}
        self._lose(by_leaf)
        self._write(by_leaf)
        self._keep(captured, made)
        # Only now: what the loop changes is what it hands on where they share memory.
        self.state.sharing.hand_on(by_leaf)
        self._note_runs(by_leaf)
        return made

    def _lose(self, made: Mapping[int, Any]) -> None:
        """Contents that are unknown at the beginning of an iteration are so behind the loop."""
        for leaf in self.leaves:
            if leaf.loss is not None:
                self.regions.lose(made[id(leaf)], leaf.loss)
        self.state.sharing.lose()

    # ------------------------------------------------------------------------------------------------- the cells

    def _write(self, made: Mapping[int, Any]) -> None:
        """Let the cells hold what the loop leaves in them."""
        identities = Identities(self.regions.depth, self.state.location)
        for identity, carried in self.state.carried.items():
            values = self._values(carried, made)
            if carried.is_contents and self._is_left_alone(carried):
                continue
            left = self._left(carried, values)
            if identity[0] == "gradient":
                left = self._gradient_left(identity, left)
            identities.add(left, carried.cell.read())
            identities.add(left, self.attempt.left.get(identity))
            carried.cell.write(left)
        identities.settle()

    def _values(self, carried: Carried, made: Mapping[int, Any]) -> list[Any]:
        """What stands for a cell's leaves behind the loop."""
        return [
            made[id(leaf)] if leaf.derived is None else SymInt(self.renamed[str(leaf.derived)], self.tracer)
            for leaf in carried.leaves
        ]

    def _left(self, carried: Carried, values: Sequence[Any]) -> Any:
        """What a cell holds after the loop."""
        if not carried.late or carried.cell.is_own:
            return carried.shape.rebuild(values)
        state, what = self.state, "the loop that assigns it may have no iterations"
        undefined = Undefined(carried.cell.name.strip("'"), what, state.location, self.tracer.context)
        if not values:
            return undefined
        if state.count is not None and self.tracer.known(">=", as_size(state.count), 1):
            return carried.shape.rebuild(values)
        first = state.first if state.count is None else SymBool(None, self.tracer, (">=", as_size(state.count), 1))
        return carried.shape.rebuild([self.tracer.late(value, first, undefined) for value in values])

    def _gradient_left(self, identity: Any, left: Any) -> Any:
        """A gradient after the loop: where an iteration has run for sure, it is there or not as that leaves it."""
        if id(identity[2]) not in self.state.pairs or not self._runs_surely():
            return left
        ends = zip(self.attempt.after[identity][1], left, strict=True)
        return tuple(x if x is True or x is False else y for x, y in ends)

    def _runs_surely(self) -> bool:
        """Whether there is an iteration, as far as is known."""
        count = self.state.count
        return self.state.first is True and (count is None or self.tracer.known(">=", as_size(count), 1) is True)

    def _is_left_alone(self, carried: Carried) -> bool:
        """Whether the body changes a tensor under a name alone that it lets stand for another one afterwards.

        Then the first iteration changes the tensor itself, and the others do not: who uses it later is refused.
        """
        [leaf] = carried.leaves
        base = carried.cell.identity[2]
        param = leaf.param._trace[1]
        if self.attempt.after[carried.cell.identity][1]._trace[1] is not param:
            return False
        location = self.state.location
        self.regions.lose(base, Loss(self.regions.first_write(base) or location, location))
        if param.use_count > 1:  # in the body, besides being handed on
            self.tracer.value_of(base)
        return True

    # ---------------------------------------------------------------------------------------- gradients and memory

    def _keep(self, captured: Any, made: Sequence[Any]) -> None:
        """What the body has kept for its way back must not be changed in place behind the loop.

        Args:
            captured: the node on the tape, or None.
        """
        if captured is None or self.attempt.kept is None:
            return
        given = [*zip(self.attempt.handed_on, made, strict=True), *((leaf.param, leaf.start) for leaf in self.leaves)]
        traced = [(x, y) for x, y in given if isinstance(x, TensorBase) and x._trace is not None]
        captured.keep(self.attempt.kept, [(x._trace[1], y) for x, y in traced])

    def _note_runs(self, made: Mapping[int, Any]) -> None:
        """Elements of lists that may be one memory at the beginning, or after an iteration, may be at the end."""
        sharing = self.regions.sharing
        handed_on = {id(leaf): after for leaf, after in self.state.ends(self.attempt)}
        for carried, leaf in self.state.tensors():
            given = (leaf.start, handed_on.get(id(leaf))) if carried.is_run(leaf) else ()
            if any(isinstance(x, TensorBase) and sharing.is_one_memory(x) for x in given):
                sharing.one_memory(made[id(leaf)], self.state.location)
