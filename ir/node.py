"""Nodes: one op applied to values, and all that may be done to it.

Their values are in `value`, the blocks they stand in and have in `block`; making nodes with inferred types is
the subject of `builder`, the rules that a finished graph keeps that of `verifier`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .errors import ArgumentError
from .insertion import InsertionPoint
from .locations import Location
from .registry import Op
from .types import Type
from .value import Use, Value, link, rewire, unlink

if TYPE_CHECKING:
    from .block import Block

__all__ = ["Node"]


class Node:
    """One operation: an op applied to values, with attributes and, for control flow, blocks.

    Nodes are made by `Builder.emit` and live in a block until they are erased.

    Attributes:
        op: what is done.
        outputs: the values that it computes.
        attrs: the static parameters by name.
        blocks: nested blocks, each closed by a `prim::Yield`.
        location: the user's line.
        path: the module path there, such as `"encoder.layer1"`.
        block: the block that it stands in; None once erased.
        previous, next: its neighbours in the block; the terminator has none and is nobody's.
        order: a label that grows along the block; ask `is_before`.
    """

    __slots__ = (
        "_inputs",
        "_operands",
        "attrs",
        "block",
        "blocks",
        "location",
        "next",
        "op",
        "order",
        "outputs",
        "path",
        "previous",
    )

    order: Any  # an int, but infinity for a terminator
    previous: Node | None
    next: Node | None

    def __init__(
        self,
        point: InsertionPoint,
        op: Op,
        inputs: Sequence[Value],
        types: Sequence[Type],
        names: Sequence[str],
        attrs: dict[str, Any],
        location: Location | None = None,
        path: str = "",
    ) -> None:
        """Make a node as it is given, with nothing inferred or checked, and insert it.

        For the builder, the parser and those who copy. Blocks are attached later.

        Args:
            names: wished names of the outputs, one each.
        """
        self._link_up(point.block, op, inputs, attrs, location, path)
        take = point.block.graph.names.take
        self.outputs = tuple(
            [Value(t, take(name), self, None, i) for i, (t, name) in enumerate(zip(types, names, strict=True))]
        )
        point.block.nodes.link(self, point.following)

    @classmethod
    def _terminator(cls, block: Block, op: Op, inputs: Sequence[Value], attrs: dict[str, Any]) -> Node:
        node = cls.__new__(cls)
        node._link_up(block, op, inputs, attrs, None, "")
        node.outputs = ()
        node.previous = node.next = None
        node.order = math.inf
        return node

    def _link_up(
        self,
        block: Block,
        op: Op,
        inputs: Sequence[Value],
        attrs: dict[str, Any],
        location: Location | None,
        path: str,
    ) -> None:
        self.op = op
        self.attrs = attrs
        self.blocks: tuple[Block, ...] = ()
        self.location = location
        self.path = path
        self.block: Block | None = block
        self._inputs: tuple[Value, ...] | None = None  # made from the operands when asked for
        self._operands = _operands(self, inputs)

    # -- inputs and outputs

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The values that it reads."""
        if self._inputs is None:
            self._inputs = tuple([use.value for use in self._operands])
        return self._inputs

    @property
    def operands(self) -> tuple[Use, ...]:
        """The inputs as uses."""
        return tuple(self._operands)

    @property
    def output(self) -> Value:
        """The single output.

        Raises:
            ArgumentError: when there are none or several.
        """
        if len(self.outputs) != 1:
            raise ArgumentError(f"{self.op.name} has {len(self.outputs)} outputs, not one")
        return self.outputs[0]

    def set_input(self, index: int, value: Value) -> None:
        """Read `value` as input `index`, in constant time.

        Raises:
            ArgumentError: when there is no such input.
        """
        if not 0 <= index < len(self._operands):
            raise ArgumentError(f"{self.op.name} has {len(self._operands)} inputs, no input {index}")
        use = self._operands[index]
        if use.value is not value:
            rewire(use, value)

    def set_inputs(self, values: Sequence[Value]) -> None:
        """Read `values`, in any number, in place of all inputs."""
        values = tuple(values)
        self._drop_operands()
        self._operands = _operands(self, values)

    def forget_inputs(self) -> None:
        """An input has changed behind this node's back. For `value` only."""
        self._inputs = None

    def _drop_operands(self) -> None:
        for use in self._operands:
            unlink(use)
        self._operands = []
        self._inputs = None

    # -- place

    def is_before(self, other: Node) -> bool:
        """Whether this node is executed before the other, which stands in the same block.

        Raises:
            ArgumentError: when the nodes stand in different blocks.
        """
        if self.block is not other.block or self.block is None:
            raise ArgumentError(f"{self} and {other} do not stand in one block")
        return bool(self.order < other.order)

    def ancestor_in(self, block: Block) -> Node | None:
        """This node, or the one around it, that stands in `block`; None when neither does."""
        node: Node | None = self
        while node is not None and node.block is not block:
            node = None if node.block is None else node.block.parent
        return node

    def move_before(self, node: Node) -> None:
        """Move this node, with its blocks, in front of another one, in whatever block of the graph it is."""
        if node is not self:
            self.move_to(InsertionPoint.before(node))

    def move_to(self, point: InsertionPoint) -> None:
        """Move this node, with its blocks, to an insertion point in the same graph.

        Raises:
            ArgumentError: for a terminator, a point inside of the node itself, or one in another graph.
        """
        point.check()
        block = self.block
        if block is None or block.terminator is self or block.graph is not point.block.graph:
            raise ArgumentError(f"{self} cannot be moved there: it is a terminator, erased, or of another graph")
        if point.following is self:
            return
        if block is not point.block and self.blocks and _contains(self, point.block):
            raise ArgumentError(f"{self} cannot be moved into itself")
        block.nodes.unlink(self)
        point.block.nodes.link(self, point.following)
        self.block = point.block

    # -- blocks

    def add_block(self) -> Block:
        """A new, empty block of this node, behind those it has."""
        from .block import Block

        if self.block is None:
            raise ArgumentError(f"{self} was erased")
        block = Block(self.block.graph)
        self.attach(block)
        return block

    def attach(self, block: Block) -> None:
        """Make a block that was built on its own a block of this node, behind those it has.

        Raises:
            ArgumentError: when the block already belongs to a node or to a graph as its top block.
        """
        if block.parent is not None or block.graph.block is block:
            raise ArgumentError("a block belongs to one node only", found=f"it is a block of {block.parent}")
        block.parent = self
        self.blocks = (*self.blocks, block)

    # -- going away

    def erase(self) -> None:
        """Remove the node, with its blocks, from its graph.

        Raises:
            ArgumentError: while an output is used; the message names a user.
        """
        for output in self.outputs:
            if output._first_use is not None:
                raise ArgumentError(
                    f"{self.op.name} cannot be erased: %{output.name} is used",
                    found=f"used by {output._first_use.node}",
                    advice="replace its uses first",
                )
        if self.block is None:
            raise ArgumentError(f"{self} was erased already")
        if self.block.terminator is self:
            raise ArgumentError(f"the terminator {self.op.name} cannot be erased", advice="use set_returns")
        self.block.nodes.unlink(self)
        for node in (self, *_inside(self)):
            node._forget()

    def _forget(self) -> None:
        assert self.block is not None
        release = self.block.graph.names.release
        for output in self.outputs:
            release(output._name)
        for block in self.blocks:
            for param in block.params:
                release(param._name)
        self._drop_operands()
        self.block = None

    def replace_with(self, values: Value | Sequence[Value]) -> None:
        """Let all users of the outputs use `values` instead, one for each output, and erase the node.

        Raises:
            ArgumentError: when the numbers differ, or a value depends on the node itself.
        """
        new = (values,) if isinstance(values, Value) else tuple(values)
        if len(new) != len(self.outputs):
            raise ArgumentError(f"{self.op.name} has {len(self.outputs)} outputs, got {len(new)} values instead")
        if any(value.node is self for value in new):
            raise ArgumentError(f"{self} cannot be replaced with its own output")
        for old, value in zip(self.outputs, new, strict=True):
            old.replace_uses(value)
        self.erase()

    def __repr__(self) -> str:
        results = ", ".join(f"%{v.name}" for v in self.outputs)
        inputs = ", ".join(f"%{v.name}" for v in self.inputs)
        return f"{results}{' = ' if results else ''}{self.op.name}({inputs})"


def _operands(node: Node, inputs: Sequence[Value]) -> list[Use]:
    uses = []
    for index, value in enumerate(inputs):
        use = Use()
        use.node = node
        use.index = index
        link(use, value)
        uses.append(use)
    return uses


def _contains(node: Node, block: Block) -> bool:
    inner: Block | None = block
    while inner is not None and inner.parent is not node:
        inner = None if inner.parent is None else inner.parent.block
    return inner is not None


def _inside(node: Node) -> list[Node]:
    found: list[Node] = []
    for block in node.blocks:
        for inner in block.blocks():
            found.extend(inner.nodes)
            if inner.terminator is not None:
                found.append(inner.terminator)
    return found
