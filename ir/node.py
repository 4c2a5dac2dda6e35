"""What a graph is made of: values, their uses, nodes and blocks.

What lives here: the web of values and uses, which changes in constant time per use, and who owns what. The whole
graph is in `graph`, making nodes with inferred types in `builder`, the rules that a finished graph keeps in
`verifier`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .errors import ArgumentError
from .insertion import InsertionPoint
from .locations import Location
from .node_list import NodeList
from .registry import Op, lookup
from .types import Type

if TYPE_CHECKING:
    from .graph import Graph

__all__ = ["Block", "Node", "Use", "Value"]


class Use:
    """One place where a value is used: input `index` of `node`. Kept as long as the node has that input."""

    __slots__ = ("_next", "_previous", "index", "node", "value")

    node: Node
    index: int
    value: Value
    _previous: Use | None
    _next: Use | None

    def __repr__(self) -> str:
        return f"<input {self.index} of {self.node}>"


class Value:
    """What a node computes, or a block receives.

    Attributes:
        type: its type.
        name: unique within the graph; assigning another one makes that unique.
        node: the node that computes it; None for a block's parameter.
        index: its position among the node's outputs or the block's parameters.
        use_count: how many inputs of nodes it is.
    """

    __slots__ = ("_block", "_first_use", "_last_use", "_location", "_name", "index", "node", "type", "use_count")

    def __init__(self, type_: Type, name: str, node: Node | None, block: Block | None, index: int) -> None:
        """For nodes and blocks, which make their values; the name is unique already."""
        self.type = type_
        self._name = name
        self.node = node
        self._block = block
        self.index = index
        self.use_count = 0
        self._first_use: Use | None = None
        self._last_use: Use | None = None
        self._location: Location | None = None

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, wanted: str) -> None:
        if wanted != self._name:
            names = self.block.graph.names
            names.release(self._name)
            self._name = names.take(wanted)

    @property
    def block(self) -> Block:
        """The block in which the value is defined."""
        block = self._block if self.node is None else self.node.block
        if block is None:
            raise ArgumentError(f"%{self._name} belongs to no block: it was erased")
        return block

    @property
    def location(self) -> Location | None:
        """Where in the user's source it comes from."""
        return self._location if self.node is None else self.node.location

    @location.setter
    def location(self, location: Location | None) -> None:
        if self.node is None:
            self._location = location
        else:
            self.node.location = location

    @property
    def uses(self) -> tuple[Use, ...]:
        """All uses at this moment, the oldest first: a snapshot, safe to walk while uses change."""
        return tuple(self.walk_uses())

    def walk_uses(self) -> Iterator[Use]:
        """The uses one by one, without a snapshot; they must not change meanwhile."""
        use = self._first_use
        while use is not None:
            yield use
            use = use._next

    def replace_uses(self, new: Value, where: Callable[[Use], bool] | None = None) -> None:
        """Let all users, or those for which `where(use)` holds, use `new` instead.

        Takes constant time per use.
        """
        if new is self:
            return
        for use in self.uses:
            if where is None or where(use):
                _rewire(use, new)

    def __repr__(self) -> str:
        return f"%{self._name} : {self.type}"


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

        For the builder, the parser and those who copy. Blocks are attached later, by `add_block`.

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
            _rewire(use, value)

    def set_inputs(self, values: Sequence[Value]) -> None:
        """Read `values`, in any number, in place of all inputs."""
        values = tuple(values)
        self._drop_operands()
        self._operands = _operands(self, values)

    def _drop_operands(self) -> None:
        for use in self._operands:
            _unlink(use)
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
        """This node, or the one around it, that stands in `block`; None when the block does not contain it."""
        node: Node | None = self
        while node is not None and node.block is not block:
            node = None if node.block is None else node.block.parent
        return node

    def move_before(self, node: Node) -> None:
        """Move this node, with its blocks, in front of another one, in whatever block of the graph that stands."""
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
        assert self.block is not None
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


