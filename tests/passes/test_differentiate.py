"""Derivatives of graphs against the tape's, and against central differences, of first and second order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ingot
import numpy as np
import pytest
from eager_graphs import run_eagerly
from ingot.backends.backend import get_backend
from ingot.ir.binding import bind_sizes
from ingot.ir.errors import ArgumentError, GradientError
from ingot.ir.graph import Graph, same_graph
from ingot.ir.interpreter import interpret
from ingot.ir.parser import parse
from ingot.ir.verifier import verify
from ingot.passes import TRAINING, Derivative, derivative, run_pipeline
from runnable_graphs import inputs_for, runnable_graph

Arrays = Sequence[Any]


def doubled(graph: Graph) -> Graph:
    """The graph in float64, in which gradients can be compared closely."""
    return parse(str(graph).replace("f32", "f64"))


def in_float64(x: Any) -> Any:
    return x.astype(np.float64) if isinstance(x, np.ndarray) and x.dtype == np.float32 else x


def floats(graph: Graph) -> tuple[list[int], list[str]]:
    """The inputs and the state that have gradients."""
    inputs = [i for i, value in enumerate(graph.inputs) if str(value.type).startswith("f64")]
    return inputs, [key for key, value in graph.state.items() if str(value.type).startswith("f64")]


def execute(graph: Graph, inputs: Arrays, state: Mapping[str, Any], backend: str) -> tuple[list[Any], dict[str, Any]]:
    verify(graph)
    if backend == "interpreter":
        return interpret(graph, inputs, state)
    graph = graph.copy()
    run_pipeline(graph, TRAINING)
    run = get_backend(backend).compile(graph)
    return run(list(inputs), state, bind_sizes(graph, list(inputs), state))


def both_ways(
    found: Derivative, inputs: Arrays, state: Mapping[str, Any], seeds: Arrays, backend: str = "interpreter"
) -> tuple[list[Any], list[Any]]:
    """What a derivative's two graphs give: the outputs of the first, and the gradients, None where there is none."""
    outputs, _ = execute(found.forward, inputs, state, backend)
    places = {"input": inputs, "state": state, "output": outputs}
    saved = [places[s.kind][s.key] for s in found.saved]
    gradients, rest = execute(found.backward, [*saved, *seeds], {}, backend)
    assert not rest and not found.backward.state
    return outputs, [None if place is None else gradients[place] for place in found.places]


def random_seeds(graph: Graph, outputs: Arrays, rng: np.random.Generator) -> list[Any]:
    return [rng.standard_normal(np.shape(y)) for y in outputs if getattr(y, "dtype", None) == np.float64]


def by_tape(graph: Graph, inputs: Arrays, state: Mapping[str, Any], seeds: Arrays) -> tuple[list[Any], list[Any]]:
    """The outputs of a graph that is run eagerly, and the tape's gradients of its floating inputs and state."""

    def tensor(x: Any) -> Any:
        if not isinstance(x, np.ndarray) or x.dtype == np.uint64:
            return x
        return ingot.tensor(x, requires_grad=x.dtype == np.float64)

    own, kept = [tensor(x) for x in inputs], {key: tensor(x) for key, x in state.items()}
    outputs, _ = run_eagerly(graph, own, kept)
    positions, keys = floats(graph)
    targets = [own[i] for i in positions] + [kept[key] for key in keys]
    ends = [
        (y, s) for y, s in zip([y for y in outputs if getattr(y, "dtype", None) is ingot.float64], seeds, strict=True)
    ]
    ends = [(y, ingot.tensor(s)) for y, s in ends if y.requires_grad]
    if not ends:
        return outputs, [None] * len(targets)
    found = ingot.autograd.grad([y for y, _ in ends], targets, [s for _, s in ends], allow_unused=True)
    return outputs, list(found)


def assert_gradients_agree(found: Arrays, expected: Arrays, like: Arrays, tolerance: float = 1e-9) -> None:
    for x, y, model in zip(found, expected, like, strict=True):
        a = np.zeros(np.shape(model)) if x is None else np.asarray(x)
        b = np.zeros(np.shape(model)) if y is None else np.asarray(y.detach().numpy() if hasattr(y, "detach") else y)
        assert a.shape == np.shape(model) and a.dtype == np.float64
        assert np.abs(a - b).max(initial=0.0) <= tolerance * max(1.0, np.abs(b).max(initial=0.0))


