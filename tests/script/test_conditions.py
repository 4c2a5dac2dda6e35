"""Conditions that change something, or draw: each is asked as often as Python asks it."""

from __future__ import annotations

import ingot
import pytest
from ingot import nn
from ingot.ir.errors import CaptureError


def counted_down(x, n: int):
    while (n := n - 1) > 0:
        x = x + n
    return x, n


def popped(x, n: int):
    left = [n]

    def more():
        left[0] -= 1
        return left[0]

    while more() > 0:
        x = x + left[0]
    return x, left[0]


@pytest.mark.parametrize("function", [counted_down, popped])
@pytest.mark.parametrize("n", [0, 1, 4, 9])
def test_a_loops_condition_that_assigns(function, n):
    scripted = ingot.jit.script(function)
    x, left = scripted(ingot.zeros(2), n)
    wanted = function(ingot.zeros(2), n)
    assert ingot.equal(x, wanted[0]) and left == wanted[1]
    x, left = scripted.program((ingot.zeros(2), 3))(ingot.zeros(2), n)
    assert ingot.equal(x, wanted[0]) and left == wanted[1]


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.n = 0
        self.register_buffer("asked", ingot.zeros(()))

    def more(self, k):
        self.n += 1
        self.asked += 1
        return self.n < k

    def forward(self, x, k: int):
        while self.more(k):
            x = x + 1
        return x


def test_a_loops_condition_that_changes_objects_and_buffers():
    one, other = Counter(), Counter()
    scripted = ingot.jit.script(other)
    for k in (3, 7, 2, 20):
        assert ingot.equal(one(ingot.zeros(1), k), scripted(ingot.zeros(1), k))
        assert one.n == other.n and ingot.equal(one.asked, other.asked)


def drawn_branch(x):
    return x + 1 if ingot.rand(()) < 0.5 else x


def drawn_number(x):
    return x + ingot.rand(1).item()


def drawn_loop(x):
    while ingot.randint(0, 9, (1,)).item() > 2:
        x = x + 1
    return x


@pytest.mark.parametrize("function", [drawn_branch, drawn_number, drawn_loop])
def test_what_a_draw_decides_is_decided_at_each_call(function):
    x = ingot.zeros(1)
    ingot.manual_seed(0)
    wanted = [function(x).item() for _ in range(8)]
    ingot.manual_seed(0)
    scripted = ingot.jit.script(function)
    found = [scripted(x).item() for _ in range(8)]
    assert found == wanted and len(set(wanted)) > 1


def test_a_branch_on_a_draw_is_refused_where_branches_are_not_captured():
    with pytest.raises(CaptureError, match="a Python branch on a tensor's value"):
        ingot.compile(drawn_branch)(ingot.zeros(1))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.Linear(4, 2)
        self.register_buffer("h", ingot.zeros(1, 2))

    def forward(self, x):
        self.h = ingot.tanh(self.cell(ingot.cat([x, self.h], 1)))
        return self.h


def test_state_on_the_tape_of_the_call_before_is_refused_with_the_line_that_reads_it():
    scripted, x = ingot.jit.script(Recurrent()), ingot.ones(1, 2)
    scripted(x)
    with pytest.raises(CaptureError, match="requires a gradient") as caught:
        scripted(x)
    assert "self.h = ingot.tanh" in caught.value.location.source
    one, other = Recurrent(), Recurrent()
    other.load_state_dict(one.state_dict())
    scripted = ingot.jit.script(other)
    with ingot.no_grad():
        assert all(ingot.allclose(one(x), scripted(x)) for _ in range(3))
