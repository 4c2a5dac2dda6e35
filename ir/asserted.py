"""What assertions say about sizes: relations that hold wherever they have been passed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, Final

from .block import Block
from .errors import ShapeError
from .graph import Graph
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
        self._found: dict[Block, list[tuple[Node, SizeRelation]]] = {}

    def before(self, node: Node) -> AbstractContextManager[Any]:
        """The context in which type rules take to hold what has been asserted where a node is reached."""
        relations: list[SizeRelation] = []
        inside: Node | None = node
        while inside is not None and inside.block is not None and inside.block is not self._outermost:
            found = self._found.get(inside.block)
            if found is None:
                found = self._found[inside.block] = _assertions_in(inside.block)
            relations += [relation for assertion, relation in found if assertion.is_before(inside)]
            inside = inside.block.parent
        if not relations:
            return nullcontext()
        outer = current_context()
        context = SizeContext(() if outer is None else outer.facts)
        for relation in relations:
            with suppress(ShapeError):  # an assertion that always fails
                context.add(relation)
        return use_context(context)


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
