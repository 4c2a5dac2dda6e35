"""Comparing graphs: the first difference between two of them, as a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .attributes import attribute_text, same_attribute
from .block import Block
from .gc_pause import paused_gc
from .graph import Graph
from .graph_sizes import size_bounds
from .node import Node
from .value import Value

__all__ = ["first_difference"]


@paused_gc()
def first_difference(a: Graph, b: Graph, *, names: bool, locations: bool) -> str | None:
    """What `same_graph` returns; takes time in proportion to the graphs, however deep they are."""
    return next(_Comparison(names, locations).graphs(a, b), None)


class _Comparison:
    """Walks two graphs side by side; yields the differences it meets. Only the first one is meaningful."""

    def __init__(self, names: bool, locations: bool) -> None:
        self.names = names
        self.locations = locations
        self.partner: dict[Value, Value] = {}  # values of the first graph to those of the second

    def graphs(self, a: Graph, b: Graph) -> Iterator[str]:
        if a.name != b.name:
            yield f"the names differ: @{a.name} and @{b.name}"
        if len(a.inputs) != len(b.inputs):
            yield f"the numbers of inputs differ: {len(a.inputs)} and {len(b.inputs)}"
        if list(a.state) != list(b.state):
            yield f"the states differ: {_list(a.state)} and {_list(b.state)}"
        yield from self.assumptions(a, b)
        yield from self.params("input or state", a.block, b.block)
        waiting = [(a.block, b.block)]
        while waiting:
            yield from self.blocks(*waiting.pop(), waiting)
        if (mine := size_bounds(a)) != (other := size_bounds(b)):
            name = next(n for n in (*mine, *other) if mine.get(n) != other.get(n))
            yield f"the bounds of size variable {name} differ: {mine.get(name)} and {other.get(name)}"

    def assumptions(self, a: Graph, b: Graph) -> Iterator[str]:
        def facts(graph: Graph) -> list[Any]:
            return [(x.relation, x.location if self.locations else None) for x in graph.assumptions]

        if facts(a) != facts(b):
            yield f"the assumptions differ: {_list(a.assumptions)} and {_list(b.assumptions)}"

    def blocks(self, a: Block, b: Block, waiting: list[tuple[Block, Block]]) -> Iterator[str]:
        for x, y in zip(a.nodes, b.nodes, strict=False):
            yield from self.nodes(x, y)
            waiting.extend(zip(x.blocks, y.blocks, strict=True))
        if len(a.nodes) != len(b.nodes):
            yield f"the numbers of nodes differ in {_where(a)}: {len(a.nodes)} and {len(b.nodes)}"
        mine, other = a.terminator, b.terminator
        if mine is not None and other is not None:
            yield from self.nodes(mine, other)
        elif mine is not other:
            yield f"only one has a terminator in {_where(a)}: {mine} and {other}"

    def nodes(self, a: Node, b: Node) -> Iterator[str]:
        if a.op is not b.op:
            yield f"the ops differ: {a} and {b}"
        if len(a.inputs) != len(b.inputs):
            yield f"the numbers of inputs differ: {a} and {b}"
        for i, (x, y) in enumerate(zip(a.inputs, b.inputs, strict=True)):
            if self.partner.get(x) is not y:
                yield f"input {i} differs: {a} and {b}"
        yield from self.attributes(a, b)
        if len(a.outputs) != len(b.outputs):
            yield f"the numbers of outputs differ: {a} and {b}"
        for x, y in zip(a.outputs, b.outputs, strict=True):
            if (found := self.value(x, y)) is not None:
                yield _differ(f"output {x.index} of {a}", *found)
        if self.locations and a.location != b.location:
            yield f"the locations of {a} differ: {a.location!r} and {b.location!r}"
        if self.locations and a.path != b.path:
            yield f"the module paths of {a} differ: {a.path!r} and {b.path!r}"
        if len(a.blocks) != len(b.blocks):
            yield f"the numbers of blocks of {a} differ: {len(a.blocks)} and {len(b.blocks)}"
        for x_block, y_block in zip(a.blocks, b.blocks, strict=True):
            yield from self.params(f"a block of {a.op.name}: parameter", x_block, y_block)

    def attributes(self, a: Node, b: Node) -> Iterator[str]:
        if a.attrs.keys() != b.attrs.keys():
            yield f"the attributes of {a} differ: {_list(a.attrs)} and {_list(b.attrs)}"
        for name, x in a.attrs.items():
            y = b.attrs.get(name)
            if not same_attribute(x, y):
                yield f"attribute {name} of {a} differs: {_attribute(x)} and {_attribute(y)}"

    def params(self, what: str, a: Block, b: Block) -> Iterator[str]:
        if len(a.params) != len(b.params):
            yield f"{what}: the numbers differ, {len(a.params)} and {len(b.params)}"
        for x, y in zip(a.params, b.params, strict=True):
            found = self.value(x, y)
            if found is None and self.locations and x.location != y.location:
                found = "locations", repr(x.location), repr(y.location)
            if found is not None:
                yield _differ(f"{what} {x.index}", *found)

    def value(self, a: Value, b: Value) -> tuple[str, str, str] | None:
        """What differs between two values that stand for each other from now on, and how it is in each."""
        self.partner[a] = b
        if a.type is not b.type and a.type != b.type:
            return "types", str(a.type), str(b.type)
        if self.names and a.name != b.name:
            return "names", f"%{a.name}", f"%{b.name}"
        return None


def _differ(where: str, what: str, a: str, b: str) -> str:
    return f"the {what} of {where} differ: {a} and {b}"


def _attribute(value: Any) -> str:
    text = attribute_text(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _list(items: Any) -> str:
    return "[" + ", ".join(map(str, items)) + "]"


def _where(block: Block) -> str:
    return "the top block" if block.parent is None else f"a block of {block.parent}"
