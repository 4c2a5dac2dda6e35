"""Where `program.watch` looks: the values that come out of a module or of a line, and a graph that shows them.

A place is one value, or the values of several sides of a branch that stand for one another: in training and evaluation,
say. A run shows a place once, or once for each iteration of the innermost loop around it; where it takes a way through
branches on which there is nothing to show, it shows None.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..ir.block import Block
from ..ir.builder import Builder
from ..ir.errors import ArgumentError
from ..ir.graph import Graph, InsertionPoint, Node, Value
from ..ir.locations import Location, here
from ..ir.types import KEY

__all__ = ["Place", "places_at", "watched_graph"]


@dataclass(frozen=True, slots=True)
class Place:
    """One place that is watched.

    Attributes:
        names: of the values there, of which a run computes one at most at a time.
        repeats: whether it lies inside of a loop.
    """

    names: tuple[str, ...]
    repeats: bool


# -------------------------------------------------------------------------------------------------------- which ones


def places_at(graph: Graph, where: str) -> tuple[Place, ...]:
    """The places of a module or a line, in the graph's order; see `watch` for errors."""
    nodes = [node for node in graph.nodes() if _is_at(node, where)]
    if not nodes:
        raise _unknown(graph, where)
    whole = set(nodes)
    inside = _with_nested(nodes)
    found = [value for node in nodes for value in node.outputs if _comes_out(value, inside, whole)]
    if not found:
        raise _unknown(graph, where)
    return tuple(_joined([_Found([value]) for value in found]))


class _Found:
    """Values that stand for one another, with the nodes around the first: from the outermost to the innermost."""

    def __init__(self, values: list[Value]) -> None:
        self.values = values
        self.around = list(reversed(list(_around(values[0].block))))
        self.repeats = any(node.op.name == "prim::Loop" for node, _ in self.around)


def _around(block: Block) -> Iterator[tuple[Node, int]]:
    """The nodes that a block lies in, and in which block of theirs: from the innermost to the outermost."""
    while (node := block.parent) is not None:
        yield node, node.blocks.index(block)
        assert node.block is not None
        block = node.block


def _joined(found: list[_Found]) -> Iterator[Place]:
    """Places: as many values on one side of a branch as on the other are the same places, one by one."""
    branches = {node: depth for x in found for depth, (node, _) in enumerate(x.around) if node.op.name == "prim::If"}
    for branch in sorted(branches, key=lambda node: -branches[node]):  # from the innermost to the outermost
        sides = [[x for x in found if (branch, side) in x.around] for side in range(2)]
        if [x.repeats for x in sides[0]] == [x.repeats for x in sides[1]]:
            for a, b in zip(*sides, strict=True):
                a.values += b.values
                found.remove(b)
    for x in found:
        yield Place(tuple(value.name for value in x.values), x.repeats)


def _is_at(node: Node, where: str) -> bool:
    if node.op.name in ("prim::Constant", "prim::Size"):
        return False
    if _is_line(where):
        return node.location is not None and _fits(node.location, where)
    return node.path == where or node.path.startswith(f"{where}.")


def _is_line(where: str) -> bool:
    file, _, line = where.rpartition(":")
    return bool(file) and line.isdecimal()


def _fits(location: Location, where: str) -> bool:
    file, _, line = where.rpartition(":")
    same = location.file == file or location.file.endswith(f"/{file}") or file.endswith(f"/{location.file}")
    return same and location.line == int(line)


def _comes_out(value: Value, inside: set[Node], whole: set[Node]) -> bool:
    """Whether a value is used elsewhere, or nowhere; what a branch or loop there does not use is its own business."""
    if value.type is KEY:  # what random numbers are drawn from
        return False
    if any(node.op.name == "prim::UserGradient" for node, _ in _around(value.block)):  # which no call computes
        return False
    if value.use_count:
        return any(use.node not in inside for use in value.uses)
    return not any(node in whole for node, _ in _around(value.block))


def _with_nested(nodes: Iterable[Node]) -> set[Node]:
    """Nodes, those in their blocks, and what closes these."""
    found: set[Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node in found:
            continue
        found.add(node)
        for block in node.blocks:
            waiting += [*block.nodes, *([block.terminator] if block.terminator else [])]
    return found


def _all_places(graph: Graph) -> list[str]:
    """All that can be watched: module paths and lines."""
    paths = dict.fromkeys(_ancestors(node.path for node in graph.nodes() if node.path))
    lines = dict.fromkeys(f"{n.location.file}:{n.location.line}" for n in graph.nodes() if n.location is not None)
    return [*paths, *lines]


def _ancestors(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        parts = path.split(".")
        yield from (".".join(parts[: i + 1]) for i in range(len(parts)))


def _unknown(graph: Graph, where: str) -> ArgumentError:
    known = _all_places(graph)
    close = difflib.get_close_matches(where, known, 3, 0.5) or difflib.get_close_matches(
        where, [name.rpartition("/")[2] for name in known], 3, 0.5
    )
    return ArgumentError(
        f"watch: the program computes nothing at {where!r}",
        expected='a module path ("encoder.layers.0") or a line ("model.py:42")',
        found=f"close: {', '.join(close)}" if close else f"places: {', '.join(known[:8])}",
        location=here(),
    )


# ------------------------------------------------------------------------------------------------- showing them


def watched_graph(graph: Graph, places: Sequence[Place]) -> Graph:
    """A copy of a graph that shows places, each under its number."""
    found = graph.copy()
    for node in [node for node in found.nodes() if node.op.name == "prim::Watch"]:  # of a file of whoever's
        node.erase()
    by_name = {value.name: value for node in found.nodes() for value in node.outputs}
    for number, place in enumerate(places):
        values = [by_name[name] for name in place.names]
        for block in _ways_without(values):
            builder = Builder(block)
            builder.emit("prim::Watch", [builder.none()], {"place": number}, types=())
        for value in values:
            assert value.node is not None
            builder = Builder(value.block, InsertionPoint.after(value.node))
            builder.emit("prim::Watch", [value], {"place": number}, types=())
    return found


def _ways_without(values: Sequence[Value]) -> list[Block]:
    """The sides of branches that are run in place of those with the values."""
    with_values: dict[Node, set[int]] = {}
    for value in values:
        for node, side in _around(value.block):
            if node.op.name == "prim::Loop":
                break
            if node.op.name == "prim::If":
                with_values.setdefault(node, set()).add(side)
    return [node.blocks[1 - side] for node, sides in with_values.items() if len(sides) == 1 for side in sides]
