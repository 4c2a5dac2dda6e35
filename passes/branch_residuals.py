"""What a `prim::If` hands on to its way back: values of the block that was run, as further outputs.

The other block hands out empty tensors in their place, so that the outputs have sizes of their own. What cannot be an
output, or costs nothing, is computed again. How the way back is made is the subject of `control_gradients`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ..ir.asserted import speaks_of_sizes
from ..ir.block import Block
from ..ir.builder import Builder
from ..ir.graph import InsertionPoint, Node, Value
from ..ir.graph_algebra import GraphAlgebra
from ..ir.graph_copy import copy_nodes
from ..ir.registry import lookup
from ..ir.sizes import SizeExpr
from ..ir.types import TensorType
from .facts import bound_variables, named_variables, type_names
from .gradient_walk import Back
from .loop_history import add_output

__all__ = ["hand_on", "is_free"]


_SIZED: Final = lookup("sized")


def hand_on(back: Back, node: Node, which: int, way_back: Block) -> None:
    """Let a block of the way back read what it uses of a block of an If from the If's outputs.

    Args:
        which: the number of the If's block.
        way_back: uses values of that block as if it stood in it.
    """
    block = node.blocks[which]
    crossing = _Crossing(block, way_back)
    stored, again = crossing.in_order()
    start = InsertionPoint.start(way_back)
    F = GraphAlgebra(Builder(way_back, start), node.location, node.path)
    values: dict[Value, Value] = {}
    for value in stored:
        output = F.proxy(_output(back, node, which, value))
        assert isinstance(value.type, TensorType)
        if value.type.ndim and value not in crossing.any_sizes:
            output = F.sized(output, size=value.type.sizes)
        values[value] = F.value(output)
    for inner in again:
        _copy(inner, start, values)
    for user in _users(way_back):
        for i, value in enumerate(user.inputs):
            if value in values:
                user.set_input(i, values[value])


def is_free(node: Node) -> bool:
    """Whether a node costs next to nothing, so that its results are made again rather than kept: a view, or something
    that is made of nothing."""
    return node.op.view or (not node.inputs and not node.blocks and not node.op.random)


def _users(block: Block) -> Iterator[Node]:
    """All nodes in a block and in those inside of it, terminators included."""
    yield from block.walk()
    yield from (inner.terminator for inner in block.blocks() if inner.terminator is not None)


class _Crossing:
    """What of a block its way back is handed, and what it computes again.

    Attributes:
        stored: values that are handed on.
        any_sizes: those of the stored values whose sizes have names that are not known in the way back, which does not
            ask for them.
        again: nodes that are computed again: those that are free, whose results cannot be outputs, or that bind sizes
            which something there names; and the assertions about sizes that these name, on which their types rest.
    """

    def __init__(self, block: Block, way_back: Block) -> None:
        self.block = block
        self.stored: dict[Value, None] = {}
        self.any_sizes: set[Value] = set()
        self.again: set[Node] = set()
        known = block.graph.sizes
        bound = ((name, node) for node in block.nodes for name in bound_variables(node))
        self._binders: dict[str, Node] = {}
        for name, node in bound:
            if name not in known:
                self._binders.setdefault(name, node)  # those behind the first name it, and do not bind it
        bindings = {n.inputs[0]: str(n.attrs["variable"]) for n in block.nodes if n.op.name == "prim::Bind"}
        self._assertions: dict[str, list[Node]] = {}  # by the variables that they speak of
        for node in filter(speaks_of_sizes, block.nodes):
            for name in _names_in(node, bindings):
                self._assertions.setdefault(name, []).append(node)
        self._waiting: list[Value] = []
        self._named: set[Value] = set()  # read by others than `sized`, which takes any sizes
        for user in _users(way_back):
            self._reads(user)
        while self._waiting:
            while self._waiting:
                self._value(self._waiting.pop())
            for value in self.any_sizes & self._named:
                self.any_sizes.discard(value)
                assert value.node is not None
                self._node(value.node)
        self.stored.update(dict.fromkeys(self.any_sizes))

    def _value(self, value: Value) -> None:
        node = value.node
        if node is None or node.block is not self.block:
            return
        if not isinstance(value.type, TensorType) or is_free(node):
            self._node(node)
        elif self._binders.keys().isdisjoint(type_names(value.type)):
            self.stored[value] = None
        else:
            self.any_sizes.add(value)

    def _node(self, node: Node) -> None:
        if node not in self.again:
            self.again.add(node)
            self._reads(node)
            for name in named_variables(node) if self._assertions else ():
                for assertion in self._assertions.pop(name, ()):
                    for part in _comparison(assertion):
                        self._node(part)
            for inner in node.blocks:
                for user in _users(inner):
                    self._reads(user)

    def _reads(self, user: Node) -> None:
        self._waiting += user.inputs
        if user.op is not _SIZED:
            self._named.update(user.inputs)
        if self._binders:
            params = [param for block in user.blocks for param in block.params]
            named = {*named_variables(user), *(name for param in params for name in type_names(param.type))}
            for name in named & self._binders.keys():
                self._node(self._binders[name])

    def in_order(self) -> tuple[list[Value], list[Node]]:
        """The values and the nodes, in the block's order."""
        values = [y for node in self.block.nodes if node not in self.again for y in node.outputs if y in self.stored]
        return values, [node for node in self.block.nodes if node in self.again]


