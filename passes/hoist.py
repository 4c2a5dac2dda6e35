"""Loop-invariant motion: what each iteration would compute from the same operands is computed in front of a Loop."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from ..ir.errors import IngotError
from ..ir.families import nest_of
from ..ir.graph import Graph, Node, Value
from ..ir.graph_sizes import attribute_variables
from ..ir.nest import COMBINERS, NestOutput, Read
from ..ir.registry import lookup
from ..ir.scalar import walk
from ..ir.size_scopes import SizeScopes
from ..ir.sizes import SizeExpr, bounds
from .changes import permit
from .facts import CONSTANT, constant_of, effect_holders, has_own_variables, named_variables
from .registered import NoOptions, register_pass
from .structure import GROUP, LOOP

__all__ = ["cannot_fail", "hoist"]

_SIZE: Final = lookup("prim::Size")
_FREE: Final = (CONSTANT, _SIZE)  # they cost nothing, and move only with those that need them
_SAFE: Final = (*_FREE, GROUP, lookup("prim::Split"), lookup("prim::Tuple"), lookup("prim::Untuple"))


@register_pass()
def hoist(graph: Graph, options: NoOptions) -> bool:
    """Move nodes of a Loop whose operands come from outside of it in front of it, out of several Loops where they can.

    What might fail stays inside, unless the Loop runs at least once whatever happens and nothing that has an effect
    comes before it. What has an effect, and what binds a size variable, stays.
    """
    loops = [node for node in graph.nodes() if node.op is LOOP]
    if not loops:
        return False
    bound = SizeScopes(graph).bound if has_own_variables(graph) else {}
    effects = effect_holders(graph)
    changed = False
    for node in reversed(loops):  # those inside of others first
        changed |= _hoist_from(node, bound.get(node.blocks[0], {}), effects)
    return changed


def _hoist_from(loop: Node, own: Mapping[str, SizeExpr], effects: Collection[Node]) -> bool:
    """Move what can be moved out of one Loop.

    Args:
        own: the size variables that its block binds.
    """
    (block,) = loop.blocks
    runs, guarded, changed = _runs(loop), False, False
    free: dict[Value, Node] = {}  # what may come along, by its output
    for node in block.nodes:
        if node in effects:
            runs, guarded = False, True
        if node.blocks and node.op is not GROUP:
            continue
        needed = [free[value] for value in dict.fromkeys(node.inputs) if value in free]
        outside = all(value.block is not block or value in free for value in node.inputs)
        if not outside or not node.outputs or not own.keys().isdisjoint(named_variables(node)):
            continue
        if node.op in _FREE:
            free[node.output] = node
        elif _may_leave(node, runs, guarded) and permit("hoist", node):
            for moved in (*needed, node):
                if moved.block is block:
                    moved.move_before(loop)
            changed = True
    return changed


def _may_leave(node: Node, runs: bool, guarded: bool) -> bool:
    if guarded and _has_sizes(node):
        return False  # an assertion may be what makes its sizes fit
    return runs or cannot_fail(node)


def _has_sizes(node: Node) -> bool:
    return any(not getattr(value.type, "is_static", True) for value in (*node.inputs, *node.outputs))


def _runs(loop: Node) -> bool:
    """Whether a Loop runs at least once."""
    condition, trips = constant_of(loop.inputs[1]), loop.inputs[0].node
    if condition is not True or trips is None or trips.op not in _FREE:
        return False
    low = bounds(trips.attrs["value"])[0]
    return low is not None and low >= 1


def cannot_fail(node: Node) -> bool:
    """Whether a node computes something whatever its operands hold.

    Element-wise nodes do, and so do nests that read at places that their indices alone decide. Of others nothing is
    known.
    """
    if node.op in _SAFE or node.op.kind == "elementwise":
        return True
    if node.op.kind != "nest" or attribute_variables(tuple(node.attrs.values())):
        return False
    try:
        outputs = nest_of(node.op, [value.type for value in node.inputs], node.attrs).outputs
    except IngotError:
        return False
    return all(_always_defined(output) for output in outputs)


def _always_defined(output: object) -> bool:
    if not isinstance(output, NestOutput):
        return False
    needs_elements = output.combiner is not None and COMBINERS[output.combiner][0] is None
    if needs_elements and not all((bounds(letter.extent)[0] or 0) >= 1 for letter in output.over):
        return False
    places = [index for node in walk(output.body) if isinstance(node, Read) for index in node.args]
    return not any(isinstance(inner, Read) for index in places for inner in walk(index))
