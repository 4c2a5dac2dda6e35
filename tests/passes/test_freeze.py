"""`freeze`: state as constants."""

import numpy as np
import pytest
from golden import assert_close
from ingot.ir.errors import ArgumentError, ShapeError
from ingot.ir.interpreter import interpret
from ingot.ir.parser import parse
from ingot.ir.verifier import verify
from ingot.passes import freeze, run_pipeline

TEXT = """
graph @f(%x : f32[2]) state {%w : f32[2] = "w", %b : f32[2] = "b", %n : f32[2] = "n"} -> (f32[2]):
  %s : f32[2] = ingot::exp(%w)
  %y : f32[2] = ingot::mul(%x, %s)
  %z : f32[2] = ingot::add(%y, %b)
  %m : f32[2] = ingot::add(%n, %x)
  return (%z) update {"n": %m}
"""
STATE = {key: np.array(values, np.float32) for key, values in (("w", [0, 1]), ("b", [3, -4]), ("n", [1, 1]))}


def test_frozen_state_can_be_folded_and_gives_the_same() -> None:
    graph = parse(TEXT)
    x = np.array([1.5, -2], np.float32)
    before, update = interpret(graph, [x], STATE)
    assert freeze(graph, STATE)
    verify(graph)
    assert list(graph.state) == ["n"]  # it is updated, so that it is no constant
    run_pipeline(graph, "fold,dce", [])
    assert "exp" not in [node.op.short for node in graph.nodes()]
    after, same_update = interpret(graph, [x], {"n": STATE["n"]})
    assert_close(before[0], after[0], 0.0)
    assert_close(update["n"], same_update["n"], 0.0)
    assert not freeze(graph, {})


def test_the_caller_may_change_the_arrays_afterwards() -> None:
    graph = parse(TEXT)
    state = {key: value.copy() for key, value in STATE.items()}
    freeze(graph, state, keys=["b"])
    state["b"][:] = 100
    outputs, _ = interpret(graph, [np.zeros(2, np.float32)], state)
    assert_close(outputs[0], STATE["b"], 0.0)


@pytest.mark.parametrize(
    ("state", "keys", "error", "message"),
    [
        (STATE, ["gone"], ArgumentError, "no state 'gone'"),
        ({}, ["w"], ArgumentError, "no state 'w'"),
        (STATE, ["n"], ArgumentError, "is updated"),
        ({**STATE, "b": np.zeros(3, np.float32)}, ["w", "b"], ShapeError, "of another type"),
    ],
)
def test_what_cannot_be_frozen_is_refused_and_nothing_changes(state, keys, error, message) -> None:
    graph = parse(TEXT)
    with pytest.raises(error, match=message):
        freeze(graph, state, keys)
    assert graph == parse(TEXT)
