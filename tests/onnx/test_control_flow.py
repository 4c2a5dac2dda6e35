"""Branches and loops as ONNX's If and Loop."""

import numpy as np
import pytest
from ingot.ir.errors import ExportError
from ingot.ir.interpreter import interpret
from ingot.serialize.onnx import to_model
from ingot.serialize.onnx.control_flow import MAX_DEPTH
from onnx_runs import run
from program_files import record_of

SUM = "ingot::sum[dim=none, keepdim=false, dtype=none]"

BRANCHES = """graph @forward(%x : f32[B], %c : bool) -> (f32[B], f32[2*B], f32[B]):
  %y : f32[B], %z : f32[2*B], %w : f32[B] = prim::If(%c)
    block0():
      %a : f32[B] = ingot::exp(%x)
      %l : f32[2*B] = ingot::cat[dim=0](%x, %a)
      -> (%a, %l, %a)
    block1():
      %f : f32[2*B] = ingot::full[size=[2*B], value=3.0, dtype=f32]()
      -> (%x, %f, %x)
  return (%y, %z, %w)
"""

LOOP = f"""graph @forward(%x : f32[B], %n : int) -> (f32[B], f32[], f32[k, B]):
  %t : bool = prim::Constant[value=true]()
  %zero : f32[] = ingot::full[size=[], value=0.0, dtype=f32]()
  %limit : float = prim::Constant[value=40.0]()
  %w : f32[B], %s : f32[], %st : f32[k, B] = prim::Loop(%n, %t, %x, %zero)
    block0(%i : int, %p : f32[B], %q : f32[]):
      %next : f32[B] = ingot::add(%p, %i)
      %total : f32[] = {SUM}(%next)
      %sum : f32[] = ingot::add(%q, %total)
      %go : bool[] = ingot::lt(%sum, %limit)
      -> (%go, %next, %sum, %p)
  return (%w, %s, %st)
"""

NESTED = f"""graph @forward(%x : f32[B], %n : int, %c : bool) -> (f32[B]):
  %t : bool = prim::Constant[value=true]()
  %w : f32[B] = prim::Loop(%n, %t, %x)
    block0(%i : int, %p : f32[B]):
      %r : f32[B] = prim::If(%c)
        block0():
          %big : f32[3*B] = ingot::full[size=[3*B], value=1.0, dtype=f32]()
          %s : f32[] = {SUM}(%big)
          %a : f32[B] = ingot::add(%p, %s)
          -> (%a)
        block1():
          %b : f32[B] = ingot::neg(%p)
          -> (%b)
      -> (%t, %r)
  return (%w)
"""


def check(text, opset=20, **inputs):
    program = record_of(text)
    graph = program.graphs["forward"]
    model = to_model(program, opset_version=opset)
    found, how = run(model, {name: np.asarray(x) for name, x in inputs.items()})
    expected, _ = interpret(graph, [inputs[value.name] for value in graph.inputs], program.state)
    for a, b in zip(found, expected, strict=True):
        if not np.size(b):
            continue  # of a loop that never ran ONNX Runtime does not know the sizes of what it would have stacked
        np.testing.assert_allclose(a, b, rtol=1e-5)
    assert how == "runtime"
    return model


@pytest.mark.parametrize("opset", (13, 17, 20))
@pytest.mark.parametrize("condition", (True, False))
def test_a_branch(opset, condition):
    check(BRANCHES, opset, x=np.arange(3, dtype=np.float32), c=condition)


@pytest.mark.parametrize("opset", (13, 17, 20))
@pytest.mark.parametrize("trips", (0, 1, 3, 50))
def test_a_loop_with_carried_and_stacked_values(opset, trips):
    check(LOOP, opset, x=np.arange(3, dtype=np.float32), n=trips)


@pytest.mark.parametrize("condition", (True, False))
def test_a_branch_in_a_loop_sees_what_is_around_it(condition):
    model = check(NESTED, x=np.arange(3, dtype=np.float32), n=3, c=condition)
    # The sizes do not depend on the iteration, so they are computed in front of the loop.
    assert [node.op_type for node in model.graph.node] == ["Shape", "Mul", "Loop"]


def test_names_are_unique_across_bodies():
    model = to_model(record_of(NESTED))
    names = []

    def collect(graph):
        names.extend(value.name for value in graph.input)
        for node in graph.node:
            names.extend(node.output)
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    collect(attribute.g)

    collect(model.graph)
    assert len(names) == len(set(names))


def nested(depth):
    """Branches in branches."""
    lines, ends = [], []
    for i in range(depth):
        space = "  " * (2 * i + 1)
        lines += [f"{space}%v{i} : f32[2] = prim::If(%c)", f"{space}  block0():"]
        inner = f"%v{i + 1}" if i + 1 < depth else f"%g{depth}"
        other = f"{space}    %e{i} : f32[2] = ingot::exp(%{'x' if i == 0 else f'g{i}'})"
        lines.append(f"{space}    %g{i + 1} : f32[2] = ingot::neg(%{'x' if i == 0 else f'g{i}'})")
        ends += [f"{space}    -> ({inner})", f"{space}  block1():", other, f"{space}    -> (%e{i})"]
    body = "\n".join([*lines, *[line for i in reversed(range(depth)) for line in ends[4 * i : 4 * i + 4]]])
    return f"graph @forward(%x : f32[2], %c : bool) -> (f32[2]):\n{body}\n  return (%v0)\n"


def test_bodies_may_be_as_deep_as_the_format_allows():
    check(nested(MAX_DEPTH), x=np.ones(2, np.float32), c=True)
    with pytest.raises(ExportError, match="too deep inside each other"):
        to_model(record_of(nested(MAX_DEPTH + 1)))


def test_a_tuple_out_of_a_branch_has_no_form():
    text = """graph @forward(%x : f32[2], %c : bool) -> (f32[2]):
  %y : (f32[2],) = prim::If(%c)
    block0():
      %a : (f32[2],) = prim::Tuple(%x)
      -> (%a)
    block1():
      %b : (f32[2],) = prim::Tuple(%x)
      -> (%b)
  %z : f32[2] = prim::Untuple(%y)
  return (%z)
"""
    with pytest.raises(ExportError, match="which ONNX does not have"):
        to_model(record_of(text))
