"""Copying: a whole graph, or a block's nodes to another place."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

from .block import Block
from .errors import ArgumentError
from .gc_pause import paused_gc
from .graph import Graph
from .graph_sizes import size_bounds
from .insertion import InsertionPoint
from .node import Node
from .size_matching import binding_dimensions, solve_types, substituted_type
from .size_renaming import renamed_apart, substituted_attribute
from .size_scopes import SizeScopes
from .sizes import Size
from .value import Value

__all__ = ["copy_graph", "copy_nodes", "inline"]


@paused_gc()
def copy_graph(graph: Graph) -> Graph:
    """An equal graph with nodes of its own. Takes time in proportion to the graph, however deep it is."""
    new = Graph(graph.name)
    values: dict[Value, Value] = {}
    keys = {value: key for key, value in graph.state.items()}
    for param in graph.block.params:
        if param in keys:
            copied = new.add_state(keys[param], param.type, param.name, param.location)
        else:
            copied = new.add_input(param.name, param.type, param.location)
        values[param] = copied
    new.assumptions = list(graph.assumptions)
    copy_nodes(graph.block, InsertionPoint.end(new.block), values)
    _copy_terminator(graph.block, new.block, values)
    new.names = graph.names.copy()
    return new


def inline(block: Block, point: InsertionPoint, arguments: Sequence[Value]) -> list[Value]:
    """Copy what a block does to an insertion point, with its parameters bound to `arguments`.

    Size variables that the parameters bind become the arguments' sizes; those that are bound inside get other names
    where the graph has variables of their names.

    Returns:
        What stands there for the values that the block returns.

    Raises:
        ArgumentError: when the numbers of parameters and arguments differ, or sizes that no parameter can have.
    """
    if len(arguments) != len(block.params):
        raise ArgumentError(f"inline: {len(block.params)} parameters, {len(arguments)} arguments")
    values = dict(zip(block.params, arguments, strict=True))
    copy_nodes(block, point, values, _sizes_there(block, point.block.graph, arguments))
    return [values.get(value, value) for value in block.returns]


def _sizes_there(block: Block, target: Graph, arguments: Sequence[Value]) -> dict[str, Size]:
    """What the size variables that a block binds are where it is copied to."""
    scopes = SizeScopes(block.graph)
    bound = {name: v for inner in _with_nested(block) for name, v in scopes.bound.get(inner, {}).items()}
    if not bound:
        return {}
    types = [param.type for param in block.params]
    found = solve_types(binding_dimensions(types, _Without(bound)), [x.type for x in arguments])
    if found is None:
        shown = ", ".join(str(x.type) for x in arguments)
        raise ArgumentError("inline: the arguments' sizes do not fit", expected=", ".join(map(str, types)), found=shown)
    inner = {name: variable for name, variable in bound.items() if name not in found}
    sizes = {**found, **renamed_apart(inner, size_bounds(target).keys())}
    return {name: size for name, size in sizes.items() if str(size) != name}


def _with_nested(block: Block) -> Iterator[Block]:
    yield block
    for node in block.walk():
        yield from node.blocks


class _Without:
    """All names but some."""

    def __init__(self, names: Container[str]) -> None:
        self.names = names

    def __contains__(self, name: object) -> bool:
        return name not in self.names


def copy_nodes(
    block: Block, point: InsertionPoint, values: dict[Value, Value], sizes: Mapping[str, Size] | None = None
) -> None:
    """Copy a block's nodes, with their blocks but without its terminator, to an insertion point, in their
    order.

    Args:
        values: what stands for which value of the original; outputs of copied nodes are added. A value that
            is not in it stands for itself.
        sizes: what stands for which size variable of the original.
    """
    waiting: list[tuple[Block, Block]] = []
    sizes = sizes or {}
    for node in tuple(block.nodes):  # a snapshot: the point may lie in this very block
        waiting.extend(_copy_node(node, point, values, sizes))
    # Whatever a nested block reads from around it is copied already, so that blocks can be filled in any
    # order.
    for source, target in waiting:
        end = InsertionPoint.end(target)
        for node in source.nodes:
            waiting.extend(_copy_node(node, end, values, sizes))
        _copy_terminator(source, target, values)


def _copy_node(
    node: Node, point: InsertionPoint, values: dict[Value, Value], sizes: Mapping[str, Size]
) -> list[tuple[Block, Block]]:
    """Copy one node with blocks that are empty as yet; returns which block is to be filled from which."""
    types, attrs = [output.type for output in node.outputs], dict(node.attrs)
    if sizes:
        types = [substituted_type(type_, sizes) for type_ in types]
        attrs = {name: substituted_attribute(value, sizes) for name, value in attrs.items()}
    new = Node(
        point,
        node.op,
        [values.get(value, value) for value in node.inputs],
        types,
        [output.name for output in node.outputs],
        attrs,
        node.location,
        node.path,
    )
    values.update(zip(node.outputs, new.outputs, strict=True))
    return [(block, _copy_header(block, new, values, sizes)) for block in node.blocks]


def _copy_header(block: Block, parent: Node, values: dict[Value, Value], sizes: Mapping[str, Size]) -> Block:
    new = parent.add_block()
    for param in block.params:
        values[param] = new.add_param(substituted_type(param.type, sizes), param.name, param.location)
    return new


def _copy_terminator(source: Block, target: Block, values: dict[Value, Value]) -> None:
    old = source.terminator
    if old is None:
        return
    target.terminator = Node._terminator(
        target, old.op, [values.get(value, value) for value in old.inputs], dict(old.attrs)
    )
    target.terminator.location = old.location
    target.terminator.path = old.path
