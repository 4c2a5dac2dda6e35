"""Planned memory: the arena, allocations in the steady state, results of one's own, plans by sizes and threads."""

from __future__ import annotations

import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest
from ingot import backends  # noqa: F401  registers them
from ingot.backends.backend import Executable, get_backend
from ingot.backends.numpy import arena, blocks
from ingot.ir.builder import Builder
from ingot.ir.dtypes import float32
from ingot.ir.graph import Graph, Value
from ingot.ir.sizes import var
from ingot.ir.types import TensorType
from ingot.passes import run_pipeline

B = var("B")


def graph_of(write: Any, *types: TensorType, **state: TensorType) -> Graph:
    graph = Graph("memory")
    values = [graph.add_input(f"x{i}", type_) for i, type_ in enumerate(types)]
    values += [graph.add_state(key, type_) for key, type_ in state.items()]
    builder = Builder(graph)

    def call(op: str, *args: Any, **attrs: Any) -> Value:
        operands = [x if isinstance(x, Value) else builder.constant(x) for x in args]
        return builder.emit(op, operands, attrs).output

    outputs = write(call, *values)
    graph.set_return(outputs if isinstance(outputs, tuple) else (outputs,))
    return graph


def f32(*sizes: Any) -> TensorType:
    return TensorType(float32, sizes)


def test_buffers_share_memory_only_when_they_are_never_needed_at_once(rng):
    for _ in range(60):
        buffers = []
        for _ in range(40):
            first = int(rng.integers(0, 40))
            shape = (int(rng.integers(0, 5)), int(rng.integers(0, 200)))
            buffers.append((np.float32, shape, first, first + int(rng.integers(0, 15))))
        buffers.sort(key=lambda buffer: buffer[2])
        arrays = arena.arena(buffers)
        for i, (x, (dtype, shape, first, last)) in enumerate(zip(arrays, buffers, strict=True)):
            assert x.shape == shape and x.dtype == dtype and x.ctypes.data % 64 == 0
            for y, (_, _, other_first, other_last) in zip(arrays[:i], buffers[:i], strict=True):
                apart = last < other_first or other_last < first
                assert apart or not np.shares_memory(x, y)


def test_neighbouring_gaps_become_one():
    gaps = arena.Gaps()
    first, second = gaps.take(64), gaps.take(128)
    gaps.give(first, 64)
    gaps.give(second, 128)
    assert gaps.take(192) == 0 and gaps.end == 192


def transformer_like(call: Any, x: Value, w: Value, v: Value) -> Value:
    """Attention and a feed-forward part: products, softmax, layer norm, reshapes of what lies across."""
    heads = call("permute", call("reshape", call("linear", x, w, None), shape=(B, 8, 4, 16)), dims=(0, 2, 1, 3))
    scores = call("softmax", call("matmul", heads, call("permute", heads, dims=(0, 1, 3, 2))), dim=-1)
    mixed = call("reshape", call("permute", call("matmul", scores, heads), dims=(0, 2, 1, 3)), shape=(B, 8, 64))
    normal = call("layer_norm", call("add", x, mixed), None, None, normalized_shape=(64,), eps=1e-5)
    return call("add", normal, call("linear", call("silu", call("linear", normal, v, None)), v, None))


def steady_state(run: Executable, inputs: list[Any], state: dict[str, Any], sizes: dict[str, int]) -> int:
    """The most bytes that a call has allocated at once, beyond what it gives back, after some calls."""
    for _ in range(3):
        run(inputs, state, sizes)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        results = run(inputs, state, sizes)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return peak - before - sum(x.nbytes for x in (*results[0], *results[1].values()))


@pytest.mark.parametrize("pipeline", ["", "fuse"])
def test_nothing_is_allocated_in_the_steady_state_but_results(pipeline, rng):
    graph = graph_of(transformer_like, f32(B, 8, 64), w=f32(64, 64), v=f32(64, 64))
    run_pipeline(graph, pipeline)
    run = get_backend("numpy").compile(graph)
    x = rng.standard_normal((32, 8, 64)).astype(np.float32)
    state = {key: rng.standard_normal((64, 64)).astype(np.float32) for key in "wv"}
    assert x.nbytes == 65536
    # A reduction's own result (one number a row) is all that layer norm and softmax make on the way.
    assert steady_state(run, [x], state, {"B": 32}) < x.nbytes // 8


