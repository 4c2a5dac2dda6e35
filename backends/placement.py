"""Where each sub-expression is computed: once, as far out as it may be, and never where it must not be read.

Expressions are graphs whose nodes are shared, and the branch of a `where` that is not taken must not be evaluated:
its reads may lie outside of their operands. So code has *branches*: the straight line at the top, and the two sides
of every `where`. A node goes to the innermost branch that covers all of its uses; a node that reads under a guard
goes to each branch that uses it, and never further out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..ir.scalar import Expr, walk
from .index_range import Fact

__all__ = ["Branch", "Placement", "place"]


@dataclass(frozen=True, eq=False, slots=True)
class Branch:
    """The straight line at the top (no `parent`), or one side of a `where`, with the facts in force there."""

    parent: Branch | None = None
    facts: tuple[Fact, ...] = ()
    depth: int = 0

    def within(self, other: Branch) -> bool:
        """Whether this branch is the other one or lies inside of it."""
        branch: Branch | None = self
        while branch is not None and branch.depth > other.depth:
            branch = branch.parent
        return branch is other


@dataclass(slots=True)
class Placement:
    """What `place` found.

    Attributes:
        top: the outermost branch.
        order: the nodes of each branch, operands before their users; leaves are left out.
        uses: how often a node is used, from its place in a branch.
        sides: the two branches of a `where` at its place.
    """

    top: Branch
    order: dict[Branch, list[Expr]] = field(default_factory=dict)
    uses: dict[tuple[Expr, Branch], int] = field(default_factory=dict)
    sides: dict[tuple[Expr, Branch], tuple[Branch, Branch]] = field(default_factory=dict)


def place(roots: Sequence[Expr], anywhere: Callable[[Expr], bool]) -> Placement:
    """Give every node under the roots its place.

    Args:
        roots: what is wanted, all of it at the top.
        anywhere: whether a read may be carried out whatever the conditions are.
    """
    nodes = list(dict.fromkeys(node for root in roots for node in walk(root)))
    free = _unguarded(nodes, anywhere)
    placement = Placement(Branch())
    sites: dict[Expr, list[Branch]] = {node: [] for node in nodes}
    for root in roots:
        sites[root].append(placement.top)
    for node in reversed(nodes):
        if node.op == "leaf":
            continue
        for home in _homes(sites[node], free[node]):
            placement.order.setdefault(home, []).append(node)
            placement.uses[node, home] = sum(site.within(home) for site in sites[node])
            _use_operands(node, home, placement, sites)
    for order in placement.order.values():
        order.reverse()
    return placement


def _use_operands(node: Expr, home: Branch, placement: Placement, sites: dict[Expr, list[Branch]]) -> None:
    if node.op != "where":
        for arg in node.args:
            sites[arg].append(home)
        return
    condition, a, b = node.args
    taken, other = (Branch(home, (*home.facts, (condition, holds)), home.depth + 1) for holds in (True, False))
    placement.sides[node, home] = taken, other
    sites[condition].append(home)
    sites[a].append(taken)
    sites[b].append(other)


def _unguarded(nodes: Sequence[Expr], anywhere: Callable[[Expr], bool]) -> dict[Expr, bool]:
    """For each node, whether it may be computed whatever the conditions around it are."""
    free: dict[Expr, bool] = {}
    for node in nodes:
        free[node] = all(free[arg] for arg in node.args) and (node.op != "read" or anywhere(node))
    return free


def _homes(sites: Sequence[Branch], free: bool) -> list[Branch]:
    if free:
        home = sites[0]
        for site in sites[1:]:
            home = _common(home, site)
        return [home]
    unique = list(dict.fromkeys(sites))
    return [site for site in unique if not any(site is not other and site.within(other) for other in unique)]


def _common(a: Branch, b: Branch) -> Branch:
    while a is not b:
        if a.depth < b.depth:
            a, b = b, a
        assert a.parent is not None
        a = a.parent
    return a
