"""The graph: a top block, state that is read at entry and written at the end, and assumptions about sizes.

What lives here: `Graph` itself. Its parts are in `node` (values, uses, nodes, blocks), `node_list` (iteration
and order), `insertion` (where new nodes go); copying is in `graph_copy`, comparison in `graph_compare`. All
their names can be imported from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .block import Block
from .errors import ArgumentError
from .graph_sizes import size_variables
from .insertion import InsertionPoint
from .locations import Location
from .naming import NameTable
from .node import Node
from .node_list import NodeList
from .sizes import SizeExpr, SizeRelation
from .types import Type
from .value import Use, Value

__all__ = [
    "Assumption",
    "Block",
    "Graph",
    "InsertionPoint",
    "Node",
    "NodeList",
    "Use",
    "Value",
    "same_graph",
]


@dataclass(frozen=True, slots=True)
class Assumption:
    """A relation of sizes that was taken to hold when the graph was made, and the line that made it so."""

    relation: SizeRelation
    location: Location | None = None

    def __str__(self) -> str:
        return f"assume {self.relation}"


class Graph:
    """A function in typed SSA form. Inputs and state come in, outputs and updates of the state go out.

    Two graphs are equal when `same_graph` finds no difference: names, types, attributes, locations,
    everything.

    Attributes:
        name: what it is called in text, without the `@`.
        block: the top block. Its parameters are the inputs, then the state; its terminator is a
        `prim::Return`.
        assumptions: relations of sizes that hold in it, checked at the call.
        names: the names of values that are taken.

    >>> from .dtypes import float32
    >>> from .types import TensorType
    >>> graph = Graph("double")
    >>> x = graph.add_input("x", TensorType(float32, (2,)))
    >>> graph.inputs, graph.state
    ((%x : f32[2],), mappingproxy({}))
    """

    __slots__ = ("__weakref__", "_input_count", "_state", "assumptions", "block", "name", "names")

    __hash__ = None  # type: ignore[assignment]  # graphs change, and compare by what they hold

    def __init__(self, name: str = "forward") -> None:
        self.name = name
        self.names = NameTable()
        self.assumptions: list[Assumption] = []
        self._input_count = 0
        self._state: dict[str, Value] = {}
        self.block = Block(self)

    # -- what comes in

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The values that the caller gives."""
        return self.block.params[: self._input_count]

    @property
    def state(self) -> Mapping[str, Value]:
        """What is read at entry, by its key (`"fc1.weight"`), in order; a read-only view."""
        return MappingProxyType(self._state)

    def add_input(self, name: str, type: Type, location: Location | None = None) -> Value:
        """A new input, behind the inputs there are."""
        value = self.block.add_param(type, name, location, self._input_count)
        self._input_count += 1
        return value

    def add_state(self, key: str, type: Type, name: str | None = None, location: Location | None = None) -> Value:
        """A new piece of state, behind the state there is.

        Raises:
            ArgumentError: when the key is taken.
        """
        if key in self._state:
            raise ArgumentError(f"@{self.name} already has state {key!r}")
        value = self.block.add_param(type, key if name is None else name, location)
        self._state[key] = value
        return value

    def remove_input(self, value: Value) -> None:
        """Remove an input.

        Raises:
            ArgumentError: when it is not an input, or is used.
        """
        if value.node is not None or value not in self.inputs:
            raise ArgumentError(f"%{value.name} is not an input of @{self.name}")
        self.block.remove_param(value.index)
        self._input_count -= 1

    def remove_state(self, key: str) -> None:
        """Remove a piece of state.

        Raises:
            ArgumentError: when there is none of that key, or it is used or updated.
        """
        if key not in self._state:
            raise ArgumentError(f"@{self.name} has no state {key!r}")
        if key in self._update_names:
            raise ArgumentError(f"state {key!r} cannot be removed: it is updated")
        self.block.remove_param(self._state[key].index)
        del self._state[key]

    @property
    def sizes(self) -> dict[str, SizeExpr]:
        """The size variables that the inputs and the state bind, by name."""
        found: dict[str, SizeExpr] = {}
        for param in self.block.params:
            for variable in size_variables(param.type):
                found.setdefault(str(variable), variable)
        return found

    # -- what goes out

    @property
    def _update_names(self) -> tuple[str, ...]:
        terminator = self.block.terminator
        return () if terminator is None else tuple(terminator.attrs.get("updates", ()))

    @property
    def outputs(self) -> tuple[Value, ...]:
        """The values that the caller gets."""
        returns = self.block.returns
        return returns[: len(returns) - len(self._update_names)]

    @property
    def updates(self) -> dict[str, Value]:
        """What the state becomes, by key; state that is not named stays."""
        names = self._update_names
        returns = self.block.returns
        return dict(zip(names, returns[len(returns) - len(names) :], strict=True))

    def set_return(
        self,
        outputs: Sequence[Value],
        updates: Mapping[str, Value] | None = None,
        location: Location | None = None,
        path: str = "",
    ) -> Node:
        """Set what the graph returns and what it writes to its state, in place of what it did so far.

        Raises:
            ArgumentError: for an update of state that does not exist.
        """
        updates = updates or {}
        if unknown := [key for key in updates if key not in self._state]:
            raise ArgumentError(f"@{self.name} has no state {unknown[0]!r} to update")
        return self._close((*outputs, *updates.values()), tuple(updates), location, path)

    def _close(self, values: Sequence[Value], updates: tuple[str, ...], location: Location | None, path: str) -> Node:
        return self.block._close("prim::Return", values, {"updates": updates}, location, path)

    # -- the whole

    def nodes(self, recursive: bool = True) -> Iterator[Node]:
        """All nodes in order, each before those in its blocks, without terminators.

        Nodes may change meanwhile within the promise of `NodeList`.
        """
        return self.block.walk() if recursive else iter(self.block.nodes)

    def blocks(self) -> Iterator[Block]:
        """All blocks, each before those inside of it."""
        return self.block.blocks()

    def values(self) -> Iterator[Value]:
        """All values: parameters of blocks and outputs of nodes."""
        for block in self.blocks():
            yield from block.params
            for node in block.nodes:
                yield from node.outputs

    @property
    def node_count(self) -> int:
        """The number of nodes, nested ones included, without terminators."""
        return sum(len(block.nodes) for block in self.blocks())

    def copy(self) -> Graph:
        """An equal graph that shares no node, block or value with this one."""
        from .graph_copy import copy_graph

        return copy_graph(self)

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> Graph:
        return self.copy()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Graph):
            return NotImplemented
        return self is other or same_graph(self, other) is None

    def __str__(self) -> str:
        from .printer import print_graph

        return print_graph(self)

    def __repr__(self) -> str:
        return f"<graph @{self.name}: {self.node_count} nodes>"


def same_graph(a: Graph, b: Graph, *, names: bool = True, locations: bool = True) -> str | None:
    """The first difference between two graphs as a sentence, or None when they are equal.

    Args:
        names: whether the names of values count.
        locations: whether source locations and module paths count.
    """
    from .graph_compare import first_difference

    return first_difference(a, b, names=names, locations=locations)
