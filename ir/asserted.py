"""What assertions say about sizes: relations that hold wherever they have been passed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .graph import Graph
from .sizes import Size, SizeExpr, SizeRelation
from .value import Value

__all__ = ["asserted_relations", "number_of_constant", "relation_of"]

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
    ...   prim::Assert[message="too long"](%c)
    ...   return ()'''))
    [SizeRelation(op='<', left=N, right=4)]
    """
    bound: dict[Value, SizeExpr] = {}
    found: list[SizeRelation] = []

    def number(value: Value) -> Size | None:
        return bound[value] if value in bound else number_of_constant(value)

    for node in graph.block.nodes:
        if node.op.name == "prim::Bind":
            bound[node.inputs[0]] = node.attrs["variable"]
        elif node.op.name == "prim::Assert" and (relation := relation_of(node.inputs[0], number)) is not None:
            found.append(relation)
    return found
