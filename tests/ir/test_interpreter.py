"""The interpreter: structure, sizes, lifetimes and errors."""

from __future__ import annotations

import sys
import weakref
from typing import Any

import numpy as np
import pytest
from ingot.ir import philox
from ingot.ir.block import Block
from ingot.ir.builder import Builder
from ingot.ir.dtypes import bool_, float32, int64
from ingot.ir.errors import ArgumentError, IndexOutOfRange, ShapeError
from ingot.ir.families import opaque
from ingot.ir.graph import Graph
from ingot.ir.interpreter import evaluate_attr, interpret, last_uses
from ingot.ir.locations import Location
from ingot.ir.registry import unregister
from ingot.ir.sizes import var
from ingot.ir.types import BOOL, INT, KEY, TensorType
from ingot.ir.verifier import verify

B = var("B")
ROW = TensorType(float32, (B, 2))


def run(graph: Graph, *inputs: Any, **state: Any) -> list[Any]:
    verify(graph)
    outputs, _ = interpret(graph, list(inputs), state)
    return outputs


def test_constants_sizes_and_symbolic_attributes():
    graph = Graph()
    x = graph.add_input("x", ROW)
    b = Builder(graph)
    flat = b.emit("reshape", [x], {"shape": (B * 2,)}).output
    size = b.emit("prim::Size", (), {"value": B * 2 + 1}).output
    table = b.constant(np.array([10.0, 20.0], np.float32))
    graph.set_return([b.emit("mul", [flat, b.constant(2.0)]).output, size, b.emit("add", [x, table]).output])
    doubled, number, shifted = run(graph, np.ones((3, 2), np.float32))
    assert doubled.tolist() == [2.0] * 6 and number == 7 and shifted[0].tolist() == [11.0, 21.0]


def test_updates_of_state():
    graph = Graph()
    x = graph.add_input("x", ROW)
    total, count = graph.add_state("total", ROW), graph.add_state("count", TensorType(int64, ()))
    b = Builder(graph)
    graph.set_return(
        [x], {"total": b.emit("add", [total, x]).output, "count": b.emit("add", [count, b.constant(1)]).output}
    )
    ones = np.ones((3, 2), np.float32)
    state = {"total": ones.copy(), "count": np.array(4)}
    outputs, updates = interpret(graph, [ones], state)
    assert outputs[0] is ones and updates["count"] == 5 and (updates["total"] == 2).all()
    assert state["count"] == 4 and (state["total"] == 1).all()
    with pytest.raises(ArgumentError, match="state 'total' is missing"):
        interpret(graph, [ones], {})


def test_branches_take_one_side_only():
    graph = Graph()
    x, flag = graph.add_input("x", ROW), graph.add_input("flag", TensorType(bool_, ()))
    taken, other = Block(graph), Block(graph)
    taken.set_returns([Builder(taken).emit("neg", [x]).output, x])
    other.set_returns([x, Builder(other).emit("exp", [x]).output])
    made = Builder(graph).emit("prim::If", [flag], types=[ROW, ROW], blocks=[taken, other])
    graph.set_return(made.outputs)
    ones = np.ones((1, 2), np.float32)
    a, b = run(graph, ones, np.array(True))
    assert (a == -1).all() and b is ones
    a, b = run(graph, ones, np.array(False))
    assert a is ones and np.allclose(b, np.e)


def loop_graph(stacked_size: Any) -> Graph:
    """Carries (x + i, y), swaps them at every turn, stops when the flag in the body says so, stacks x."""
    graph = Graph()
    x, y, n = graph.add_input("x", ROW), graph.add_input("y", ROW), graph.add_input("n", INT)
    limit = graph.add_input("limit", INT)
    body = Block(graph, [INT, ROW, ROW], ["i", "a", "b"])
    i, a, c = body.params
    b = Builder(body)
    more = b.emit("lt", [b.emit("full", (), {"size": (), "value": 0, "dtype": int64}).output, limit]).output
    grown = b.emit("add", [a, i]).output
    body.set_returns([more, c, grown, a])
    outer = Builder(graph)
    types = [ROW, ROW, TensorType(float32, (stacked_size, B, 2))]
    made = outer.emit("prim::Loop", [n, outer.constant(True), x, y], types=types, blocks=[body])
    graph.set_return(made.outputs)
    return graph


def test_loops_carry_stack_and_stop():
    graph = loop_graph(var("T"))
    x, y = np.zeros((1, 2), np.float32), np.full((1, 2), 100, np.float32)
    a, b, stack = run(graph, x, y, 3, 1)
    # (0, 100) -> (100, 0+0) -> (0, 100+1) -> (101, 0+2)
    assert a[0, 0] == 101 and b[0, 0] == 2 and stack[:, 0, 0].tolist() == [0, 100, 0]
    a, b, stack = run(graph, x, y, 3, 0)
    assert a[0, 0] == 100 and stack.shape == (1, 1, 2)
    a, b, stack = run(graph, x, y, 0, 1)
    assert a is x and b is y and stack.shape == (0, 1, 2) and stack.dtype == np.float32


def test_a_stack_binds_the_size_that_it_has():
    graph = loop_graph(var("T"))
    b = Builder(graph)
    flat = b.emit("reshape", [graph.outputs[2]], {"shape": (var("T") * B * 2,)}).output
    graph.set_return([flat])
    x = np.zeros((1, 2), np.float32)
    assert run(graph, x, x, 3, 1)[0].shape == (6,)
    assert run(graph, x, x, 0, 1)[0].shape == (0,)


