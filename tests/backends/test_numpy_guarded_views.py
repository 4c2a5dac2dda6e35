"""Views and constants in branches that are not run: they must not fail, and keep their sizes."""

import numpy as np
import pytest
from ingot.backends.backend import get_backend
from ingot.ir.binding import bind_sizes
from ingot.ir.builder import Builder
from ingot.ir.errors import IndexOutOfRange
from ingot.ir.graph import Graph
from ingot.ir.parser import parse

GUARDED = """
graph @f(%x : f64[B, 2], %c : bool) -> (f64[2], i64[N, 3]):
  %s : f64[B, 2] = ingot::sin(%x)
  %y : f64[2], %n : i64[N, 3] = prim::If(%c)
    block0():
      %a : f64[2] = ingot::select[dim=0, index=3](%s)
      %ones : i64[1, 3] = ingot::full[size=[1, 3], value=1, dtype=i64]()
      -> (%a, %ones)
    block1():
      %z : f64[2] = ingot::full[size=[2], value=0, dtype=f64]()
      %none : i64[0, 3] = ingot::full[size=[0, 3], value=0, dtype=i64]()
      -> (%z, %none)
  return (%y, %n)
"""


def run(x: np.ndarray, condition: bool):
    graph = parse(GUARDED)
    found, _ = get_backend("numpy").compile(graph)([x, condition], {}, bind_sizes(graph, [x, condition]))
    return found


def test_a_view_that_a_condition_guards(rng):
    x = rng.standard_normal((2, 2))
    assert run(x, False)[0].tolist() == [0.0, 0.0]
    with pytest.raises(IndexOutOfRange):
        run(x, True)
    x = rng.standard_normal((4, 2))
    assert np.array_equal(run(x, True)[0], np.sin(x)[3])


def test_an_empty_constant_keeps_its_sizes(rng):
    x = rng.standard_normal((4, 2))
    assert run(x, False)[1].shape == (0, 3) and run(x, True)[1].shape == (1, 3)
    graph = Graph("constant")
    graph.set_return([Builder(graph).constant(np.zeros((0, 3), np.float32))])
    (found,), _ = get_backend("numpy").compile(graph)([], {}, {})
    assert found.shape == (0, 3)
