"""The text of a graph, for people, goldens and the command line.

What lives here: graph to text. The language is defined in `grammar.lark` and read by `parser`; attributes'
text is in `attributes`. `parse(print_graph(g))` equals g, locations included. Printing takes time in
proportion to the graph and no recursion on its depth.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from .attributes import attribute_text, quoted
from .block import Block
from .gc_pause import paused_gc
from .graph import Graph
from .graph_sizes import Bounds, size_bounds
from .locations import Location
from .node import Node
from .registry import Op
from .types import Type
from .value import Value

__all__ = ["bare_attribute", "print_graph"]

_PLAIN_FILE: Final = re.compile(r"[\w./+<>-]+", re.ASCII)
_PLAIN_PATH: Final = re.compile(r"[\w.]+", re.ASCII)
_WIDEST_INDENT: Final = 40  # what is nested deeper stands here, so that text stays linear in the graph
_PLAIN_NAME: Final = re.compile(r"\w[\w.]*", re.ASCII)


@paused_gc()
def print_graph(graph: Graph, *, locations: bool = True) -> str:
    """The graph as text that ends with a line break.

    Args:
        locations: whether to print source locations and module paths. Without them the text is shorter, but
            reads back as a graph that has none.

    >>> from .dtypes import float32
    >>> from .types import TensorType
    >>> graph = Graph("same")
    >>> _ = graph.add_input("x", TensorType(float32, (2,)))
    >>> print(print_graph(graph), end="")
    graph @same(%x : f32[2]) -> ():
    """
    return _Printer(locations).graph(graph)


def bare_attribute(op: Op) -> str | None:
    """The name of the attribute that an op's text leaves out: of the only one it has, when that is a size."""
    attributes = op.schema.attributes
    if len(attributes) == 1 and attributes[0].kind == "size" and not attributes[0].is_list:
        return attributes[0].name
    return None


