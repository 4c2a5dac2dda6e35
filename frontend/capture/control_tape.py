"""Gradients through a branch or a loop while a program is captured: one node on the tape for the whole of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ir import node as graph_node
from ...ir.errors import GradientError
from ...ir.locations import here
from ...ir.node import Value
from ..mode import mode
from ..tape import CustomNode
from ..tensor_base import TensorBase, wrap

__all__ = ["record_control"]


def record_control(tracer: Any, node: graph_node.Node, made: Sequence[Any], first: int = 0) -> None:
    """Put a branch or loop on the tape, if it reads anything that requires a gradient.

    Args:
        made: what its outputs from `first` on stand for.
    """
    if not mode.grad:
        return
    wanted = [(value, place) for value in _outer_values(node) if (place := tracer.regions.on_tape(value)) is not None]
    if wanted:
        _ControlNode(tracer, node, wanted, [x if isinstance(x, TensorBase) else None for x in made], first)


def _outer_values(node: graph_node.Node) -> list[Value]:
    """What a node reads, and what its blocks use from around it, each once."""
    inside = {block for outer in node.blocks for block in outer.blocks()}
    readers = [node, *(n for block in inside for n in (*block.nodes, block.terminator) if n is not None)]
    return list({value: None for reader in readers for value in reader.inputs if value.block not in inside})


class _ControlNode(CustomNode):
    """A captured branch or loop on the tape."""

    def __init__(
        self,
        tracer: Any,
        node: graph_node.Node,
        wanted: Sequence[tuple[Value, tuple[Any, int]]],
        outputs: Sequence[Any],
        first: int,
    ) -> None:
        inputs = []
        for _, (parent, index) in wanted:
            inputs.append(wrap(None))
            inputs[-1]._node, inputs[-1]._index = parent, index
        super().__init__(inputs, outputs)
        self._tracer = tracer
        self._made_by = node
        self._wanted = [value for value, _ in wanted]
        self._first = first

    def __repr__(self) -> str:
        return f"<{self._made_by.op.short} backward>"

    def backward(self, slots: list[Any]) -> Sequence[Any]:
        from ...passes.control_gradients import node_gradients

        tracer, node = self._tracer, self._made_by
        if mode.tracer is not tracer:
            raise GradientError("backward through a branch or loop that was captured before", location=here())
        if mode.grad:
            raise GradientError(
                "a gradient of a gradient goes through a captured branch or loop",
                location=here(),
                context=tracer.context,
                advice="capture the function alone, and differentiate the program twice",
            )
        with tracer.regions.keeping():
            given: list[Any] = [None] * self._first + [None if g is None else tracer.value_of(g) for g in slots]
            given += [None] * (len(node.outputs) - len(given))
            last, outputs = tracer.builder.point.block.nodes.last, len(node.outputs)
            found = node_gradients(tracer.builder, node, given, self._wanted)
        tracer.regions.run_behind(last, node if len(node.outputs) > outputs else None)
        return [None if value not in found else self._tensor(found[value]) for value in self._wanted]

    def _tensor(self, value: Value) -> Any:
        found = self._tracer.regions.result(value)
        self._tracer.adopt(found, (self._tracer, value, False))
        return found
