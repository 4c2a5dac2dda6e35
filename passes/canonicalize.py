"""Canonicalisation: one form for what can be said in several ways, and the simpler one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ..ir.errors import IngotError
from ..ir.families import elementwise_tree
from ..ir.graph import Block, Graph, Node, Value
from ..ir.registry import Op, lookup
from ..ir.size_matching import binding_dimensions, solve_types, substituted_type
from ..ir.size_renaming import renamed_apart, replace_sizes
from ..ir.size_scopes import SizeScopes
from ..ir.sizes import Size, SizeExpr
from .changes import permit, refused
from .facts import NOT_CONSTANT, constant_of, has_own_variables, is_commutative, type_names
from .registered import register_pass
from .rewrite import Native, Rewriter, RuleSet
from .rules import EXACT_RULES, INFERENCE_RULES
from .structure import IF

__all__ = ["CanonicalizeOptions", "canonicalize"]

_EXPAND: Final = lookup("ingot::expand")
_TRAINING: Final = RuleSet(EXACT_RULES)
_INFERENCE: Final = RuleSet((*EXACT_RULES, *INFERENCE_RULES))


@dataclass(frozen=True, slots=True)
class CanonicalizeOptions:
    """Options of `canonicalize`.

    Attributes:
        inference: whether to forget what only a gradient of the graph would need, such as `detach`.
    """

    inference: bool = False


@register_pass(options=CanonicalizeOptions)
def canonicalize(graph: Graph, options: CanonicalizeOptions) -> bool:
    """Apply the rules that are exact, put constant operands of commutative ops second, let element-wise ops stretch
    their operands themselves, and replace an If whose condition is known with the block that it would run.

    Every result stays the same bit by bit.
    """
    return Rewriter(graph, _INFERENCE if options.inference else _TRAINING, _NATIVES).run()


def _constants_second(rewriter: Rewriter, node: Node) -> bool:
    first, second = node.inputs
    if constant_of(first) is NOT_CONSTANT or constant_of(second) is not NOT_CONSTANT:
        return False
    if not permit("constants second", node):
        return False
    node.set_inputs((second, first))
    rewriter.revisit(node)
    return True


def _without_expand(rewriter: Rewriter, node: Node) -> bool:
    """Read what an `expand` stretches in its place, where broadcasting gives the same."""
    for index, value in enumerate(node.inputs):
        source = value.node
        if source is None or source.op is not _EXPAND or not _may_read(node, index, source.inputs[0]):
            continue
        if permit("without expand", node):
            node.set_input(index, source.inputs[0])
            rewriter.remove_unused([source])
            rewriter.revisit(node)
            return True
    return False


def _may_read(node: Node, index: int, value: Value) -> bool:
    """Whether `value` as an input leaves the type and the dtypes of the computation as they are."""
    before = [x.type for x in node.inputs]
    after = [*before[:index], value.type, *before[index + 1 :]]
    try:
        same = elementwise_tree(node.op, before, node.attrs) == elementwise_tree(node.op, after, node.attrs)
        return same and node.op.infer(after, node.attrs) == (node.output.type,)
    except IngotError:
        return False


def _known_condition(rewriter: Rewriter, node: Node) -> bool:
    condition = constant_of(node.inputs[0])
    if not isinstance(condition, (bool, int, np.ndarray)):
        return False
    block = node.blocks[0 if condition else 1]
    sizes = _sizes_outside(rewriter.graph, node, block)
    if sizes is None:
        refused("known condition", node, "a size of an output is not known from the block that would be run")
        return False
    if not permit("known condition", node):
        return False
    moved = list(block.nodes)
    replace_sizes(moved, sizes.inner)
    for inner in moved:
        inner.move_before(node)
    following = node.next if sizes.outer else None
    _replace_all(rewriter, node, block.returns)
    replace_sizes(_from(following), sizes.outer)
    for inner in moved:
        rewriter.revisit(inner)
        for nested in inner.blocks:
            for deeper in nested.walk():
                rewriter.revisit(deeper)
    return True


@dataclass(frozen=True, slots=True)
class _Sizes:
    """What size variables become where an If gives way to a block of its: those that nodes inside of the block bind,
    and those that the outputs bind."""

    inner: dict[str, SizeExpr]
    outer: dict[str, Size]


def _sizes_outside(graph: Graph, node: Node, block: Block) -> _Sizes | None:
    """The sizes for a block to stand in front of its If; None where some are not known."""
    types, others = [output.type for output in node.outputs], [value.type for value in block.returns]
    if not has_own_variables(graph):
        return _Sizes({}, {}) if types == others else None
    scopes = SizeScopes(graph)
    own = set(scopes.made[node])
    elsewhere = {name for one, names in scopes.bound.items() if one is not block for name in names}
    inner = renamed_apart(scopes.bound.get(block, {}), elsewhere)
    others = [substituted_type(type_, inner) for type_ in others]
    bindings = list(binding_dimensions(types, {name for t in types for name in type_names(t)} - own))
    solved = solve_types(bindings, others)
    if solved is None or [substituted_type(type_, solved) for type_ in types] != others:
        return None
    return _Sizes(inner, solved)


def _from(node: Node | None) -> Iterator[Node]:
    """A node and those behind it."""
    while node is not None:
        yield node
        node = node.next


def _same_in_both(rewriter: Rewriter, node: Node) -> bool:
    """An output of an If for which both blocks yield the same value from outside is that value."""
    changed = False
    first, second = [block.returns for block in node.blocks]
    for output, a, b in zip(node.outputs, first, second, strict=True):
        if a is b and output.use_count and a.type == output.type and permit("same in both branches", node):
            rewriter.replace(output, a)
            changed = True
    return changed


def _replace_all(rewriter: Rewriter, node: Node, values: Sequence[Value]) -> None:
    for output, value in zip(node.outputs, values, strict=True):
        rewriter.revisit_users(output)
        output.replace_uses(value)
    inputs = [value.node for value in node.inputs if value.node is not None]
    node.erase()
    rewriter.remove_unused(inputs)


def _stretches(op: Op) -> bool:
    return op.kind == "elementwise" and len(op.schema.inputs) > 1


_NATIVES: Final = (
    Native(is_commutative, _constants_second),
    Native(_stretches, _without_expand),
    Native(lambda op: op is IF, _known_condition),
    Native(lambda op: op is IF, _same_in_both),
)
