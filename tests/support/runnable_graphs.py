"""Random graphs to run: element-wise ops, views, reductions and products over a batch, in branches and loops.

Unlike `random_graphs`, whose graphs try the rules of form, these compute: results stay small and finite.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ingot.ir.block import Block
from ingot.ir.builder import Builder
from ingot.ir.dtypes import bool_, float32, float64, int64
from ingot.ir.graph import Graph, Value
from ingot.ir.sizes import var
from ingot.ir.types import BOOL, FLOAT, INT, TensorType

__all__ = ["ROW", "WIDTH", "B", "Maker", "inputs_for", "runnable_graph"]

B = var("B", 1, 64)
WIDTH = 6
ROW = TensorType(float32, (B, WIDTH))
TRUTH = TensorType(bool_, (B, WIDTH))
COUNTS = TensorType(int64, (B, WIDTH))
SHAPES: tuple[TensorType, ...] = (ROW, TRUTH, COUNTS)

BINARY = ("add", "sub", "mul", "maximum", "minimum")
UNARY = ("relu", "tanh", "sigmoid", "neg", "abs", "sin", "silu", "detach")


def runnable_graph(rng: np.random.Generator, nodes: int, maker: type[Maker] | None = None) -> Graph:
    """A graph of about `nodes` nodes over inputs `x`, `y`, `flag`, `n`, `scale` and two pieces of state.

    Args:
        maker: what makes the nodes.
    """
    graph = Graph("random")
    rows = [graph.add_input("x", ROW), graph.add_input("y", ROW)]
    numbers = [graph.add_input(name, type_) for name, type_ in (("flag", BOOL), ("n", INT), ("scale", FLOAT))]
    rows.append(graph.add_state("running", ROW))
    weight = graph.add_state("weight", TensorType(float32, (WIDTH, WIDTH)))
    made = (maker or Maker)(rng, nodes, numbers, weight)
    made.fill(Builder(graph), rows, 0)
    outputs = [made.pick(rows) for _ in range(int(rng.integers(1, 4)))]
    graph.set_return(outputs, {"running": made.pick(rows)} if rng.random() < 0.5 else {})
    return graph


def inputs_for(rng: np.random.Generator, batch: int) -> tuple[list[Any], dict[str, Any]]:
    """Inputs and state for such a graph."""
    x, y, running = (rng.standard_normal((batch, WIDTH)).astype(np.float32) for _ in range(3))
    if rng.random() < 0.3:
        x = np.asfortranarray(x)
    weight = (0.3 * rng.standard_normal((WIDTH, WIDTH))).astype(np.float32)
    inputs = [x, y, bool(rng.random() < 0.5), int(rng.integers(0, 4)), float(rng.normal())]
    return inputs, {"running": running, "weight": weight}


class Maker:
    """Grows a graph at random from the values that can be seen."""

    def __init__(self, rng: np.random.Generator, nodes: int, numbers: list[Value], weight: Value) -> None:
        self.rng = rng
        self.left = nodes
        self.flag, self.count, self.scale = numbers
        self.weight = weight

    def pick(self, values: list[Value], type_: TensorType = ROW) -> Value:
        """A value of a type, a late one more often than an early one."""
        fitting = [value for value in values if value.type == type_]
        return fitting[-1 - min(int(self.rng.exponential(3)), len(fitting) - 1)]

    def fill(self, b: Builder, rows: list[Value], depth: int) -> None:
        """Append nodes; `rows` grows by what they compute."""
        stop = max(0, self.left - int(self.rng.integers(2, 14))) if depth else 0
        while self.left > stop:
            self.left -= 1
            kind = self.rng.random()
            if kind < 0.3:
                rows.append(b.emit(str(self.rng.choice(UNARY)), [self.pick(rows)]).output)
            elif kind < 0.55:
                rows.append(
                    self.bounded(b, b.emit(str(self.rng.choice(BINARY)), [self.pick(rows), self.other(b, rows)]).output)
                )
            elif kind < 0.65:
                rows.append(self.choice(b, rows))
            elif kind < 0.8:
                rows.append(self.detour(b, rows))
            elif kind < 0.85:
                rows.append(b.emit("linear", [self.pick(rows), self.weight, b.none()]).output)
                rows.append(b.emit("tanh", [rows[-1]]).output)
            elif depth < 4:
                rows.extend(self.nested(b, rows, depth))

    def nested(self, b: Builder, rows: list[Value], depth: int) -> list[Value]:
        """Something with blocks, or made of several nodes."""
        return self.branch(b, rows, depth) if self.rng.random() < 0.47 else self.loop(b, rows, depth)

    def bounded(self, b: Builder, value: Value) -> Value:
        return b.emit("clamp", [value], {"min": -8.0, "max": 8.0}).output if self.rng.random() < 0.5 else value

    def other(self, b: Builder, rows: list[Value]) -> Value:
        """An operand that broadcasts."""
        kind = int(self.rng.integers(0, 5))
        if kind == 0:
            return b.constant(float(self.rng.choice([0.5, -1.0, 2.0, 0.0])))
        if kind == 1:
            return self.scale
        if kind == 2:
            return b.emit("amax", [self.pick(rows)], {"dim": (1,), "keepdim": True}).output
        if kind == 3:
            return b.emit("select", [self.pick(rows)], {"dim": 0, "index": 0}).output
        return self.pick(rows)

    def choice(self, b: Builder, rows: list[Value]) -> Value:
        condition = b.emit("gt", [self.pick(rows), b.constant(0.0)]).output
        if self.rng.random() < 0.5:
            return b.emit("where", [condition, self.pick(rows), b.constant(0.0)]).output
        return b.emit("where", [condition, self.pick(rows), self.pick(rows)]).output

    def detour(self, b: Builder, rows: list[Value]) -> Value:
        """Views, casts and copies there and back."""
        x, kind = self.pick(rows), int(self.rng.integers(0, 6))
        if kind == 0:
            turned = b.emit("permute", [x], {"dims": (1, 0)}).output
            return b.emit("reshape", [b.emit("neg", [turned]).output], {"shape": (B, WIDTH)}).output
        if kind == 1:
            turned = b.emit("permute", [x], {"dims": (1, 0)}).output
            flat = b.emit("reshape", [turned], {"shape": (WIDTH * B,)}).output
            return b.emit("reshape", [flat], {"shape": (B, WIDTH)}).output
        if kind == 2:
            half = b.emit("slice", [x], {"dim": 1, "start": 0, "end": WIDTH, "step": 2}).output
            return b.emit("cat", [half, half], {"dim": 1}).output
        if kind == 3:
            wide = b.emit("cast", [x], {"dtype": float64}).output
            return b.emit("cast", [b.emit("mul", [wide, b.constant(0.5)]).output], {"dtype": float32}).output
        if kind == 4:
            row = b.emit("mean", [x], {"dim": (0,), "keepdim": True}).output
            return b.emit("expand", [row], {"size": (B, WIDTH)}).output
        return b.emit("softmax", [x], {"dim": 1}).output

    def branch(self, b: Builder, rows: list[Value], depth: int) -> list[Value]:
        outputs = int(self.rng.integers(1, 3))
        blocks = []
        for _ in range(2):
            inner = [*rows]
            block = Block(b.graph)
            self.fill(Builder(block), inner, depth + 1)
            block.set_returns([self.pick(inner) for _ in range(outputs)])
            blocks.append(block)
        return list(b.emit("prim::If", [self.flag], types=[ROW] * outputs, blocks=blocks).outputs)

    def loop(self, b: Builder, rows: list[Value], depth: int) -> list[Value]:
        carried = [self.pick(rows) for _ in range(int(self.rng.integers(1, 4)))]
        block = Block(b.graph, [INT, *[ROW] * len(carried)])
        inner = [*rows, *block.params[1:]]
        self.fill(Builder(block), inner, depth + 1)
        condition = Builder(block).constant(True) if self.rng.random() < 0.5 else self.flag
        late = [self.pick(inner) for _ in carried]
        if self.rng.random() < 0.5:
            late = [*block.params[2:], block.params[1]][: len(carried)]  # a rotation: nothing may be overwritten early
            late[0] = self.pick(inner)
        stacked = [self.pick(inner)] if self.rng.random() < 0.3 else []
        types = [ROW] * len(carried) + [TensorType(float32, (var(f"T{self.left}_{depth}"), B, WIDTH))] * len(stacked)
        block.set_returns([condition, *late, *stacked])
        start = b.constant(True) if self.rng.random() < 0.5 else self.flag
        made = b.emit("prim::Loop", [self.count, start, *carried], types=types, blocks=[block])
        found = list(made.outputs[: len(carried)])
        if stacked:
            found.append(b.emit("sum", [made.outputs[-1]], {"dim": (0,)}).output)
        return found
