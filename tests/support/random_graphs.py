"""Random graphs that keep every rule: nested control flow, state, all kinds of attributes, symbolic sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
from ingot.ir.builder import Builder
from ingot.ir.dtypes import float32
from ingot.ir.graph import Assumption, Block, Graph, Value
from ingot.ir.locations import Location
from ingot.ir.sizes import SizeRelation, var
from ingot.ir.types import BOOL, INT, KEY, TensorType

ROW = TensorType(float32, (var("B", 1, 64), 4))


def random_graph(rng: np.random.Generator, nodes: int, *, any_attributes: bool = False) -> Graph:
    """A graph of about `nodes` nodes.

    Args:
        any_attributes: whether there are constants of all kinds of attributes. Such a graph can be printed and
            read, but the verifier refuses it.
    """
    graph = Graph(str(rng.choice(["forward", "step", "a.b"])))
    rows = [graph.add_input(name, ROW, _location(rng)) for name in ("x", "y")]
    flag, count = graph.add_input("flag", BOOL), graph.add_input("n", INT)
    rows.append(graph.add_state("fc1.weight", ROW))
    key = graph.add_state("rng", KEY, "k", _location(rng))
    graph.assumptions.append(Assumption(SizeRelation("==", var("B", 1, 64) % 2, 0), _location(rng)))
    maker = _Maker(rng, nodes, any_attributes, flag, count, key)
    maker.fill(Builder(graph), rows, 0)
    updates = {"fc1.weight": rows[-1]} if rng.random() < 0.5 else {}
    graph.set_return([_choose(rng, rows) for _ in range(rng.integers(0, 4))], updates, _location(rng))
    return graph


class _Maker:
    def __init__(
        self, rng: np.random.Generator, nodes: int, any_attributes: bool, flag: Value, count: Value, key: Value
    ) -> None:
        self.rng = rng
        self.left = nodes
        self.any_attributes = any_attributes
        self.flag = flag
        self.count = count
        self.key = key

    def fill(self, builder: Builder, rows: list[Value], depth: int) -> None:
        """Append nodes; `rows` grows by what they compute."""
        rng = self.rng
        stop = max(0, self.left - int(rng.integers(1, 12))) if depth else 0
        while self.left > stop:
            self.left -= 1
            builder.location = _location(rng)
            builder.path = str(rng.choice(["", "fc1", "layers.0.norm", "layers[0]"]))
            kind = rng.random()
            if kind < 0.5:
                rows.append(builder.emit("add", [_choose(rng, rows), _choose(rng, rows)]).output)
            elif kind < 0.7:
                op = str(rng.choice(["relu", "exp"]))
                rows.append(builder.emit(op, [_choose(rng, rows)], names=["h"]).output)
            elif kind < 0.8:
                builder.constant(*((random_attribute(rng), INT) if self.any_attributes else (random_constant(rng),)))
            elif kind < 0.85:
                self.key = self.key if depth else builder.emit("prim::Split", [self.key]).outputs[0]
            elif kind < 0.9:
                builder.emit("prim::Size", (), {"value": var("B", 1, 64) * int(rng.integers(1, 9)) + 1})
            elif depth < 6:
                rows.append(self.branch(builder, rows, depth) if kind < 0.95 else self.loop(builder, rows, depth))

    def branch(self, builder: Builder, rows: list[Value], depth: int) -> Value:
        blocks = []
        for _ in range(2):
            inner = [*rows]
            block = Block(builder.graph)
            self.fill(Builder(block), inner, depth + 1)
            block.set_returns([inner[-1]], _location(self.rng))
            blocks.append(block)
        return builder.emit("prim::If", [self.flag], types=[ROW], blocks=blocks).output

    def loop(self, builder: Builder, rows: list[Value], depth: int) -> Value:
        block = Block(builder.graph, [INT, ROW], ["i", "carried"])
        inner = [*rows, block.params[1]]
        self.fill(Builder(block), inner, depth + 1)
        block.set_returns([self.flag, inner[-1]])
        carried = _choose(self.rng, rows)
        return builder.emit("prim::Loop", [self.count, self.flag, carried], types=[ROW], blocks=[block]).output


def random_attribute(rng: np.random.Generator, depth: int = 0) -> Any:
    """An attribute of any kind."""
    kind = int(rng.integers(0, 10 if depth < 3 else 8))
    if kind == 0:
        return int(rng.integers(-(2**62), 2**62))
    if kind == 1:
        return float(rng.choice([0.0, -0.0, 1.0, 0.1, 1e-300, 1e300, np.inf, -np.inf, np.nan, rng.normal()]))
    if kind == 2:
        return bool(rng.integers(0, 2))
    if kind == 3:
        return str(rng.choice(["", "sum", 'say "hi"\\', "line\nbreak", "# no comment", "é漢", "\x00\u2028", "a]b"]))
    if kind == 4:
        return None
    if kind == 5:
        return float32
    if kind == 6:
        return (var("B", 1, 64) - 3) // 2 * var("B", 1, 64) + int(rng.integers(-5, 5))
    if kind == 7:
        return random_array(rng)
    return tuple(random_attribute(rng, depth + 1) for _ in range(rng.integers(0, 4)))


def random_constant(rng: np.random.Generator) -> Any:
    """What a `prim::Constant` may hold."""
    kinds = (int, float, bool, type(None), np.ndarray)
    while type(value := random_attribute(rng, depth=9)) not in kinds or getattr(value, "dtype", None) == np.uint64:
        pass
    return value


def random_array(rng: np.random.Generator) -> np.ndarray:
    """A read-only array of random bits: of few items or many, of any rank up to 3, of any number type."""
    shape = tuple(int(n) for n in rng.integers(0, 5, rng.integers(0, 4)))
    dtype = np.dtype(str(rng.choice(["float32", "float64", "float16", "int8", "int64", "uint64"])))
    size = int(np.prod(shape)) * dtype.itemsize
    array = np.frombuffer(rng.bytes(size), dtype).reshape(shape) if size else np.zeros(shape, dtype)
    array.flags.writeable = False
    return array


def _location(rng: np.random.Generator) -> Location | None:
    if rng.random() < 0.3:
        return None
    file = str(rng.choice(["model.py", "pkg/net.py", "my file.py", "C:/x.py", 'q".py', "-3"]))
    line, column = int(rng.integers(0, 30)), int(rng.integers(0, 9))
    ends = (line, column + 5) if rng.random() < 0.5 else (0, 0)
    function = str(rng.choice(["", "Net.forward", "<lambda>", "f.<locals>.g"]))
    source = str(rng.choice(["", "h = self.fc1(x)", 'print("é") # x']))
    return Location(file, line, column, *ends, function, source)


def _choose(rng: np.random.Generator, values: list[Value]) -> Value:
    return values[int(rng.integers(0, len(values)))]
