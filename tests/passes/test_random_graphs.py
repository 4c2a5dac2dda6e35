"""Random graphs through every pass: the same results, a valid graph, the truth about changes, and an end to them."""

from typing import Any

import numpy as np
import pytest
from golden import Honest, assert_same_results
from ingot.ir.builder import Builder
from ingot.ir.dtypes import float32
from ingot.ir.graph import Block, Graph, Value
from ingot.ir.parser import parse
from ingot.ir.sizes import var
from ingot.ir.types import BOOL, INT, TensorType
from ingot.ir.verifier import verify
from ingot.passes import SIMPLIFY, TRAINING, run_pipeline

SIZES = (var("B", 1), 3)
FULL = TensorType(float32, SIZES)


class Maker:
    """Grows a graph at random from the values that can be seen."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.graph = Graph("random")
        self.condition = self.graph.add_input("c", BOOL)
        self.count = self.graph.add_input("n", INT)
        self.start = [self.graph.add_input("x", FULL), self.graph.add_input("y", FULL)]
        self.start.append(self.graph.add_state("w", TensorType(float32, (3,))))

    def make(self, nodes: int) -> Graph:
        values = self.fill(Builder(self.graph), list(self.start), nodes, depth=0)
        full = [value for value in values if value.type == FULL]
        outputs = [full[int(i)] for i in self.rng.integers(0, len(full), 3)]
        self.graph.set_return(outputs)
        verify(self.graph)
        return self.graph

    def fill(self, builder: Builder, values: list[Value], nodes: int, depth: int) -> list[Value]:
        for _ in range(nodes):
            kind = self.rng.random()
            if kind < 0.08 and depth < 3:
                values += self.branch(builder, values, depth)
            elif kind < 0.14 and depth < 3:
                values += self.loop(builder, values, depth)
            else:
                values.append(self.node(builder, values))
        return values

    def pick(self, values: list[Value]) -> Value:
        # Late values more often: chains as well as sharing.
        return values[-1 - min(int(self.rng.exponential(3)), len(values) - 1)]

    def pick_full(self, values: list[Value]) -> Value:
        return self.pick([value for value in values if value.type == FULL])

    def node(self, builder: Builder, values: list[Value]) -> Value:
        kind = self.rng.integers(0, 10)
        a = self.pick(values)
        if kind < 3:
            return self.emit(builder, self.choose("neg", "relu", "tanh", "abs", "exp", "detach", "clone"), a)
        if kind < 6:
            return self.emit(builder, self.choose("add", "sub", "mul", "maximum", "div"), a, self.pick(values))
        if kind < 8:
            number = builder.constant(self.choose(1.0, 0.0, -0.0, 2.0, 1, 0, 3.0))
            operands = [a, number] if self.rng.random() < 0.7 else [number, a]
            return self.emit(builder, self.choose("add", "sub", "mul", "div"), *operands)
        if kind == 8 and a.type == FULL:
            total = self.emit(builder, "sum", a, dim=(1,), keepdim=True)
            return self.emit(builder, "expand", total, size=SIZES)
        flipped = builder.emit("permute", [self.pick_full(values)], {"dims": (1, 0)}).output
        return self.emit(builder, "permute", flipped, dims=(1, 0))

    def choose(self, *options: Any) -> Any:
        return options[int(self.rng.integers(0, len(options)))]

    def emit(self, builder: Builder, op: str, *inputs: Value, **attrs: Any) -> Value:
        return builder.emit(op, inputs, attrs).output

    def branch(self, builder: Builder, values: list[Value], depth: int) -> list[Value]:
        blocks = []
        for _ in range(2):
            block = Block(self.graph)
            inner = self.fill(Builder(block), list(values), int(self.rng.integers(0, 6)), depth + 1)
            block.set_returns([self.pick_full(inner), self.pick_full(inner)])
            blocks.append(block)
        condition = self.condition if self.rng.random() < 0.7 else builder.constant(bool(self.rng.random() < 0.5))
        return list(builder.emit("prim::If", [condition], types=[FULL, FULL], blocks=blocks).outputs)

    def loop(self, builder: Builder, values: list[Value], depth: int) -> list[Value]:
        block = Block(self.graph, [INT, FULL, FULL], ["i", "p", "q"])
        inner = self.fill(Builder(block), values + list(block.params[1:]), int(self.rng.integers(0, 5)), depth + 1)
        go = Builder(block).constant(True)
        block.set_returns([go, self.pick_full(inner), self.pick_full(inner)])
        inputs = [self.count, builder.constant(True), self.pick_full(values), self.pick_full(values)]
        return list(builder.emit("prim::Loop", inputs, types=[FULL, FULL], blocks=[block]).outputs)


PIPELINES = (
    "dce", "cse", "canonicalize", "canonicalize{inference=true}", "fold", "fuse", "fuse{max_ops=3,max_inputs=2}",
    "decompose", "hoist", "cse,hoist", SIMPLIFY, TRAINING, "fuse,dce,cse",
)  # fmt: skip


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("number", range(12))
def test_random_graphs_keep_their_meaning(pipeline: str, number: int, rng: np.random.Generator) -> None:
    graph = Maker(rng).make(int(rng.integers(5, 40)))
    changed = graph.copy()
    run_pipeline(changed, pipeline, [Honest()])
    assert parse(str(changed)) == changed
    for _ in range(2):
        assert_same_results(graph, changed, rng)
    while run_pipeline(changed, pipeline, [Honest()]):
        number -= 1
        assert number > -5, "the pipeline goes on changing the graph"
    assert_same_results(graph, changed, rng)


@pytest.mark.parametrize("number", range(20))
def test_each_single_pass_does_all_of_its_work_at_once(number: int, rng: np.random.Generator) -> None:
    graph = Maker(rng).make(60)
    for name in ("dce", "cse", "canonicalize", "fold", "fuse", "decompose", "hoist"):
        changed = graph.copy()
        run_pipeline(changed, name, [])
        assert not run_pipeline(changed, name, []), name
