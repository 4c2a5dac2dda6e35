"""A graph from rows of JSON; `graph_writer` says what they are.

What lives here: the rows' own rules, which have to hold for there to be a graph at all: numbers in range, values
defined before their use, blocks properly inside each other, ops and attributes as their schemas say. Whether the graph
makes sense is the verifier's question, which `program_reader` asks of every graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ..ir.attributes import same_attribute
from ..ir.errors import FileFormatError, IngotError
from ..ir.graph import Assumption, Block, Graph, InsertionPoint, Node, Value
from ..ir.registry import Op
from ..ir.sizes import SizeExpr, parse_relation, var
from ..ir.types import Type
from .attribute_values import AttributeReader
from .limits import MAX_BLOCK_DEPTH, MAX_NAME, MAX_SIZE_TEXT
from .strict_json import fields_of, integer, sequence, text
from .tables import Place, TableReader
from .type_rows import read_types

__all__ = ["GRAPH_KEYS", "read_graph"]

GRAPH_KEYS: Final = (
    "assumptions",
    "attributes",
    "blocks",
    "inputs",
    "name",
    "names",
    "nodes",
    "sizes",
    "state",
    "types",
    "updates",
)

_MAX_BOUND: Final = 2**63 - 1


def read_graph(document: Any, tables: TableReader) -> Graph:
    """The graph of a document that `write_graph` made.

    Raises:
        FileFormatError: for rows that make no graph.
    """
    return _GraphReader(fields_of(document, "a graph", GRAPH_KEYS), tables).graph_()


class _GraphReader:
    def __init__(self, document: dict[str, Any], tables: TableReader) -> None:
        name = text(document["name"], "a graph's name")
        self.what = f"graph @{name}"
        self.document = document
        self.tables = tables
        self.graph = Graph(name)
        variables = self._variables()
        self.variables = variables
        self.types = read_types(document["types"], self.what, variables)
        self.attributes = self._attributes()
        self.checked: dict[tuple[str, int], dict[str, Any]] = {}  # normalised attributes, by op and number
        self.values: list[Value] = []
        self.names = self._names()
        self.nodes = sequence(document["nodes"], f"{self.what}: nodes")
        self.blocks = sequence(document["blocks"], f"{self.what}: blocks")
        self.opened = 0  # blocks so far

    def fail(self, what: str, expected: str = "", found: str = "") -> FileFormatError:
        """An error that names the graph."""
        return FileFormatError(f"{self.what}: {what}", expected=expected, found=found)

    def graph_(self) -> Graph:
        """Read the whole graph."""
        self._walk()
        if self.opened != len(self.blocks) or len(self.values) != len(self.names):
            raise self.fail("blocks or names are left over")
        self._assumptions()
        return self.graph

    # -- tables

    def _variables(self) -> dict[str, SizeExpr]:
        found: dict[str, SizeExpr] = {}
        for row in sequence(self.document["sizes"], f"{self.what}: sizes"):
            name, *bounds = sequence(row, f"{self.what}: a size variable", 3)
            text(name, f"{self.what}: a size variable's name")
            what = f"{self.what}: a bound of size variable {name}"
            low, high = (None if b is None else integer(b, what, -_MAX_BOUND, _MAX_BOUND) for b in bounds)
            if name in found:
                raise self.fail(f"size variable {name} is declared twice")
            found[name] = var(name, low, high)
        return found

    def _attributes(self) -> list[dict[str, Any]]:
        reader = AttributeReader(self.variables, self.tables.constants)
        found = []
        for index, row in enumerate(sequence(self.document["attributes"], f"{self.what}: attributes")):
            if type(row) is not dict:
                raise self.fail(f"attributes {index} are not an object")
            what = f"{self.what}: attributes {index}"
            found.append({name: reader.read(value, what) for name, value in row.items()})
        return found

    def _names(self) -> list[str]:
        written = self.document["names"]
        if type(written) is not str or not written.isascii():
            raise self.fail("the names of values are not a string of identifiers")
        names = written.split(" ") if written else []
        if not all(name.isidentifier() and len(name) <= MAX_NAME for name in names) or len(set(names)) != len(names):
            raise self.fail("the names of values are not identifiers, each another one")
        return names

    def _assumptions(self) -> None:
        for row in sequence(self.document["assumptions"], f"{self.what}: assumptions"):
            relation, number = sequence(row, f"{self.what}: an assumption", 2)
            written = text(relation, f"{self.what}: an assumption", MAX_SIZE_TEXT * 2)
            location, _ = self.tables.place(number, f"{self.what}: an assumption")
            try:
                self.graph.assumptions.append(Assumption(parse_relation(written, self.variables), location))
            except (IngotError, ArithmeticError) as error:
                raise self.fail(f"an assumption: {str(error).splitlines()[0]}") from None

    # -- nodes and blocks

    def _walk(self) -> None:
        """Read all blocks, with a stack of those that are open in place of recursion."""
        position = 0
        # Blocks that are to be read or to be gone on with: how deep, where the one around ends, and the row once open.
        waiting: list[tuple[Block, int, int, list[Any] | None]] = [(self.graph.block, 0, len(self.nodes), None)]
        while waiting:
            block, depth, stop, row = waiting.pop()
            if row is None:
                row = self._open(block, depth, position, stop)
                stop = row[0]
            point = InsertionPoint.end(block)
            while position < stop:
                node, count = self._node(point, position)
                position += 1
                if count:
                    waiting.append((block, depth, stop, row))
                    inner = [node.add_block() for _ in range(count)]
                    waiting.extend((b, depth + 1, stop, None) for b in reversed(inner))
                    break
            else:
                self._close(block, row)
        if position != len(self.nodes):
            raise self.fail("nodes are left over behind the top block")

    def _open(self, block: Block, depth: int, position: int, outer_stop: int) -> list[Any]:
        if self.opened == len(self.blocks):
            raise self.fail("a block is missing")
        if depth > MAX_BLOCK_DEPTH:
            raise self.fail(f"blocks lie more than {MAX_BLOCK_DEPTH} deep inside each other")
        what = f"{self.what}: block {self.opened}"
        row = sequence(self.blocks[self.opened], what, 4)
        self.opened += 1
        integer(row[0], f"{what}: its end", position, outer_stop)
        params = [sequence(p, f"{what}: a parameter", 2) for p in sequence(row[1], f"{what}: its parameters")]
        typed = [(self._type(t, what), self.tables.place(p, what)[0]) for t, p in params]
        if block is self.graph.block:
            self._add_inputs_and_state(typed)
        else:
            for (type_, location), name in zip(typed, self._next_names(len(typed)), strict=True):
                block.add_param(type_, name, location)
        self.values.extend(block.params)
        return row

    def _add_inputs_and_state(self, typed: Sequence[tuple[Type, Any]]) -> None:
        graph = self.graph
        count = integer(self.document["inputs"], f"{self.what}: the number of inputs", 0, len(typed))
        keys = [text(k, f"{self.what}: state") for k in sequence(self.document["state"], f"{self.what}: state")]
        if len(keys) != len(typed) - count or len(set(keys)) != len(keys):
            raise self.fail("its state does not match its parameters")
        names = self._next_names(len(typed))
        for (type_, location), name in zip(typed[:count], names, strict=False):
            graph.add_input(name, type_, location)
        for key, (type_, location), name in zip(keys, typed[count:], names[count:], strict=True):
            graph.add_state(key, type_, name, location)

    def _close(self, block: Block, row: list[Any]) -> None:
        what = f"{self.what}: what a block returns"
        returns = [self._value(number, what) for number in sequence(row[2], what)]
        location, path = self.tables.place(row[3], what)
        if block is not self.graph.block:
            block.set_returns(returns, location, path)
            return
        keys = [text(k, f"{self.what}: updates") for k in sequence(self.document["updates"], f"{self.what}: updates")]
        count = len(returns) - len(keys)
        if count < 0 or len(set(keys)) != len(keys) or not self.graph.state.keys() >= set(keys):
            raise self.fail("its updates do not match its state and what it returns")
        self.graph.set_return(returns[:count], dict(zip(keys, returns[count:], strict=True)), location, path)

    def _node(self, point: InsertionPoint, position: int) -> tuple[Node, int]:
        """Make the node of a row; returns how many blocks it has, too."""
        row = self.nodes[position]
        if type(row) is not list or not 5 <= len(row) <= 6:
            raise self.fail(f"node {position} is malformed")
        op_number, attributes, place_number, inputs, types = row[:5]
        op: Op = _at(self.tables.ops, op_number) or self._bad_row(position, "its op")
        place: Place = _at(self.tables.places, place_number) or self._bad_row(position, "its place")
        if type(inputs) is not list or type(types) is not list:
            raise self.fail(f"node {position} is malformed")
        values = self.values
        operands = [_at(values, number) or self._bad_row(position, "an input") for number in inputs]
        results = [_at(self.types, number) or self._bad_row(position, "a type") for number in types]
        attrs = self.checked.get((op.name, attributes)) if type(attributes) is int else None
        if attrs is None:
            attrs = self._check_attributes(op, attributes, position)
        names = self._next_names(len(types))
        node = Node(point, op, operands, results, names, dict(attrs), place[0], place[1])
        values.extend(node.outputs)
        count = op.extras.get("blocks", 0)
        if (row[5] if len(row) == 6 else 0) != count or (len(row) == 6 and type(row[5]) is not int):
            raise self.fail(f"node {position}: {op.name} has {count} blocks")
        return node, count

    def _bad_row(self, position: int, part: str) -> Any:
        raise self.fail(f"node {position}: {part} is out of range, or defined later")

    def _check_attributes(self, op: Op, number: Any, position: int) -> dict[str, Any]:
        """The attributes as the schema has them: defaults fill in what is left out, which is how an op that got
        attributes later reads older files."""
        given = _at(self.attributes, number)
        if given is None:
            raise self.fail(f"node {position}: its attributes are out of range")
        try:
            checked = op.schema.check_attrs(given)
        except IngotError as error:
            raise FileFormatError(
                f"{self.what}, node {position}: {error.what}", expected=error.expected, found=error.found
            ) from None
        except (TypeError, ValueError):  # an array in place of a number
            raise self.fail(f"node {position}: attributes of other kinds", expected=op.schema.text) from None
        for name, value in given.items():
            if not same_attribute(value, checked[name]):
                kind = next(str(p) for p in op.schema.attributes if p.name == name)
                raise self.fail(f"node {position}: attribute {name} of {op.name} is of another kind", expected=kind)
        for parameter in op.schema.attributes:
            if parameter.kind == "constant" and not _is_constant(checked[parameter.name]):
                raise self.fail(f"node {position}: {op.name} holds no number and no tensor")
        self.checked[op.name, number] = checked
        return checked

    def _type(self, number: Any, what: str) -> Type:
        return self.types[integer(number, f"{what}: a type", 0, len(self.types) - 1)]

    def _value(self, number: Any, what: str) -> Value:
        return self.values[integer(number, what, 0, len(self.values) - 1)]

    def _next_names(self, count: int) -> list[str]:
        start = len(self.values)
        names = self.names[start : start + count]
        if len(names) != count:
            raise self.fail("names of values are missing")
        return names


def _at(items: list[Any], number: Any) -> Any:
    """The item of that number, or None for what is not the number of one."""
    return items[number] if type(number) is int and 0 <= number < len(items) else None


def _is_constant(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, SizeExpr, np.ndarray))
