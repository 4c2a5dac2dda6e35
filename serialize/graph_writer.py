"""A graph as rows of JSON.

    {"name": "forward",
     "sizes":       [["B", 1, null]],                    # variables with bounds
     "assumptions": [["B % 2 == 0", place]],
     "types":       [["f32", ["B", 784]], ...],          # see `type_rows`
     "attributes":  [{"dim": 1}, ...],                   # each distinct set of attributes once
     "inputs":      1,                                   # so many parameters of the top block are inputs,
     "state":       ["fc1.weight", ...],                 # the others the state of these names
     "updates":     ["bn.mean", ...],                    # so many of what the top block returns are updates
     "nodes":       [[op, attributes, place, [inputs], [types of outputs]], ...],
     "blocks":      [[stop, [[type, place] of parameters], [returns], place], ...],
     "names":       "x w h ..."}                         # of all values

Values are numbered as they are defined: the parameters of a block when it begins, a node's outputs with the node.
Nodes stand in the order of execution, each before those in its blocks; a node with blocks has their number as a sixth
entry, and its blocks follow it immediately. Blocks stand in the order in which they begin; `stop` is the number of
the node behind the block's last. So nothing nests, and reading goes once from front to back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..ir.dtypes import DType
from ..ir.errors import ArgumentError
from ..ir.graph import Block, Graph, Node, Value
from ..ir.graph_sizes import size_bounds
from ..ir.registry import Op
from ..ir.sizes import SizeExpr, var
from .attribute_values import check_int, encode_attribute
from .limits import MAX_BLOCK_DEPTH, MAX_NAME
from .strict_json import dump_json, is_text
from .tables import TableWriter
from .type_rows import TypeWriter

__all__ = ["write_graph"]


def write_graph(graph: Graph, tables: TableWriter) -> dict[str, Any]:
    """The graph as JSON; what it shares with others goes into the tables. Takes time in proportion to the graph.

    Args:
        graph: a graph that the verifier accepts.

    Raises:
        ArgumentError: for something in it that a file does not hold.
    """
    return _GraphWriter(graph, tables).document()


class _GraphWriter:
    def __init__(self, graph: Graph, tables: TableWriter) -> None:
        self.graph = graph
        self.tables = tables
        self.bounds = size_bounds(graph)
        self.variables: dict[str, SizeExpr] = {name: var(name, lo, hi) for name, (lo, hi) in self.bounds.items()}
        self.types = TypeWriter(self.variables)
        self.numbers: dict[Value, int] = {}
        self.names: list[str] = []
        self.nodes: list[list[Any]] = []
        self.blocks: list[list[Any]] = []
        self.attributes: dict[str, int] = {}  # by their text
        self.attribute_rows: list[dict[str, Any]] = []
        self.known_attributes: dict[Any, int] = {}

    def document(self) -> dict[str, Any]:
        """The graph as JSON."""
        self._walk()
        place = self.tables.place
        return {
            "assumptions": [[str(a.relation), place(a.location)] for a in self.graph.assumptions],
            "attributes": self.attribute_rows,
            "blocks": self.blocks,
            "inputs": len(self.graph.inputs),
            "name": _name(self.graph.name),
            "names": " ".join(self.names),
            "nodes": self.nodes,
            "sizes": [[_name(n), *(b if b is None else check_int(b) for b in lh)] for n, lh in self.bounds.items()],
            "state": [_name(key) for key in self.graph.state],
            "types": self.types.rows,
            "updates": [_name(key) for key in self.graph.updates],
        }

    def _walk(self) -> None:
        """Write all blocks, with a stack of those that are open in place of recursion."""
        waiting: list[tuple[Block, int, int, Iterator[Node] | None]] = [(self.graph.block, 0, -1, None)]
        while waiting:
            block, depth, row, nodes = waiting.pop()
            if nodes is None:
                row, nodes = self._open(block, depth), iter(block.nodes)
            for node in nodes:
                self._node(node)
                if node.blocks:
                    waiting.append((block, depth, row, nodes))
                    waiting.extend((inner, depth + 1, -1, None) for inner in reversed(node.blocks))
                    break
            else:
                self._close(block, row)

    def _open(self, block: Block, depth: int) -> int:
        if depth > MAX_BLOCK_DEPTH:
            raise ArgumentError(
                f"@{self.graph.name} cannot be saved: blocks lie too deep inside each other",
                expected=f"at most {MAX_BLOCK_DEPTH} levels",
            )
        place, number = self.tables.place, self.types.number
        self._define(block.params)
        self.blocks.append([0, [[number(p.type), place(p.location)] for p in block.params], [], 0])
        return len(self.blocks) - 1

    def _close(self, block: Block, row: int) -> None:
        terminator = block.terminator
        if terminator is None:
            raise ArgumentError(f"a block of @{self.graph.name} has no terminator")
        self.blocks[row][0] = len(self.nodes)
        self.blocks[row][2] = [self.numbers[value] for value in terminator.inputs]
        self.blocks[row][3] = self.tables.place(terminator.location, terminator.path)

    def _node(self, node: Node) -> None:
        numbers, number = self.numbers, self.types.number
        row: list[Any] = [
            self.tables.op(node.op),
            self._attributes(node.op, node.attrs),
            self.tables.place(node.location, node.path),
            [numbers[value] for value in node.inputs],
            [number(value.type) for value in node.outputs],
        ]
        if node.blocks:
            row.append(len(node.blocks))
        self.nodes.append(row)
        self._define(node.outputs)

    def _define(self, values: tuple[Value, ...]) -> None:
        for value in values:
            self.numbers[value] = len(self.names)
            if len(value.name) > MAX_NAME:
                raise ArgumentError("a value's name is too long to be saved", expected=f"{MAX_NAME} characters")
            self.names.append(value.name)

    def _attributes(self, op: Op, attrs: Mapping[str, Any]) -> int:
        key = op.name, tuple([(name, _key(value)) for name, value in attrs.items()])
        number = self.known_attributes.get(key)
        if number is None:
            checked = op.schema.check_attrs(attrs)
            row = {name: encode_attribute(v, self.variables, self.tables.constant) for name, v in checked.items()}
            text = dump_json(row)
            number = self.attributes.setdefault(text, len(self.attribute_rows))
            if number == len(self.attribute_rows):
                self.attribute_rows.append(row)
            self.known_attributes[key] = number
        return number


def _name(name: str) -> str:
    if not is_text(name, MAX_NAME):
        raise ArgumentError(
            f"the name {name[:80]!r} cannot be saved", expected=f"at most {MAX_NAME} characters of text"
        )
    return name


def _key(value: Any) -> Any:
    """Something that is equal for the same attribute only: 1, 1.0 and True differ, as do the zeros; arrays and other
    odd things are themselves."""
    kind = type(value)
    if kind is float:
        return kind, value.hex()
    if kind is tuple:
        return tuple([_key(item) for item in value])
    if kind in (int, bool, str, type(None), DType, SizeExpr):
        return kind, value
    return kind, id(value)
