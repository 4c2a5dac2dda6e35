"""What assertions say about sizes: relations that hold wherever they have been passed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, Final

from .block import Block
from .errors import ShapeError
from .graph import Graph
from .graph_sizes import attribute_variables, size_variables
from .node import Node
from .sizes import Size, SizeContext, SizeExpr, SizeRelation, current_context, use_context, var
from .types import INT
from .value import Value

__all__ = ["Asserted", "asserted_relations", "number_of_constant", "relation_of", "speaks_of_sizes"]

_COMPARISONS: Final = {
    "ingot::eq": "==", "ingot::ne": "!=", "ingot::lt": "<", "ingot::le": "<=", "ingot::gt": ">", "ingot::ge": ">=",
}  # fmt: skip


def relation_of(condition: Value, number: Callable[[Value], Size | None]) -> SizeRelation | None:
    """The relation of sizes that a condition is, or None where it is another one.

    Args:
        number: a run-time integer as a size, where it is known as one.
    """
    node = condition.node
    if node is not None and node.op.name == "prim::Item":
        node = node.inputs[0].node
    if node is None or node.op.name not in _COMPARISONS:
        return None
    left, right = map(number, node.inputs)
    if left is None or right is None or not (isinstance(left, SizeExpr) or isinstance(right, SizeExpr)):
        return None
    return SizeRelation(_COMPARISONS[node.op.name], left, right)


def number_of_constant(value: Value) -> Size | None:
    """A constant integer, or a size that is one, as a size."""
    node = value.node
    if node is None or node.op.name not in ("prim::Size", "prim::Constant"):
        return None
    found = node.attrs["value"]
    return found if isinstance(found, (int, SizeExpr)) and not isinstance(found, bool) else None


def asserted_relations(graph: Graph) -> list[SizeRelation]:
    """The relations that assertions outside of all branches and loops check: no run ends well without them.

    >>> from .parser import parse
    >>> from . import ops
    >>> asserted_relations(parse('''
    ... graph @f(%n : int) -> ():
    ...   prim::Bind[N](%n)
    ...   %four : int = prim::Constant[value=4]()
    ...   %c : bool[] = ingot::lt(%n, %four)
    ...   prim::Assert[message="too long", error="AssertionError"](%c)
    ...   return ()'''))
    [SizeRelation(op='<', left=N, right=4)]
    """
    return [relation for _, relation in _assertions_in(graph.block)]


def _assertions_in(block: Block) -> list[tuple[Node, SizeRelation]]:
    """The assertions of a block that say something about sizes, with what they say, in their order; not those of blocks
    inside."""
    bound: dict[Value, SizeExpr] = {}
    found: list[tuple[Node, SizeRelation]] = []

    def number(value: Value) -> Size | None:
        return bound[value] if value in bound else number_of_constant(value)

    for node in block.nodes:
        if node.op.name == "prim::Bind":
            bound[node.inputs[0]] = node.attrs["variable"]
        elif node.op.name == "prim::Assert" and (relation := relation_of(node.inputs[0], number)) is not None:
            found.append((node, relation))
    return found


class Asserted:
    """What assertions in branches and loops say about sizes; what those outside of them say, all passes know."""

    def __init__(self, graph: Graph) -> None:
        self._outermost = graph.block
        self._collected = False
        self._group: dict[str, str] = {}  # leads from each variable to one that stands for all that it is related to
        self._found: dict[str, list[tuple[Node | None, SizeRelation]]] = {}  # by the one that stands for its variables

    def before(self, node: Node) -> AbstractContextManager[Any]:
        """The context in which type rules take to hold what has been asserted where a node is reached.

        Only what has to do with the node's own sizes is in it: there may be as many assertions as nodes.
        """
        if node.block is self._outermost:
            return nullcontext()
        if not self._collected:
            self._collect()
        groups = dict.fromkeys(map(self._stands_for, _variables(node)))
        related = [pair for group in groups for pair in self._found.get(group, ())]
        if all(assertion is None for assertion, _ in related):
            return nullcontext()
        around = {inside.block: inside for inside in _around(node, self._outermost)}
        passed = [x for x, _ in related if x is not None and x.block in around and x.is_before(around[x.block])]
        if not passed:
            return nullcontext()
        there = set(passed)
        relations = [relation for assertion, relation in related if assertion is None or assertion in there]
        context = SizeContext()
        for relation in relations:
            with suppress(ShapeError):  # an assertion that always fails
                context.add(relation)
        return use_context(context)

    def _collect(self) -> None:
        self._collected = True
        outer = current_context()
        facts = () if outer is None else outer.facts
        found: list[tuple[Node | None, SizeRelation]] = [(None, fact) for fact in facts if fact.free_vars]
        for block in self._outermost.blocks():
            if block is not self._outermost:
                found += _assertions_in(block)
        for _, relation in found:
            first, *others = sorted(relation.free_vars)
            for other in others:
                self._group[self._stands_for(other)] = self._stands_for(first)
        for assertion, relation in found:
            self._found.setdefault(self._stands_for(min(relation.free_vars)), []).append((assertion, relation))

    def _stands_for(self, name: str) -> str:
        while (above := self._group.get(name, name)) != name:
            self._group[name] = self._group.get(above, above)
            name = above
        return name


def _around(node: Node, outermost: Block) -> Iterator[Node]:
    """A node, and those in whose blocks it stands, from the inside."""
    inside: Node | None = node
    while inside is not None and inside.block is not None and inside.block is not outermost:
        yield inside
        inside = inside.block.parent


def _variables(node: Node) -> Iterator[str]:
    """The size variables of a node's operands, outputs and attributes."""
    for value in (*node.inputs, *node.outputs):
        yield from map(str, size_variables(value.type))
    for attribute in node.attrs.values():
        yield from map(str, attribute_variables(attribute))


def speaks_of_sizes(assertion: Node) -> bool:
    """Whether an assertion may say something about sizes: whether it compares run-time integers.

    >>> from .parser import parse
    >>> from . import ops
    >>> graph = parse('''
    ... graph @f(%n : int, %x : bool[]) -> ():
    ...   %four : int = prim::Constant[value=4]()
    ...   %c : bool[] = ingot::lt(%n, %four)
    ...   prim::Assert[message="too long", error="AssertionError"](%c)
    ...   prim::Assert[message="no", error="AssertionError"](%x)
    ...   return ()''')
    >>> [speaks_of_sizes(node) for node in graph.block.nodes if not node.outputs]
    [True, False]
    """
    unknown = var("size")
    number = lambda value: unknown if value.type is INT else None  # noqa: E731
    return assertion.op.name == "prim::Assert" and relation_of(assertion.inputs[0], number) is not None
