"""Loops and branches whose sizes depend on data, numbers out of tensors, and assertions, in ONNX."""

import numpy as np
import pytest
from ingot.ir.errors import ExportError
from ingot.ir.interpreter import interpret
from ingot.ir.verifier import verify
from ingot.serialize.onnx import to_model
from onnx_runs import run
from program_files import record_of

GROWING = """graph @forward(%x : f32[B, 2], %n : int) -> (f32[m, 2], int):
  %go : bool = prim::Constant[value=true]()
  %y : f32[m, 2] = prim::Loop(%n, %go, %x)
    block0(%i : int, %a : f32[k, 2]):
      %h : f32[k, 2] = ingot::tanh(%a)
      %c : f32[k + B, 2] = ingot::cat[dim=0](%h, %x)
      %f : f32[k + B, 2] = ingot::full[size=[k + B, 2], value=0.5, dtype=f32]()
      %d : f32[k + B, 2] = ingot::add(%c, %f)
      -> (%go, %d)
  %z : int = prim::Size[m]()
  return (%y, %z)
"""

UNEVEN = """graph @forward sizes {B >= 1}(%x : f32[B, 2], %c : bool) -> (f32[m + 1, 2]):
  %y : f32[m, 2] = prim::If(%c)
    block0():
      %d : f32[2*B, 2] = ingot::cat[dim=0](%x, %x)
      -> (%d)
    block1():
      %s : f32[1, 2] = ingot::slice[dim=0, start=0, end=1, step=1](%x)
      -> (%s)
  %f : f32[1, 2] = ingot::full[size=[1, 2], value=0.5, dtype=f32]()
  %z : f32[m + 1, 2] = ingot::cat[dim=0](%y, %f)
  return (%z)
"""

BY_DATA = """graph @forward(%x : f32[B], %k : i64[1]) -> (f32[N], f32[B], bool):
  %n : int = prim::Item(%k)
  prim::Bind[N](%n)
  %ones : f32[N] = ingot::full[size=[N], value=1.0, dtype=f32]()
  %most : f32[] = ingot::amax[dim=[0], keepdim=false](%x)
  %scale : float = prim::Item(%most)
  %y : f32[B] = ingot::mul(%x, %scale)
  %zero : float = prim::Constant[value=0.0]()
  %c : bool[] = ingot::gt(%most, %zero)
  %b : bool = prim::Item(%c)
  return (%ones, %y, %b)
"""

WHILE = """graph @forward(%x : f32[2], %limit : float) -> (f32[2]):
  %forever : int = prim::Constant[value=9223372036854775807]()
  %go : bool = prim::Constant[value=true]()
  %two : float = prim::Constant[value=2.0]()
  %y : f32[2] = prim::Loop(%forever, %go, %x)
    block0(%i : int, %a : f32[2]):
      %d : f32[2] = ingot::mul(%a, %two)
      %t : f32[] = ingot::amax[dim=[0], keepdim=false](%d)
      %c : bool[] = ingot::lt(%t, %limit)
      %more : bool = prim::Item(%c)
      -> (%more, %d)
  return (%y)
"""


def check(text, **inputs):
    program = record_of(text)
    graph = program.graphs["forward"]
    verify(graph)
    found, how = run(to_model(program), {name: np.asarray(x) for name, x in inputs.items()})
    expected, _ = interpret(graph, [inputs[value.name] for value in graph.inputs], {})
    for a, b in zip(found, expected, strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert how == "runtime"


@pytest.mark.parametrize("trips", (0, 1, 4))
def test_a_carried_value_that_grows(trips):
    check(GROWING, x=np.ones((3, 2), np.float32), n=trips)


@pytest.mark.parametrize("condition", (True, False))
def test_a_branch_that_yields_other_sizes(condition):
    check(UNEVEN, x=np.ones((3, 2), np.float32), c=condition)


def test_numbers_out_of_tensors_are_sizes_and_operands():
    check(BY_DATA, x=np.array([1, 3, 2], np.float32), k=np.array([4]))


def test_a_loop_that_runs_while_a_condition_holds():
    check(WHILE, x=np.array([1, 3], np.float32), limit=100.0)


def test_an_assertion_has_no_form():
    text = """graph @forward(%x : f32[2], %c : bool) -> (f32[2]):
  prim::Assert[message="no", error="AssertionError"](%c)  @m.py:3:1
  return (%x)
"""
    with pytest.raises(ExportError, match="prim::Assert: ONNX has no assertions; leave it out"):
        to_model(record_of(text))
