"""The node of a captured loop: its inputs, what its block returns, and the types of its outputs.

What lives here: `finish_loop`, which makes the `prim::Loop` of the attempt that holds. What the outputs stand for is
the subject of `loop_results`, that of the stacked ones of `loop_stacks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ...ir.errors import CaptureError
from ...ir.node import Node, Value
from ...ir.sizes import Size, SizeExpr, substitute, var
from ...ir.types import TensorType, Type
from ..dispatch import EAGER
from .carried_values import Attempt, Leaf, LoopState
from .control_tape import depends, is_recorded
from .decisions import truth
from .loop_results import LoopResults
from .loop_stacks import LoopStacks
from .run import as_row
from .structured import Leaves, Unbound, leaf_value
from .symint import as_size

__all__ = ["finish_loop"]

_FOREVER: Final = 2**63 - 1


def finish_loop(state: LoopState, attempt: Attempt) -> Any:
    """Make the node, and let what the body has changed stand for its outputs; gives the stacked result."""
    growths = [growth for growth in attempt.lists.growths.values() if growth.items]
    result = Leaves(attempt.result)
    stacked = [item for growth in growths for item in growth.stacked()]
    making = _Making(state, attempt)
    node, renamed = making.node(making.end_body([*stacked, *result.leaves]))
    results = state.regions.run(node)
    stacks = LoopStacks(state, attempt)
    stacks.refuse_changed(growths)
    made = LoopResults(state, attempt, renamed).leave(node, results)
    attempt.lost.put_back()
    return result.rebuild(stacks.leave(node, results, growths, result.leaves, made))


class _Making:
    """The making of one node."""

    def __init__(self, state: LoopState, attempt: Attempt) -> None:
        self.state = state
        self.attempt = attempt
        self.tracer = state.tracer
        self.leaves = state.yielded()

    # --------------------------------------------------------------------------------------------- what it returns

    def end_body(self, stacked: Sequence[Any]) -> list[Value]:
        """Let the block return what each iteration hands on; gives the rows of what is stacked."""
        state, attempt, tracer = self.state, self.attempt, self.tracer
        assert attempt.condition is not None
        with state.regions.writing_to(attempt.block):
            attempt.handed_on = self._at_end()
            self._refuse_depending()
            with state.regions.sharing.handing_on():
                yielded = [leaf_value(tracer, after) for after in attempt.handed_on]
            rows = [tracer.value_of(as_row(item)) for item in stacked]
            attempt.block.set_returns([attempt.condition, *yielded, *rows], state.location)
        return rows

    def _at_end(self) -> list[Any]:
        """The leaves of the carried cells at the end of the body."""
        found = []
        for identity, carried in self.state.carried.items():
            _, after = self.attempt.after[identity]
            if carried.drops:
                continue
            values = Leaves(after).leaves if not isinstance(after, Unbound) else [None] * len(carried.leaves)
            for leaf, value in zip(carried.leaves, values, strict=True):
                if leaf.derived is None:
                    found.append(value if value is not None else self._start(leaf))
        return found

    def _refuse_depending(self) -> None:
        """Gradients of several values that an iteration finds: one must not be computed from another before it."""
        after = {id(leaf): value for leaf, value in self.state.ends(self.attempt)}
        of_node = {id(node): leaf for node, leaf in self.state.found}
        for first, second, line in self.state.asked:
            pair = of_node[id(first)], of_node[id(second)]
            for x, y in ([leaf.start for leaf in pair], [after.get(id(leaf)) for leaf in pair]):
                if is_recorded(x) and is_recorded(y) and (depends(x, y) or depends(y, x)):
                    raise CaptureError(
                        "gradients of several values from the iteration before, one of which is computed from another",
                        expected="values that are computed each on its own",
                        location=line,
                        context=self.tracer.context,
                        advice="ask for the gradient of one of them, or detach() them where they are computed",
                    )

    # ---------------------------------------------------------------------------------------------- the node itself

    def node(self, rows: Sequence[Value]) -> tuple[Node, dict[str, SizeExpr]]:
        """The node, and for each size that changes in the loop what stands for it behind the loop."""
        tracer = self.tracer
        inputs = self._inputs()
        trips = var(tracer.fresh_size("n", 2), 0)
        renamed = {name: var(tracer.fresh_size(name, 2), 0) for name in self.state.sizes.starts}
        types = [_outgoing(leaf.type, renamed) for leaf in self.leaves]
        node: Node = tracer.builder.emit(
            "prim::Loop",
            inputs,
            types=[*types, *(self._stack_type(row.type, trips) for row in rows)],
            location=self.state.location,
            path=tracer.module_path,
            blocks=[self.attempt.block],
        )
        for name in (str(trips), *map(str, renamed.values())):
            del tracer.hints[name]  # the run shows them
        return node, renamed

    def _inputs(self) -> list[Value]:
        """The number of iterations, whether there is a first one, and what it begins with."""
        state, tracer = self.state, self.tracer
        with state.regions.keeping():
            trips = tracer.value_of(_FOREVER if state.count is None else state.count)
            inputs = [trips, leaf_value(tracer, truth(state.first))]
            starts = [self._start(leaf) for leaf in self.leaves]
            with state.regions.sharing.handing_on():
                return [*inputs, *(leaf_value(tracer, start) for start in starts)]

    def _start(self, leaf: Leaf) -> Any:
        """A leaf's value before the loop; any value of its type where it has none."""
        if leaf.start is not None:
            return leaf.start
        if leaf.kind != "tensor":
            return {"int": 0, "float": 0.0, "bool": False}[leaf.kind]
        assert isinstance(leaf.type, TensorType)
        sizes = tuple(substitute(size, self.state.sizes.starts) for size in leaf.type.sizes)
        return EAGER.full(sizes, 0, leaf.type.dtype)

    def _stack_type(self, type_: Type, trips: Size) -> Type:
        """The type of rows of all iterations."""
        state = self.state
        assert isinstance(type_, TensorType)
        if any(map(state.is_inner, type_.sizes)):
            raise state.refused_sizes(type_)
        count = as_size(state.count) if state.count is not None and not state.tested else trips
        return type_.with_(sizes=(count, *type_.sizes))


def _outgoing(type_: Type, renamed: dict[str, SizeExpr]) -> Type:
    """A parameter's type as that of an output."""
    if not isinstance(type_, TensorType):
        return type_
    return type_.with_(sizes=tuple(substitute(size, renamed) for size in type_.sizes))