def test_bind_gives_a_size_a_run_time_value():
    graph = Graph()
    n = graph.add_input("n", INT)
    b = Builder(graph)
    b.emit("prim::Bind", [n], {"variable": var("N")})
    graph.set_return([b.emit("full", (), {"size": (var("N"), 2), "value": 1, "dtype": float32}).output])
    assert run(graph, 3)[0].shape == (3, 2)


def test_data_dependent_sizes_are_learnt():
    graph = Graph()
    x = graph.add_input("x", TensorType(float32, (B,)))
    b = Builder(graph)
    found = b.emit("nonzero", [x]).output
    size = found.type.sizes[0]
    graph.set_return([found, b.emit("prim::Size", (), {"value": size * 2}).output])
    places, double = run(graph, np.array([0, 1, 0, 2, 3], np.float32))
    assert places.reshape(-1).tolist() == [1, 3, 4] and double == 6


def test_keys_containers_and_groups():
    graph = Graph()
    key, x = graph.add_input("key", KEY), graph.add_input("x", ROW)
    b = Builder(graph)
    first, second = b.emit("prim::Split", [key]).outputs
    pair = b.emit("prim::Tuple", [first, x]).output
    left, right = b.emit("prim::Untuple", [pair]).outputs
    body = Block(graph, [ROW], ["a"])
    inner = Builder(body)
    body.set_returns([inner.emit("relu", [inner.emit("neg", body.params).output]).output])
    group = b.emit("prim::FusionGroup", [right], types=[ROW], blocks=[body]).output
    graph.set_return([left, second, group, b.emit("prim::List", [x, x]).output])
    words = philox.seed_key(7)
    x_value = np.array([[1.0, -2.0]], np.float32)
    left_value, second_value, group_value, both = run(graph, words, x_value)
    expected = philox.split(words)
    assert (left_value == expected[0]).all() and (second_value == expected[1]).all()
    assert group_value.tolist() == [[0.0, 2.0]] and both[0] is x_value and len(both) == 2


def test_nesting_may_be_deep():
    graph = Graph()
    x, flag = graph.add_input("x", ROW), graph.add_input("flag", BOOL)
    depth = 2000
    writers = [Builder(graph)]
    for _ in range(depth):
        writers.append(Builder(Block(graph)))
    value = writers[-1].emit("neg", [x]).output
    for level in range(depth, 0, -1):
        block = writers[level].point.block
        block.set_returns([value])
        other = Block(graph)
        other.set_returns([x])
        value = writers[level - 1].emit("prim::If", [flag], types=[ROW], blocks=[block, other]).output
    graph.set_return([value])
    assert depth > sys.getrecursionlimit()
    assert (interpret(graph, [np.ones((1, 2), np.float32), True])[0][0] == -1).all()


def test_last_uses_count_what_is_read_inside_of_blocks():
    graph = Graph()
    x, flag = graph.add_input("x", ROW), graph.add_input("flag", BOOL)
    b = Builder(graph)
    y = b.emit("neg", [x]).output
    unused = b.emit("exp", [x])
    blocks = [Block(graph), Block(graph)]
    inner = Builder(blocks[0]).emit("add", [y, x])
    blocks[0].set_returns([inner.output])
    blocks[1].set_returns([x])
    branch = b.emit("prim::If", [flag], types=[ROW], blocks=blocks)
    graph.set_return([branch.output])
    last = last_uses(graph)
    assert set(last[branch]) == {x, y, flag}
    assert last[unused] == (unused.output,)
    assert last[blocks[0].terminator] == (inner.output,)
    assert last[graph.block.terminator] == (branch.output,)


def test_values_are_let_go_after_their_last_use():
    made: list[weakref.ref[Any]] = []
    alive: list[int] = []

    class Watched(np.ndarray):
        """An array that can be watched."""

    def kernel(x: Any) -> Any:
        alive.append(sum(ref() is not None for ref in made))
        found = (np.asarray(x) + 1).view(Watched)
        made.append(weakref.ref(found))
        return found

    op = opaque("testing::watched(input: Tensor) -> Tensor", infer=lambda types, attrs: (types[0],), kernel=kernel)
    try:
        graph = Graph()
        value = graph.add_input("x", ROW)
        b = Builder(graph)
        for _ in range(5):
            value = b.emit(op, [value]).output
        graph.set_return([value])
        interpret(graph, [np.zeros((1, 2), np.float32)])
    finally:
        unregister(op.name)
    assert alive == [0, 1, 1, 1, 1]


def test_an_error_names_the_users_line():
    graph = Graph("forward")
    x, index = graph.add_input("x", ROW), graph.add_input("i", TensorType(int64, (1,)))
    here = Location("model.py", 12, 8, 12, 20, "Net.forward", "  return x[i]  # rows")
    found = Builder(graph).emit("index_select", [x, index], {"dim": 0}, location=here, path="fc1")
    graph.set_return(found.outputs)
    with pytest.raises(IndexOutOfRange) as caught:
        run(graph, np.ones((2, 2), np.float32), np.array([5]))
    text = str(caught.value)
    assert "at model.py:12:8, in Net.forward  (fc1)" in text and "while running @forward" in text
    with pytest.raises(ShapeError, match="input x"):
        run(graph, np.ones((2, 3), np.float32), np.array([5]))


def test_evaluate_attr():
    assert evaluate_attr(((B, 2), "same", None), {"B": 3}) == ((3, 2), "same", None)
