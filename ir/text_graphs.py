"""The parser's actions for graphs, nodes and blocks: they build the graph while the text is read."""

from __future__ import annotations

import re
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Final

from .block import Block
from .graph import Assumption, Graph
from .insertion import InsertionPoint
from .locations import Location
from .node import Node
from .registry import Op, lookup
from .sizes import parse_relation
from .text_attributes import AttributeActions
from .text_reader import Token
from .types import Type
from .value import Value

__all__ = ["GraphActions"]

Place = tuple[Location | None, str]

_CLOSE_NAMES: Final = 1000  # among so many of the latest names an error looks for close ones, since that is slow
_NOWHERE: Final[Place] = (None, "")
_LOCATION: Final = re.compile(r'@(?:([^":]+)|(".*")):(\d+)(?::(\d+))?(?:-(\d+):(\d+))?(?:~\d+)?')


class GraphActions(AttributeActions):
    """All actions.

    Rules are reduced from left to right, so that a node is made before its blocks and a block before its
    nodes.

    Attributes:
        graphs: the graphs that are complete.
        new: the graph that is being read.
        values: its values so far, by name with the `%`.
        point: the end of the block that is being filled.
        last: the node made last in that block, to which the next block belongs.
    """

    def begin(self, text: str, file: str) -> None:
        """Start on a text."""
        self.text = text
        self.file = file
        self.graphs: list[Graph] = []
        self.ops: dict[str, Op] = {}
        self.begin_graph()

    def begin_graph(self) -> None:
        """Start on a graph."""
        self.begin_types()
        self.new = Graph()
        self.values: dict[str, Value] = {}
        self.point = InsertionPoint.end(self.new.block)
        self.around: list[InsertionPoint] = []  # the places to go on at when nested blocks end
        self.last: Node | None = None
        self.declared: list[Type] = []
        self.locations: dict[str, Location] = {}
        self.sourced: dict[int, Location] = {}  # what the table of sources makes of locations, by identity

    # -- graphs

    def graph_name(self, parts: list[Token]) -> None:
        name = parts[0].text.partition("@")[2]
        self.new.name = self.unquoted(parts[0], name) if name[0] == '"' else name
        if len(parts) == 2:
            self.bounds(parts[1])

    def header(self, parts: list[Any]) -> None:
        _, params, state, _, results, _ = parts
        for token, type_, location in params:
            self.values[token.text] = self.new.add_input(self.fresh(token), type_, location)
        for (token, type_, location), key in state:
            name = self.fresh(token)
            text = self.unquoted(key, key.text)
            self.values[token.text] = self.guarded(key, self.new.add_state, text, type_, name, location)
        self.declared = results

    def state_entry(self, parts: list[Any]) -> tuple[Any, Token]:
        return parts[0], parts[2]

    def assumption(self, parts: list[Any]) -> None:
        token, (location, _) = parts[1:]
        text = token.text.removeprefix("assume").strip()
        self.declare(text)
        relation = self.guarded(token, parse_relation, text, self.variables)
        self.new.assumptions.append(Assumption(relation, location))

    def return_(self, parts: list[Any]) -> None:
        token, operands, updates, (location, path) = parts
        values = self.operands(operands)
        types = [value.type for value in values]
        if types != self.declared:
            shown = ", ".join(map(str, types))
            header = ", ".join(map(str, self.declared))
            self.fail(token, "other types are returned than the header says", f"({header})", found=f"({shown})")
        changes: dict[str, Value] = {}
        for key, operand in updates:
            text = self.unquoted(key, key.text)
            if text in changes:
                self.fail(key, f"state {text!r} is updated twice")
            changes[text] = self.operands([operand])[0]
        # Whether the graph has such state is the verifier's question, as are the types.
        self.new._close((*values, *changes.values()), tuple(changes), location, path)

    def update_entry(self, parts: list[Any]) -> tuple[Token, Token]:
        return parts[0], parts[2]

    def source(self, parts: list[Any]) -> None:
        place, *rest = parts[1:]
        location = self.location(place)
        function = self.path(rest.pop(0)) if rest[0].type == "IN" else ""
        source = self.unquoted(rest[0], rest[0].text) if rest else ""
        if id(location) in self.sourced:
            self.fail(place, "the source of a location is given twice")
        self.sourced[id(location)] = replace(location, function=function, source=source)

    def graph(self, parts: list[Any]) -> None:
        if self.sourced:
            self.complete_locations()
        self.graphs.append(self.new)
        self.begin_graph()

    def complete_locations(self) -> None:
        """Give everything that has a location its function and source text."""
        get = self.sourced.get
        graph = self.new
        graph.assumptions = [Assumption(x.relation, get(id(x.location), x.location)) for x in graph.assumptions]
        for block in graph.blocks():
            for param in block.params:
                param.location = get(id(param.location), param.location)
            for node in block.nodes:
                node.location = get(id(node.location), node.location)
            if block.terminator is not None:
                block.terminator.location = get(id(block.terminator.location), block.terminator.location)

    # -- nodes and blocks

    def node(self, parts: list[Any]) -> None:
        results, _, token, attrs, operands, (location, path) = parts
        op = self.ops.get(token.text) or self.op(token)
        inputs = self.operands(operands)
        names = [self.fresh(name) for name, _ in results]
        if len(names) > 1 and len(set(names)) < len(names):
            self.fail(results[-1][0], "a name is defined twice")
        attributes = self.attributes(op, token, attrs) if attrs else {}
        types = [type_ for _, type_ in results]
        node = Node(self.point, op, inputs, types, names, attributes, location, path)
        for (name, _), value in zip(results, node.outputs, strict=True):
            self.values[name.text] = value
        self.last = node

    def node_without_results(self, parts: list[Any]) -> None:
        self.node([[], None, *parts])

    def result(self, parts: list[Any]) -> tuple[Token, Type]:
        return parts[0], parts[2]

    def block_head(self, parts: list[Any]) -> None:
        token, params, _ = parts
        assert self.last is not None
        count = len(self.last.blocks)
        if token.text != f"block{count}":
            self.fail(token, "blocks are numbered from 0", f"block{count}")
        block = self.last.add_block()
        for name, type_, location in params:
            self.values[name.text] = block.add_param(type_, self.fresh(name), location)
        self.around.append(self.point)
        self.point = InsertionPoint.end(block)

    def yield_(self, parts: list[Any]) -> None:
        operands, (location, path) = parts[4:]
        block: Block = self.point.block
        block.set_returns(self.operands(operands), location, path)
        self.last = block.parent
        self.point = self.around.pop()

    def param(self, parts: list[Any]) -> tuple[Token, Type, Location | None]:
        return parts[0], parts[2], self.location(parts[3]) if len(parts) == 4 else None

    def operands(self, tokens: list[Token]) -> list[Value]:
        """The values of these names."""
        try:
            return [self.values[token.text] for token in tokens]
        except KeyError:
            missing = next(token for token in tokens if token.text not in self.values)
            close = get_close_matches(missing.text, list(self.values)[-_CLOSE_NAMES:], 3)
            self.fail(
                missing,
                f"{missing.text} is not defined up to here",
                advice=f"close names: {', '.join(close)}" if close else "",
            )

    def fresh(self, token: Token) -> str:
        """The name of a value that is defined here, without the `%`."""
        if token.text in self.values or token.text[1:] in self.new.names:
            self.fail(token, f"{token.text} is defined twice")
        return token.text[1:]

    def op(self, token: Token) -> Op:
        """The op of that name."""
        op = self.ops[token.text] = self.guarded(token, lookup, token.text)
        return op

    # -- places

    def nowhere(self, parts: list[Any]) -> tuple[Location | None, str]:
        return _NOWHERE

    def at(self, parts: list[Token]) -> tuple[Location | None, str]:
        return self.location(parts[0]), ""

    def within(self, parts: list[Token]) -> tuple[Location | None, str]:
        return None, self.path(parts[0])

    def at_within(self, parts: list[Token]) -> tuple[Location | None, str]:
        return self.location(parts[0]), self.path(parts[1])

    def location(self, token: Token) -> Location:
        """The location, the same object for the same text."""
        found = self.locations.get(token.text)
        if found is None:
            match = _LOCATION.fullmatch(token.text)
            assert match is not None
            file = match[1] if match[2] is None else self.unquoted(token, match[2])
            line, column, end_line, end_column = (self.number(token, text) or 0 for text in match.groups()[2:])
            found = self.locations[token.text] = Location(file, line, column, end_line, end_column)
        return found

    def path(self, token: Token) -> str:
        """The path of `in path`."""
        text = token.text[2:].lstrip()
        return self.unquoted(token, text) if text[0] == '"' else text