def check(graph: Graph, inputs: Arrays, state: Mapping[str, Any], rng: np.random.Generator, backend: str) -> Derivative:
    """Compare a graph's derivative, apart and joint, with the tape."""
    before = graph.copy()
    positions, keys = floats(graph)
    found = derivative(graph, positions, keys)
    assert same_graph(before, graph) is None
    like = [*(inputs[i] for i in positions), *(state[key] for key in keys)]
    plain, _ = interpret(graph, inputs, state)
    seeds = random_seeds(graph, plain, rng)
    outputs, gradients = both_ways(found, inputs, state, seeds, backend)
    for x, y in zip(outputs, plain, strict=False):
        assert np.allclose(x, y, rtol=1e-12, atol=1e-12)
    _, expected = by_tape(graph, inputs, state, seeds)
    assert_gradients_agree(gradients, expected, like)
    joint, _ = execute(found.joint, [*inputs, *seeds], state, "interpreter")
    assert_gradients_agree(joint[len(plain) :], expected, like)
    return found


@pytest.mark.parametrize("backend", ["interpreter", "numpy"])
@pytest.mark.parametrize("round_", range(12))
def test_random_graphs_have_the_gradients_of_the_tape(rng: np.random.Generator, round_: int, backend: str) -> None:
    graph = doubled(runnable_graph(rng, int(rng.integers(5, 60))))
    inputs, state = inputs_for(rng, int(rng.integers(1, 4)))
    check(graph, [in_float64(x) for x in inputs], {k: in_float64(v) for k, v in state.items()}, rng, backend)


@pytest.mark.parametrize("round_", range(6))
def test_the_joint_graph_of_a_random_graph_can_be_differentiated_again(rng: np.random.Generator, round_: int) -> None:
    graph = doubled(runnable_graph(rng, int(rng.integers(5, 30))))
    inputs, state = inputs_for(rng, int(rng.integers(1, 4)))
    inputs, state = [in_float64(x) for x in inputs], {k: in_float64(v) for k, v in state.items()}
    positions, keys = floats(graph)
    outputs, _ = interpret(graph, inputs, state)
    joint = derivative(graph, positions, keys).joint
    check(joint, [*inputs, *random_seeds(graph, outputs, rng)], state, rng, ["interpreter", "numpy"][round_ % 2])


# ------------------------------------------------------------------------------------------------ the two ways apart


def graph_of(text: str) -> Graph:
    graph = parse(text)
    verify(graph)
    return graph


CHAIN = """
graph @f(%x : f64[B, 3]) state {%w : f64[3] = "w", %n : i64[] = "count"} -> (f64[B, 3]):
  %one : int = prim::Constant[value=1]()
  %m : i64[] = ingot::add(%n, %one)
  %s : f64[B, 3] = ingot::sin(%x)
  %p : f64[3] = ingot::expand[size=[3]](%w)
  %t : f64[B, 3] = ingot::mul(%s, %p)
  %y : f64[B, 3] = ingot::tanh(%t)
  return (%y) update {"count": %m}
"""


def test_what_the_way_back_reads_is_kept_once() -> None:
    found = derivative(graph_of(CHAIN), [0], ["w"])
    # The sine is computed there and kept; the result serves as it is; the view of the weight is made again.
    assert [(s.kind, s.key) for s in found.saved] == [("input", 0), ("state", "w"), ("output", 1), ("output", 0)]
    assert len(found.forward.outputs) == 2 and list(found.forward.updates) == ["count"]
    assert not found.backward.state and not found.backward.updates
    assert "ingot::sin" not in str(found.backward) and "ingot::expand" in str(found.backward)


def test_nothing_is_kept_for_what_is_not_wanted() -> None:
    found = derivative(graph_of(CHAIN), [], ["w"])
    assert ("input", 0) not in [(s.kind, s.key) for s in found.saved]
    assert found.wanted == ("w",) and found.places == (0,)


def test_sizes_that_only_the_way_there_knows_are_handed_on(rng: np.random.Generator) -> None:
    graph = graph_of("""
    graph @f(%x : f64[B, T]) -> (f64[]):
      %y : f64[] = ingot::sum[dim=none, keepdim=false, dtype=none](%x)
      return (%y)
    """)
    found = check(graph, [rng.standard_normal((3, 4))], {}, rng, "numpy")
    (sizes,) = [found.forward.outputs[s.key] for s in found.saved]
    assert str(sizes.type) == "bool[0, B, T]"


def test_assumptions_go_along(rng: np.random.Generator) -> None:
    graph = graph_of("""
    graph @f(%x : f64[B], %y : f64[T]) -> (f64[B]):
      assume T == B
      %z : f64[B] = ingot::mul(%x, %y)
      return (%z)
    """)
    found = check(graph, [rng.standard_normal(3), rng.standard_normal(3)], {}, rng, "numpy")
    assert [str(a) for a in found.backward.assumptions] == ["assume T == B"]