class _Printer:
    """Collects lines; remembers the text of what occurs again and again."""

    def __init__(self, locations: bool) -> None:
        self.locations = locations
        self.lines: list[str] = []
        # By identity: types, ops and locations live as long as the graph that is printed.
        self.types: dict[int, str] = {}
        self.ops: dict[int, str | None] = {}
        self.places: dict[int, str] = {}
        self.spans: dict[Location, str] = {}
        self.taken: dict[str, int] = {}  # how many locations, different but for their span, have that span

    def graph(self, graph: Graph) -> str:
        self.lines.append(self.header(graph))
        for assumption in graph.assumptions:
            self.lines.append(f"  {assumption}{self.place(assumption.location)}")
        self.nodes(graph.block)
        if (terminator := graph.block.terminator) is not None:
            updates = ", ".join(f"{quoted(key)}: %{value.name}" for key, value in graph.updates.items())
            values = f"({_names(graph.outputs)})" + (f" update {{{updates}}}" if updates else "")
            self.lines.append(f"  return {values}{self.place(terminator.location, terminator.path)}")
        self.sources()
        self.lines.append("")  # the text ends with a line break
        return "\n".join(self.lines)

    def header(self, graph: Graph) -> str:
        name = graph.name if _PLAIN_NAME.fullmatch(graph.name) else quoted(graph.name)
        inputs = ", ".join(map(self.param, graph.inputs))
        state = ", ".join(f"{self.param(value)} = {quoted(key)}" for key, value in graph.state.items())
        sizes = ", ".join(_bounds_texts(size_bounds(graph)))
        results = ", ".join(self.type(value.type) for value in graph.outputs)
        binders = f" sizes {{{sizes}}} " if sizes else ""
        clause = f" state {{{state}}}" if state else ""
        return f"graph @{name}{binders}({inputs}){clause} -> ({results}):"

    def param(self, value: Value) -> str:
        return f"%{value.name} : {self.type(value.type)}{self.place(value.location, before=' ')}"

    def nodes(self, top: Block) -> None:
        """The lines of a block's nodes and of what is nested in them."""
        running: list[tuple[str, Iterator[Node | str]]] = [("  ", iter(top.nodes))]
        while running:
            indent, items = running[-1]
            for item in items:
                if isinstance(item, str):
                    self.lines.append(item)
                    continue
                self.lines.append(self.node(indent, item))
                if item.blocks:
                    deeper = len(indent) < _WIDEST_INDENT
                    head = indent + "  " if deeper else indent
                    body = head + "  " if deeper else indent
                    blocks = [(body, self.block(head, body, i, b)) for i, b in enumerate(item.blocks)]
                    running.extend(reversed(blocks))
                    break
            else:
                running.pop()

    def block(self, head: str, body: str, index: int, block: Block) -> Iterator[Node | str]:
        yield f"{head}block{index}({', '.join(map(self.param, block.params))}):"
        yield from block.nodes
        if (terminator := block.terminator) is not None:
            yield f"{body}-> ({_names(block.returns)}){self.place(terminator.location, terminator.path)}"

    def node(self, indent: str, node: Node) -> str:
        results = ", ".join([f"%{value.name} : {self.type(value.type)}" for value in node.outputs])
        attrs = self.attrs(node) if node.attrs else ""
        place = self.place(node.location, node.path)
        return f"{indent}{results}{' = ' if results else ''}{node.op.name}{attrs}({_names(node.inputs)}){place}"

    def attrs(self, node: Node) -> str:
        bare = self.ops.get(id(node.op), "")
        if bare == "":
            bare = self.ops[id(node.op)] = bare_attribute(node.op)
        texts = [
            attribute_text(value) if name == bare else f"{name}={attribute_text(value)}"
            for name, value in node.attrs.items()
        ]
        return f"[{', '.join(texts)}]"

    def type(self, type_: Type) -> str:
        text = self.types.get(id(type_))
        if text is None:
            text = self.types[id(type_)] = str(type_)
        return text

    # -- locations

    def place(self, location: Location | None, path: str = "", before: str = "  ") -> str:
        """Location and module path as they stand behind a line, or nothing."""
        if not self.locations or (location is None and not path):
            return ""
        text = before
        if location is not None:
            text += self.places.get(id(location)) or self.span(location)
        if path:
            text += (" " if location is not None else "") + _in(path)
        return text

    def span(self, location: Location) -> str:
        """File, lines and columns; a number behind `~` tells apart locations that have these in common."""
        text = self.spans.get(location)
        if text is None:
            text = _span_text(location)
            count = self.taken[text] = self.taken.get(text, 0) + 1
            if count > 1:
                text = f"{text}~{count}"
            self.spans[location] = text
        self.places[id(location)] = text
        return text

    def sources(self) -> None:
        """The table of what does not fit behind a line: each location's function and source text."""
        known = [(text, place) for place, text in self.spans.items() if place.function or place.source]
        if not known:
            return
        self.lines.append("sources {")
        for text, place in known:
            function = f" {_in(place.function)}" if place.function else ""
            source = f" {quoted(place.source)}" if place.source else ""
            self.lines.append(f"  {text}{function}{source}")
        self.lines.append("}")


def _names(values: Iterable[Value]) -> str:
    return ", ".join([f"%{value.name}" for value in values])


def _in(path: str) -> str:
    return f"in {path if _PLAIN_PATH.fullmatch(path) else quoted(path)}"


def _span_text(location: Location) -> str:
    file = location.file if _PLAIN_FILE.fullmatch(location.file) else quoted(location.file)
    text = f"@{file}:{location.line}"
    if location.column:
        text += f":{location.column}"
    if location.end_line or location.end_column:
        text += f"-{location.end_line}:{location.end_column}"
    return text


def _bounds_texts(sizes: dict[str, Bounds]) -> Iterator[str]:
    for name, (lo, hi) in sizes.items():
        if (lo, hi) == (0, None):
            continue
        if hi is None and lo is not None:
            yield f"{name} >= {lo}"
        else:
            yield f"{name} in {'' if lo is None else lo}..{'' if hi is None else hi}"
