"""A block's nodes: an intrusive doubly linked list whose iteration survives changes, with order labels.

What lives here: linking, iteration and the labels that answer "is a before b". The links and the label are
slots of the node itself. What a node is, and who may insert, move or erase one, is `node`'s subject.

Order labels are integers that grow along the list. A new node takes the middle of the gap between its
neighbours' labels; when the gap is used up, the smallest surrounding range of labels that is sparse enough is
spread out evenly (Bender, Cole, Demaine, Farach-Colton, Zito: Two simplified algorithms for maintaining order
in a list, ESA 2002), which costs O(log n) per insertion, amortised, wherever the insertions fall.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .node import Node

__all__ = ["NodeList"]

_GAP: Final = 1 << 32
# A range of 2**k labels may be spread again while it holds fewer than _DENSITY**k nodes.
_DENSITY: Final = 4 / 3


class _Cursor:
    """Where an iteration stands: on the node that it returned last, or None before the first."""

    __slots__ = ("at", "forward")

    def __init__(self, forward: bool) -> None:
        self.at: Node | None = None
        self.forward = forward


class NodeList:
    """The nodes of a block in execution order, without its terminator.

    The list may change while it is iterated over. The promise, which holds for any number of iterations at
    once:

    1. Every node that is in the list from the iteration's beginning to its end, and is not moved, is returned
       exactly once, in order.
    2. A node added behind the one returned last will be returned; one added in front of it will not.
    3. Nodes appended while the last node is being handled are returned too.
    4. A node erased before its turn is not returned.
    5. When the node returned last is erased, the iteration goes on with what followed it. What was put in
       front of it before (its replacement, say) is not returned; what was put behind it is.
    6. A moved node counts as erased at the old place and added at the new one: moved ahead it is returned
       (again), moved back it is not. The iteration itself never moves along with it.
    7. `reversed(nodes)` promises the same with "behind" and "in front of" exchanged, and "appended" read as
       "put first".
    8. An iteration that is given up costs nothing more, and disturbs no other.

    Each removal takes time in proportion to the number of iterations under way in this list.
    """

    __slots__ = ("_cursors", "_length", "first", "last")

    def __init__(self) -> None:
        self.first: Node | None = None
        self.last: Node | None = None
        self._length = 0
        self._cursors: list[_Cursor] = []

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Node]:
        cursor = _Cursor(forward=True)
        self._cursors.append(cursor)
        try:
            while (node := self.first if cursor.at is None else cursor.at.next) is not None:
                cursor.at = node
                yield node
        finally:
            self._cursors.remove(cursor)

    def __reversed__(self) -> Iterator[Node]:
        cursor = _Cursor(forward=False)
        self._cursors.append(cursor)
        try:
            while (node := self.last if cursor.at is None else cursor.at.previous) is not None:
                cursor.at = node
                yield node
        finally:
            self._cursors.remove(cursor)

    def __contains__(self, node: object) -> bool:
        block = getattr(node, "block", None)
        return block is not None and block.nodes is self and block.terminator is not node

    def __repr__(self) -> str:
        return f"<{self._length} nodes>"

    def link(self, node: Node, before: Node | None) -> None:
        """Put a node that is in no list in front of `before`, or last. For `node` only, which notes the owner."""
        previous = self.last if before is None else before.previous
        node.order = self._label_between(previous, before)
        node.previous = previous
        node.next = before
        if previous is None:
            self.first = node
        else:
            previous.next = node
        if before is None:
            self.last = node
        else:
            before.previous = node
        self._length += 1

    def unlink(self, node: Node) -> None:
        """Take a node out. For `node` only."""
        previous, following = node.previous, node.next
        for cursor in self._cursors:
            if cursor.at is node:
                cursor.at = previous if cursor.forward else following
        if previous is None:
            self.first = following
        else:
            previous.next = following
        if following is None:
            self.last = previous
        else:
            following.previous = previous
        node.previous = node.next = None
        self._length -= 1

    def _label_between(self, previous: Node | None, following: Node | None) -> int:
        if previous is None:
            return 0 if following is None else following.order - _GAP
        if following is None:
            return previous.order + _GAP
        if following.order - previous.order < 2:
            _spread(previous)
        return (previous.order + following.order) // 2


def _spread(node: Node) -> None:
    """Label the nodes around `node` anew so that there is room behind each of them."""
    first = last = node
    bits = 0
    count = 1
    while True:
        bits += 1
        start = node.order >> bits << bits
        stop = start + (1 << bits)
        while (previous := first.previous) is not None and previous.order >= start:
            first = previous
            count += 1
        while (following := last.next) is not None and following.order < stop:
            last = following
            count += 1
        if count < _DENSITY**bits:
            break
    step = (1 << bits) // count
    label = start
    current: Node | None = first
    for _ in range(count):
        assert current is not None
        current.order = label
        label += step
        current = current.next
