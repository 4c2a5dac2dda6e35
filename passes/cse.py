"""Common subexpression elimination: what is computed twice is computed once."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import numpy as np

from ..ir.graph import Block, Graph, Node
from ..ir.types import Type
from .changes import permit
from .facts import is_commutative
from .registered import NoOptions, register_pass

__all__ = ["cse"]


@register_pass()
def cse(graph: Graph, options: NoOptions) -> bool:
    """Let users of a node use an earlier one of the same op, inputs, attributes and types, and erase it.

    A node in a block may be replaced with one in front of the block, not with one in a block beside it. All ops are
    pure, random ones too: the same key gives the same numbers. Nodes with blocks stay.
    """
    changed = False
    keys = _Keys()
    seen: dict[Any, Node] = {}
    running = [_Scope(graph.block)]
    while running:
        scope = running[-1]
        for node in scope.nodes:
            if node.blocks:
                running += [_Scope(block) for block in reversed(node.blocks)]
                break
            if not node.outputs:
                continue
            key = keys.of(node)
            first = seen.setdefault(key, node)
            if first is node:
                scope.keys.append(key)
            elif permit("cse", node):
                node.replace_with(first.outputs)
                changed = True
        else:
            running.pop()
            if running:
                for key in scope.keys:
                    del seen[key]
    return changed


class _Scope:
    """A block that is being walked, and the keys of the nodes in it that later ones may be replaced with."""

    __slots__ = ("keys", "nodes")

    def __init__(self, block: Block) -> None:
        self.nodes = iter(block.nodes)
        self.keys: list[Any] = []


class _Keys:
    """What nodes have in common exactly when they compute the same. Types go in as numbers, which hash quickly."""

    def __init__(self) -> None:
        self._numbers: dict[Type, int] = {}
        self._by_identity: dict[int, int] = {}  # valid while the graph holds the types

    def of(self, node: Node) -> Any:
        inputs = node.inputs
        if len(inputs) == 2 and inputs[0] is not inputs[1] and is_commutative(node.op):
            inputs = (frozenset(inputs),)  # type: ignore[assignment]
        types = [self._number(output.type) for output in node.outputs]
        if not node.attrs:
            return node.op, *types, *inputs
        attributes = tuple([(name, attribute_key(x)) for name, x in node.attrs.items()])
        return node.op, *types, attributes, *inputs

    def _number(self, type_: Type) -> int:
        number = self._by_identity.get(id(type_))
        if number is None:
            number = self._numbers.setdefault(type_, len(self._numbers))
            self._by_identity[id(type_)] = number
        return number


_EXACT: Final = frozenset({bool, int, str, type(None)})


def attribute_key(value: Any) -> Any:
    """A hashable stand-in for an attribute: equal exactly where `same_attribute` says that two are the same."""
    kind = type(value)
    if kind in _EXACT:
        return kind, value
    if kind is float:
        return kind, "nan" if value != value else value.hex()
    if kind is tuple:
        return kind, tuple([attribute_key(item) for item in value])
    if isinstance(value, np.ndarray):
        return kind, value.dtype, value.shape, hashlib.blake2b(value.tobytes()).digest()
    return kind, value
