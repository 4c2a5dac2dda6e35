"""Single numbers in NumPy source: what decides conditions is kept as scalars, with the bits that arrays would have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ingot import backends  # noqa: F401  registers them
from ingot.backends.backend import get_backend
from ingot.ir.binding import bind_sizes
from ingot.ir.block import Block
from ingot.ir.builder import Builder
from ingot.ir.dtypes import DType, bool_, float32, float64, int32, int64
from ingot.ir.graph import Graph, Value
from ingot.ir.interpreter import interpret
from ingot.ir.parser import parse
from ingot.ir.types import INT, TensorType
from ingot.ir.verifier import verify
from ingot.passes import run_pipeline

DTYPES = (bool_, int32, int64, float32, float64)
ARITHMETIC = ("add", "sub", "mul", "maximum", "minimum", "floor_divide", "remainder")
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
SPECIAL = {
    "bool": (False, True),
    "int": (-(2**31), -7, -1, 0, 1, 3, 2**31 - 1),
    "float": (0.0, -0.0, 0.1, -1.5, 3e38, 1e-45, float("inf"), float("-inf"), float("nan")),
}


def same_bits(x: Any, y: Any) -> bool:
    x, y = np.asarray(x), np.asarray(y)
    return x.dtype == y.dtype and x.shape == y.shape and (x.tobytes() == y.tobytes() or bool(x != x and y != y))


def agree(graph: Graph, *inputs: Any) -> list[Any]:
    """Run a graph by source, twice, and by the interpreter; the results must be the same bits, in arrays."""
    verify(graph)
    run = get_backend("numpy").compile(graph)
    expected, _ = interpret(graph, inputs, {})
    for _ in range(2):
        found, _ = run(inputs, {}, bind_sizes(graph, inputs))
        for x, y in zip(found, expected, strict=True):
            assert same_bits(x, y), f"{x!r} {y!r}\n{graph}"
            assert not isinstance(y, np.ndarray) or isinstance(x, np.ndarray)
        assert len({id(x) for x in found if isinstance(x, np.ndarray)}) == sum(isinstance(x, np.ndarray) for x in found)
    return found


def source(graph: Graph) -> str:
    text = get_backend("numpy").emit(graph).text
    return text[text.index("def compute") : text.index("def plan")]


COUNT = """
graph @count(%x : f32[4], %n : {0}[]) -> (f32[4], {0}[]):
  %zero : {0}[] = prim::Constant[value=tensor({0}[], [0])]()
  %one : float = prim::Constant[value=1.0]()
  %step : int = prim::Constant[value=1]()
  %most : int = prim::Constant[value=100]()
  %first : bool[] = ingot::lt(%zero, %n)
  %sum : f32[4], %i_last : {0}[] = prim::Loop(%most, %first, %x, %zero)
    block0(%k : int, %s : f32[4], %i : {0}[]):
      %t : f32[4] = ingot::add(%s, %one)
      %j : {0}[] = ingot::add(%i, %step)
      %more : bool[] = ingot::lt(%j, %n)
      -> (%more, %t, %j)
  return (%sum, %i_last)
