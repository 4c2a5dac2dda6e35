"""Element-wise chains over four million float32 elements: compiled source against plain NumPy calls with temporaries.

Plain NumPy is what people write, one call after the other. Compiled source computes the chain in blocks that stay in
the cache, over INGOT_NUM_THREADS threads. Both give a new array; the results are compared bit by bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from ingot import backends  # noqa: F401  registers them
from ingot.backends.backend import get_backend
from ingot.ir.builder import Builder
from ingot.ir.dtypes import float32
from ingot.ir.graph import Graph, Value
from ingot.ir.types import TensorType
from ingot.passes import run_pipeline
from measure import Row, interleaved, ratio_row

__all__ = ["rows"]

ELEMENTS = 4_000_000
Array = np.ndarray


def plain_arithmetic(x: Array, y: Array) -> Array:
    """mul, add, max, mul, sub, square, add, sqrt, div, add, min, neg."""
    a = np.multiply(x, 1.5)
    a = np.add(a, y)
    a = np.maximum(a, 0.0)
    a = np.multiply(a, y)
    a = np.subtract(a, 0.5)
    a = np.square(a)
    a = np.add(a, 1.0)
    a = np.sqrt(a)
    a = np.divide(a, y)
    a = np.add(a, x)
    a = np.minimum(a, 10.0)
    return np.negative(a)


def arithmetic(call: Callable[..., Value], number: Callable[[float], Value], x: Value, y: Value) -> Value:
    """The same as a graph."""
    a = call("mul", x, number(1.5))
    a = call("add", a, y)
    a = call("maximum", a, number(0.0))
    a = call("mul", a, y)
    a = call("sub", a, number(0.5))
    a = call("square", a)
    a = call("add", a, number(1.0))
    a = call("sqrt", a)
    a = call("div", a, y)
    a = call("add", a, x)
    a = call("minimum", a, number(10.0))
    return call("neg", a)


def plain_transcendental(x: Array, y: Array) -> Array:
    """tanh, exp, log."""
    return np.log(np.exp(np.tanh(x)))


def transcendental(call: Callable[..., Value], number: Callable[[float], Value], x: Value, y: Value) -> Value:
    """The same as a graph."""
    return call("log", call("exp", call("tanh", x)))


def compiled(write: Callable[..., Value], threads: int) -> Callable[[Array, Array], Array]:
    """A chain through `fuse` and the NumPy backend."""
    graph = Graph("chain")
    x, y = (graph.add_input(name, TensorType(float32, (ELEMENTS,))) for name in "xy")
    builder = Builder(graph)
    graph.set_return([write(lambda op, *args: builder.emit(op, args).output, builder.constant, x, y)])
    run_pipeline(graph, "fuse,dce")
    before = os.environ.get("INGOT_NUM_THREADS")
    os.environ["INGOT_NUM_THREADS"] = str(threads)
    try:
        run = get_backend("numpy").compile(graph)
        run([np.ones(ELEMENTS, np.float32)] * 2, {}, {})  # the plan is made by the first call
    finally:
        if before is None:
            del os.environ["INGOT_NUM_THREADS"]
        else:
            os.environ["INGOT_NUM_THREADS"] = before
    return lambda x, y: run([x, y], {}, {})[0][0]


def rows() -> list[Row]:
    """The chains on two threads and on one."""
    rng = np.random.default_rng(0)
    x, y = (rng.random(ELEMENTS, dtype=np.float32) + np.float32(0.5) for _ in range(2))
    found: list[Row] = []
    cases = (
        ("chain of 12 operations", plain_arithmetic, arithmetic, ((2, 3.0), (1, 1.8))),
        ("tanh, exp, log", plain_transcendental, transcendental, ((2, 2.2), (1, None))),
    )
    for name, plain, write, limits in cases:
        runs = {f"{threads} threads": compiled(write, threads) for threads, _ in limits}
        expected = plain(x, y)
        for run in runs.values():
            assert run(x, y).tobytes() == expected.tobytes(), f"{name}: the results differ"
        subjects = {"numpy": lambda plain=plain: plain(x, y)}
        subjects |= {key: lambda run=run: run(x, y) for key, run in runs.items()}
        times = interleaved(subjects, seconds=4.0, inner=1)
        for threads, limit in limits:
            title = f"{name}, {threads} thread{'s' if threads > 1 else ''}"
            found.append(ratio_row(title, times, f"{threads} threads", "numpy", limit, speedup=True))
    return found
