"""Sharing: an element-wise node is opened where a costly part of it is computed elsewhere too.

A gradient often needs what its function has computed on the way: that of `gelu(x)` needs the error function of x again,
which is nearly all of the work. Written in smaller ops, both are the same node to `cse`.
"""

from __future__ import annotations

from typing import Any, Final

from ..ir.builder import Builder
from ..ir.dtypes import float32, float64
from ..ir.families import elementwise_tree
from ..ir.graph import Block, Graph, InsertionPoint, Node, Value
from ..ir.graph_algebra import GraphAlgebra
from ..ir.scalar import Arg, Expr, walk
from ..ir.types import TensorType
from .changes import permit
from .cse import attribute_key
from .facts import CONSTANT, is_commutative
from .registered import NoOptions, register_pass

__all__ = ["share"]

_COSTLY: Final = frozenset(("erf", "exp", "expm1", "log", "log1p", "log2", "pow", "sin", "cos", "tan", "tanh", "sinh"))


@register_pass()
def share(graph: Graph, options: NoOptions) -> bool:
    """Write element-wise nodes of float32 and float64 in the ops that their bodies consist of, where one of those is
    costly and its result is there already, or will be. Every result stays the same bit by bit."""
    changed = False
    for block in list(graph.blocks()):
        numbers = _Numbers()
        present = {numbers.of(node.output) for node in block.nodes if _is_costly(node)}
        if present:
            for node in [node for node in block.nodes if _may_open(node)]:
                changed |= _open(node, present, numbers)
    return changed


class _Numbers:
    """Numbers of values: equal where element-wise nodes compute the same from the same."""

    def __init__(self) -> None:
        self._by_key: dict[Any, int] = {}
        self._by_value: dict[Value, int] = {}

    def of(self, value: Value) -> int:
        waiting = [value]
        while waiting:
            top = waiting[-1]
            unknown = [x for x in _operands(top) if x not in self._by_value]
            if unknown:
                waiting += unknown
            else:
                waiting.pop()
                self._by_value[top] = self._by_key.setdefault(self._key(top), len(self._by_key))
        return self._by_value[value]

    def _key(self, value: Value) -> Any:
        node = value.node
        if node is not None and node.op is CONSTANT:
            return CONSTANT, attribute_key(node.attrs["value"])
        if node is None or node.op.kind != "elementwise":
            return id(value)
        inputs = [self._by_value[x] for x in node.inputs]
        attrs = tuple([(name, attribute_key(x)) for name, x in node.attrs.items()])
        return node.op, value.type, attrs, *(sorted(inputs) if is_commutative(node.op) else inputs)


def _operands(value: Value) -> tuple[Value, ...]:
    node = value.node
    return tuple(node.inputs) if node is not None and node.op.kind == "elementwise" else ()


def _tree(node: Node) -> Expr | None:
    if node.op.kind != "elementwise" or node.op.body is None or node.op.view:
        return None
    type_ = node.output.type
    if not isinstance(type_, TensorType) or type_.dtype not in (float32, float64):
        return None
    if any(not isinstance(x.type, TensorType) or x.type.dtype is not type_.dtype for x in node.inputs):
        return None
    return elementwise_tree(node.op, [x.type for x in node.inputs], node.attrs)


def _is_costly(node: Node) -> bool:
    tree = _tree(node)
    return tree is not None and tree.op in _COSTLY and all(isinstance(x, Arg) for x in tree.args)


def _may_open(node: Node) -> bool:
    tree = _tree(node)
    if tree is None or all(x.use_count < 2 for x in node.inputs):
        return False
    ops = [x.op for x in walk(tree) if not isinstance(x, Arg)]
    return len(ops) > 2 and not _COSTLY.isdisjoint(ops)


def _open(node: Node, present: set[int], numbers: _Numbers) -> bool:
    algebra = GraphAlgebra(Builder(_block_of(node), InsertionPoint.before(node)), node.location, node.path)
    (value,) = algebra.run(node.op, node.inputs, node.attrs)
    shared = any(_is_costly(made) and numbers.of(made.output) in present for made in algebra.made)
    if shared and value.type == node.output.type and permit("share", node):
        node.replace_with([value])
        return True
    for made in reversed(algebra.made):
        made.erase()
    return False


def _block_of(node: Node) -> Block:
    assert node.block is not None
    return node.block
