"""Facts about ops and values that several passes ask for, derived from declarations."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Final

import numpy as np

from ..ir.dtypes import DType
from ..ir.errors import DTypeError
from ..ir.graph import Graph, Node, Value
from ..ir.graph_sizes import attribute_variables, size_variables
from ..ir.primitives import PRIMITIVES
from ..ir.registry import Op, lookup
from ..ir.scalar import Arg, Expr, trace_scalar, walk
from ..ir.types import TensorType, Type

__all__ = [
    "CONSTANT",
    "NOT_CONSTANT",
    "bound_variables",
    "constant_of",
    "effect_holders",
    "has_effect",
    "has_own_variables",
    "holds_effect",
    "holds_number",
    "is_commutative",
    "is_removable",
    "named_variables",
    "ndim_of",
    "number_of",
    "type_names",
]

CONSTANT: Final = lookup("prim::Constant")


def ndim_of(value: Value) -> int:
    """The number of a tensor's dimensions."""
    assert isinstance(value.type, TensorType), f"%{value.name} is no tensor"
    return value.type.ndim


class _NotConstant:
    def __repr__(self) -> str:
        return "NOT_CONSTANT"


NOT_CONSTANT: Final = _NotConstant()
"""What `constant_of` returns for a value that is not one; None is a constant."""


def constant_of(value: Value) -> Any:
    """The number, array or None that a value always is, or NOT_CONSTANT."""
    node = value.node
    return node.attrs["value"] if node is not None and node.op is CONSTANT else NOT_CONSTANT


def number_of(value: Value) -> bool | int | float | None:
    """The number that a value always is, in every element, or None.

    Only arrays of up to 4096 elements are looked through.
    """
    found = constant_of(value)
    if isinstance(found, (bool, int, float)):
        return found
    if not isinstance(found, np.ndarray) or not 0 < found.size <= 4096 or not isinstance(value.type, TensorType):
        return None
    first = found.reshape(-1)[0]
    same = found.tobytes() == first.tobytes() * found.size
    return _python_number(first) if same else None


def _python_number(item: Any) -> bool | int | float:
    kind = DType.of(item.dtype).kind
    return {"bool": bool, "int": int, "float": float}[kind](item)


def holds_number(value: Value, wanted: bool | int | float) -> bool:
    """Whether a value always is a number, in every element; 0.0 and -0.0 differ, 1 and 1.0 do not."""
    found = number_of(value)
    if found is None or found != wanted:
        return False
    return found != 0 or math.copysign(1, found) == math.copysign(1, wanted)


@lru_cache(maxsize=4096)
def is_commutative(op: Op) -> bool:
    """Whether an element-wise op of two operands gives the same bits when they are exchanged.

    It follows from the scalar body: its tree with the operands exchanged is the same tree, but for the order of
    operands of commutative primitives.

    >>> from ingot.ir import ops
    >>> from ingot.ir.registry import lookup
    >>> is_commutative(lookup("mul")), is_commutative(lookup("sub"))
    (True, False)
    """
    if op.kind != "elementwise" or len(op.schema.parameters) != 2 or len(op.schema.inputs) != 2:
        return False
    if any(p.optional or p.is_list for p in op.schema.inputs) or len(op.promotes) == 1:
        return False
    assert op.body is not None
    trees = []
    for name in ("f32", "i64", "bool"):
        try:
            trees.append(trace_scalar(op.body, (DType.of(name),) * 2, {}))
        except DTypeError:
            continue
    return bool(trees) and all(_same_when_exchanged(tree) for tree in trees)


def _same_when_exchanged(tree: Expr) -> bool:
    return _ordered(tree, exchanged=False) == _ordered(tree, exchanged=True)


def _ordered(tree: Expr, exchanged: bool) -> str:
    """The tree as text, operands of commutative primitives in the order of their texts."""
    texts: dict[Expr, str] = {}
    for node in walk(tree):
        if isinstance(node, Arg):
            texts[node] = f"x{1 - node.index if exchanged else node.index}:{node.dtype.short}"
            continue
        parts = [texts[arg] for arg in node.args]
        if node.op in PRIMITIVES and PRIMITIVES[node.op].commutative:
            parts.sort()
        texts[node] = (
            f"{node!r}:{node.dtype.short}" if not parts else f"{node.op}:{node.dtype.short}({','.join(parts)})"
        )
    return texts[tree]


def is_removable(node: Node) -> bool:
    """Whether a node may go once nobody uses its outputs.

    Not so for a node without outputs, which is there for what it does (`prim::Bind`, `prim::Assert`), for one with
    such a node inside whose effect reaches out of its blocks, nor for one that may bind a size variable, which others
    can name without using an output.
    """
    if not node.outputs or node.block is None:
        return False
    return not bound_variables(node) and not holds_effect(node)


def has_effect(node: Node) -> bool:
    """Whether a node is there for what it does, so that nothing may drop it or take it out of its block."""
    return bool(node.op.extras.get("effect"))


def holds_effect(node: Node) -> bool:
    """Whether a node has an effect, or one inside of its blocks has. Takes time in proportion to what is inside."""
    return has_effect(node) or any(has_effect(inner) for block in node.blocks for inner in block.walk())


def effect_holders(graph: Graph) -> set[Node]:
    """The nodes that have an effect, and those around them."""
    found: set[Node] = set()
    for node in graph.nodes():
        around: Node | None = node if has_effect(node) else None
        while around is not None and around not in found:
            found.add(around)
            around = around.block.parent if around.block is not None else None
    return found


def bound_variables(node: Node) -> set[str]:
    """The size variables that a node may bind for those behind it.

    They are those in the types of its outputs that neither its inputs' types nor its attributes name and, for a node
    without outputs, those that its attributes name.
    """
    if not node.outputs:
        return _attribute_names(node)
    named = {name for output in node.outputs for name in type_names(output.type)}
    if not named:
        return named
    known = {name for value in node.inputs for name in type_names(value.type)}
    return named - known - _attribute_names(node)


def named_variables(node: Node) -> set[str]:
    """The size variables in a node's attributes and in the types of its outputs."""
    return {name for output in node.outputs for name in type_names(output.type)} | _attribute_names(node)


def _attribute_names(node: Node) -> set[str]:
    return {str(v) for attribute in node.attrs.values() for v in attribute_variables(attribute)}


@lru_cache(maxsize=65536)
def type_names(type_: Type) -> tuple[str, ...]:
    """The names of the size variables in a type, each once."""
    return tuple(dict.fromkeys(map(str, size_variables(type_))))


def has_own_variables(graph: Graph) -> bool:
    """Whether a graph may bind size variables beside those that its inputs and state bind."""
    known = set(graph.sizes)
    seen: set[int] = set()
    for node in graph.nodes():
        if not node.outputs:
            return True
        for value in (*node.outputs, *(param for block in node.blocks for param in block.params)):
            if id(value.type) not in seen:
                seen.add(id(value.type))
                if not known.issuperset(type_names(value.type)):
                    return True
    return False
