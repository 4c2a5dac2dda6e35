"""Sizes that change in loops and branches, numbers out of tensors, assertions: verifier, interpreter, copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ingot.ir.errors import ArgumentError, AssertError, IngotError, ShapeError, VerifyError
from ingot.ir.graph import Graph, same_graph
from ingot.ir.graph_copy import inline
from ingot.ir.insertion import InsertionPoint
from ingot.ir.interpreter import interpret
from ingot.ir.parser import parse
from ingot.ir.size_scopes import SizeScopes
from ingot.ir.sizes import SizeContext, var
from ingot.ir.types import TensorType
from ingot.ir.verifier import verify
from ingot.passes import open_composites

GROWING = """
graph @grow(%x : f32[B, 2], %n : int) -> (f32[m, 2], int):
  %go : bool = prim::Constant[value=true]()
  %y : f32[m, 2] = prim::Loop(%n, %go, %x)
    block0(%i : int, %a : f32[k, 2]):
      %c : f32[k + B, 2] = ingot::cat[dim=0](%a, %x)
      -> (%go, %c)
  %z : int = prim::Size[m]()
  return (%y, %z)
"""

NESTED = """
graph @nested(%x : f32[B], %n : int) -> (f32[m]):
  %go : bool = prim::Constant[value=true]()
  %one : f32[1] = ingot::full[size=[1], value=1.0, dtype=f32]()
  %y : f32[m] = prim::Loop(%n, %go, %x)
    block0(%i : int, %a : f32[k]):
      prim::Bind[j](%i)
      %b : f32[h] = prim::Loop(%i, %go, %a)
        block0(%ii : int, %c : f32[q]):
          prim::Bind[jj](%ii)
          %f : f32[j + jj] = ingot::full[size=[j + jj], value=j, dtype=f32]()
          %d : f32[j + jj + q] = ingot::cat[dim=0](%c, %f)
          -> (%go, %d)
      %e : f32[h + 1] = ingot::cat[dim=0](%b, %one)
      -> (%go, %e)
  return (%y)
"""

ONE_TYPE = """
graph @f(%x : f32[2], %c : {type}) -> ():
  prim::Assert[message="not so", error="AssertionError"](%c)
  return ()
