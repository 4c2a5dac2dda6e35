"""Writing a block: its nodes in order, and those nested in them without Python's own stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from ...ir.errors import IngotError
from ...ir.graph import Block, Node
from .branches import emit_if
from .emitter import Emitter
from .loops import emit_loop
from .nodes import emit_plain
from .scalars import emit_scalars
from .structure import STRUCTURE

__all__ = ["emit_block"]

_NESTED: Final[dict[str, Callable[[Emitter, Node], Iterator[Block]]]] = {"prim::If": emit_if, "prim::Loop": emit_loop}


def emit_block(e: Emitter, block: Block) -> None:
    """Write a block's nodes and all that is nested in them. Its terminator is left to the caller.

    What writes a node with blocks hands each of them out, to go on when it is written: so nesting may be deeper than
    Python's stack.
    """
    running = [_nodes(e, block)]
    while running:
        inner = next(running[-1], None)
        if inner is None:
            running.pop()
        else:
            running.append(_nodes(e, inner))


def _nodes(e: Emitter, block: Block) -> Iterator[Block]:
    for node in block.nodes:
        e.position += 1
        nested = _NESTED.get(node.op.name)
        if nested is not None:
            yield from nested(e, node)
        else:
            _emit(e, node)
        e.release(node)
    e.position += 1


def _emit(e: Emitter, node: Node) -> None:
    kept = node.outputs and node.outputs[0] in e.scalars and node.op.name != "prim::Constant"
    try:
        (emit_scalars if kept else STRUCTURE.get(node.op.name, emit_plain))(e, node)
    except IngotError as error:
        raise error.located(node.location, node.path, f"while emitting @{e.graph.name} for the numpy backend") from None
