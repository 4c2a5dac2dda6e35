"""Functions that a library's decorator has wrapped are rewritten inside of their wrapper."""

from __future__ import annotations

import contextlib

import ingot
import pytest
from ingot import nn

entered = []


@contextlib.contextmanager
def noted():
    entered.append(1)
    yield


@ingot.no_grad()
def without(x):
    return x + 1 if x.sum() > 0 else x - 1


@noted()
def within(x):
    return x + 1 if x.sum() > 0 else x - 1


@ingot.inference_mode()
@noted()
def both(x):
    return x + 1 if x.sum() > 0 else x - 1


@pytest.mark.parametrize("function", [without, within, both])
def test_a_wrapped_function_is_captured_with_its_branches(function):
    scripted = ingot.jit.script(function)
    for value in (1.0, -1.0):
        x = ingot.tensor([value], requires_grad=True)
        assert ingot.equal(scripted(x), function(x))
        assert scripted(x).requires_grad == function(x).requires_grad


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(2, 2)

    @ingot.no_grad()
    def forward(self, x, steps: int):
        for _ in range(steps):
            x = self.body(x).tanh() + 1
            if x.sum() > 3:
                break
        return x


def test_a_module_whose_forward_is_wrapped():
    net = Generator()
    scripted = ingot.jit.script(net)
    for steps in (0, 1, 5):
        assert ingot.allclose(scripted(ingot.ones(2), steps), net(ingot.ones(2), steps))
    program = scripted.program((ingot.ones(2), 2))
    assert ingot.allclose(program(ingot.ones(2), 9), net(ingot.ones(2), 9))


@ingot.jit.ignore
@ingot.no_grad()
def left_alone(x):
    return x + 1 if x.sum() > 0 else x - 1


def test_an_ignored_function_is_left_as_it_is():
    with pytest.raises(ingot.jit.Error, match="a Python branch on a tensor's value"):
        ingot.jit.script(lambda x: left_alone(x))(ingot.ones(1))
