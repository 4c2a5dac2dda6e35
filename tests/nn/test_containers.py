"""Modules that hold modules."""

import ingot
import pytest
from ingot import nn
from ingot.ir.errors import ArgumentError, IndexOutOfRange


def _sequence():
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))


def test_sequences_run_in_order():
    net = _sequence()
    x = ingot.rand(4, 2)
    assert net(x).equal(net[2](net[1](net[0](x))))
    assert nn.Sequential()(x) is x


def test_sequences_may_have_names():
    net = nn.Sequential({"first": nn.Linear(2, 3), "then": nn.ReLU()})
    assert [name for name, _ in net.named_parameters()] == ["first.weight", "first.bias"]
    assert net.first is net[0]
    assert repr(net[1:]) == "Sequential(\n  (then): ReLU()\n)"


def test_sequences_are_like_lists():
    net = _sequence()
    a, b, c = net
    assert len(net) == 3
    assert net[-1] is c
    assert list(net[:2]) == [a, b]
    assert isinstance(net[1:], nn.Sequential)
    d = nn.Tanh()
    net[1] = d
    assert list(net) == [a, d, c]
    del net[0]
    assert list(net) == [d, c]
    assert [name for name, _ in net.named_children()] == ["0", "1"]
    net.append(b).insert(0, a).extend([nn.Sigmoid()])
    assert list(net)[:4] == [a, d, c, b]
    assert net.pop() is not None
    assert list(net) == [a, d, c, b]
    del net[1:3]
    assert list(net) == [a, b]
    assert len(net + nn.Sequential(c)) == 3
    with pytest.raises(IndexOutOfRange, match="no entry 2"):
        net[2]
    with pytest.raises(ArgumentError, match="is a int"):
        nn.Sequential(3)


def test_lists_register_their_modules():
    layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 3)])
    assert [name for name, _ in layers.named_parameters()] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    layers += [nn.ReLU()]
    assert len(layers) == 3
    assert len(layers + nn.ModuleList([nn.Tanh()])) == 4
    assert isinstance(layers[1:], nn.ModuleList)
    layers.insert(1, nn.Identity())
    assert [type(m).__name__ for m in layers] == ["Linear", "Identity", "Linear", "ReLU"]
    del layers[1]
    layers[0] = nn.Tanh()
    assert repr(layers[0]) == "Tanh()"
    assert len(nn.ModuleList()) == 0


def test_lists_print_equal_neighbours_once():
    layers = nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Sequential(nn.Tanh()), nn.Sequential(nn.Tanh()), nn.ReLU()])
    assert repr(layers) == (
        "ModuleList(\n  (0-1): 2 x ReLU()\n  (2-3): 2 x Sequential(\n    (0): Tanh()\n  )\n  (4): ReLU()\n)"
    )


def test_dicts():
    choices = nn.ModuleDict({"a": nn.Linear(1, 1)})
    choices["b"] = nn.ReLU()
    choices.update([("c", nn.Tanh())])
    assert list(choices) == list(choices.keys()) == ["a", "b", "c"]
    assert [type(m).__name__ for m in choices.values()] == ["Linear", "ReLU", "Tanh"]
    assert dict(choices.items())["b"] is choices["b"]
    assert "b" in choices
    assert len(choices) == 3
    del choices["b"]
    assert repr(choices.pop("c")) == "Tanh()"
    assert [name for name, _ in choices.named_parameters()] == ["a.weight", "a.bias"]
    choices.clear()
    assert len(choices) == 0
    with pytest.raises(KeyError):
        choices["a"]


def test_lists_of_parameters():
    weights = nn.ParameterList([ingot.zeros(2), nn.Parameter(ingot.ones(3))])
    assert all(isinstance(p, nn.Parameter) for p in weights)
    weights.append(ingot.ones(1)).extend([ingot.ones(4)])
    weights += [ingot.ones(5)]
    assert [len(p) for p in weights] == [2, 3, 1, 4, 5]
    weights[-1] = ingot.zeros(6)
    assert len(weights[4]) == 6
    assert len(weights[1:3]) == 2
    assert list(weights.state_dict()) == ["0", "1", "2", "3", "4"]
    with pytest.raises(ArgumentError, match="an entry is a int"):
        weights.append(3)
