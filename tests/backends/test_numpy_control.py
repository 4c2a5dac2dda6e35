"""Branches and loops in NumPy source: memory of carried values, stacks, sizes found on the way, deep nesting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ingot import backends  # noqa: F401  registers them
from ingot.backends.backend import get_backend
from ingot.ir import philox
from ingot.ir.binding import bind_sizes
from ingot.ir.block import Block
from ingot.ir.builder import Builder
from ingot.ir.dtypes import float32, int64
from ingot.ir.graph import Graph, Value
from ingot.ir.interpreter import interpret
from ingot.ir.sizes import var
from ingot.ir.types import BOOL, INT, KEY, TensorType
from ingot.ir.verifier import verify

B, T = var("B"), var("T")
ROW = TensorType(float32, (B, 2))


def agree(graph: Graph, *inputs: Any, **state: Any) -> list[Any]:
    """Run a graph by source, twice, and by the interpreter; the results must be the same bits."""
    verify(graph)
    run = get_backend("numpy").compile(graph)
    expected, updates = interpret(graph, inputs, state)
    for _ in range(2):
        found, new = run(inputs, state, bind_sizes(graph, inputs, state))
        for x, y in zip([*found, *new.values()], [*expected, *updates.values()], strict=True):
            assert np.array_equal(x, y) and np.asarray(x).dtype == np.asarray(y).dtype
    return found


def rows(rng: np.random.Generator, n: int = 3) -> np.ndarray:
    return rng.standard_normal((n, 2)).astype(np.float32)


def loop(graph: Graph, count: Value, start: Value, carried: list[Value], write: Any, stacked: Any = ()) -> list[Value]:
    """A loop whose block is written by `write(builder, i, *params) -> (condition, *yielded)`."""
    body = Block(graph, [INT, *(v.type for v in carried)])
    body.set_returns(write(Builder(body), *body.params))
    types = [*(v.type for v in carried), *stacked]
    return list(Builder(graph).emit("prim::Loop", [count, start, *carried], types=types, blocks=[body]).outputs)


@pytest.fixture
def graph():
    found = Graph("loop")
    found.add_input("x", ROW)
    found.add_input("y", ROW)
    found.add_input("n", INT)
    found.add_input("flag", BOOL)
    return found


def test_a_rotation_of_carried_values(graph, rng):
    x, y, n, _ = graph.inputs
    true = Builder(graph).constant(True)

    def turn(b, i, p, q, r):
        return b.constant(True), q, r, b.emit("add", [p, b.constant(1.0)]).output

    graph.set_return(loop(graph, n, true, [x, y, x], turn))
    for count in range(5):
        agree(graph, rows(rng), rows(rng), count, True)


def test_the_new_value_may_not_overwrite_an_old_one_that_is_read_later(graph, rng):
    x, y, n, _ = graph.inputs
    true = Builder(graph).constant(True)

    def step(b, i, p, q):
        new = b.emit("tanh", [p]).output
        return b.constant(True), new, b.emit("sub", [q, p]).output

    graph.set_return(loop(graph, n, true, [x, y], step))
    agree(graph, rows(rng), rows(rng), 3, True)


def test_views_of_carried_values_keep_them(graph, rng):
    x, y, n, _ = graph.inputs
    true = Builder(graph).constant(True)

    def step(b, i, p, q):
        turned = b.emit("permute", [p], {"dims": (1, 0)}).output
        new = b.emit("neg", [p]).output
        back = b.emit("permute", [turned], {"dims": (1, 0)}).output
        return b.constant(True), new, b.emit("add", [q, back]).output

    graph.set_return(loop(graph, n, true, [x, y], step))
    agree(graph, rows(rng), rows(rng), 3, True)


def test_numbers_keys_and_stacks_are_carried(graph, rng):
    x, _, n, flag = graph.inputs
    key = graph.add_state("rng", KEY)

    def step(b, i, p, k):
        first, second = b.emit("prim::Split", [k]).outputs
        noise = b.emit("rand", [first], {"size": (B, 2), "dtype": float32}).output
        return flag, b.emit("add", [b.emit("mul", [p, i]).output, noise]).output, second, noise

    made = loop(graph, n, flag, [x, key], step, [TensorType(float32, (T, B, 2))])
    graph.set_return([made[0], made[2]], {"rng": made[1]})
    for count in (0, 1, 4):
        for go_on in (True, False):
            agree(graph, rows(rng), rows(rng), count, go_on, rng=philox.seed_key(3))


def test_a_stack_of_known_length_is_written_in_place(rng):
    graph = Graph("scan")
    x = graph.add_input("x", TensorType(float32, (T, 2)))
    b = Builder(graph)
    zero = b.emit("full", (), {"size": (2,), "value": 0.0, "dtype": float32}).output
    start = b.emit("full", (), {"size": (1,), "value": 0, "dtype": int64}).output
    count = b.emit("prim::Size", (), {"value": T}).output

    def step(b, i, p):
        index = b.emit("add", [start, i]).output
        row = b.emit("select", [b.emit("index_select", [x, index], {"dim": 0}).output], {"dim": 0, "index": 0}).output
        new = b.emit("add", [p, row]).output
        return b.constant(True), new, new

    total, running = loop(graph, count, b.constant(True), [zero], step, [TensorType(float32, (T, 2))])
    graph.set_return([total, running])
    found = agree(graph, rows(rng, 5))
    work = get_backend("numpy").emit(graph).text.partition("def plan")[0]
    assert ".append(" not in work and found[1].shape == (5, 2)


def test_branches_write_where_the_result_is_wanted(graph, rng):
    x, y, _, flag = graph.inputs
    blocks = [Block(graph), Block(graph)]
    one = Builder(blocks[0])
    a = one.emit("exp", [x]).output
    blocks[0].set_returns([a, a])
    two = Builder(blocks[1])
    blocks[1].set_returns([y, two.emit("neg", [two.emit("relu", [y]).output]).output])
    graph.set_return(Builder(graph).emit("prim::If", [flag], types=[ROW, ROW], blocks=blocks).outputs)
    for choice in (True, False):
        agree(graph, rows(rng), rows(rng), 1, choice)


def test_sizes_that_are_only_known_at_run_time(rng):
    graph = Graph("found")
    x, flag = graph.add_input("x", TensorType(float32, (B,))), graph.add_input("flag", BOOL)
    b = Builder(graph)
    places = b.emit("nonzero", [x]).output
    number = places.type.sizes[0]
    flat = b.emit("reshape", [places], {"shape": (number,)}).output
    taken = b.emit("index_select", [x, flat], {"dim": 0}).output
    silu = b.emit("silu", [b.emit("mul", [taken, b.constant(2.0)]).output]).output
    blocks = [Block(graph), Block(graph)]
    blocks[0].set_returns([Builder(blocks[0]).emit("neg", [silu]).output])
    blocks[1].set_returns([silu])
    chosen = b.emit("prim::If", [flag], types=[silu.type], blocks=blocks).output
    size = b.emit("prim::Size", (), {"value": number * 2 + 1}).output
    b.emit("prim::Bind", [size], {"variable": var("N")})
    made = b.emit("full", (), {"size": (var("N"), 2), "value": 0.5, "dtype": float32}).output
    graph.set_return([chosen, flat, made, size])
    for values in ([0, 1, 0, 2], [0, 0], [], [3]):
        for choice in (True, False):
            agree(graph, np.array(values, np.float32), choice)


def test_tuples_outlast_the_memory_of_what_they_hold(graph, rng):
    x, y, _, _ = graph.inputs
    b = Builder(graph)
    pair = b.emit("prim::Tuple", [b.emit("neg", [x]).output, y]).output
    busy = b.emit("exp", [b.emit("exp", [b.emit("tanh", [x]).output]).output]).output
    left, right = b.emit("prim::Untuple", [pair]).outputs
    graph.set_return([b.emit("add", [left, busy]).output, right])
    agree(graph, rows(rng), rows(rng), 1, True)


@pytest.mark.parametrize("kind", ["if", "loop", "both"])
def test_nesting_500_deep(kind, rng):
    graph = Graph("deep")
    x, flag, n = graph.add_input("x", ROW), graph.add_input("flag", BOOL), graph.add_input("n", INT)
    writer, value, open_ = Builder(graph), x, []
    for depth in range(500):
        value = writer.emit("add", [value, writer.constant(1.0)]).output
        is_loop = kind == "loop" or (kind == "both" and depth % 2 == 1)
        block = Block(graph, [INT, ROW] if is_loop else [])
        open_.append((writer, value, block, is_loop))
        writer = Builder(block)
        value = block.params[1] if is_loop else value
    value = writer.emit("tanh", [value]).output
    while open_:
        outer, before, block, is_loop = open_.pop()
        if is_loop:
            block.set_returns([flag, value])
            made = outer.emit("prim::Loop", [n, flag, before], types=[ROW], blocks=[block])
        else:
            block.set_returns([value])
            other = Block(graph)
            other.set_returns([Builder(other).emit("neg", [before]).output])
            made = outer.emit("prim::If", [flag], types=[ROW], blocks=[block, other])
        value = outer.emit("sub", [made.output, before]).output
    graph.set_return([value])
    for choice in (True, False):
        agree(graph, rows(rng), choice, 1)
