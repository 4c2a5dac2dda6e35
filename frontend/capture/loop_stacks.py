"""What a captured loop stacks over its iterations: what it appends to lists, and what its body returns.

What lives here: `LoopStacks`, which hands the stacks to the lists, says which memory they perhaps are, and refuses
elements that a later iteration changes. What the loop carries is the subject of `loop_results`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ir.locations import Location
from ...ir.node import Node
from ..tensor_base import TensorBase
from .carried_values import Attempt, LoopState
from .control_tape import record_control
from .list_growth import Growth, in_turn
from .run import list_refused
from .structured import Leaves, made_leaf

__all__ = ["LoopStacks"]


class LoopStacks:
    """What one loop stacks."""

    def __init__(self, state: LoopState, attempt: Attempt) -> None:
        self.state = state
        self.attempt = attempt
        self.regions = state.regions

    def leave(
        self,
        node: Node,
        results: Sequence[Any],
        growths: Sequence[Growth],
        result: Sequence[Any],
        made: Sequence[Any],
    ) -> list[Any]:
        """Lists get what the loop has appended; gives what is left, the stacked results.

        Args:
            results: the tensors that stand for the node's outputs.
            result: what the body returns.
            made: what stands for the leaves that are handed on.
        """
        tracer, at = self.state.tracer, len(made)
        stacks = []
        for tensor, output in zip(results[at:], node.outputs[at:], strict=True):
            stacks.append(made_leaf(tracer, "tensor", tensor, output))
        record_control(tracer, node, stacks, at)
        for growth in growths:
            count = len(growth.stacked())
            parts, stacks = stacks[:count], stacks[count:]
            whole = in_turn(parts[: len(growth.items)])
            self._note_stacked([whole] * len(growth.items), growth.items, made)
            growth.leave(whole, in_turn(parts[len(growth.items) :]))
        self._note_stacked(stacks, result, made)
        return stacks

    def _note_stacked(self, stacks: Sequence[Any], items: Sequence[Any], made: Sequence[Any]) -> None:
        """What is stacked may be tensors from outside of the loop, or what it carries, in one iteration or in many."""
        sharing, seen, location = self.regions.sharing, set[int](), self.state.location
        starts = self._starts()
        for stack, item in zip(stacks, items, strict=True):
            if not isinstance(item, TensorBase):
                continue
            kin = sharing.sources(item)
            outside = [x for x in kin if id(x) in starts or self.regions.visible(x)]
            if outside or not seen.isdisjoint(map(id, kin)):
                sharing.one_memory(stack, location)
            seen.update(map(id, kin))
            for other in outside:
                sharing.perhaps(stack, starts.get(id(other), other), location)
            for output, given in zip(made, self.attempt.handed_on, strict=True):
                if isinstance(given, TensorBase) and not seen.isdisjoint(map(id, sharing.sources(given))):
                    sharing.perhaps(stack, output, location)
            loss = self.state.sharing.loss_of_rows(item, self.attempt.region)
            if loss is not None:
                self.regions.lose(stack, loss)

    def _starts(self) -> dict[int, Any]:
        """What was there before the loop, by the `id` of what stands for it in the body."""
        leaves = [leaf for carried in self.state.carried.values() for leaf in carried.leaves]
        return {id(leaf.param): leaf.start for leaf in leaves if leaf.param is not None}

    def refuse_changed(self, growths: Sequence[Growth]) -> None:
        """What an iteration appends to a list, the next one may not change in place.

        Raises:
            CaptureError: where it does.
        """
        sharing = self.regions.sharing
        for growth in growths:
            listed = {id(x) for item in growth.items if isinstance(item, TensorBase) for x in sharing.sources(item)}
            self._refuse_changed_in(listed, growth.location)
        for identity, carried in self.state.carried.items():
            if carried.cell.identity[0] == "list":
                for run in Leaves(self.attempt.after[identity][1]).leaves:
                    self._refuse_changed_in({id(x) for x in sharing.sources(run)}, None)

    def _refuse_changed_in(self, listed: set[int], location: Location | None) -> None:
        for leaf, after in self.state.ends(self.attempt):
            if not leaf.is_changed or not isinstance(after, TensorBase):
                continue
            if not listed.isdisjoint(map(id, self.regions.sharing.sources(after))):
                raise list_refused(
                    "a loop appends a tensor to a list, and changes it in place in the next iteration",
                    "a tensor of its own for each iteration",
                    "append a clone()",
                    location or self.regions.first_write(leaf.param) or self.state.location,
                )
