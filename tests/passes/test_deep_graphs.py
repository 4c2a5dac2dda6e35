"""Nesting far deeper than Python's recursion limit."""

import sys

import pytest
from ingot.ir.builder import Builder
from ingot.ir.dtypes import float32
from ingot.ir.errors import GradientError
from ingot.ir.graph import Block, Graph
from ingot.ir.types import BOOL, INT, TensorType
from ingot.ir.verifier import verify
from ingot.passes import all_passes, partition, run_pipeline

TENSOR = TensorType(float32, (4,))


def tower(depth: int) -> Graph:
    """Branches and loops inside of each other, each level with nodes to merge, to fuse, to simplify and to drop."""
    graph = Graph("tower")
    x = graph.add_input("x", TENSOR)
    condition = graph.add_input("c", BOOL)
    count = graph.add_input("n", INT)
    levels = [Builder(graph)]
    for level in range(depth):
        builder = levels[-1]
        x = builder.emit("tanh", [x]).output
        x = builder.emit("mul", [builder.constant(1.0), x]).output
        builder.emit("exp", [x])
        x = builder.emit("sin", [x]).output
        levels.append(Builder(Block(graph, [INT, TENSOR] if level % 2 else [])))
    for level in reversed(range(depth)):
        inner, outer = levels[level + 1].point.block, levels[level]
        if level % 2:
            inner.set_returns([levels[level + 1].constant(True), x])
            carried = outer.point.block.nodes.last.output
            inputs = [count, condition, carried]
            x = outer.emit("prim::Loop", inputs, types=[TENSOR], blocks=[inner]).output
        else:
            inner.set_returns([x])
            other = Block(graph)
            other.set_returns([outer.point.block.nodes.last.output])
            x = outer.emit("prim::If", [condition], types=[TENSOR], blocks=[inner, other]).output
    graph.set_return([x])
    return graph


DEEP = tower(2 * sys.getrecursionlimit())


@pytest.mark.parametrize("name", [pass_.name for pass_ in all_passes() if pass_.name != "differentiate"])
def test_passes_do_not_recurse_on_depth(name: str) -> None:
    graph = DEEP.copy()
    changed = run_pipeline(graph, name, [])
    assert changed == (name in {"canonicalize", "cse", "dce", "fuse", "hoist"})
    verify(graph)


def test_differentiate_says_where_it_is_too_deep() -> None:
    with pytest.raises(GradientError, match="more than 50 branches and loops"):
        run_pipeline(DEEP.copy(), "differentiate", [])


def test_partition_does_not_recurse_on_depth() -> None:
    assert partition(DEEP)[0] is None
