"""Rewrite rules as data, and the engine that applies them.

    rule("double negation", lambda F, x: -(-x), lambda F, x: x)

Both sides are functions of the algebra `F` and of wildcards. The first is a pattern (see `patterns`); the second runs
over the graph and writes nodes in front of the one that is replaced, at whose source location they stand. Beside the
wildcards it may take `m`, the match. A rule applies only where the types, dtype and sizes, stay as they were;
`when=` may refuse further, by returning the reason.

The engine keeps a list of nodes to look at: all of them at first, then what a change may have made to match. It looks
rules up by the op of their root, so that it takes time in proportion to the graph and to the changes.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..ir.algebra import Proxy
from ..ir.attributes import same_attribute
from ..ir.builder import Builder
from ..ir.errors import ArgumentError, DTypeError, IngotError, ShapeError
from ..ir.graph import Graph, InsertionPoint, Node, Value
from ..ir.graph_algebra import GraphAlgebra
from ..ir.registry import Op
from .changes import permit, refused
from .facts import is_removable
from .patterns import Call, Match, match, pattern

__all__ = ["Native", "Rewriter", "Rule", "RuleSet", "rule"]

When = Callable[[Match], str | None]


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A rewrite rule.

    Attributes:
        name: what it does, in a few words.
        before, after: both sides, functions of `F` and wildcards.
        when: called with a match; None, or the reason why the rule does not apply there.
        patterns: the left-hand side as trees, one for each order of commutative operands.
        takes: the names of what the right-hand side takes behind `F`.
    """

    name: str
    before: Callable[..., Any]
    after: Callable[..., Any]
    when: When | None
    patterns: tuple[Call, ...]
    takes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<rule {self.name!r}>"


def rule(name: str, before: Callable[..., Any], after: Callable[..., Any], when: When | None = None) -> Rule:
    """A rewrite rule.

    Raises:
        ArgumentError: when the left-hand side is not a pattern, or the right-hand side takes what the left lacks.

    >>> from ingot.ir import ops
    >>> rule("double negation", lambda F, x: -(-x), lambda F, x: x).patterns
    (neg(neg(x)),)
    """
    wildcards = list(inspect.signature(before).parameters)[1:]
    takes = tuple(inspect.signature(after).parameters)[1:]
    if unknown := [x for x in takes if x != "m" and x not in wildcards]:
        raise ArgumentError(f"rule {name!r}: the right-hand side takes {unknown[0]!r}", expected=f"some of {wildcards}")
    return Rule(name, before, after, when, pattern(before), takes)


class RuleSet:
    """Rules, to be looked up by the op of a pattern's root."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self.by_root: dict[Op, list[tuple[Rule, Call]]] = {}
        for each in self.rules:
            for call in each.patterns:
                self.by_root.setdefault(call.op, []).append((each, call))
        # A change can make a rule match at a node up to so many uses further on.
        self.reach = max([call.depth() for each in self.rules for call in each.patterns], default=1) - 1


@dataclass(frozen=True, slots=True)
class Native:
    """A rule in Python, for what cannot be said as a pattern.

    Attributes:
        concerns: whether nodes of an op are to be looked at.
        apply: looks at a node, changes the graph through the rewriter, and returns whether it did.
    """

    concerns: Callable[[Op], bool]
    apply: Callable[[Rewriter, Node], bool]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to try at nodes of one op."""

    natives: tuple[Native, ...]
    rules: tuple[tuple[Rule, Call], ...]


