"""Fused groups: steps and registers, blocks and threads, broadcasting, layouts, dtypes."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
import pytest
from ingot import backends  # noqa: F401  registers them
from ingot.backends.backend import get_backend
from ingot.backends.numpy import blocks, runtime
from ingot.backends.numpy.steps import Array, Number, Output, Program, assign
from ingot.ir.binding import bind_sizes
from ingot.ir.builder import Builder
from ingot.ir.dtypes import DType, bfloat16, bool_, by_short, float32, float64, int32, int64
from ingot.ir.graph import Graph, Value
from ingot.ir.interpreter import interpret
from ingot.ir.scalar import TREES, Arg
from ingot.ir.sizes import Size, var
from ingot.ir.types import FLOAT, TensorType
from ingot.passes import run_pipeline
from special_values import special_values

BLOCK = blocks.BLOCK


def fused_graph(write: Any, *types: TensorType) -> Graph:
    """A graph whose element-wise nodes are in groups; `write(call, *values)` gives its outputs."""
    graph = Graph("fused")
    values = [graph.add_input(f"x{i}", type_) for i, type_ in enumerate(types)]
    builder = Builder(graph)

    def call(op: str, *args: Any, **attrs: Any) -> Value:
        operands = [x if isinstance(x, Value) else builder.constant(x) for x in args]
        return builder.emit(op, operands, attrs).output

    outputs = write(call, *values)
    graph.set_return(outputs if isinstance(outputs, tuple) else (outputs,))
    run_pipeline(graph, "fuse,dce")
    assert any(node.op.name == "prim::FusionGroup" for node in graph.nodes())
    return graph


def f32(*sizes: Size) -> TensorType:
    return TensorType(float32, sizes)


def agree(graph: Graph, *inputs: Any) -> list[np.ndarray]:
    expected, _ = interpret(graph, inputs)
    run = get_backend("numpy").compile(graph)
    sizes = bind_sizes(graph, inputs)
    for _ in range(2):
        found, _ = run(inputs, {}, sizes)
        for x, y in zip(found, expected, strict=True):
            assert x.dtype == y.dtype and x.shape == y.shape
            assert np.array_equal(x, y, equal_nan=True) if x.dtype.kind != "V" else x.tobytes() == y.tobytes()
    return found


def chain(call: Any, x: Value, y: Value) -> Value:
    a = call("maximum", call("add", call("mul", x, 1.5), y), 0.0)
    a = call("where", call("gt", a, 1.0), call("sqrt", a), call("neg", y))
    return call("minimum", call("sub", a, x), 10.0)


@pytest.mark.parametrize("total", [0, 1, 100, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17])
@pytest.mark.parametrize("threads", ["1", "2", "5"])
def test_every_number_of_blocks_and_threads(total, threads, monkeypatch, rng):
    monkeypatch.setenv("INGOT_NUM_THREADS", threads)
    monkeypatch.setattr(blocks, "WORTH_THREADS", 1)
    n = var("n")
    x, y = (rng.standard_normal(total).astype(np.float32) for _ in range(2))
    agree(fused_graph(chain, f32(n), f32(n)), x, y)


def test_threads_give_the_same_bits(monkeypatch, rng):
    graph = fused_graph(lambda call, x: call("log", call("exp", call("tanh", x))), f32(20 * BLOCK + 3))
    x = rng.standard_normal(20 * BLOCK + 3).astype(np.float32)
    found = set()
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("INGOT_NUM_THREADS", threads)
        run = get_backend("numpy").compile(graph)
        found |= {run([x], {}, {})[0][0].tobytes() for _ in range(4)}
    assert len(found) == 1


def test_the_number_of_threads_is_checked(monkeypatch):
    for wrong in ("0", "two", "-1"):
        monkeypatch.setenv("INGOT_NUM_THREADS", wrong)
        with pytest.raises(ValueError, match="INGOT_NUM_THREADS"):
            blocks.worker_count()
    monkeypatch.setenv("INGOT_NUM_THREADS", "3")
    assert blocks.worker_count() == 3


@pytest.mark.parametrize(
    ("shape", "other"),
    [
        ((6, 16, 30, 40), (16, 1, 1)),
        ((6, 16, 30, 40), (1, 16, 1, 1)),
        ((6, 16, 30, 40), (40,)),
        ((6, 16, 30, 40), (6, 1, 1, 1)),
        ((6, 16, 30, 40), ()),
        ((6, 16, 30, 40), (1, 1, 1, 1)),
        ((3, 2 * BLOCK), (3, 1)),
        ((3, 2 * BLOCK), (2 * BLOCK,)),
        ((2, 3, BLOCK + 5), (3, 1)),
        ((2, 3, BLOCK + 5), (2, 1, 1)),
        ((1, 1, 2 * BLOCK + 1), (1, 1, 1)),
        ((300000, 1), (1,)),
    ],
)
def test_broadcast_operands(shape, other, rng):
    x, y = rng.standard_normal(shape).astype(np.float32), rng.standard_normal(other).astype(np.float32)
    graph = fused_graph(lambda call, x, y: call("exp", call("sub", call("mul", x, y), x)), f32(*shape), f32(*other))
    agree(graph, x, y)


def test_operands_that_do_not_lie_in_one_piece(rng):
    graph = fused_graph(chain, f32(500, 700), f32(500, 700))
    x, y = rng.standard_normal((700, 500)).astype(np.float32).T, rng.standard_normal((500, 1400)).astype(np.float32)
    agree(graph, x, y[:, ::-2])
    agree(graph, np.ascontiguousarray(x), y[:, ::-2])
    agree(graph, np.broadcast_to(x[:1], (500, 700)), np.ascontiguousarray(y[:, ::-2]))


def test_several_outputs_some_of_them_operands_memory(rng):
    def write(call: Any, x: Value) -> tuple[Value, ...]:
        a = call("sum", x, dim=(0,), keepdim=True)  # arena memory, which the group may take over
        b = call("neg", a)
        c = call("mul", call("add", b, a), 2.0)
        return b, c, call("where", call("gt", a, 0.0), a, c)

    agree(fused_graph(write, f32(4, 50)), rng.standard_normal((4, 50)).astype(np.float32))


def test_run_time_numbers(rng):
    graph = Graph("scaled")
    x, scale = graph.add_input("x", f32(100)), graph.add_input("scale", FLOAT)
    b = Builder(graph)
    y = b.emit("add", [b.emit("mul", [x, scale]).output, scale]).output
    wide = b.emit("mul", [b.emit("cast", [y], {"dtype": float64}).output, scale]).output
    graph.set_return([wide])
    run_pipeline(graph, "fuse")
    agree(graph, rng.standard_normal(100).astype(np.float32), 0.1)


@pytest.mark.parametrize("name", sorted(by_short))
def test_select_keeps_every_bit(name, rng):
    dtype = by_short[name]
    values = special_values(dtype) if dtype.kind == "float" else rng.integers(0, 2, 16).astype(dtype.np)
    a, b = np.resize(values, 40), np.resize(values[::-1], 40)
    condition = rng.random(40) < 0.5
    expected = np.where(condition, a, b)
    mask = np.empty(40, f"i{dtype.itemsize}")
    for out, left, right in ((np.empty_like(a), a, b), (a.copy(), None, b), (b.copy(), a, None)):
        runtime.select(condition, out if left is None else left, out if right is None else right, out, mask)
        assert out.tobytes() == expected.tobytes()
    zero = np.zeros(40, dtype.np)
    out = np.empty_like(a)
    runtime.select(condition, a, None, out, mask)
    assert out.tobytes() == np.where(condition, a, zero).tobytes()
    runtime.select(condition, None, b, out, mask)
    assert out.tobytes() == np.where(condition, zero, b).tobytes()


@pytest.mark.parametrize("dtype", [bfloat16, float64, int32, bool_], ids=lambda d: d.name)
def test_dtypes(dtype: DType, rng):
    x = rng.integers(0, 4, (5, 6)).astype(dtype.np)
    type_ = TensorType(dtype, (5, 6))

    def write(call: Any, x: Value) -> Value:
        twice = call("mul", call("add", x, x), x)
        chosen = call("where", call("gt", twice, 1), x, twice)
        return call("cast", call("maximum", call("cast", chosen, dtype=float32), 0.5), dtype=dtype)

    agree(fused_graph(write, type_), x)


def test_a_step_takes_an_operands_register_in_its_last_use():
    program = Program()
    x = Array("x", float32)
    tree = TREES.mul(TREES.exp(Arg(0, float32)), TREES.add(Arg(0, float32), 1.0))
    end = program.tree(tree, [x], str)
    made: list[DType] = []

    def new(dtype: DType) -> str:
        made.append(dtype)
        return f"t{len(made)}"

    assert assign(program, [Output("y", end)], new) == []
    assert [step.register for step in program.steps] == ["y", "t1", "y"] and made == [float32]


def test_an_output_waits_for_the_operand_whose_memory_it_takes():
    program = Program()
    x = Array("y", float32)
    end = program.tree(TREES.sub(TREES.exp(Arg(0, float32)), Arg(0, float32)), [x], str)
    assert assign(program, [Output("y", end, after=1)], lambda dtype: "t") == []
    assert [step.register for step in program.steps] == ["t", "y"]


def test_literals_are_folded():
    program = Program()
    end = program.tree(TREES.exp(TREES.cast(TREES.const(2, int64), float32)), [], str)
    assert not program.steps and isinstance(end, Number) and end.value == pytest.approx(np.exp(2.0), rel=1e-6)


def test_a_pool_that_is_busy_does_not_stop_anybody(monkeypatch, rng):
    monkeypatch.setenv("INGOT_NUM_THREADS", "4")
    graph = fused_graph(chain, f32(16 * BLOCK), f32(16 * BLOCK))
    x, y = (rng.standard_normal(16 * BLOCK).astype(np.float32) for _ in range(2))
    run = get_backend("numpy").compile(graph)
    expected = run([x, y], {}, {})[0][0]
    results: list[bool] = []

    def many() -> None:
        results.extend(np.array_equal(run([x, y], {}, {})[0][0], expected) for _ in range(5))

    threads = [threading.Thread(target=many) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 30


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processors cannot be chosen here")
def test_a_call_leaves_the_callers_processors_as_they_were(monkeypatch, rng):
    monkeypatch.setenv("INGOT_NUM_THREADS", "2")
    usual = os.sched_getaffinity(0)
    n = 16 * BLOCK
    x, y = (rng.standard_normal(n).astype(np.float32) for _ in range(2))
    agree(fused_graph(chain, f32(n), f32(n)), x, y)
    with pytest.raises(KeyError), blocks.apart() as others:
        assert others < usual
        raise KeyError
    assert os.sched_getaffinity(0) == usual
