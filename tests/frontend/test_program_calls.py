"""Calls of programs: the quick way of a plain call, and all that must not be missed by it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.frontend.program_call import MISSED
from ingot.ir.errors import ArgumentError, DTypeError, ShapeError


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(ingot.full((4,), 2.0))
        self.register_buffer("count", ingot.zeros(()))

    def forward(self, x: Any) -> Any:
        self.count += 1
        return x * self.weight


def double(x: Any) -> Any:
    return x * 2 + 1


def is_quick(program: Any, *args: Any) -> bool:
    """Whether a call is served the quick way, where there is one; the call is made."""
    return program._quick[None](program, args) is not MISSED


@pytest.fixture
def program() -> Any:
    found = ingot.jit.trace(double, ingot.ones(4))
    assert found(ingot.ones(4)).tolist() == [3.0] * 4  # from now on, calls may be quick
    return found


def test_a_plain_call_is_quick(program):
    x = ingot.tensor([0.0, 1.0, 2.0, 3.0])
    assert is_quick(program, x)
    first, second = program(x), program(x)
    assert first.tolist() == second.tolist() == [1.0, 3.0, 5.0, 7.0]
    first += 1
    assert second.tolist() == [1.0, 3.0, 5.0, 7.0] and x.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_arrays_are_taken_as_tensors_are(program):
    x = np.arange(4, dtype=np.float32)
    assert is_quick(program, x) and program(x).tolist() == [1.0, 3.0, 5.0, 7.0]
    assert isinstance(program(x), ingot.Tensor)


def test_arguments_that_do_not_fit_are_refused_with_the_users_line(program):
    with pytest.raises(ShapeError, match="another size"):
        program(ingot.ones(5))
    with pytest.raises(ShapeError, match="2 dimensions"):
        program(ingot.ones(4, 1))
    with pytest.raises(DTypeError, match="float64"):
        program(ingot.ones(4, dtype=ingot.float64))
    with pytest.raises(ArgumentError, match="2 arguments"):
        program(ingot.ones(4), ingot.ones(4))
    with pytest.raises(ArgumentError, match="'x' is missing") as missing:
        program()
    assert missing.value.location.file.endswith("test_program_calls.py")
    with pytest.raises(ArgumentError, match="tensor"):
        program(1.0)


def test_names_and_keywords_still_go(program):
    assert program(x=ingot.ones(4)).tolist() == program.run("forward", ingot.ones(4)).tolist() == [3.0] * 4
    assert program.entry("forward")(ingot.ones(4)).tolist() == [3.0] * 4


def test_gradients_flow_after_quick_calls(program):
    x = ingot.ones(4, requires_grad=True)
    assert not is_quick(program, x)
    program(x).sum().backward()
    assert x.grad.tolist() == [2.0] * 4
    with ingot.no_grad():
        assert is_quick(program, x)
        assert not program(x).requires_grad


def test_gradients_of_parameters_that_were_asked_for_later():
    program = ingot.jit.trace(nn.Linear(2, 1), ingot.ones(1, 2))
    program(ingot.ones(1, 2))
    assert is_quick(program, ingot.ones(1, 2))
    weight = program.named_parameters()["weight"]
    assert not is_quick(program, ingot.ones(1, 2))
    program(ingot.ones(1, 2)).sum().backward()
    assert weight.grad.tolist() == [[1.0, 1.0]]


def test_a_watch_sees_calls_that_were_quick_before():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    program = ingot.jit.trace(net, ingot.ones(1, 2))
    x = ingot.ones(1, 2)
    program(x), program(x)
    with program.watch("0") as linear:
        result = program(x)
        program(x)
    assert len(linear.values) == 2 and ingot.equal(linear.last.relu(), result)
    assert is_quick(program, x)


def test_a_call_inside_of_a_capture_becomes_a_part_of_it(program):
    outer = ingot.jit.trace(lambda x: program(x) - 1, ingot.ones(4))
    assert outer(ingot.full((4,), 5.0)).tolist() == [10.0] * 4
    assert not outer.graph.state


def test_state_is_read_and_written_at_each_call():
    program = ingot.jit.trace(Scale(), ingot.ones(4))
    x = ingot.ones(4)
    start = program.state["count"].item()
    for _ in range(3):
        assert program(x).tolist() == [2.0] * 4
    assert is_quick(program, x) and program.state["count"].item() == start + 4
    program.load_state_dict({"weight": np.full(4, 3.0, np.float32)})
    assert program(x).tolist() == [3.0] * 4
    weight = program.named_parameters()["weight"]
    with ingot.no_grad():
        weight.mul_(2)
        assert is_quick(program, x) and program(x).tolist() == [6.0] * 4


def test_what_is_derived_from_state_follows_it():
    class Derived(Scale):
        def forward(self, x: Any) -> Any:
            return x + (self.weight * self.weight).sum()

    program = ingot.jit.trace(Derived(), ingot.ones(4))
    x = ingot.zeros(4)
    assert program(x).tolist() == program(x).tolist() == [16.0] * 4
    program.load_state_dict({"weight": np.ones(4, np.float32)})
    assert is_quick(program, x) and program(x).tolist() == [4.0] * 4
    with ingot.no_grad():
        program.named_parameters()["weight"].fill_(3)
        assert program(x).tolist() == [36.0] * 4


def test_random_state_moves_on():
    program = ingot.jit.trace(lambda x: x + ingot.rand(4), ingot.zeros(4))
    x = ingot.zeros(4)
    drawn = [tuple(program.manual_seed(1)(x).tolist()), *(tuple(program(x).tolist()) for _ in range(3))]
    assert len(set(drawn)) == 4
    assert tuple(program.manual_seed(1)(x).tolist()) == drawn[0]
    generator = ingot.Generator().manual_seed(1)
    assert tuple(program(x, generator=generator).tolist()) == drawn[0]


def test_results_of_any_structure():
    x = ingot.ones(4)
    for result, shown in (
        (lambda x: (x + 1, x), "tuple"),
        (lambda x: [x + 1], "list"),
        (lambda x: {"a": x + 1, "b": (x, None)}, "dict"),
        (lambda x: x.sum().item(), "float"),
        (lambda x: None, "NoneType"),
    ):
        program = ingot.jit.trace(result, x)
        for _ in range(3):
            found = program(x)
            assert type(found).__name__ == shown
            assert ingot.jit.capture_report(program)  # the signature is not touched
            if shown != "float":
                assert str(found) == str(result(x))


def test_dynamic_sizes_are_bound_at_each_call():
    program = ingot.jit.trace(lambda x: x * x.shape[0], ingot.ones(4), dynamic_shapes={0: "n"})
    for n in (4, 4, 5, 2, 4):
        assert program(ingot.ones(n)).tolist() == [float(n)] * n
    assert is_quick(program, ingot.ones(7))


def test_a_mode_is_no_plain_argument():
    program = ingot.jit.trace(nn.Dropout(1.0), ingot.ones(2), modes=("train", "eval"))
    x = ingot.ones(2)
    for _ in range(2):
        assert program.train()(x).tolist() == [0.0, 0.0] and program.eval()(x).tolist() == [1.0, 1.0]


def test_what_a_function_writes_to_its_argument_is_written():
    program = ingot.jit.trace(lambda x: x.add_(1) * 2, ingot.ones(4), mutates="write_back")
    for _ in range(2):
        x = ingot.ones(4)
        assert program(x).tolist() == [4.0] * 4 and x.tolist() == [2.0] * 4


def test_the_number_of_threads_and_the_backend_may_change(program):
    x = ingot.ones(4)
    program.num_threads = 1
    assert not is_quick(program, x) and program(x).tolist() == [3.0] * 4
    program.num_threads = None
    assert is_quick(program, x)
    program.backend = "reference"
    assert not is_quick(program, x) and program(x).tolist() == [3.0] * 4
    assert is_quick(program, x) and "reference" in program._quick[None].backend


def test_quick_calls_from_several_threads(program):
    inputs = [ingot.full((4,), float(i)) for i in range(200)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(program, inputs))
    assert [y.tolist() for y in found] == [[2.0 * i + 1] * 4 for i in range(200)]
