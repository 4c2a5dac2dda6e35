"""Values and their uses: the web that graphs are made of, which changes in constant time per use.

Each value heads an intrusive doubly linked list of its uses, oldest first, and counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from .errors import ArgumentError
from .locations import Location
from .types import Type

if TYPE_CHECKING:
    from .block import Block
    from .node import Node

__all__ = ["Use", "Value", "link", "rewire", "unlink"]


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

    __slots__ = (
        "_block",
        "_first_use",
        "_last_use",
        "_location",
        "_name",
        "index",
        "node",
        "type",
        "use_count",
    )

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
                rewire(use, new)

    def __repr__(self) -> str:
        return f"%{self._name} : {self.type}"


def link(use: Use, value: Value) -> None:
    """Add a use that is in no list to a value's, as the latest. For `node` only, like the other two."""
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


def unlink(use: Use) -> None:
    """Take a use out of its value's list."""
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


def rewire(use: Use, new: Value) -> None:
    """Let a use be of another value."""
    unlink(use)
    link(use, new)
    use.node.forget_inputs()
