"""`partition`: what depends on the state alone is computed apart, and nothing else is."""

import numpy as np
from golden import assert_close, choose_sizes, generate
from ingot.ir.graph import Graph
from ingot.ir.interpreter import interpret
from ingot.ir.parser import parse
from ingot.ir.verifier import verify
from ingot.passes import INFERENCE, partition, run_pipeline

CONV = (
    "graph @f(%x : f32[B, 1, 6, 6])"
    ' state {%w : f32[2, 1, 3, 3] = "conv.weight", %m : f32[2] = "bn.running_mean", %v : f32[2] = "bn.running_var"}'
    " -> (f32[B, 2, 4, 4]):"
    """
  %none : none = prim::Constant[value=none]()
  %c : f32[B, 2, 4, 4] = ingot::conv2d[stride=[1, 1], padding=[0, 0], dilation=[1, 1], groups=1](%x, %w, %none)
  %n : f32[B, 2, 4, 4] = ingot::batch_norm_inference[eps=1e-05](%c, %m, %v, %none, %none)
  %y : f32[B, 2, 4, 4] = ingot::relu(%n)
  return (%y)
"""
)


def assert_parts_agree(graph: Graph, rng: np.random.Generator) -> None:
    prepare, main = partition(graph)
    assert prepare is not None
    verify(prepare)
    verify(main)
    sizes = choose_sizes(graph, rng)
    inputs = [generate(value.type, sizes, rng, True) for value in graph.inputs]
    state = {key: generate(value.type, sizes, rng, True) for key, value in graph.state.items()}
    outputs, updates = interpret(graph, inputs, state)
    derived, none = interpret(prepare, [], {key: state[key] for key in prepare.state})
    assert not none
    values = state | {f"%derived.{i}": x for i, x in enumerate(derived)}
    found, found_updates = interpret(main, inputs, {key: values[key] for key in main.state})
    for x, y in zip([*outputs, *updates.values()], [*found, *found_updates.values()], strict=True):
        assert_close(x, y, 0.0)


def test_folded_weights_are_derived_from_the_state(rng: np.random.Generator) -> None:
    graph = parse(CONV)
    run_pipeline(graph, INFERENCE, [])
    before = str(graph)
    prepare, main = partition(graph)
    assert prepare is not None
    assert str(graph) == before
    assert [node.op.short for node in main.nodes()] == ["conv2d", "relu"]
    assert list(main.state) == ["%derived.0", "%derived.1"]
    assert list(prepare.state) == ["conv.weight", "bn.running_mean", "bn.running_var"]
    assert not prepare.inputs
    assert [value.type for value in prepare.outputs] == [value.type for value in main.state.values()]
    assert_parts_agree(graph, rng)


def test_nothing_to_derive_gives_the_graph_itself() -> None:
    graph = parse(
        'graph @f(%x : f32[2]) state {%w : f32[2] = "w"} -> (f32[2]): %y : f32[2] = ingot::mul(%x, %w) return (%y)'
    )
    prepare, main = partition(graph)
    assert prepare is None
    assert main is graph


def test_state_that_is_updated_is_not_derived_from(rng: np.random.Generator) -> None:
    graph = parse("""
    graph @f(%x : f32[2]) state {%w : f32[2] = "w", %u : f32[2] = "u"} -> (f32[2]):
      %a : f32[2] = ingot::exp(%w)
      %b : f32[2] = ingot::exp(%u)
      %c : f32[2] = ingot::add(%a, %b)
      %y : f32[2] = ingot::mul(%x, %c)
      return (%y) update {"w": %y}
    """)
    _, main = partition(graph)
    assert [node.op.short for node in main.nodes()] == ["exp", "add", "mul"]
    assert list(main.state) == ["w", "%derived.0"]
    assert_parts_agree(graph, rng)


def test_views_keys_and_unknown_sizes_stay(rng: np.random.Generator) -> None:
    graph = parse("""
    graph @f(%x : f32[B, 2]) state {%w : f32[3, 2] = "w", %k : key = "rng"} -> (f32[B, 3], f32[B, 2], f32[2, 3]):
      %s : f32[3, 2] = ingot::tanh(%w)
      %t : f32[2, 3] = ingot::permute[dims=[1, 0]](%s)
      %y : f32[B, 3] = ingot::matmul(%x, %t)
      %d : f32[B, 2] = ingot::dropout[p=0.5](%x, %k)
      %v : f32[2, 3] = ingot::permute[dims=[1, 0]](%w)
      return (%y, %d, %v)
    """)
    prepare, main = partition(graph)
    assert prepare is not None
    assert [node.op.short for node in prepare.nodes()] == ["tanh"]
    assert [node.op.short for node in main.nodes()] == ["permute", "matmul", "dropout", "permute"]
    assert list(main.state) == ["w", "rng", "%derived.0"]
    assert_parts_agree(graph, rng)


def test_a_derived_value_may_be_an_output_and_an_update(rng: np.random.Generator) -> None:
    graph = parse("""
    graph @f(%x : f32[2]) state {%w : f32[2] = "w", %u : f32[2] = "u"} -> (f32[2], f32[2]):
      %a : f32[2] = ingot::exp(%w)
      return (%a, %x) update {"u": %a}
    """)
    _, main = partition(graph)
    assert list(main.state) == ["u", "%derived.0"]
    assert_parts_agree(graph, rng)


def test_assertions_stay_in_the_part_that_is_called():
    graph = parse("""
graph @f(%x : f32[2], %c : bool) state {%w : f32[2] = "w"} -> (f32[2]):
  %s : f32[2] = ingot::exp(%w)
  %most : f32[] = ingot::amax[dim=[0], keepdim=false](%s)
  %large : float = prim::Constant[value=100.0]()
  %small : bool[] = ingot::lt(%most, %large)
  prim::Assert[message="weights are too large", error="AssertionError"](%small)
  prim::If(%c)
    block0():
      %fine : bool[] = ingot::eq(%most, %most)
      prim::Assert[message="weights are no numbers", error="AssertionError"](%fine)
      -> ()
    block1():
      -> ()
  %y : f32[2] = ingot::mul(%x, %s)
  return (%y)
""")
    prepare, main = partition(graph)
    verify(main)
    assert prepare is not None and not any(node.op.name == "prim::Assert" for node in prepare.nodes())
    verify(prepare)
    assert sum(node.op.name == "prim::Assert" for node in main.nodes()) == 2
    assert next(prepare.nodes()).op.short == "exp"
