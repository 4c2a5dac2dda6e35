"""Loops and branches whose sizes change, numbers out of tensors and assertions, in NumPy source."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from ingot import backends  # noqa: F401  registers them
from ingot.backends.backend import get_backend
from ingot.ir.binding import bind_sizes
from ingot.ir.errors import AssertError, ShapeError
from ingot.ir.graph import Graph
from ingot.ir.interpreter import interpret
from ingot.ir.parser import parse
from ingot.ir.verifier import verify
from ingot.passes import INFERENCE, run_pipeline

CACHE = """
graph @decode(%x : f32[B, 4], %n : int) -> (f32[m, 4], f32[t, B, 4]):
  %go : bool = prim::Constant[value=true]()
  %half : float = prim::Constant[value=0.5]()
  %y : f32[m, 4], %h : f32[B, 4], %s : f32[t, B, 4] = prim::Loop(%n, %go, %x, %x)
    block0(%i : int, %a : f32[k, 4], %q : f32[B, 4]):
      prim::Bind[j](%i)
      %at : f32[4, k] = ingot::permute[dims=[1, 0]](%a)
      %w : f32[B, k] = ingot::matmul(%q, %at)
      %p : f32[B, k] = ingot::softmax[dim=1](%w)
      %v : f32[B, 4] = ingot::matmul(%p, %a)
      %v1 : f32[B, 4] = ingot::tanh(%v)
      %b : f32[k + B, 4] = ingot::cat[dim=0](%a, %v1)
      %b1 : f32[k + B, 4] = ingot::mul(%b, %half)
      %b2 : f32[k + B, 4] = ingot::clamp[min=none, max=j + B](%b1)
      -> (%go, %b2, %v1, %v)
  return (%y, %s)
"""

LARGE = """
graph @large(%x : f32[B], %n : int) -> (f32[m]):
  %go : bool = prim::Constant[value=true]()
  %half : float = prim::Constant[value=0.5]()
  %y : f32[m] = prim::Loop(%n, %go, %x)
    block0(%i : int, %a : f32[k]):
      %b : f32[k + B] = ingot::cat[dim=0](%a, %x)
      %c : f32[k + B] = ingot::tanh(%b)
      %d : f32[k + B] = ingot::mul(%c, %half)
      %e : f32[k + B] = ingot::relu(%d)
      %f : f32[k + B] = ingot::sub(%e, %b)
      -> (%go, %f)
  return (%y)
"""

SWAP = """
graph @swap(%x : f32[B], %y : f32[T], %n : int) -> (f32[m], f32[j]):
  %go : bool = prim::Constant[value=true]()
  %a : f32[m], %b : f32[j] = prim::Loop(%n, %go, %x, %y)
    block0(%i : int, %p : f32[k], %q : f32[h]):
      %r : f32[h + k] = ingot::cat[dim=0](%q, %p)
      -> (%go, %q, %r)
  return (%a, %b)
"""

VIEWS = """
graph @views sizes {B >= 3}(%x : f32[B, 2], %n : int, %c : bool) -> (f32[m, 2], f32[u, 2]):
  %h : f32[B, 2] = ingot::exp(%x)
  %y : f32[m, 2] = prim::Loop(%n, %c, %h)
    block0(%i : int, %a : f32[k + 1, 2]):
      %b : f32[max(k, 1), 2] = ingot::slice[dim=0, start=0, end=max(k, 1), step=1](%a)
      -> (%c, %b)
  %z : f32[u, 2] = prim::If(%c)
    block0():
      %g : f32[B - 1, 2] = ingot::slice[dim=0, start=1, end=B, step=1](%h)
      -> (%g)
    block1():
      -> (%h)
  return (%y, %z)
"""
VIEWS = VIEWS.replace("-> (f32[m, 2],", "-> (f32[m + 1, 2],").replace("%y : f32[m, 2] =", "%y : f32[m + 1, 2] =")

SCALARS = """
graph @scalars(%x : f32[B], %n : int) -> (int, float, bool, f32[N], f32[B]):
  %most : f32[1] = ingot::amax[dim=[0], keepdim=true](%x)
  %f : float = prim::Item(%most)
  %k : i64[] = ingot::argmax[dim=0, keepdim=false](%x)
  %i : int = prim::Item(%k)
  prim::Bind[N](%i)
  %zero : float = prim::Constant[value=0.0]()
  %c : bool[1] = ingot::gt(%most, %zero)
  %b : bool = prim::Item(%c)
  %ones : f32[N] = ingot::full[size=[N], value=1.0, dtype=f32]()
  %y : f32[B] = ingot::mul(%x, %f)
  %v : int, %w : f32[B] = prim::If(%b)
    block0():
      %t : int = prim::Size[2*N]()
      -> (%t, %y)
    block1():
      -> (%n, %x)
  %u : int, %z : float, %r : bool = prim::Loop(%v, %b, %i, %f, %b)
    block0(%ii : int, %p : int, %q : float, %s : bool):
      -> (%s, %ii, %q, %s)
  return (%u, %z, %r, %ones, %w)
