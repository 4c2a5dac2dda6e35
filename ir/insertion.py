"""Insertion points: where in a block the next node goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import ArgumentError

if TYPE_CHECKING:
    from .block import Block
    from .node import Node

__all__ = ["InsertionPoint"]


@dataclass(frozen=True, slots=True)
class InsertionPoint:
    """A place in a block, as a frozen value: in front of a node, or at the end, just before the terminator.

    Nodes that are inserted at one point one after the other stand in that order. The point stays valid while
    nodes around it come and go; when `following` itself is erased or moved to another block, `check` says so.

    Args:
        block: the block.
        following: the node that the new one will stand in front of; None means the end.
    """

    block: Block
    following: Node | None = None

    @staticmethod
    def before(node: Node) -> InsertionPoint:
        """In front of a node; in front of a terminator is the block's end."""
        block = _block_of(node)
        return InsertionPoint(block, None if node is block.terminator else node)

    @staticmethod
    def after(node: Node) -> InsertionPoint:
        """Behind a node: in front of the node that follows it now.

        Raises:
            ArgumentError: for a terminator, which nothing can follow.
        """
        block = _block_of(node)
        if node is block.terminator:
            raise ArgumentError(f"nothing can stand behind the terminator {node.op.name}")
        return InsertionPoint(block, node.next)

    @staticmethod
    def start(block: Block) -> InsertionPoint:
        """In front of the node that is first now."""
        return InsertionPoint(block, block.nodes.first)

    @staticmethod
    def end(block: Block) -> InsertionPoint:
        """Behind the last node, before the terminator, now and later."""
        return InsertionPoint(block, None)

    def check(self) -> None:
        """Whether the point still exists.

        Raises:
            ArgumentError: when the node it is in front of has left the block.
        """
        if self.following is not None and self.following.block is not self.block:
            raise ArgumentError(
                f"insertion point lost: {self.following} is not in the block any more",
                advice="take a new insertion point after erasing or moving that node",
            )


def _block_of(node: Node) -> Block:
    if node.block is None:
        raise ArgumentError(f"no insertion point at {node}: it was erased")
    return node.block