def _comparison(assertion: Node) -> list[Node]:
    """An assertion about sizes, and what computes its condition from integers."""
    found, condition = [assertion], assertion.inputs[0].node
    while condition is not None and condition.block is assertion.block and condition.op.name != "prim::Size":
        found.append(condition)
        condition = condition.inputs[0].node if condition.op.name == "prim::Item" else None
    return found


def _names_in(assertion: Node, bound: Mapping[Value, str]) -> set[str]:
    """The size variables that an assertion speaks of, some of which integers are bound to."""
    compared = _comparison(assertion)[-1]
    found = {bound[value] for value in compared.inputs if value in bound}
    return found.union(*(named_variables(value.node) for value in compared.inputs if value.node is not None))


def _output(back: Back, node: Node, which: int, value: Value) -> Value:
    """Let the If hand out a value of one of its blocks; the other one hands out as little as can be."""
    assert isinstance(value.type, TensorType)
    block, other = node.blocks[which], node.blocks[1 - which]
    F = GraphAlgebra(Builder(other), node.location, node.path)
    sizes = value.type.sizes
    least = tuple(0 if i == 0 or isinstance(size, SizeExpr) else size for i, size in enumerate(sizes))
    nothing = F.value(F.full(size=least, value=0, dtype=value.type.dtype))
    block.set_returns([*block.returns, value])
    other.set_returns([*other.returns, nothing])
    own = tuple(back.names.fresh("size") if i == 0 or isinstance(s, SizeExpr) else s for i, s in enumerate(sizes))
    return add_output(node, value.type.with_(sizes=own), value.name, len(node.outputs))


def _copy(node: Node, point: InsertionPoint, values: dict[Value, Value]) -> None:
    """Copy one node of a block to where `values` stand for what it reads."""
    blocks = [_copied_block(block, point.block, values) for block in node.blocks]
    new = Builder(point.block, point).emit(
        node.op,
        [values.get(value, value) for value in node.inputs],
        node.attrs,
        [output.type for output in node.outputs],
        node.location,
        node.path,
        blocks,
        [output.name for output in node.outputs],
    )
    values.update(zip(node.outputs, new.outputs, strict=True))


def _copied_block(block: Block, place: Block, values: dict[Value, Value]) -> Block:
    new = Block(place.graph, [p.type for p in block.params], [p.name for p in block.params])
    values.update(zip(block.params, new.params, strict=True))
    copy_nodes(block, InsertionPoint.end(new), values)
    new.set_returns([values.get(value, value) for value in block.returns])
    return new
