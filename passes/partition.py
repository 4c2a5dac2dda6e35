"""Partition: what a graph computes from its state alone, apart from the rest.

Folded weights, transposed copies and the like need not be computed at each call, but only when the state has changed.
`partition` cuts a graph in two: one that makes such values from the state, and one that reads them as state of its
own.
"""

from __future__ import annotations

from typing import Any, Final

from ..ir.graph import Graph, Node, Value
from ..ir.sizes import SizeExpr
from ..ir.types import TensorType
from .dce import erase_unneeded
from .facts import NOT_CONSTANT, constant_of
from .structure import GROUP

__all__ = ["DERIVED", "constant_or_state", "partition"]

DERIVED: Final = "%derived."
"""What the keys of derived state begin with. No module path does."""


def partition(graph: Graph) -> tuple[Graph | None, Graph]:
    """Cut a graph into what depends on the state alone and the rest.

    State that the graph itself updates changes at every call, so that what depends on it stays. Views stay too: they
    cost nothing at a call.

    Returns:
        A graph from state to derived values, its outputs, or None when there is nothing to derive; and the graph to
        call, a copy that reads output i as state `"%derived.i"` and does not have the state that only the first one
        reads.

    >>> from ingot.ir.parser import parse
    >>> prepare, main = partition(parse('''
    ... graph @f(%x : f32[2]) state {%w : f32[2] = "w"} -> (f32[2]):
    ...   %s : f32[2] = ingot::exp(%w)
    ...   %y : f32[2] = ingot::mul(%x, %s)
    ...   return (%y)'''))
    >>> print(prepare, end="")
    graph @f_prepare() state {%w : f32[2] = "w"} -> (f32[2]):
      %s : f32[2] = ingot::exp(%w)
      return (%s)
    >>> print(main, end="")
    graph @f(%x : f32[2]) state {%s : f32[2] = "%derived.0"} -> (f32[2]):
      %y : f32[2] = ingot::mul(%x, %s)
      return (%y)
    """
    derived = _derived(graph, constant_or_state(graph))
    if not derived:
        return None, graph
    return _prepare(graph, derived), _main(graph, derived)


def constant_or_state(graph: Graph) -> set[Value]:
    """The values of the top block that follow from constants and from state that the graph does not update."""
    updated = graph.updates.keys()
    found = {value for key, value in graph.state.items() if key not in updated and _is_plain(value)}
    for node in graph.block.nodes:
        if all(map(found.__contains__, node.inputs)) and _is_fixed(node):
            found.update(node.outputs)
    return found


def _is_fixed(node: Node) -> bool:
    """Whether a node gives the same at every call if its inputs do, and values that can be state."""
    if node.op is GROUP:
        inside = [inner for block in node.blocks for inner in block.nodes]
    elif node.blocks:
        return False
    else:
        inside = [node]
    symbolic = any(_is_symbolic(attribute) for inner in inside for attribute in inner.attrs.values())
    return not (node.op.random or symbolic) and bool(node.outputs) and all(map(_is_plain, node.outputs))


def _is_plain(value: Value) -> bool:
    """Whether a value can be state, a tensor of known sizes, or is a constant of another type."""
    type_ = value.type
    return (isinstance(type_, TensorType) and type_.is_static) or constant_of(value) is not NOT_CONSTANT


def _is_symbolic(attribute: Any) -> bool:
    if isinstance(attribute, tuple):
        return any(map(_is_symbolic, attribute))
    return isinstance(attribute, SizeExpr)


def _derived(graph: Graph, fixed: set[Value]) -> list[Value]:
    """The values to be derived, in order: those that others than fixed values need, and that take work."""
    from_state = {value for value in graph.state.values() if value in fixed}
    for node in graph.block.nodes:
        if node.outputs and node.outputs[0] in fixed and not from_state.isdisjoint(node.inputs):
            from_state.update(node.outputs)
    needed: set[Value] = set()
    found: list[Value] = []
    for node in reversed(graph.block.nodes):
        for output in node.outputs:
            if output not in from_state or not (output in needed or _has_other_users(output, fixed)):
                continue
            if node.op.view:
                needed.update(node.inputs)
            else:
                found.append(output)
    return found[::-1]


def _has_other_users(value: Value, fixed: set[Value]) -> bool:
    return any(not (use.node.outputs and use.node.outputs[0] in fixed) for use in value.walk_uses())


def _prepare(graph: Graph, derived: list[Value]) -> Graph:
    new, values = _copy(graph, derived)
    new.name = f"{graph.name}_prepare"
    new.set_return(values)
    erase_unneeded(new, effects=False)
    for value in reversed(new.inputs):
        new.remove_input(value)
    for key in [key for key, value in new.state.items() if not value.use_count]:
        new.remove_state(key)
    new.assumptions.clear()
    return new


def _main(graph: Graph, derived: list[Value]) -> Graph:
    new, values = _copy(graph, derived)
    before = {key for key, value in new.state.items() if value.use_count}
    for number, value in enumerate(values):
        state = new.add_state(f"{DERIVED}{number}", value.type, "derived", value.location)
        value.replace_uses(state)
        name, value.name = value.name, "replaced"
        state.name = name
    erase_unneeded(new)
    for key in [key for key, value in new.state.items() if key in before and not value.use_count]:
        new.remove_state(key)
    return new


def _copy(graph: Graph, values: list[Value]) -> tuple[Graph, list[Value]]:
    """A copy of a graph, and what stands there for some values of its top block's nodes."""
    new = graph.copy()
    partner = dict(zip(graph.block.nodes, new.block.nodes, strict=True))
    return new, [partner[value.node].outputs[value.index] for value in values if value.node is not None]