def test_assertions_are_checked_on_the_way_there_alone(rng: np.random.Generator) -> None:
    graph = graph_of("""
    graph @f(%x : f64[2], %n : int, %c : bool) -> (f64[2]):
      %e : f64[2] = ingot::exp(%x)
      %zero : float = prim::Constant[value=0.0]()
      %b : bool[2] = ingot::gt(%e, %zero)
      %a : bool[] = ingot::all[dim=none, keepdim=false](%b)
      prim::Assert[message="positive", error="AssertionError"](%a)
      %y : f64[2] = prim::Loop(%n, %c, %e)
        block0(%i : int, %h : f64[2]):
          prim::Assert[message="going on", error="AssertionError"](%c)
          %z : f64[2] = prim::If(%c)
            block0():
              prim::Assert[message="inside", error="AssertionError"](%c)
              %s : f64[2] = ingot::sin(%h)
              -> (%s)
            block1():
              -> (%h)
          -> (%c, %z)
      return (%y)
    """)
    found = check(graph, [rng.standard_normal(2), 3, True], {}, rng, "numpy")
    assert str(found.forward).count("prim::Assert") == 3
    assert "prim::Assert" not in str(found.backward) and "ingot::gt" not in str(found.backward)


def test_where_nothing_flows_there_is_no_gradient() -> None:
    graph = graph_of("""
    graph @f(%x : f64[2], %y : f64[2]) -> (f64[2], i64[2]):
      %d : f64[2] = ingot::detach(%x)
      %z : f64[2] = ingot::mul(%d, %y)
      %i : i64[2] = ingot::cast[dtype=i64](%x)
      return (%z, %i)
    """)
    found = derivative(graph, [0, 1])
    assert found.places == (None, 0) and found.seeds == (0,)
    assert len(found.backward.outputs) == 1 and len(found.joint.outputs) == 4


def test_gradients_may_come_from_updated_state() -> None:
    graph = graph_of("""
    graph @f(%x : f64[2]) state {%s : f64[2] = "sum"} -> ():
      %t : f64[2] = ingot::mul(%x, %s)
      return () update {"sum": %t}
    """)
    found = derivative(graph, [0], ["sum"], updates=["sum"])
    assert found.seeds == ("sum",)
    x, s, g = np.array([2.0, 3.0]), np.array([5.0, 7.0]), np.array([1.0, 10.0])
    saved = [{"input": [x], "state": {"sum": s}}[part.kind][part.key] for part in found.saved]
    gradients, _ = execute(found.backward, [*saved, g], {}, "numpy")
    assert [x.tolist() for x in gradients] == [(g * s).tolist(), (g * x).tolist()]


def test_the_derivative_grows_with_the_graph() -> None:
    def nodes(length: int) -> int:
        body = "".join(f"  %v{i + 1} : f64[2] = ingot::tanh(%v{i})\n" for i in range(length))
        found = derivative(graph_of(f"graph @f(%v0 : f64[2]) -> (f64[2]):\n{body}  return (%v{length})\n"), [0])
        return found.joint.node_count + found.backward.node_count

    assert nodes(400) - nodes(200) == nodes(200) - nodes(0)


# ----------------------------------------------------------------------------------------------------------- loops


NESTED = """
graph @f(%x : f64[B, 2], %w : f64[2], %n : int) -> (f64[B, 2]):
  %true : bool = prim::Constant[value=true]()
  %y : f64[B, 2] = prim::Loop(%n, %true, %x)
    block0(%i : int, %c : f64[B, 2]):
      %d : f64[B, 2], %all : f64[T, B, 2] = prim::Loop(%i, %true, %c)
        block0(%j : int, %e : f64[B, 2]):
          %p : f64[B, 2] = ingot::mul(%e, %w)
          %q : f64[B, 2] = ingot::sin(%p)
          %r : f64[B, 2] = ingot::add(%q, %c)
          -> (%true, %r, %q)
      %s : f64[B, 2] = ingot::sum[dim=[0], keepdim=false, dtype=none](%all)
      %t : f64[B, 2] = ingot::add(%d, %s)
      %u : f64[B, 2] = ingot::tanh(%t)
      -> (%true, %u)
  return (%y)
"""

