"""Copying: a whole graph, or a block's nodes to another place."""

from __future__ import annotations

from collections.abc import Sequence

from .block import Block
from .errors import ArgumentError
from .gc_pause import paused_gc
from .graph import Graph
from .insertion import InsertionPoint
from .node import Node
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

    Returns:
        What stands there for the values that the block returns.

    Raises:
        ArgumentError: when the numbers of parameters and arguments differ.
    """
    if len(arguments) != len(block.params):
        raise ArgumentError(f"inline: {len(block.params)} parameters, {len(arguments)} arguments")
    values = dict(zip(block.params, arguments, strict=True))
    copy_nodes(block, point, values)
    return [values.get(value, value) for value in block.returns]


def copy_nodes(block: Block, point: InsertionPoint, values: dict[Value, Value]) -> None:
    """Copy a block's nodes, with their blocks but without its terminator, to an insertion point, in their
    order.

    Args:
        values: what stands for which value of the original; outputs of copied nodes are added. A value that
            is not in it stands for itself.
    """
    waiting: list[tuple[Block, Block]] = []
    for node in tuple(block.nodes):  # a snapshot: the point may lie in this very block
        waiting.extend(_copy_node(node, point, values))
    # Whatever a nested block reads from around it is copied already, so that blocks can be filled in any
    # order.
    for source, target in waiting:
        end = InsertionPoint.end(target)
        for node in source.nodes:
            waiting.extend(_copy_node(node, end, values))
        _copy_terminator(source, target, values)


def _copy_node(node: Node, point: InsertionPoint, values: dict[Value, Value]) -> list[tuple[Block, Block]]:
    """Copy one node with blocks that are empty as yet; returns which block is to be filled from which."""
    new = Node(
        point,
        node.op,
        [values.get(value, value) for value in node.inputs],
        [output.type for output in node.outputs],
        [output.name for output in node.outputs],
        dict(node.attrs),
        node.location,
        node.path,
    )
    values.update(zip(node.outputs, new.outputs, strict=True))
    return [(block, _copy_header(block, new, values)) for block in node.blocks]


def _copy_header(block: Block, parent: Node, values: dict[Value, Value]) -> Block:
    new = parent.add_block()
    for param in block.params:
        values[param] = new.add_param(param.type, param.name, param.location)
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