class Block:
    """A straight line of nodes with parameters in front and a terminator behind.

    A block is either a graph's top block, a node's block, or, while it is being built, on its own.

    Attributes:
        graph: the graph that it belongs to.
        parent: the node whose block it is.
        nodes: the nodes without the terminator; see `NodeList` for what may be done while iterating.
        terminator: the `prim::Yield`, or `prim::Return` of the top block; None while the block is being built.
    """

    __slots__ = ("_params", "graph", "nodes", "parent", "terminator")

    def __init__(self, graph: Graph, types: Sequence[Type] = (), names: Sequence[str] = ()) -> None:
        """An empty block with parameters of the given types."""
        self.graph = graph
        self.parent: Node | None = None
        self.nodes = NodeList()
        self.terminator: Node | None = None
        self._params: list[Value] = []
        for i, type_ in enumerate(types):
            self.add_param(type_, names[i] if i < len(names) else "p")

    @property
    def params(self) -> tuple[Value, ...]:
        """The values that the block receives."""
        return tuple(self._params)

    @property
    def returns(self) -> tuple[Value, ...]:
        """What the block hands out: the terminator's inputs."""
        return () if self.terminator is None else self.terminator.inputs

    def add_param(
        self, type_: Type, name: str = "p", location: Location | None = None, index: int | None = None
    ) -> Value:
        """A new parameter, last or at the given position."""
        index = len(self._params) if index is None else index
        value = Value(type_, self.graph.names.take(name), None, self, index)
        value._location = location
        self._params.insert(index, value)
        self._renumber(index + 1)
        return value

    def remove_param(self, index: int) -> None:
        """Remove a parameter.

        Raises:
            ArgumentError: while it is used; the message names a user.
        """
        param = self._params[index]
        if param._first_use is not None:
            raise ArgumentError(
                f"parameter %{param.name} cannot be removed", found=f"used by {param._first_use.node}"
            )
        del self._params[index]
        self.graph.names.release(param._name)
        self._renumber(index)

    def _renumber(self, start: int) -> None:
        for i in range(start, len(self._params)):
            self._params[i].index = i

    def set_returns(self, values: Sequence[Value], location: Location | None = None, path: str = "") -> Node:
        """Close the block with a `prim::Yield` of `values`, or let its terminator hand out those instead."""
        return self._close("prim::Yield", values, {}, location, path)

    def _close(
        self, op: str, values: Sequence[Value], attrs: Mapping[str, Any], location: Location | None, path: str
    ) -> Node:
        if self.terminator is None:
            self.terminator = Node._terminator(self, lookup(op), values, {})
        else:
            self.terminator.set_inputs(values)
        self.terminator.attrs.update(attrs)
        self.terminator.location = location or self.terminator.location
        self.terminator.path = path or self.terminator.path
        return self.terminator

    def walk(self) -> Iterator[Node]:
        """All nodes in here and in nested blocks, each before those inside of it, without terminators.

        Nodes may change during the walk within the promise of `NodeList`.
        """
        running = [iter(self.nodes)]
        while running:
            for node in running[-1]:
                if node.block is None:  # inside of a node that was erased meanwhile
                    continue
                yield node
                if node.blocks and node.block is not None:
                    running.extend(iter(block.nodes) for block in reversed(node.blocks))
                    break
            else:
                running.pop()

    def blocks(self) -> Iterator[Block]:
        """This block and all blocks nested in it, each before those inside of it."""
        yield self
        for node in self.walk():
            yield from node.blocks

    def __repr__(self) -> str:
        return f"<block of {self.parent or self.graph.name}: {len(self.nodes)} nodes>"


def _operands(node: Node, inputs: Sequence[Value]) -> list[Use]:
    uses = []
    for index, value in enumerate(inputs):
        use = Use()
        use.node = node
        use.index = index
        _link(use, value)
        uses.append(use)
    return uses


def _link(use: Use, value: Value) -> None:
    last = value._last_use
    use.value = value
    use._previous = last
    use._next = None
    if last is None:
        value._first_use = use
    else:
        last._next = use
    value._last_use = use
    value.use_count += 1


def _unlink(use: Use) -> None:
    value, previous, following = use.value, use._previous, use._next
    if previous is None:
        value._first_use = following
    else:
        previous._next = following
    if following is None:
        value._last_use = previous
    else:
        following._previous = previous
    value.use_count -= 1


def _rewire(use: Use, new: Value) -> None:
    _unlink(use)
    _link(use, new)
    use.node._inputs = None


def _contains(node: Node, block: Block) -> bool:
    inner: Block | None = block
    while inner is not None and inner.parent is not node:
        inner = None if inner.parent is None else inner.parent.block
    return inner is not None


def _inside(node: Node) -> list[Node]:
    found = []
    for block in node.blocks:
        for inner in block.blocks():
            found.extend(inner.nodes)
            if inner.terminator is not None:
                found.append(inner.terminator)
    return found
