"""Dead code elimination: what nothing that counts depends on goes."""

from __future__ import annotations

from collections.abc import Iterable

from ..ir.graph import Block, Graph, Node, Value
from ..ir.size_scopes import SizeScopes
from .changes import permit
from .facts import has_effect, has_own_variables
from .registered import NoOptions, register_pass
from .structure import Slot, always_read, cut_slots, drop_ends, slots

__all__ = ["dce", "erase_unneeded"]


@register_pass()
def dce(graph: Graph, options: NoOptions) -> bool:
    """Erase nodes that neither the outputs nor the updates of the state depend on.

    Of an If, a Loop or a fusion group only what is needed stays: a carried value that just feeds itself goes too. A
    node that binds a size variable stays while something that stays names the variable. What has an effect stays, and
    so does all around it. Inputs and state are the graph's signature and stay.
    """
    return erase_unneeded(graph)


def erase_unneeded(graph: Graph, *, effects: bool = True) -> bool:
    """What `dce` does.

    Args:
        effects: whether nodes that have an effect are needed.
    """
    live = _Liveness(graph, effects)
    live.run()
    return _sweep(graph, live)


class _Liveness:
    """What counts, found from the terminator backwards: nodes, and for nodes with blocks each of their slots."""

    def __init__(self, graph: Graph, effects: bool) -> None:
        self.graph = graph
        self.nodes: set[Node] = set()
        self.slots: set[Slot] = set()
        self._slot_of: dict[Value, Slot] = {}
        self._waiting: list[Node | Value] = [node for node in graph.nodes() if effects and has_effect(node)]
        self._binders = SizeScopes(graph).needs if has_own_variables(graph) else {}

    def run(self) -> None:
        waiting = self._waiting
        self._all(self.graph.block.returns)
        while waiting:
            found = waiting.pop()
            node = found if isinstance(found, Node) else found.node or found.block.parent
            if node is None:
                continue
            if node not in self.nodes:
                self._node(node)
            if node.blocks and not isinstance(found, Node):
                self._slot(found)

    def _node(self, node: Node) -> None:
        self.nodes.add(node)
        if node.blocks:
            self._all(always_read(node))
            for slot in slots(node):
                self._slot_of.update(dict.fromkeys(slot.ends, slot))
        else:
            self._waiting += node.inputs
        assert node.block is not None
        if node.block.parent is not None:
            self._waiting.append(node.block.parent)
        self._all(self._binders.get(node, ()))

    def _slot(self, end: Value) -> None:
        slot = self._slot_of.get(end)  # a Loop's iteration number has none
        if slot is not None and slot not in self.slots:
            self.slots.add(slot)
            self._all(slot.starts)
            for value in slot.ends:
                self._all(self._binders.get(value, ()))

    def _all(self, needed: Iterable[Node | Value]) -> None:
        self._waiting += needed


def _sweep(graph: Graph, live: _Liveness) -> bool:
    doomed, trimmed = _plan(graph.block, live)
    if not trimmed:
        # An unused node goes before what it uses, so that to stop midway leaves a good graph.
        return sum(_erase(node) for node in reversed(doomed)) > 0
    if not permit("dce", trimmed[0][0]):
        return False
    for node, dead in trimmed:
        cut_slots(node, [i for i, _ in dead])
    for node in reversed(doomed):
        node.erase()
    for node, dead in trimmed:
        drop_ends(node, [end for _, slot in dead for end in slot.ends])
    return True


def _erase(node: Node) -> bool:
    if not permit("dce", node):
        return False
    node.erase()
    return True


_Dead = list[tuple[int, Slot]]


def _plan(block: Block, live: _Liveness) -> tuple[list[Node], list[tuple[Node, _Dead]]]:
    """Nodes to be erased, in order, and nodes to be trimmed, each with its dead slots and their numbers."""
    doomed: list[Node] = []
    trimmed: list[tuple[Node, _Dead]] = []
    waiting = [block]
    alive = live.nodes
    while waiting:
        for node in waiting.pop().nodes:
            if node not in alive:
                doomed.append(node)
            elif node.blocks:
                waiting += node.blocks
                dead = [(i, slot) for i, slot in enumerate(slots(node)) if slot not in live.slots]
                if dead:
                    trimmed.append((node, dead))
    return doomed, trimmed
