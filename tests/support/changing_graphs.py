"""Random graphs to run in which sizes and trip counts depend on data.

Beside what `runnable_graphs` has: carried values that grow or shrink, branches that yield other sizes, stacks, numbers
taken out of tensors and bound as sizes, loops that run while a condition holds, assertions.
"""

from __future__ import annotations

import numpy as np
from ingot.ir.block import Block
from ingot.ir.builder import Builder
from ingot.ir.dtypes import float32, int64
from ingot.ir.graph import Graph, Value
from ingot.ir.sizes import Size, maximum, minimum, var
from ingot.ir.types import INT, TensorType
from runnable_graphs import ROW, WIDTH, B, Maker, runnable_graph

__all__ = ["changing_graph"]


def changing_graph(rng: np.random.Generator, nodes: int) -> Graph:
    """A graph of about `nodes` nodes; inputs and state are those of `runnable_graphs`."""
    return runnable_graph(rng, nodes, ChangingMaker)


def wide(size: Size) -> TensorType:
    """Rows of the usual width, so many."""
    return TensorType(float32, (size, WIDTH))


class ChangingMaker(Maker):
    """Names of variables that a block binds are used again in the block beside it."""

    made = 0

    def nested(self, b: Builder, rows: list[Value], depth: int) -> list[Value]:
        if self.rng.random() < 0.3:
            return super().nested(b, rows, depth)
        kinds = (self.growing, self.shrinking, self.uneven, self.counted, self.while_, self.stacked, self.checked)
        return kinds[int(self.rng.integers(0, len(kinds)))](b, rows, depth)

    def fresh(self, name: str) -> Size:
        """A variable of a name of its own."""
        self.made += 1
        return var(f"{name}_{self.made}")

    def row_of(self, b: Builder, value: Value) -> Value:
        """A row for each of the batch, made of however many rows."""
        total = b.emit("sum", [b.emit("tanh", [value]).output], {"dim": (0,), "keepdim": True}).output
        return b.emit("expand", [b.emit("tanh", [total]).output], {"size": (B, WIDTH)}).output

    def number(self, b: Builder, rows: list[Value], most: int) -> Value:
        """A run-time integer from 0 to `most`, found in data."""
        positive = b.emit("gt", [self.pick(rows), b.constant(0.0)]).output
        count = b.emit("sum", [b.emit("cast", [positive], {"dtype": int64}).output], {"dim": (0, 1)}).output
        return b.emit("prim::Item", [b.emit("remainder", [count, b.constant(most + 1)]).output]).output

    def sized(self, b: Builder, number: Value, name: str) -> Size:
        """A run-time integer as a size."""
        size = self.fresh(name)
        b.emit("prim::Bind", [number], {"variable": size})
        return size

    def growing(self, b: Builder, rows: list[Value], depth: int) -> list[Value]:
        k, row = var(f"k{depth}"), self.pick(rows)
        block = Block(b.graph, [INT, wide(k), ROW])
        inner = Builder(block)
        seen = [*rows, block.params[2]]
        self.fill(inner, seen, depth + 1)
        longer = inner.emit("cat", [block.params[1], self.pick(seen)], {"dim": 0}).output
        if self.rng.random() < 0.5:
            longer = inner.emit("tanh", [longer]).output
        block.set_returns([inner.constant(True), longer, self.pick(seen)])
        end = self.fresh("g")
        inputs = [self.count, b.constant(True), row, row]
        made = b.emit("prim::Loop", inputs, types=[wide(end), ROW], blocks=[block])
        size = b.emit("cast", [b.emit("prim::Size", (), {"value": end}).output], {"dtype": float32}).output
        total = self.row_of(b, made.outputs[0])
        return [b.emit("div", [total, b.emit("add", [size, b.constant(1.0)]).output]).output, made.outputs[1]]

    def shrinking(self, b: Builder, rows: list[Value], depth: int) -> list[Value]:
        k = var(f"k{depth}")
        block = Block(b.graph, [INT, TensorType(float32, (k + 1, WIDTH)), INT])
        inner = Builder(block)
        shorter = inner.emit("slice", [block.params[1]], {"dim": 0, "start": 0, "end": maximum(k, 1), "step": 1}).output
        last = inner.emit("select", [block.params[1]], {"dim": 0, "index": k}).output
        new = inner.emit("sub", [shorter, last]).output
        block.set_returns([inner.constant(True), new, inner.emit("prim::Size", (), {"value": k}).output])
        end = self.fresh("s")
        inputs = [self.count, self.flag, self.pick(rows), b.constant(7)]
        made = b.emit("prim::Loop", inputs, types=[wide(end + 1), INT], blocks=[block])
        number = b.emit("mul", [self.pick(rows), made.outputs[1]]).output
        return [self.row_of(b, made.outputs[0]), b.emit("tanh", [number]).output]

    def uneven(self, b: Builder, rows: list[Value], depth: int) -> list[Value]:
        blocks = []
        for side in range(2):
            block = Block(b.graph)
            inner, seen = Builder(block), [*rows]
            self.fill(inner, seen, depth + 1)
            value = self.pick(seen)
            if side:
                most = self.sized(inner, self.number(inner, seen, 4), "e")
                end = minimum(most, B)
                value = inner.emit("slice", [value], {"dim": 0, "start": 0, "end": end, "step": 1}).output
            block.set_returns([value, self.pick(seen)])
            blocks.append(block)
        end = self.fresh("u")
        condition = self.flag
        if self.rng.random() < 0.5:
            condition = b.emit(
                "gt", [b.emit("mean", [self.pick(rows)], {"dim": (0, 1)}).output, b.constant(0.0)]
            ).output
        if condition is not self.flag and self.rng.random() < 0.5:
            condition = b.emit("prim::Item", [condition]).output
        made = b.emit("prim::If", [condition], types=[wide(end), ROW], blocks=blocks)
        shown = self.row_of(b, b.emit("neg", [b.emit("exp", [made.outputs[0]]).output]).output)
        return [shown, made.outputs[1]]

    def counted(self, b: Builder, rows: list[Value], depth: int) -> list[Value]:
        trips = self.number(b, rows, 3)
        n = self.sized(b, trips, "c")
        ones = b.emit("full", (), {"size": (n, WIDTH), "value": 0.5, "dtype": float32}).output
        block = Block(b.graph, [INT, ROW])
        inner = Builder(block)
        i = var(f"i{depth}")
        inner.emit("prim::Bind", [block.params[0]], {"variable": i})
        one = inner.emit("select", [self.pick(rows)], {"dim": 0, "index": i % B}).output
        piece = inner.emit("full", (), {"size": (i + 1, WIDTH), "value": 0.25, "dtype": float32}).output
        seen = [*rows, block.params[1], inner.emit("add", [block.params[1], one]).output, self.row_of(inner, piece)]
        self.fill(inner, seen, depth + 1)
        block.set_returns([inner.constant(True), self.bounded(inner, self.pick(seen)), self.pick(seen)])
        types = [ROW, TensorType(float32, (n, B, WIDTH))]
        made = b.emit("prim::Loop", [trips, b.constant(True), self.pick(rows)], types=types, blocks=[block])
        return [made.outputs[0], b.emit("sum", [made.outputs[1]], {"dim": (0,)}).output, self.row_of(b, ones)]

    def while_(self, b: Builder, rows: list[Value], depth: int) -> list[Value]:
        zero = b.emit("full", (), {"size": (), "value": 0, "dtype": int64}).output
        block = Block(b.graph, [INT, ROW, zero.type])
        inner = Builder(block)
        seen = [*rows, block.params[1]]
        self.fill(inner, seen, depth + 1)
        done = inner.emit("add", [block.params[2], inner.constant(1)]).output
        more = inner.emit("lt", [done, self.count]).output
        if self.rng.random() < 0.5:
            more = inner.emit("prim::Item", [more]).output
        block.set_returns([more, self.pick(seen), done])
        forever = b.constant(2**63 - 1)
        inputs = [forever, self.flag if self.rng.random() < 0.5 else b.constant(True), self.pick(rows), zero]
        made = b.emit("prim::Loop", inputs, types=[ROW, zero.type], blocks=[block])
        return [made.outputs[0]]

    def stacked(self, b: Builder, rows: list[Value], depth: int) -> list[Value]:
        n = self.sized(b, self.number(b, rows, 2), "z")
        block = Block(b.graph, [INT])
        inner, seen = Builder(block), [*rows]
        self.fill(inner, seen, depth + 1)
        size = inner.emit("full", (), {"size": (n, WIDTH), "value": 0.1, "dtype": float32}).output
        m = var(f"m{depth}")
        inner.emit("prim::Bind", [inner.emit("prim::Size", (), {"value": n + 1}).output], {"variable": m})
        other = inner.emit("full", (), {"size": (m, WIDTH), "value": 0.2, "dtype": float32}).output
        block.set_returns([inner.constant(True), size, other])
        count, own = self.fresh("t"), self.fresh("w")
        types = [TensorType(float32, (count, n, WIDTH)), TensorType(float32, (count, own, WIDTH))]
        made = b.emit("prim::Loop", [self.count, self.flag], types=types, blocks=[block])
        flat = b.emit("reshape", [made.outputs[1]], {"shape": (count * own, WIDTH)}).output
        summed = b.emit("sum", [made.outputs[0]], {"dim": (0,)}).output
        return [self.row_of(b, flat), self.row_of(b, summed)]

    def checked(self, b: Builder, rows: list[Value], depth: int) -> list[Value]:
        large = b.emit("amax", [b.emit("abs", [self.pick(rows)]).output], {"dim": (0, 1), "keepdim": False}).output
        fine = b.emit("ne", [large, b.constant(-1.0)]).output
        if self.rng.random() < 0.5:
            fine = b.emit("prim::Item", [fine]).output
        b.emit("prim::Assert", [fine], {"message": "a row is negative"})
        seen = [*rows]
        blocks = [Block(b.graph), Block(b.graph)]
        for block in blocks:
            inner = Builder(block)
            ok = inner.emit("prim::Item", [inner.emit("eq", [large, large]).output]).output
            inner.emit("prim::Assert", [ok])
            self.fill(inner, seen, depth + 1) if block is blocks[0] else None
            block.set_returns([self.pick(seen if block is blocks[0] else rows)])
            seen = [*rows]
        return list(b.emit("prim::If", [self.flag], types=[ROW], blocks=blocks).outputs)