EARLY = """
graph @f(%x : f64[B, 2], %limit : float, %n : int) -> (f64[B, 2], float):
  %true : bool = prim::Constant[value=true]()
  %half : float = prim::Constant[value=0.5]()
  %y : f64[B, 2], %scale : float, %going : bool = prim::Loop(%n, %true, %x, %half, %true)
    block0(%i : int, %c : f64[B, 2], %f : float, %g : bool):
      %p : f64[B, 2] = ingot::mul(%c, %f)
      %q : f64[B, 2] = ingot::cos(%p)
      %r : f64[B, 2] = prim::If(%g)
        block0():
          -> (%q)
        block1():
          %k : f64[B, 2] = ingot::mul(%q, %c)
          -> (%k)
      %sum : f64[] = ingot::sum[dim=none, keepdim=false, dtype=none](%r)
      %next : float = prim::Item(%sum)
      %t : bool[] = ingot::lt(%sum, %limit)
      %u : bool[] = ingot::gt(%sum, %half)
      %h : bool = prim::Item(%u)
      -> (%t, %r, %next, %h)
  return (%y, %scale)
"""

DROPOUT = """
graph @f(%x : f64[B, 4], %n : int) state {%k : key = "rng"} -> (f64[B, 4]):
  %true : bool = prim::Constant[value=true]()
  %y : f64[B, 4], %last : key = prim::Loop(%n, %true, %x, %k)
    block0(%i : int, %c : f64[B, 4], %key : key):
      %a : key, %b : key = prim::Split(%key)
      %d : f64[B, 4] = ingot::dropout[p=0.5](%c, %a)
      %s : f64[B, 4] = ingot::sin(%d)
      %t : f64[B, 4] = ingot::add(%s, %c)
      -> (%true, %t, %b)
  return (%y) update {"rng": %last}
"""

GROWING = """
graph @f(%x : f64[B, 2], %n : int, %flag : bool) -> (f64[2]):
  %true : bool = prim::Constant[value=true]()
  %x0 : f64[B] = ingot::select[dim=1, index=0](%x)
  %all : f64[M, 2], %low : f64[K] = prim::Loop(%n, %true, %x, %x0)
    block0(%i : int, %h : f64[N, 2], %v : f64[P]):
      %sum : f64[1, 2] = ingot::sum[dim=[0], keepdim=true, dtype=none](%h)
      %s : f64[1, 2] = ingot::tanh(%sum)
      %longer : f64[N + 1, 2] = ingot::cat[dim=0](%h, %s)
      %squares : f64[P] = ingot::sin(%v)
      %twice : f64[2*P] = ingot::cat[dim=0](%squares, %v)
      -> (%true, %longer, %twice)
  %products : f64[M, 2] = ingot::mul(%all, %all)
  %a : f64[2] = ingot::sum[dim=[0], keepdim=false, dtype=none](%products)
  %b : f64[] = ingot::sum[dim=none, keepdim=false, dtype=none](%low)
  %y : f64[2] = ingot::mul(%a, %b)
  return (%y)
"""


@pytest.mark.parametrize("backend", ["interpreter", "numpy"])
@pytest.mark.parametrize("count", [0, 1, 4])
def test_loops_inside_of_loops_that_run_for_different_times(rng: np.random.Generator, count: int, backend: str) -> None:
    x, w = rng.standard_normal((3, 2)), rng.standard_normal(2)
    found = check(graph_of(NESTED), [x, w, count], {}, rng, backend)
    check(found.joint, [x, w, count, rng.standard_normal((3, 2))], {}, rng, backend)


@pytest.mark.parametrize("backend", ["interpreter", "numpy"])
@pytest.mark.parametrize("limit", [-100.0, 1.0, 100.0])
def test_a_loop_that_stops_early_and_carries_numbers(rng: np.random.Generator, limit: float, backend: str) -> None:
    check(graph_of(EARLY), [rng.standard_normal((3, 2)), limit, 5], {}, rng, backend)


@pytest.mark.parametrize("backend", ["interpreter", "numpy"])
def test_a_loop_that_draws_goes_back_over_the_same_numbers(rng: np.random.Generator, backend: str) -> None:
    key = rng.integers(0, 1 << 63, 2, dtype=np.uint64)
    check(graph_of(DROPOUT), [rng.standard_normal((3, 4)), 3], {"rng": key}, rng, backend)


