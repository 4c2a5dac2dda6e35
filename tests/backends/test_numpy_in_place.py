"""State that emitted source writes where it lies: new values come out right whatever else is read."""

import numpy as np
import pytest
from ingot.backends.backend import get_backend
from ingot.ir.parser import parse
from ingot.passes import run_pipeline

GRAPHS = {
    "elementwise": (
        """
        graph @f(%x : f32[4]) state {%w : f32[4] = "w"} -> (f32[4]):
          %a : f32[4] = ingot::mul(%w, %x)
          %b : f32[4] = ingot::add(%a, %w)
          return (%a) update {"w": %b}
        """,
        {"w"},
    ),
    "the old value is a result": (
        """
        graph @f(%x : f32[4]) state {%w : f32[4] = "w"} -> (f32[4]):
          %b : f32[4] = ingot::exp(%w)
          return (%w) update {"w": %b}
        """,
        set(),
    ),
    "the new value is a result": (
        """
        graph @f(%x : f32[4]) state {%w : f32[4] = "w"} -> (f32[4]):
          %b : f32[4] = ingot::add(%w, %x)
          return (%b) update {"w": %b}
        """,
        {"w"},
    ),
    "the old value is read afterwards": (
        """
        graph @f(%x : f32[4]) state {%w : f32[4] = "w"} -> (f32[4]):
          %b : f32[4] = ingot::add(%w, %x)
          %c : f32[4] = ingot::cumsum[dim=0](%b)
          %d : f32[4] = ingot::sub(%c, %w)
          return (%d) update {"w": %b}
        """,
        set(),
    ),
    "swapped": (
        """
        graph @f() state {%v : f32[4] = "v", %w : f32[4] = "w"} -> ():
          return () update {"v": %w, "w": %v}
        """,
        set(),
    ),
    "one value for two": (
        """
        graph @f(%x : f32[4]) state {%v : f32[4] = "v", %w : f32[4] = "w"} -> ():
          %a : f32[4] = ingot::add(%v, %x)
          return () update {"v": %a, "w": %a}
        """,
        {"v"},
    ),
    "a view of the state": (
        """
        graph @f(%x : f32[4]) state {%w : f32[2, 2] = "w"} -> (f32[2, 2]):
          %t : f32[2, 2] = ingot::permute[dims=[1, 0]](%w)
          %b : f32[2, 2] = ingot::add(%w, %t)
          return (%t) update {"w": %b}
        """,
        set(),
    ),
    "a product of matrices": (
        """
        graph @f(%x : f32[2, 2]) state {%w : f32[2, 2] = "w"} -> ():
          %b : f32[2, 2] = ingot::matmul(%w, %x)
          return () update {"w": %b}
        """,
        set(),
    ),
    "never read": (
        """
        graph @f(%x : f32[2, 2]) state {%w : f32[2, 2] = "w"} -> ():
          %b : f32[2, 2] = ingot::matmul(%x, %x)
          return () update {"w": %b}
        """,
        {"w"},
    ),
    "a branch": (
        """
        graph @f(%x : f32[4], %c : bool) state {%w : f32[4] = "w"} -> ():
          %b : f32[4] = prim::If(%c)
            block0():
              %d : f32[4] = ingot::add(%w, %x)
              -> (%d)
            block1():
              -> (%w)
          return () update {"w": %b}
        """,
        set(),
    ),
}


def _arrays(types, rng):
    return [np.asarray(rng.standard_normal(t.sizes), np.float32) if hasattr(t, "sizes") else True for t in types]


@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize("name", GRAPHS)
def test_state_is_written_where_it_lies(name, strided, rng):
    text, directly = GRAPHS[name]
    graph = parse(text)
    run_pipeline(graph, "fuse")
    keys = frozenset(graph.updates)
    backend = get_backend("numpy")
    inputs = _arrays([v.type for v in graph.inputs], rng)
    before = dict(zip(graph.state, _arrays([v.type for v in graph.state.values()], rng), strict=True))
    outputs, updates = backend.compile(graph)(inputs, before, {})
    state = {key: _strided(array) if strided else array.copy() for key, array in before.items()}
    run = backend.compile(graph, in_place=keys)
    found, left = run(inputs, state, {})
    assert left == {}
    for a, b in zip(found, outputs, strict=True):
        np.testing.assert_array_equal(a, b)
    for key in state:
        np.testing.assert_array_equal(state[key], updates.get(key, before[key]), err_msg=key)
        assert not any(np.shares_memory(state[key], x) for x in found)
    copied = run.source.text.partition("results = ")[2].partition("return results")[0].count("np.copyto")
    assert copied == len(keys - directly)


def _strided(array):
    """The same elements, not in row-major order."""
    return np.asfortranarray(array) if array.ndim > 1 else np.repeat(array, 2)[::2]


def test_memory_of_the_state_is_no_scratch_memory(rng):
    """What fails in the middle leaves state that is not yet due as it was."""
    graph = parse("""
        graph @f(%x : f32[4], %i : i64[1]) state {%w : f32[4] = "w"} -> (f32[1]):
          %a : f32[4] = ingot::exp(%w)
          %b : f32[4] = ingot::sqrt(%a)
          %c : f32[1] = ingot::index_select[dim=0](%b, %i)
          %d : f32[4] = ingot::mul(%x, %c)
          return (%c) update {"w": %d}
        """)
    run = get_backend("numpy").compile(graph, in_place={"w"})
    w = np.arange(4, dtype=np.float32)
    with pytest.raises(IndexError):
        run([np.ones(4, np.float32), np.array([9])], {"w": w}, {})
    np.testing.assert_array_equal(w, np.arange(4))