def test_element_wise_blocks_allocate_nothing(monkeypatch, rng):
    monkeypatch.setenv("INGOT_NUM_THREADS", "1")
    n = 3 * blocks.BLOCK

    def write(call: Any, x: Value, y: Value) -> Value:
        a = call("maximum", call("mul", x, y), 0.0)
        b = call("where", call("gt", a, 1.0), call("sqrt", a), y)
        return call("minimum", call("add", call("cast", call("cast", b, dtype="float64"), dtype="float32"), x), 3.0)

    graph = graph_of(write, f32(n), f32(n))
    run_pipeline(graph, "fuse")
    x, y = (rng.standard_normal(n).astype(np.float32) for _ in range(2))
    assert steady_state(get_backend("numpy").compile(graph), [x, y], {}, {}) < 20_000


def test_results_are_never_views_of_what_others_hold(rng):
    def write(call: Any, x: Value, w: Value) -> tuple[Value, ...]:
        y = call("neg", x)
        return x, w, y, y, call("reshape", y, shape=(8,)), call("select", y, dim=0, index=0), call("detach", x)

    graph = graph_of(write, f32(2, 4), w=f32(3))
    run = get_backend("numpy").compile(graph)
    x, w = rng.standard_normal((2, 4)).astype(np.float32), rng.standard_normal(3).astype(np.float32)
    first, second = (run([x], {"w": w}, {})[0] for _ in range(2))
    everything = [x, w, *first, *second]
    for i, a in enumerate(everything):
        assert not any(np.shares_memory(a, b) for b in everything[:i])
    kept = [a.copy() for a in first]
    run([x + 1], {"w": w + 1}, {})
    assert all(np.array_equal(a, b) for a, b in zip(first, kept, strict=True))
    for a in first:
        a[...] = 7  # they are the caller's
    assert np.array_equal(run([x], {"w": w}, {})[0][2], -x)


def test_a_constant_is_not_given_away():
    graph = Graph("constant")
    b = Builder(graph)
    graph.set_return([b.constant(np.arange(3.0)), b.constant(np.arange(100.0))])
    run = get_backend("numpy").compile(graph)
    for x in run([], {}, {})[0]:
        x[...] = -1
    small, large = run([], {}, {})[0]
    assert small.tolist() == [0, 1, 2] and large.tolist() == list(range(100))


def test_every_size_has_its_plan_and_old_ones_are_dropped(rng):
    graph = graph_of(lambda call, x: call("sum", call("exp", x), dim=(0,)), f32(B, 5))
    run = get_backend("numpy").compile(graph)
    for batch in [*range(1, 40), 1, 2]:
        x = rng.standard_normal((batch, 5)).astype(np.float32)
        assert np.array_equal(run([x], {}, {"B": batch})[0][0], np.exp(x).sum(0))
    assert len(run._plans) <= 16


def test_calls_from_several_threads_do_not_disturb_each_other(rng):
    graph = graph_of(transformer_like, f32(B, 8, 64), w=f32(64, 64), v=f32(64, 64))
    run_pipeline(graph, "fuse")
    run = get_backend("numpy").compile(graph)
    state = {key: rng.standard_normal((64, 64)).astype(np.float32) for key in "wv"}
    cases = [rng.standard_normal((n, 8, 64)).astype(np.float32) for n in (1, 2, 2, 3, 3, 3)]
    expected = [run([x], state, {"B": len(x)})[0][0] for x in cases]
    wrong: list[int] = []
    barrier = threading.Barrier(len(cases))

    def work(i: int) -> None:
        barrier.wait()
        for _ in range(30):
            if not np.array_equal(run([cases[i]], state, {"B": len(cases[i])})[0][0], expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(cases))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_operand_is_written_over_in_its_last_use():
    graph = graph_of(lambda call, x: call("neg", call("tanh", call("exp", call("sum", x, dim=(0,))))), f32(3, 50))
    text = get_backend("numpy").emit(graph).text
    plan = text[text.index("def plan") : text.index("def _accumulate")]
    assert plan.count("np.float32") == 1  # one buffer; the last step writes the result


def test_reshapes_of_what_lies_across_are_copied_into_planned_memory(rng):
    def write(call: Any, x: Value) -> Value:
        across = call("permute", call("neg", x), dims=(1, 0))
        return call("exp", call("reshape", across, shape=(B * 6,)))

    graph = graph_of(write, f32(B, 6))
    work = get_backend("numpy").emit(graph).text.partition("def plan")[0]
    assert "np.copyto(" in work and "reshape" not in work
    run = get_backend("numpy").compile(graph)
    for batch in (1, 2, 5):
        x = rng.standard_normal((batch, 6)).astype(np.float32)
        assert np.array_equal(run([x], {}, {"B": batch})[0][0], np.exp(-x.T.reshape(-1)))
