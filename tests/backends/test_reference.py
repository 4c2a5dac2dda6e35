"""The reference backend: the interpreter behind a backend's face."""

from __future__ import annotations

import numpy as np
import pytest
from ingot import backends  # noqa: F401  registers them
from ingot.backends.backend import get_backend
from ingot.ir.builder import Builder
from ingot.ir.dtypes import float32
from ingot.ir.errors import UnsupportedError
from ingot.ir.graph import Graph
from ingot.ir.sizes import var
from ingot.ir.types import TensorType

ROW = TensorType(float32, (var("B"), 4))


def test_results_are_the_callers_own(rng):
    graph = Graph("reference")
    x, w = graph.add_input("x", ROW), graph.add_state("w", ROW)
    b = Builder(graph)
    y = b.emit("neg", [x]).output
    flat = b.emit("reshape", [y], {"shape": (var("B") * 4,)}).output
    total = b.emit("sum", [x]).output
    table = b.constant(np.arange(3.0))
    graph.set_return([x, w, y, y, flat, total, table], {"w": w})
    run = get_backend("reference").compile(graph)
    arrays = [rng.standard_normal((2, 4)).astype(np.float32) for _ in range(2)]
    outputs, updates = run(arrays[:1], {"w": arrays[1]}, {"B": 2})
    assert [type(a) for a in outputs] == [np.ndarray] * 7
    everything = [*arrays, *outputs, *updates.values(), *run(arrays[:1], {"w": arrays[1]}, {"B": 2})[0]]
    for i, a in enumerate(everything):
        assert not any(np.shares_memory(a, b) for b in everything[:i])
    assert np.array_equal(outputs[2], -arrays[0]) and np.array_equal(updates["w"], arrays[1])


def test_its_source_is_the_graphs_text():
    graph = Graph("shown")
    graph.set_return([Builder(graph).emit("neg", [graph.add_input("x", ROW)]).output])
    assert get_backend("reference").emit(graph).text == str(graph)


def test_an_unknown_backend_is_refused_with_those_there_are():
    with pytest.raises(UnsupportedError, match="no backend 'tpu'") as caught:
        get_backend("tpu")
    assert "numpy" in str(caught.value) and "reference" in str(caught.value)
