"""Blocks: nodes in a row, with parameters in front and a terminator behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .errors import ArgumentError
from .locations import Location
from .node import Node
from .node_list import NodeList
from .registry import lookup
from .types import Type
from .value import Value

if TYPE_CHECKING:
    from .graph import Graph

__all__ = ["Block"]


class Block:
    """A straight line of nodes with parameters in front and a terminator behind.

    A block is either a graph's top block, a node's block, or, while it is being built, on its own.

    Attributes:
        graph: the graph that it belongs to.
        parent: the node whose block it is.
        nodes: the nodes without the terminator; see `NodeList` for what may be done while iterating.
        terminator: the `prim::Yield`, or `prim::Return` of the top block; None while the block is being
            built.
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
            raise ArgumentError(f"parameter %{param.name} cannot be removed", found=f"used by {param._first_use.node}")
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
                if node.blocks:
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
