"""Partition: what a graph computes from its state alone, apart from the rest.

Folded weights, transposed copies and the like need not be computed at each call, but only when the state has changed.
`partition` cuts a graph in two: one that makes such values from the state, and one that reads them as state of its
own.
"""

from __future__ import annotations

from typing import Any, Final

from ..ir.builder import Builder
from ..ir.graph import Graph, Node, Value
from ..ir.sizes import SizeExpr
from ..ir.types import NONE, TensorType
from .facts import CONSTANT

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
        if node.blocks or node.op.random or not node.outputs:
            continue
        if all(map(found.__contains__, node.inputs)) and all(map(_is_plain, node.outputs)):
            if not any(map(_is_symbolic, node.attrs.values())):
                found.update(node.outputs)
    return found


def _is_plain(value: Value) -> bool:
    """Whether a value can be state: a tensor of known sizes. The absent operand counts too."""
    type_ = value.type
    return type_ is NONE or (isinstance(type_, TensorType) and type_.is_static) or _is_number(value)


def _is_number(value: Value) -> bool:
    return value.node is not None and value.node.op is CONSTANT


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


def _sources(values: list[Value]) -> set[Node]:
    """The nodes that values are computed by, directly and indirectly."""
    found: set[Node] = set()
    waiting = [value.node for value in values]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in found:
            found.add(node)
            waiting += [value.node for value in node.inputs]
    return found


def _prepare(graph: Graph, derived: list[Value]) -> Graph:
    nodes = _sources(derived)
    read = {value for node in nodes for value in node.inputs if value.node is None}
    new = Graph(f"{graph.name}_prepare")
    values: dict[Value, Value] = {}
    for key, value in graph.state.items():
        if value in read:
            values[value] = new.add_state(key, value.type, value.name, value.location)
    builder = Builder(new)
    for node in graph.block.nodes:
        if node in nodes:
            inputs = [values[value] for value in node.inputs]
            types = [output.type for output in node.outputs]
            names = [output.name for output in node.outputs]
            made = builder.emit(node.op, inputs, node.attrs, types, node.location, node.path, names=names)
            values.update(zip(node.outputs, made.outputs, strict=True))
    new.set_return([values[value] for value in derived])
    return new


def _main(graph: Graph, derived: list[Value]) -> Graph:
    new = graph.copy()
    node_of = dict(zip(graph.block.nodes, new.block.nodes, strict=True))
    before = {key for key, value in new.state.items() if value.use_count}
    for number, value in enumerate(derived):
        assert value.node is not None
        old = node_of[value.node].outputs[value.index]
        state = new.add_state(f"{DERIVED}{number}", value.type, "derived", value.location)
        old.replace_uses(state)
        name, old.name = old.name, "replaced"
        state.name = name
    gone = _sources(derived)
    for node in reversed(graph.block.nodes):
        if node in gone and not any(output.use_count for output in node_of[node].outputs):
            node_of[node].erase()
    for key in [key for key, value in new.state.items() if key in before and not value.use_count]:
        new.remove_state(key)
    return new
