"""What a program computes under `no_grad()`: it stands in the graph cut off from the gradient, as it does on the tape.

A graph says nothing of `no_grad()`. Whoever differentiates it, or a branch or loop in it, would take what was computed
there for a function of what it was computed from. So where an operation that is recorded reads such a value, or a
branch, a loop or the program hands one on, `detach` stands between. A tensor that is on the tape and is changed under
`no_grad()`, such as a parameter, keeps its place there: the gradient of its new value is that of its old one.
"""

from __future__ import annotations

from typing import Any, Final

from ...ir.block import Block
from ...ir.locations import here
from ...ir.node import Node, Value
from ...ir.registry import lookup
from ...ir.types import TensorType
from ..mode import mode

__all__ = ["Unrecorded"]

_DETACH: Final = lookup("detach")
_USER_GRADIENT: Final = lookup("prim::UserGradient")


class Unrecorded:
    """The values of one capture that were computed without being recorded.

    Args:
        tracer: the capture. Where nothing is recorded when it begins, everything is as if it were.
    """

    def __init__(self, tracer: Any) -> None:
        self._tracer = tracer
        self._on = mode.grad
        self._values: set[Value] = set()
        self._kept: dict[tuple[Value, Any], Value] = {}  # the new value and the place on the tape, to the old value
        self._made: dict[tuple[Value, Value | None], Value] = {}

    @property
    def cuts_off(self) -> bool:
        """Whether what is computed now is cut off from the gradient."""
        return self._on and not mode.grad

    def release(self) -> None:
        """Let go of every tensor that the places on the tape hold."""
        self._kept.clear()

    def note(self, node: Node) -> None:
        """A node was made; where nothing is recorded, its outputs are cut off."""
        if self._on and not mode.grad:
            self._values.update(y for y in node.outputs if isinstance(y.type, TensorType) and _is_floating(y))

    def trace(self, tensor: Any, new: Any) -> Any:
        """What a tensor stands for that gets the value of another one, without that being recorded."""
        value = new._trace[1]
        if not self._on or not _is_floating(value):
            return new._trace
        old = self._tracer.value_of(tensor)
        kept = self._kept.get((old, _place(tensor)), old)
        flows = tensor._node is not None or not (tensor._trace[2] or kept in self._values)
        if new._trace[2] and not flows:
            return new._trace
        # What is kept of a tensor is kept of a value of its own.
        own = value in self._values and (not flows or (tensor._node is not None and self._is_new(value)))
        found = value if own else self._cut(value, None)
        if flows:
            self._kept[found, _place(tensor)] = kept
        else:
            self._values.add(found)
        return (self._tracer, found, False)

    def read(self, tensor: Any, value: Value) -> Value:
        """What an operation that is recorded, or who is handed the value on, reads for the value of a tensor."""
        if not mode.grad or not self._on:
            return value
        old = self._kept.get((value, _place(tensor))) if self._kept else None
        if old is not None:
            return self._again(tensor, value, old)
        return self._again(tensor, value, None) if value in self._values else value

    def _again(self, tensor: Any, value: Value, old: Value | None) -> Value:
        """The value with another gradient: that of `old`, or none."""
        found = self._made.get((value, old))
        if found is None or found.node is None or not self._is_visible(found.node.block):
            found = self._made[value, old] = self._cut(value, old)
        regions = self._tracer.regions
        if regions.watching:
            regions.used(tensor, found)
            if old is not None:
                regions.unread.add(old)
                if tensor._node is not None:
                    regions.keep_place(old, tensor)
        return found

    def _is_new(self, value: Value) -> bool:
        """Whether nothing has been computed since."""
        return self._tracer.builder.point.block.nodes.last is value.node

    def _is_visible(self, block: Block | None) -> bool:
        regions = self._tracer.regions
        return block is self._tracer.graph.block or any(block is region.block for region in regions.stack)

    def _cut(self, value: Value, old: Value | None) -> Value:
        tracer = self._tracer
        if old is None:
            node = tracer.builder.emit(_DETACH, [value], {}, types=(value.type,), location=here())
        else:
            block = Block(tracer.graph, [value.type, value.type], [f"grad_{value.name}", value.name])
            block.set_returns([block.params[0]])
            node = tracer.builder.emit(
                _USER_GRADIENT, [value, old], {"function": "no_grad"}, types=(value.type,), location=here(),
                blocks=[block], names=[value.name],
            )  # fmt: skip
        found: Value = node.output
        return found


def _place(tensor: Any) -> Any:
    """Where a tensor is on the tape; None where it is not."""
    return None if tensor._node is None else (tensor._node, tensor._index)


def _is_floating(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.dtype.is_floating_point
