"""Saving and loading an optimizer's state."""

import copy

import ingot
import numpy as np
import pytest
from ingot.ir.errors import ArgumentError
from ingot.optim import SGD, Adam, Optimizer


def _trained(kind, steps, state=None, **options):
    parameters = [ingot.nn.Parameter(ingot.tensor([1.0, 2.0])), ingot.nn.Parameter(ingot.tensor(3.0))]
    optimizer = kind(parameters, **options)
    if state is not None:
        for p, value in zip(parameters, state[0], strict=True):
            with ingot.no_grad():
                p.copy_(value)
        optimizer.load_state_dict(state[1])
    for _ in range(steps):
        optimizer.zero_grad()
        (parameters[0] * parameters[0]).sum().backward()
        (parameters[1] ** 3).backward()
        optimizer.step()
    return parameters, optimizer


@pytest.mark.parametrize(
    ("kind", "options"),
    [(Adam, {"lr": 0.1, "amsgrad": True}), (SGD, {"lr": 0.01, "momentum": 0.9, "dampening": 0.5})],
)
def test_training_goes_on_where_it_was_saved(kind, options):
    through, _ = _trained(kind, 7, **options)
    halfway, optimizer = _trained(kind, 3, **options)
    saved = ([p.detach().clone() for p in halfway], copy.deepcopy(optimizer.state_dict()))
    resumed, _ = _trained(kind, 4, saved, lr=0.5)
    for a, b in zip(through, resumed, strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


def test_the_form_is_pytorchs():
    parameters, optimizer = _trained(Adam, 2, lr=0.25)
    state = optimizer.state_dict()
    assert state["param_groups"][0]["params"] == [0, 1]
    assert state["param_groups"][0]["lr"] == 0.25
    assert list(state["state"]) == [0, 1]
    assert set(state["state"][0]) == {"step", "exp_avg", "exp_avg_sq"}
    assert state["state"][0]["step"].item() == 2.0
    assert state["state"][0]["exp_avg"] is optimizer.state[parameters[0]]["exp_avg"]


def test_loading_copies_and_keeps_what_is_there():
    _, saved = _trained(Adam, 2)
    parameters, optimizer = _trained(Adam, 1)
    kept = optimizer.state[parameters[0]]["exp_avg"]
    given = saved.state_dict()
    optimizer.load_state_dict(given)
    assert optimizer.state[parameters[0]]["exp_avg"] is kept
    source = given["state"][0]["exp_avg"]
    assert kept.tolist() == source.tolist()
    optimizer.step()
    assert kept.tolist() != source.tolist()


def test_state_takes_the_parameters_dtype_and_counts_stay_float64():
    parameters, optimizer = _trained(Adam, 0)
    array = np.arange(2.0)
    entry = {"step": np.float32(5.0).reshape(()), "exp_avg": array, "exp_avg_sq": array}
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": {0: entry}, "param_groups": groups})
    state = optimizer.state[parameters[0]]
    assert state["exp_avg"].dtype is ingot.float32
    assert state["step"].dtype is ingot.float64
    assert state["step"].item() == 5.0


def test_a_momentum_without_a_count_is_past_its_first_step():
    parameters, optimizer = _trained(SGD, 0, lr=1.0, momentum=0.5, dampening=0.5)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": {1: {"momentum_buffer": np.array(2.0)}}, "param_groups": groups})
    parameters[1].grad = ingot.tensor(4.0)
    optimizer.step()
    assert optimizer.state[parameters[1]]["momentum_buffer"].item() == 0.5 * 2.0 + 0.5 * 4.0


def test_a_learning_rate_tensor_keeps_its_identity():
    rate = ingot.tensor(0.5)
    p = ingot.nn.Parameter(ingot.ones(1))
    optimizer = SGD([p], lr=rate)
    state = copy.deepcopy(optimizer.state_dict())
    state["param_groups"][0]["lr"].fill_(0.125)
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.125


def test_what_does_not_fit_is_refused_before_anything_changes():
    parameters, optimizer = _trained(Adam, 1)
    state = optimizer.state_dict()
    groups = state["param_groups"]
    with pytest.raises(ArgumentError, match="other parameter groups"):
        optimizer.load_state_dict({"state": {}, "param_groups": groups * 2})
    before = optimizer.state[parameters[0]]["exp_avg"].tolist()
    wrong = {0: {"exp_avg": ingot.zeros(2)}, 1: {"exp_avg": ingot.zeros(7)}}
    with pytest.raises(ArgumentError, match="'exp_avg' has other sizes"):
        optimizer.load_state_dict({"state": wrong, "param_groups": groups})
    assert optimizer.state[parameters[0]]["exp_avg"].tolist() == before


def test_named_state_names_all_that_a_step_keeps():
    net = ingot.nn.Linear(2, 1)
    optimizer = Adam(net.parameters(), lr=ingot.tensor(0.5))
    names = {id(p): name for name, p in net.named_parameters()}
    found = dict(optimizer.named_state(names))
    assert set(found) == {"lr"} | {f"{p}.{k}" for p in ("weight", "bias") for k in ("step", "exp_avg", "exp_avg_sq")}
    assert all(not tensor.numpy().any() for name, tensor in found.items() if name != "lr")


def test_an_optimizer_of_ones_own_needs_no_more_than_a_step():
    class SignDescent(Optimizer):
        def __init__(self, params, lr=0.5):
            super().__init__(params, {"lr": lr})

        @ingot.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    state = self.state[p]
                    state["seen"] = state.get("seen", ingot.zeros(())) + 1
                    p.sub_(p.grad.sign() * group["lr"])

    p = ingot.nn.Parameter(ingot.tensor([3.0, -3.0]))
    optimizer = SignDescent([p])
    (p * p).sum().backward()
    optimizer.step()
    assert p.tolist() == [2.5, -2.5]
    assert optimizer.state_dict()["state"][0]["seen"].item() == 1.0


def test_text_is_pytorchs():
    text = repr(SGD([ingot.nn.Parameter(ingot.ones(1))], lr=0.5))
    assert text.splitlines()[:4] == ["SGD (", "Parameter Group 0", "    dampening: 0.0", "    lr: 0.5"]
