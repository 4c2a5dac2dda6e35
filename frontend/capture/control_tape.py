"""Gradients through a branch or a loop while a program is captured: one node on the tape for the whole of it.

Its way back is made of the graph's nodes, by `passes.gradient_walk`. Where gradients are recorded themselves, the nodes
of the way back are one node on the tape in their turn, which goes back in the same way: so there are gradients of any
order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...ir import node as graph_node
from ...ir.errors import CaptureError, GradientError, IngotError
from ...ir.locations import Location, here
from ...ir.node import Value
from ...ir.sizes import SizeContext, use_context
from ...ir.types import TensorType
from ..mode import mode
from ..tape import CustomNode, Leaf
from ..tape_node import changed
from ..tensor_base import TensorBase, wrap
from .gradient_cells import Perhaps
from .kept_inside import Kept

__all__ = ["depends", "enter_recorded", "hide_leaves", "is_recorded", "record_control"]


def record_control(
    tracer: Any, node: graph_node.Node, made: Sequence[Any], first: int = 0, recorded: Sequence[bool] | None = None
) -> _CapturedNode | None:
    """Put a branch or loop on the tape, if it reads anything that requires a gradient.

    Args:
        made: what its outputs from `first` on stand for.
        recorded: which of them carry a gradient inside; None for all that can.
    """
    if not mode.grad:
        tracer.unrecorded.note(node)
        return None
    wanted = _on_tape(tracer, [node])
    if not wanted:
        return None
    outputs = list(zip(node.outputs[first:], made, strict=False))
    return _CapturedNode(tracer, [node], wanted, outputs, recorded)


def _on_tape(
    tracer: Any, nodes: Sequence[graph_node.Node], more: Sequence[Value] = ()
) -> list[tuple[Value, tuple[Any, int]]]:
    """What nodes read, their blocks included, and other values, as far as it stands on the tape: each once with its
    place there."""
    own = set(nodes)
    found = dict.fromkeys(value for value in (*_read(nodes), *more) if value.node not in own)
    return [(value, place) for value in found if (place := tracer.regions.on_tape(value)) is not None]


def _read(nodes: Iterable[graph_node.Node]) -> list[Value]:
    """What nodes read, and what their blocks use from around them."""
    found: list[Value] = []
    for node in nodes:
        inside = {block for outer in node.blocks for block in outer.blocks()}
        readers = [node, *(n for block in inside for n in (*block.nodes, block.terminator) if n is not None)]
        found += [value for reader in readers for value in reader.inputs if value.block not in inside]
    return found


class _CapturedNode(CustomNode):
    """Nodes of the graph on the tape: a captured branch or loop, or the way back through one.

    Args:
        nodes: they stand in one block, in order.
        wanted: what they read, with its place on the tape.
        outputs: those of the values that they compute which others may read, with what stands for them.
        recorded: which of these carry a gradient; None for all that can.
    """

    def __init__(
        self,
        tracer: Any,
        nodes: Sequence[graph_node.Node],
        wanted: Sequence[tuple[Value, tuple[Any, int]]],
        outputs: Sequence[tuple[Value, Any]],
        recorded: Sequence[bool] | None = None,
    ) -> None:
        inputs = []
        for _, (parent, index) in wanted:
            inputs.append(wrap(None))
            inputs[-1]._node, inputs[-1]._index = parent, index
        tensors = [x if isinstance(x, TensorBase) else None for _, x in outputs]
        super().__init__(inputs, tensors, recorded)
        self._tracer = tracer
        self._nodes = list(nodes)
        self._wanted = [value for value, _ in wanted]
        self._values = [value for value, _ in outputs]
        self._freed = False
        self.kept: list[tuple[Any, int]] = []
        self._error: GradientError | None = None
        for value, x in zip(self._values, tensors, strict=True):
            if x is not None and x._node is self:
                tracer.regions.keep_place(value, x)

    def __repr__(self) -> str:
        return f"<{self._nodes[0].op.short} backward>"

    @property
    def output_count(self) -> int:
        return len(self._values)

    def release(self) -> None:
        self._freed = True

    def keep(self, kept: Kept, pairs: Sequence[tuple[Value, Any]]) -> None:
        """What the tape inside keeps must be as it is now when a gradient comes."""
        self.kept += kept.behind(pairs)
        self._error = self._error or kept.error

    def backward(self, slots: list[Any]) -> Sequence[Any]:
        tracer = self._tracer
        if mode.tracer is not tracer:
            raise GradientError("backward through a branch or loop that was captured before", location=here())
        if self._freed:
            raise GradientError(
                "backward: the tape was already walked and has been freed",
                location=here(),
                advice="pass retain_graph=True to the first backward()",
            )
        if self._error is not None:
            raise self._error
        for storage, version in self.kept:
            if storage.version != version:
                raise changed(self, "what it has kept", storage)
        tracer.user_gradients.settle()
        if any(node.blocks and node.op.name != "prim::UserGradient" for node in self._nodes):
            tracer.user_gradients.uncertain = True
        last = tracer.builder.point.block.nodes.last
        counts = [len(node.outputs) for node in self._nodes]
        found = self._walked(slots)
        made = _behind(tracer, last)
        grown = [node for node, count in zip(self._nodes, counts, strict=True) if len(node.outputs) > count]
        tracer.regions.run_behind(made, grown)
        gradients = {value: self._tensor(gradient) for value, gradient in found.items()}
        if mode.grad:
            self._record(made, [(found[value], gradients[value]) for value in found])
        return [gradients.get(value) for value in self._wanted]

    def _walked(self, slots: Sequence[Any]) -> dict[Value, Value]:
        """Write the way back to the end of the graph; gives the gradients of what is wanted."""
        from ...passes.gradient_walk import Back

        tracer = self._tracer
        try:
            with tracer.regions.keeping(), use_context(SizeContext(tracer.sizes.facts)):
                back, seeds = Back(tracer.builder, uncertain=tracer.user_gradients.uncertain), dict[Value, Value]()
                for value, gradient in zip(self._values, slots, strict=False):
                    if gradient is not None:
                        back.add(seeds, value, tracer.value_of(gradient))
                return back.walk(self._nodes, seeds, self._wanted)
        except IngotError as error:
            raise error.located(self._nodes[0].location, self._nodes[0].path, tracer.context) from None

    def _record(self, made: Sequence[graph_node.Node], results: Sequence[tuple[Value, Any]]) -> None:
        """Put the way back on the tape."""
        tracer, own = self._tracer, set(self._nodes)
        for value in dict.fromkeys(_read(made)):
            if value.node in own and tracer.regions.on_tape(value) is None and _is_floating(value):
                tracer.regions.keep_place_at(value, self, len(self._values))
                self._values.append(value)
        _CapturedNode(tracer, made, _on_tape(tracer, made, [value for value, _ in results]), results)

    def _tensor(self, value: Value) -> Any:
        found = self._tracer.regions.result(value)
        self._tracer.adopt(found, (self._tracer, value, False))
        return found


def _behind(tracer: Any, last: graph_node.Node | None) -> list[graph_node.Node]:
    """The nodes behind one at the end of the graph that is being written."""
    node = tracer.builder.point.block.nodes.first if last is None else last.next
    found = []
    while node is not None:
        found.append(node)
        node = node.next
    return found


def _is_floating(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.dtype.is_floating_point


# ------------------------------------------------------------------------------------- from iteration to iteration


def is_recorded(value: Any) -> bool:
    """Whether what a block hands on carries a gradient. The contents of a leaf do not: it stays one."""
    node = getattr(value, "_node", None)
    return node is not None and not (isinstance(node, Leaf) and node.tensor is not value)


def enter_recorded(tracer: Any, asked: list[Any], tensor: Any) -> None:
    """Put on the tape what an iteration finds: how it was computed in the one before is not known in there.

    Args:
        asked: where to note which of these nodes gradients are asked for together, each pair with the line.
    """
    _Earlier(tracer, asked, tensor)


def hide_leaves(tracer: Any, made: Sequence[Any], handed_on: Sequence[Sequence[Any]]) -> None:
    """Refuse the `.grad` of what stands for one leaf or another, and gradients of leaves that a block has made.

    Args:
        made: what the outputs of a branch or loop stand for.
        handed_on: for each, what the blocks hand on, and what a loop begins with.
    """
    for output, given in zip(made, handed_on, strict=True):
        leaves = [x for x in given if is_recorded(x) and isinstance(x._node, Leaf)]
        if leaves and isinstance(output, TensorBase):
            line = here()
            output._grad = _NoLeaf(None, None, location=line)
            if not all(tracer.regions.visible(x) for x in leaves):
                _MadeInside(tracer, output, line)


class _NoLeaf(Perhaps):
    """The gradient of a tensor that stands for one leaf or another."""

    def read(self, tracer: Any) -> Any:
        raise _no_leaf(tracer, self.location)


class _MadeInside(CustomNode):
    """A leaf that a branch or loop has made."""

    def __init__(self, tracer: Any, output: Any, location: Location | None) -> None:
        super().__init__((), [output])
        self._tracer, self._location = tracer, location

    def backward(self, slots: list[Any]) -> Sequence[Any]:
        raise _no_leaf(self._tracer, self._location)


def _no_leaf(tracer: Any, location: Location | None) -> CaptureError:
    return CaptureError(
        "a leaf that a captured branch or loop hands on gets a gradient, or is asked for it",
        expected="a leaf that is made outside of it, under a name of its own",
        found="one leaf or another, as the run decides",
        location=location,
        context=tracer.context,
        advice="take gradients with ingot.autograd.grad(...), inside, of what the iteration finds; or change the leaf "
        "in place, under no_grad()",
    )


class _Earlier(CustomNode):
    """What was computed before the iteration that is captured."""

    def __init__(self, tracer: Any, asked: list[Any], output: Any) -> None:
        super().__init__((), [output])
        self._tracer, self._asked = tracer, asked

    def __repr__(self) -> str:
        return "<iteration before>"

    def backward(self, slots: list[Any]) -> Sequence[Any]:
        targets = self._tracer.regions.targets
        others = [] if targets is None else [x for x in targets.values() if x._node is not self]
        own = [x for x in others if isinstance(x._node, _Earlier) and x._node._asked is self._asked]
        if targets is None or any(x._node.sequence < self.sequence for x in others if not any(x is y for y in own)):
            raise CaptureError(
                "a gradient flows back from one iteration of a captured loop into the ones before, inside of the loop",
                expected="a gradient of what the iteration itself computes, or of what it finds",
                location=here(),
                context=self._tracer.context,
                advice="detach() at the end of the iteration what the next one finds, or call backward() behind the "
                "loop",
            )
        self._asked += [(self, x._node, here()) for x in own]
        return ()


def depends(tensor: Any, other: Any) -> bool:
    """Whether the tape says that a tensor is computed from another one, or is that one."""
    wanted, oldest = (other._node, other._index), other._node.sequence
    waiting, seen = [(tensor._node, tensor._index)], set()
    while waiting:
        node, index = waiting.pop()
        if node is wanted[0] and index == wanted[1]:
            return True
        if id(node) not in seen and not isinstance(node, Leaf) and node.sequence >= oldest:
            seen.add(id(node))
            waiting += node.parents
    return False
