"""Numbers that a compiled function takes out of parameters and buffers, before any operation has read them."""

import ingot
import pytest
from ingot import nn
from ingot.ir.errors import CaptureError


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(ingot.tensor(2.0))
        self.register_buffer("ready", ingot.tensor(False))

    def forward(self, x):
        return x * self.factor.item()


def test_a_number_follows_its_parameter():
    net = Scaled()
    compiled = ingot.compile(net)
    for factor in (2.0, 3.0, 4.0):
        assert compiled(ingot.ones(2)).tolist() == [factor] * 2
        with ingot.no_grad():
            net.factor.add_(1)


def test_a_branch_on_a_buffer_is_refused_with_its_line():
    class Once(Scaled):
        def forward(self, x):
            if self.ready:
                return x * 3
            self.ready.fill_(True)
            return x

    net = Once()
    with pytest.raises(CaptureError, match=r"branch on a tensor's value[\s\S]*if self.ready:"):
        ingot.compile(net)(ingot.ones(2))
    assert not net.ready.item()


def test_what_each_call_makes_is_no_state():
    def run(x):
        total = ingot.tensor([0.0, 0.0])
        total.add_(x)
        noise = ingot.rand(2, generator=ingot.Generator().manual_seed(3))
        return total + noise

    compiled = ingot.compile(run)
    for value in (1.0, 1.0, 2.0):
        x = ingot.full((2,), value)
        assert compiled(x).tolist() == run(x).tolist()
