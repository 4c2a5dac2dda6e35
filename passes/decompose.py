"""Decomposition: composites are opened into the ops that they are written in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..ir.asserted import Asserted
from ..ir.builder import Builder
from ..ir.errors import VerifyError
from ..ir.graph import Graph, InsertionPoint, Node, Value
from ..ir.graph_algebra import GraphAlgebra
from ..ir.sizes import equal
from ..ir.types import TensorType, Type
from .changes import permit
from .facts import is_removable
from .registered import register_pass

__all__ = ["DecomposeOptions", "decompose", "open_composites"]


@dataclass(frozen=True, slots=True)
class DecomposeOptions:
    """Options of `decompose`.

    Attributes:
        only: names of composites to open; all when empty.
        keep: names of composites to leave closed.
    """

    only: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()


@register_pass(options=DecomposeOptions)
def decompose(graph: Graph, options: DecomposeOptions) -> bool:
    """Replace composites with their decompositions, and those inside of these likewise."""

    def wanted(node: Node) -> bool:
        names = (node.op.name, node.op.short)
        return (not options.only or _any_in(names, options.only)) and not _any_in(names, options.keep)

    return open_composites(graph, wanted)


def _any_in(names: Sequence[str], chosen: Sequence[str]) -> bool:
    return any(name in chosen for name in names)


def open_composites(graph: Graph, wanted: Callable[[Node], bool]) -> bool:
    """Open the composites that a predicate selects, those that come out of others too.

    The nodes that come out stand at the composite's source location and module path. For a backend, which opens what
    it refuses.

    Returns:
        Whether there were any.
    """
    changed = False
    asserted = Asserted(graph)
    waiting = [node for node in graph.nodes() if node.op.kind == "composite"]
    while waiting:
        node = waiting.pop()
        if wanted(node) and permit("decompose", node):
            with asserted.before(node):
                opened = _open(node)
            waiting += [made for made in opened if made.op.kind == "composite" and made.block is not None]
            changed = True
    return changed


def _open(node: Node) -> list[Node]:
    """Replace a composite; returns the new nodes."""
    assert node.block is not None
    F = GraphAlgebra(Builder(node.block, InsertionPoint.before(node)), node.location, node.path)
    values = F.run(node.op, node.inputs, node.attrs)
    for output, value in zip(node.outputs, values, strict=True):
        if not _same_type(output.type, value.type):
            raise VerifyError(
                f"{node.op.name} decomposes into another type",
                expected=str(output.type),
                found=str(value.type),
                location=node.location,
            )
    sources = {value.node: None for value in node.inputs if value.node is not None}
    _replace(node, values, F.made)
    for source in (*reversed(F.made), *sources):
        if not any(output.use_count for output in source.outputs) and is_removable(source):
            source.erase()
    return F.made


def _replace(node: Node, values: Sequence[Value], made: Sequence[Node]) -> None:
    fresh = set(made)
    names = [output.name for output in node.outputs]
    node.replace_with(values)
    for value, name in zip(values, names, strict=True):
        if value.node in fresh:
            value.name = name


def _same_type(a: Type, b: Type) -> bool:
    if a == b or not (isinstance(a, TensorType) and isinstance(b, TensorType)):
        return a == b
    same = a.dtype is b.dtype and len(a.sizes) == len(b.sizes)
    return same and all(equal(x, y) is True for x, y in zip(a.sizes, b.sizes, strict=True))