@pytest.mark.parametrize("backend", ["interpreter", "numpy"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_carried_tensors_that_grow(rng: np.random.Generator, count: int, backend: str) -> None:
    x = rng.standard_normal((2, 2))
    found = check(graph_of(GROWING), [x, count, True], {}, rng, backend)
    check(found.joint, [x, count, True, rng.standard_normal(2)], {}, rng, backend)


def test_a_branch_is_not_computed_again(rng: np.random.Generator) -> None:
    graph = graph_of("""
    graph @f(%x : f64[B, 3], %w : f64[3, 3], %c : bool, %k : key) -> (f64[B, 3]):
      %y : f64[B, 3] = prim::If(%c)
        block0():
          %m : f64[B, 3] = ingot::matmul(%x, %w)
          %t : f64[3, B] = ingot::permute[dims=[1, 0]](%m)
          %a : key, %b : key = prim::Split(%k)
          %z : f64[B, 3] = prim::If(%c)
            block0():
              %e : f64[3, B] = ingot::exp(%t)
              %p : f64[B, 3] = ingot::permute[dims=[1, 0]](%e)
              %d : f64[B, 3] = ingot::dropout[p=0.5](%p, %b)
              -> (%d)
            block1():
              -> (%m)
          -> (%z)
        block1():
          %s : f64[B, 3] = ingot::tanh(%x)
          -> (%s)
      return (%y)
    """)
    key = rng.integers(0, 1 << 63, 2, dtype=np.uint64)
    for condition in (True, False):
        inputs = [rng.standard_normal((2, 3)), rng.standard_normal((3, 3)), condition, key]
        found = check(graph, inputs, {}, rng, "numpy")
        check(found.joint, [*inputs, rng.standard_normal((2, 3))], {}, rng, "numpy")
    assert not any(op in str(found.backward) for op in ("ingot::exp", "ingot::tanh"))
    assert str(found.backward).count("ingot::matmul") == 2  # the two products of the gradient
    assert "prim::Split" in str(found.backward)  # a key is no tensor, and a split costs nothing


def test_what_a_loop_does_not_need_is_not_kept() -> None:
    graph = graph_of("""
    graph @f(%x : f64[2], %w : f64[2], %n : int) -> (f64[2]):
      %true : bool = prim::Constant[value=true]()
      %y : f64[2] = prim::Loop(%n, %true, %x)
        block0(%i : int, %c : f64[2]):
          %d : f64[2] = ingot::mul(%c, %w)
          -> (%true, %d)
      return (%y)
    """)
    found = derivative(graph, [0])
    # The gradient of the start needs the weight and the number of iterations alone.
    assert [(s.kind, s.key) for s in found.saved] == [("input", 1), ("output", 1)]
    assert str(found.forward.outputs[1].type) == "bool[0, steps]"


def test_a_fusion_group_goes_back_through_its_nodes(rng: np.random.Generator) -> None:
    graph = graph_of("""
    graph @f(%x : f64[B, 2], %k : f64[2]) -> (f64[B, 2]):
      %a : f64[B, 2] = ingot::sin(%x)
      %b : f64[B, 2] = ingot::mul(%a, %k)
      %c : f64[B, 2] = ingot::tanh(%b)
      return (%c)
    """)
    run_pipeline(graph, "fuse")
    assert "prim::FusionGroup" in str(graph)
    values = [rng.standard_normal((3, 2)), rng.standard_normal(2)]
    outputs, _ = interpret(graph, values)
    (seed,) = random_seeds(graph, outputs, rng)
    _, gradients = both_ways(derivative(graph, [0, 1]), values, {}, [seed], "numpy")
    x, k = values
    inner = seed * (1 - np.tanh(np.sin(x) * k) ** 2)
    assert np.allclose(gradients[0], inner * k * np.cos(x)) and np.allclose(gradients[1], (inner * np.sin(x)).sum(0))


# -------------------------------------------------------------------------------------------------------- refusals


def test_an_op_without_a_gradient_names_the_line() -> None:
    graph = graph_of("""
    graph @f(%x : f64[2], %k : key) -> (f64[2]):
      %y : f64[2] = ingot::bernoulli(%k, %x)  @model.py:7:3 in head
      return (%y)
    """)
    with pytest.raises(GradientError, match="bernoulli has no gradient: it is drawn at random") as caught:
        derivative(graph, [0])
    assert str(caught.value.location) == "model.py:7:3" and "while differentiating @f" in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "state", "error", "message"),
    [
        ([1], [], ArgumentError, "no input 1"),
        ([0], ["v"], ArgumentError, "no state 'v'"),
        ([], ["count"], GradientError, "i64"),
    ],
)
def test_what_cannot_be_wanted_is_refused(inputs: list[int], state: list[str], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        derivative(graph_of(CHAIN), inputs, state)
    with pytest.raises(ArgumentError, match="does not update state 'w'"):
        derivative(graph_of(CHAIN), [0], [], updates=["w"])