"""


@pytest.mark.parametrize("dtype", [int32, int64])
@pytest.mark.parametrize("fused", [False, True])
def test_a_counter_is_no_array(dtype, fused):
    graph = parse(COUNT.format(dtype.short))
    if fused:
        run_pipeline(graph, "fuse,dce")
    found = agree(graph, np.ones(4, np.float32), np.asarray(5, dtype.np))
    assert found[0][0] == 6.0 and found[1] == 5
    assert agree(graph, np.ones(4, np.float32), np.asarray(-1, dtype.np))[1] == 0
    text = source(graph)
    assert text.count("out=") == 1 and "np.copyto(r0, v0)" in text and "np.less" not in text


def test_integers_wrap_around_and_float32_is_rounded():
    graph = Graph("wrap")
    n = graph.add_input("n", TensorType(int32, ()))
    x = graph.add_input("x", TensorType(float32, ()))
    b = Builder(graph)

    def body(b: Builder, i: Value, n: Value, x: Value) -> list[Value]:
        m = b.emit("mul", [n, n]).output
        y = b.emit("mul", [x, b.constant(0.1)]).output
        return [b.emit("lt", [m, b.constant(0)]).output, b.emit("add", [m, b.constant(2**31 - 1)]).output, y]

    block = Block(graph, [INT, n.type, x.type])
    block.set_returns(body(Builder(block), *block.params))
    loop = b.emit("prim::Loop", [b.constant(9), b.constant(True), n, x], types=[n.type, x.type], blocks=[block])
    graph.set_return(loop.outputs)
    for start in (3, -7, 46341, -(2**31)):
        agree(graph, np.asarray(start, np.int32), np.asarray(1.7, np.float32))


def test_a_division_by_zero_is_no_python_error():
    graph = Graph("zero")
    n = graph.add_input("n", TensorType(int64, ()))
    x = graph.add_input("x", TensorType(float64, ()))
    b = Builder(graph)
    q = b.emit("floor_divide", [n, b.constant(0)]).output
    y = b.emit("div", [x, b.emit("mul", [x, b.constant(0.0)]).output]).output
    b.emit("prim::Assert", [b.emit("eq", [q, b.constant(0)]).output], {"message": "q"}, types=[])
    b.emit("prim::Assert", [b.emit("gt", [y, b.constant(1.0)]).output], {"message": "y"}, types=[])
    graph.set_return([q, y])
    agree(graph, np.asarray(5), np.asarray(2.0))
    assert "np.divide" not in source(graph)


def test_an_item_of_a_scalar_is_a_python_number():
    for dtype, value in ((bool_, True), (int32, -3), (int64, 2**62), (float32, 0.1), (float64, 0.1)):
        graph = Graph("item")
        x = graph.add_input("x", TensorType(dtype, ()))
        b = Builder(graph)
        graph.set_return([b.emit("prim::Item", [x]).output, x])
        verify(graph)
        given = np.asarray(value, dtype.np)
        (found, copy), _ = get_backend("numpy").compile(graph)([given], {}, {})
        assert type(found) is type(given.item()) and found == given.item()
        assert copy is not given and same_bits(copy, given)


# ------------------------------------------------------------------------------------------------- random chains


def chain(rng: np.random.Generator, b: Builder, pool: list[Value], count: int) -> None:
    """Append values computed at random from those of a pool, all of them tensors without dimensions."""
    for _ in range(count):
        x = pool[rng.integers(len(pool))]
        same = [v for v in pool if v.type == x.type]
        y: Value = same[rng.integers(len(same))]
        kind = x.type.dtype.kind  # type: ignore[attr-defined]
        if rng.random() < 0.3:
            y = b.constant({"bool": True, "int": int(rng.integers(-3, 4)), "float": float(rng.normal())}[kind])
        if rng.random() < 0.15:
            z = b.emit("cast", [x], {"dtype": DTYPES[rng.integers(len(DTYPES))]}).output if kind != "float" else x
            pool.append(z)
        elif rng.random() < 0.2:
            flags = [v for v in pool if v.type == TensorType(bool_, ())]
            pool.append(b.emit("where", [flags[rng.integers(len(flags))], x, same[rng.integers(len(same))]]).output)
        elif kind == "bool":
            name = ("logical_and", "logical_or", "logical_not", "eq", "ne")[rng.integers(5)]
            pool.append(b.emit(name, [x] if name == "logical_not" else [x, y]).output)
        elif rng.random() < 0.35:
            pool.append(b.emit(COMPARISONS[rng.integers(6)], [x, y]).output)
        elif rng.random() < 0.2:
            pool.append(b.emit(("neg", "abs")[rng.integers(2)], [x]).output)
        else:
            names = (*ARITHMETIC, "div") if kind == "float" else ARITHMETIC
            pool.append(b.emit(names[rng.integers(len(names))], [x, y]).output)


def latest(pool: list[Value], dtype: DType) -> Value:
    return [v for v in pool if v.type == TensorType(dtype, ())][-1]


def random_loop(rng: np.random.Generator) -> Graph:
    """A loop that carries a number of each dtype; its condition is computed from them, and so is a branch in it."""
    graph = Graph("chains")
    inputs = [graph.add_input(d.name, TensorType(d, ())) for d in DTYPES]
    block = Block(graph, [INT, *(v.type for v in inputs)])
    b = Builder(block)
    pool = list(block.params[1:])
    chain(rng, b, pool, 12)
    sides = []
    for _ in range(2):
        side = Block(graph)
        inner = list(pool)
        chain(rng, Builder(side), inner, 4)
        side.set_returns([latest(inner, d) for d in DTYPES])
        sides.append(side)
    flag = latest(pool, bool_)
    pool += b.emit("prim::If", [flag], types=[v.type for v in inputs], blocks=sides).outputs
    chain(rng, b, pool, 6)
    block.set_returns([latest(pool, bool_), *(latest(pool, d) for d in DTYPES)])
    top = Builder(graph)
    start = [top.constant(6), top.constant(True), *inputs]
    graph.set_return(top.emit("prim::Loop", start, types=[v.type for v in inputs], blocks=[block]).outputs)
    return graph


@pytest.mark.parametrize("part", range(8))
def test_random_chains_have_the_interpreters_bits(part, request, conformance):
    seed = request.config.getoption("--seed")
    for number in range(part, 800 if conformance else 64, 8):
        rng = np.random.default_rng((seed, number))
        graph = random_loop(rng)
        if number % 2:
            run_pipeline(graph, "cse,fuse,dce")
        for _ in range(4):
            inputs = [np.asarray(SPECIAL[d.kind][rng.integers(len(SPECIAL[d.kind]))]).astype(d.np) for d in DTYPES]
            agree(graph, *inputs)