"""

ASSERT = """
graph @check(%x : f32[B], %c : bool) -> (f32[B]):
  prim::Assert[message="v0 {x} \\" ' \\\\ \\n é \\u2028", error="AssertionError"](%c)  @m.py:5:1
  %y : f32[B] = ingot::neg(%x)
  return (%y)
"""


def agree(text: str, *inputs: Any) -> list[Any]:
    """Run a graph by source, twice, as it is and optimised, and by the interpreter."""
    graph = parse(text)
    verify(graph)
    expected = interpret(graph, list(inputs))[0]
    for pipeline in ("", "fold,canonicalize,cse,dce", INFERENCE):
        changed = graph.copy()
        run_pipeline(changed, pipeline, [])
        verify(changed)
        found = executed(changed, *inputs)
        for x, y in zip(found, expected, strict=True):
            assert type(x) is type(y) or isinstance(x, np.ndarray)
            np.testing.assert_allclose(x, y, rtol=1e-6)
    return expected


def executed(graph: Graph, *inputs: Any) -> list[Any]:
    run = get_backend("numpy").compile(graph)
    first = run(inputs, {}, bind_sizes(graph, inputs))[0]
    second = run(inputs, {}, bind_sizes(graph, inputs))[0]
    for x, y in zip(first, second, strict=True):
        np.testing.assert_array_equal(x, y)
        assert not isinstance(x, np.ndarray) or not np.shares_memory(x, y)
    return second


@pytest.mark.parametrize("trips", (0, 1, 5))
@pytest.mark.parametrize("batch", (1, 3))
def test_a_cache_that_grows(trips, batch, rng):
    y, s = agree(CACHE, rng.standard_normal((batch, 4)).astype(np.float32), trips)
    assert y.shape == (batch * (trips + 1), 4) and s.shape == (trips, batch, 4)


def test_a_large_group_of_changing_size(rng):
    (y,) = agree(LARGE, rng.standard_normal(50_000).astype(np.float32), 3)
    assert len(y) == 200_000


@pytest.mark.parametrize("trips", (0, 1, 2, 5))
def test_values_of_changing_sizes_change_places(trips, rng):
    a, b = agree(SWAP, np.arange(2, dtype=np.float32), np.arange(3, dtype=np.float32), trips)
    sizes = [2, 3]
    for _ in range(trips):
        sizes = [sizes[1], sum(sizes)]
    assert [len(a), len(b)] == sizes


@pytest.mark.parametrize("trips", (0, 1, 2, 7))
@pytest.mark.parametrize("go_on", (True, False))
def test_views_of_what_is_carried(trips, go_on, rng):
    y, z = agree(VIEWS, rng.standard_normal((4, 2)).astype(np.float32), trips, go_on)
    assert len(z) == 3 + (not go_on) and len(y) == max(4 - trips * go_on, 1)


@pytest.mark.parametrize("values", ([1, 3, 2], [-2, -1, -3], [0, 5]))
def test_run_time_numbers(values):
    agree(SCALARS, np.array(values, np.float32), 2)


def test_an_assertion_that_fails_says_where():
    graph = parse(ASSERT)
    (y,) = agree(ASSERT, np.ones(2, np.float32), True)
    assert y.tolist() == [-1, -1]
    for run in (lambda *x: interpret(graph, x), lambda *x: executed(graph, *x)):
        with pytest.raises(AssertError) as caught:
            run(np.ones(2, np.float32), False)
        assert caught.value.what == "v0 {x} \" ' \\ \n é \u2028"
        assert caught.value.location is not None and caught.value.location.line == 5


def test_source_that_runs_alone_raises_an_assertion_error(tmp_path):
    source = get_backend("numpy").emit(parse(ASSERT))
    path = tmp_path / "alone.py"
    path.write_text(source.text + "run(plan({}, 2), [np.ones(2, np.float32), False], [])\n", encoding="utf-8")
    done = subprocess.run([sys.executable, "-I", path], capture_output=True, text=True, check=False)
    assert "RaisedAssertionError: v0 {x}" in done.stderr and "ingot" not in done.stderr


def test_a_bound_number_keeps_the_bounds_of_its_variable():
    text = """
    graph @f sizes {N in 2..4}(%n : int) -> (f32[N]):
      prim::Bind[N](%n)  @m.py:2:1
      %y : f32[N] = ingot::full[size=[N], value=1.0, dtype=f32]()
      return (%y)
    """
    assert agree(text, 3)[0].shape == (3,)
    for wrong in (1, 5):
        with pytest.raises(ShapeError, match="size N is out of its bounds") as caught:
            executed(parse(text), wrong)
        assert caught.value.found == str(wrong)


def test_what_is_stacked_has_one_size():
    text = """
    graph @f(%n : int) -> (f32[t, u]):
      %go : bool = prim::Constant[value=true]()
      %s : f32[t, u] = prim::Loop(%n, %go)  @m.py:3:1
        block0(%i : int):
          prim::Bind[k](%i)
          %f : f32[k] = ingot::full[size=[k], value=1.0, dtype=f32]()
          -> (%go, %f)
      return (%s)
    """
    assert [x.shape for x in (agree(text, 0)[0], agree(text, 1)[0])] == [(0, 0), (1, 0)]
    with pytest.raises(ShapeError, match="same shape") as caught:
        executed(parse(text), 2)
    assert caught.value.location is not None and caught.value.location.line == 3


def test_sizes_in_the_bodies_of_fused_kernels():
    text = """
    graph @f(%x : f32[B], %n : int) -> (f32[B]):
      prim::Bind[N](%n)
      %a : f32[B] = ingot::clamp[min=-B, max=N](%x)
      %y : f32[B] = ingot::neg(%a)
      return (%y)
    """
    for size in (4, 70_000):  # in one piece, and block by block
        (y,) = agree(text, np.linspace(-9, 9, size).astype(np.float32), 2)
        assert y.max() == min(size, 9) and y.min() == -2