class Rewriter:
    """Applies rules, and natives before them, until none applies any more.

    Args:
        graph: what is changed, in place.
        rules: data.
        natives: functions, for what cannot be said as a pattern.
    """

    def __init__(self, graph: Graph, rules: RuleSet, natives: Sequence[Native] = ()) -> None:
        self.graph = graph
        self.rules = rules
        self.natives = tuple(natives)
        self.memo: dict[Any, Any] = {}
        self.changes = 0
        self._algebra = _Frugal(Builder(graph))
        self._plans: dict[Op, _Plan | None] = {}
        self._waiting: deque[Node] = deque()
        self._queued: set[Node] = set()

    def run(self) -> bool:
        """Apply rules everywhere; returns whether anything changed.

        Raises:
            IngotError: when the rules go on without end.
        """
        limit = 1000
        for node in self.graph.nodes():
            self._visit(node)
            limit += 100
        while self._waiting:
            node = self._waiting.popleft()
            self._queued.discard(node)
            if node.block is not None:
                self._visit(node)
            if self.changes > limit:
                raise IngotError(f"rewriting @{self.graph.name} does not come to an end", found=f"at {node}")
        return self.changes > 0

    def _visit(self, node: Node) -> None:
        op = node.op
        plan = self._plans[op] if op in self._plans else self._make_plan(op)
        if plan is not None and self._try(node, plan):
            self.changes += 1

    def _make_plan(self, op: Op) -> _Plan | None:
        natives = tuple(native for native in self.natives if native.concerns(op))
        rules = tuple(self.rules.by_root.get(op, ()))
        plan = self._plans[op] = _Plan(natives, rules) if natives or rules else None
        return plan

    def _try(self, node: Node, plan: _Plan) -> bool:
        for native in plan.natives:
            if native.apply(self, node):
                return True
        if plan.rules:
            producers = [None if value.node is None else value.node.op for value in node.inputs]
            for each, call in plan.rules:
                for index, wanted in call.probe:
                    if index >= len(producers) or producers[index] is not wanted:
                        break
                else:
                    found = match(call, node, self.memo)
                    if found is not None and self._apply(each, found):
                        return True
        return False

    def _apply(self, each: Rule, found: Match) -> bool:
        if not found.output.use_count:
            return False
        reason = each.when(found) if each.when is not None else None
        if reason is not None:
            refused(each.name, found.root, reason)
            return False
        F = self._algebra
        F.begin(found.root, found.nodes[1:])
        arguments = [found if name == "m" else _operand(F, getattr(found, name)) for name in each.takes]
        try:
            new = F.value(each.after(F, *arguments))
        except (ShapeError, DTypeError) as error:
            return self._withdraw(each, found, F.made, error.what)
        if new.type != found.output.type:
            return self._withdraw(each, found, F.made, f"{found.output.type} would become {new.type}")
        if not permit(each.name, found.root):
            return self._withdraw(each, found, F.made, "")
        self.replace(found.output, new, F.made)
        return True

    def _withdraw(self, each: Rule, found: Match, made: list[Node], reason: str) -> bool:
        for node in reversed(made):
            node.erase()
        if reason:
            refused(each.name, found.root, reason)
        return False

    # -- for natives too

    def revisit(self, node: Node) -> None:
        """Look at a node (again) before the end."""
        if node not in self._queued:
            self._queued.add(node)
            self._waiting.append(node)

    def replace(self, old: Value, new: Value, made: Sequence[Node] = ()) -> None:
        """Let the users of `old` use `new`, remove what is unused then, and look again at all that this concerns.

        Args:
            made: nodes that were written for it.
        """
        for node in made:
            self.revisit(node)
        self.revisit_users(old)
        producer, name = old.node, old.name
        old.replace_uses(new)
        if producer is not None:
            self.remove_unused([producer])
            if producer.block is None and new.node in made:
                new.name = name

    def revisit_users(self, value: Value) -> None:
        """Look again at the nodes that use a value, and at those behind them as far as a pattern reaches."""
        values: list[Value] = [value]
        for _ in range(max(self.rules.reach, 1)):
            users = {use.node: None for v in values for use in v.walk_uses()}
            for node in users:
                self.revisit(node)
                if node.block is not None and node is node.block.terminator and node.block.parent is not None:
                    self.revisit(node.block.parent)
            values = [output for node in users for output in node.outputs]

    def remove_unused(self, nodes: Iterable[Node]) -> None:
        """Erase those of the nodes that nobody uses, and then what only they used."""
        waiting = list(nodes)
        while waiting:
            node = waiting.pop()
            if node.block is None or any(x.use_count for x in node.outputs) or not is_removable(node):
                continue
            inputs = {value.node: None for value in node.inputs if value.node is not None}
            node.erase()
            waiting.extend(inputs)


class _Frugal(GraphAlgebra):
    """Writes nodes, but for calls that a known node makes already. One serves for all rules in turn."""

    known: Sequence[Node] = ()

    def begin(self, root: Node, known: Sequence[Node]) -> None:
        """Write in front of `root` from now on, as coming from its place in the user's source.

        Args:
            known: nodes in front of it, to be used again instead of being written anew.
        """
        self.builder.point = InsertionPoint.before(root)
        self.location, self.path = root.location, root.path
        self.known = known
        self.made = []

    def apply(self, op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
        for node in self.known:
            if node.op is op and len(node.outputs) == 1 and _makes(node, inputs, attrs):
                return self.proxy(node.output)
        return super().apply(op, inputs, attrs)


def _makes(node: Node, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> bool:
    """Whether a node is the call of its op with these inputs and attributes."""
    if len(inputs) != len(node.inputs):
        return False
    for given, value in zip(inputs, node.inputs, strict=True):
        if not isinstance(given, Proxy) or given.value is not value:
            return False
    return all(same_attribute(node.attrs.get(name), value) for name, value in attrs.items())


def _operand(F: GraphAlgebra, found: Any) -> Any:
    return F.proxy(found) if isinstance(found, Value) else found