"""


def run(text: str, *inputs: Any) -> list[Any]:
    graph = parse(text)
    verify(graph)
    assert same_graph(parse(str(graph)), graph) is None and graph.copy() == graph
    return interpret(graph, list(inputs))[0]


@pytest.mark.parametrize("trips", (0, 1, 3))
def test_a_carried_value_grows(trips):
    y, size = run(GROWING, np.ones((3, 2), np.float32), trips)
    assert y.shape == (3 + 3 * trips, 2) and size == len(y)


def test_sizes_of_a_block_are_bound_anew_at_each_entry():
    y = np.zeros(2)
    for i in range(4):
        for ii in range(i):
            y = np.concatenate([y, np.full(i + ii, i)])
        y = np.append(y, 1)
    (found,) = run(NESTED, np.zeros(2, np.float32), 4)
    np.testing.assert_array_equal(found, y)


def test_two_sizes_in_one_expression():
    text = """
    graph @f(%y : f32[B], %x : f32[B + T], %n : int) -> (f32[m], f32[m + 2*j]):
      %go : bool = prim::Constant[value=true]()
      %z : f32[2*B + 2*T] = ingot::cat[dim=0](%x, %x)
      %w : f32[3*B + 2*T] = ingot::cat[dim=0](%z, %y)
      %a : f32[m], %b : f32[m + 2*j] = prim::Loop(%n, %go, %y, %w)
        block0(%i : int, %a1 : f32[h], %b1 : f32[h + 2*k]):
          %a2 : f32[2*h] = ingot::cat[dim=0](%a1, %a1)
          %b2 : f32[2*h + 2*k] = ingot::cat[dim=0](%a1, %b1)
          -> (%go, %a2, %b2)
      return (%a, %b)
    """
    a, b = run(text, np.ones(2, np.float32), np.ones(5, np.float32), 3)
    assert a.shape == (16,) and b.shape == (12 + 2 + 4 + 8,)


@pytest.mark.parametrize("side", (True, False))
def test_branches_yield_other_sizes(side):
    text = """
    graph @f(%x : f32[B], %c : bool[]) -> (f32[m], f32[m + 1], int):
      %y : f32[m], %z : f32[m + 1] = prim::If(%c)
        block0():
          %a : f32[2*B] = ingot::cat[dim=0](%x, %x)
          %f : f32[2*B + 1] = ingot::full[size=[2*B + 1], value=1.0, dtype=f32]()
          -> (%a, %f)
        block1():
          %p : i64[u, 1] = ingot::nonzero(%x)
          %r : i64[u] = ingot::reshape[shape=[u]](%p)
          %q : f32[u] = ingot::index_select[dim=0](%x, %r)
          %g : f32[u + 1] = ingot::full[size=[u + 1], value=2.0, dtype=f32]()
          -> (%q, %g)
      %s : int = prim::Size[m]()
      return (%y, %z, %s)
    """
    y, z, s = run(text, np.array([1, 0, 2], np.float32), np.array(side))
    assert len(y) == s == (6 if side else 2) and len(z) == s + 1


def test_stacks_of_a_loop_that_never_runs():
    text = """
    graph @f(%x : f32[B], %n : int) -> (f32[t, B, u], int):
      %go : bool = prim::Constant[value=true]()
      %s : f32[t, B, u] = prim::Loop(%n, %go)
        block0(%i : int):
          prim::Bind[k](%n)
          %f : f32[B, k] = ingot::full[size=[B, k], value=1.0, dtype=f32]()
          -> (%go, %f)
      %z : int = prim::Size[u]()
      return (%s, %z)
    """
    x = np.ones(3, np.float32)
    assert run(text, x, 0)[0].shape == (0, 3, 0) and run(text, x, 2)[0].shape == (2, 3, 2)
    assert run(text, x, 0)[1] == 0


def test_what_is_stacked_has_one_size():
    text = """
    graph @f(%x : f32[B], %n : int) -> (f32[t, u]):
      %go : bool = prim::Constant[value=true]()
      %s : f32[t, u] = prim::Loop(%n, %go)
        block0(%i : int):
          prim::Bind[k](%i)
          %f : f32[k] = ingot::full[size=[k], value=1.0, dtype=f32]()
          -> (%go, %f)
      return (%s)
    """
    text = text.replace("(%n, %go)\n", "(%n, %go)  @m.py:4:1\n")
    with pytest.raises(ShapeError, match="same shape") as caught:
        run(text, np.ones(3, np.float32), 2)
    assert caught.value.location is not None and caught.value.location.line == 4


def test_a_loop_with_no_end_of_its_own_runs_while_its_condition_holds():
    text = """
    graph @f(%n : int) -> (int):
      %forever : int = prim::Constant[value=9223372036854775807]()
      %go : bool = prim::Constant[value=true]()
      %zero : i64[] = ingot::full[size=[], value=0, dtype=i64]()
      %k : i64[] = prim::Loop(%forever, %go, %zero)
        block0(%i : int, %a : i64[]):
          %one : int = prim::Constant[value=1]()
          %b : i64[] = ingot::add(%a, %one)
          %c : bool[] = ingot::lt(%b, %n)
          -> (%c, %b)
      %r : int = prim::Item(%k)
      return (%r)
    """
    assert run(text, 7) == [7]


@pytest.mark.parametrize(
    ("dtype", "value", "kind"),
    [("f32", 0.5, float), ("bf16", 0.5, float), ("i64", -3, int), ("u8", 3, int), ("bool", True, bool)],
)
def test_items(dtype, value, kind):
    names = {float: "float", int: "int", bool: "bool"}
    text = f"graph @f(%x : {dtype}[1, 1]) -> ({names[kind]}): %y : {names[kind]} = prim::Item(%x) return (%y)"
    type_ = parse(text).inputs[0].type
    assert isinstance(type_, TensorType)
    (found,) = run(text, np.full((1, 1), value, type_.dtype.np))
    assert type(found) is kind and found == value


def test_an_item_of_several_elements_is_an_error_at_run_time():
    text = "graph @f(%x : f32[B]) -> (float): %y : float = prim::Item(%x)  @m.py:3:1 return (%y)"
    assert run(text, np.ones(1, np.float32)) == [1.0]
    with pytest.raises(ShapeError, match="does not have one element") as caught:
        run(text, np.ones(2, np.float32))
    assert caught.value.location is not None and caught.value.location.line == 3


@pytest.mark.parametrize(("type_", "given"), [("bool", bool), ("bool[]", np.bool_)])
def test_assertions(type_, given):
    text = ONE_TYPE.format(type=type_).replace("(%c)\n", "(%c)  @m.py:7:2\n")
    x = np.ones(2, np.float32)
    as_input = (lambda v: np.asarray(v)) if given is np.bool_ else bool
    assert run(text, x, as_input(True)) == []
    with pytest.raises(AssertionError, match="not so") as caught:
        run(text, x, as_input(False))
    assert isinstance(caught.value, AssertError) and isinstance(caught.value, IngotError)
    assert caught.value.location is not None and caught.value.location.line == 7


def test_a_bound_number_keeps_the_bounds_of_its_variable():
    text = """
    graph @f sizes {N in 2..4}(%n : int) -> (f32[N]):
      prim::Bind[N](%n)  @m.py:2:1
      %y : f32[N] = ingot::full[size=[N], value=1.0, dtype=f32]()
      return (%y)
    """
    assert run(text, 3)[0].shape == (3,)
    for wrong in (1, 5):
        with pytest.raises(ShapeError, match="size N is out of its bounds") as caught:
            run(text, wrong)
        assert caught.value.found == str(wrong)


def test_what_was_asserted_is_known_behind_it():
    text = """
    graph @f(%n : int, %m : int) -> (f32[N]):
      prim::Bind[N](%n)
      prim::Bind[M](%m)
      %size : int = prim::Size[M]()
      %same : bool[] = ingot::eq(%n, %size)
      %item : bool = prim::Item(%same)
      prim::Assert[message="", error="AssertionError"](%item)
      %a : f32[N] = ingot::full[size=[N], value=1.0, dtype=f32]()
      %b : f32[M] = ingot::full[size=[M], value=1.0, dtype=f32]()
      %y : f32[N] = ingot::add(%a, %b)
      return (%y)
    """
    assert run(text, 2, 2)[0].tolist() == [2, 2]
    with pytest.raises(AssertError, match="an assertion does not hold"):
        run(text, 2, 3)
    with pytest.raises(VerifyError, match="do not broadcast"):
        run("\n".join(line for line in text.splitlines() if "Assert" not in line), 2, 2)


# ------------------------------------------------------------------------------------------------------------- copies


def test_inlined_blocks_take_the_sizes_of_their_arguments():
    source = parse(GROWING)
    graph = Graph("twice")
    x = graph.add_input("x", TensorType(source.inputs[0].type.dtype, (var("C") + 1, 2)))
    n = graph.add_input("n", source.inputs[1].type)
    first, _ = inline(source.block, InsertionPoint.end(graph.block), [x, n])
    second, size = inline(source.block, InsertionPoint.end(graph.block), [first, n])
    graph.set_return([second, size])
    verify(graph)
    given = np.ones((3, 2), np.float32)
    (y, size), _ = interpret(graph, [given, 2])
    once = interpret(source, [given, 2])[0][0]
    np.testing.assert_array_equal(y, interpret(source, [once, 2])[0][0])
    assert size == len(y) == 27
    verify(source)


def test_a_block_cannot_be_inlined_for_sizes_that_it_cannot_have():
    source = parse("graph @f(%x : f32[2*B]) -> (f32[2*B]): %y : f32[2*B] = ingot::neg(%x) return (%y)")
    graph = Graph("odd")
    x = graph.add_input("x", TensorType(source.inputs[0].type.dtype, (var("C"),)))
    with pytest.raises(ArgumentError, match="the arguments' sizes do not fit"):
        inline(source.block, InsertionPoint.end(graph.block), [x])


def test_scopes_say_what_binds_which_size():
    graph = parse(NESTED)
    scopes = SizeScopes(graph)
    named = {block: sorted(names) for block, names in scopes.bound.items()}
    (outer,) = [node for node in graph.nodes(recursive=False) if node.blocks]
    (inner,) = [node for node in outer.blocks[0].nodes if node.blocks]
    assert named[graph.block] == ["B", "m"] and scopes.made[outer] == ("m",) and scopes.made[inner] == ("h",)
    assert named[outer.blocks[0]] == ["h", "j", "k"] and named[inner.blocks[0]] == ["jj", "q"]
    filled = inner.blocks[0].nodes.first.next
    assert {binder.op.name for binder in scopes.needs[filled]} == {"prim::Bind"} and len(scopes.needs[filled]) >= 2


def test_assertions_cost_the_nodes_that_have_to_do_with_them_alone(monkeypatch):
    count = 200
    lines = ["graph @f(%x : f32[8], %m : int, %yes : bool) -> (f32[8]):", "  %y : f32[8] = prim::Loop(%m, %yes, %x)"]
    lines += ["    block0(%i : int, %z0 : f32[8]):", "      %four : int = prim::Constant[value=4]()"]
    for k in range(count):
        lines += [
            f"      %a{k} : i64[] = ingot::argmax[dim=none, keepdim=false](%z{k})",
            f"      %n{k} : int = prim::Item(%a{k})",
            f"      prim::Bind[v{k}](%n{k})",
            f"      %c{k} : bool[] = ingot::lt(%n{k}, %four)",
            f'      prim::Assert[message="m", error="AssertionError"](%c{k})',
            f"      %z{k + 1} : f32[8] = ingot::softmax[dim=0](%z{k})",
        ]
    graph = parse("\n".join([*lines, f"      -> (%yes, %z{count})", "  return (%y)"]))
    added = []
    add = SizeContext.add
    monkeypatch.setattr(SizeContext, "add", lambda self, fact: (added.append(fact), add(self, fact))[1])
    assert open_composites(graph, lambda node: True)
    assert not added
