"""Optimizers against closed formulas, and both ways of computing them against each other."""

import math

import ingot
import numpy as np
import pytest
from ingot.ir.errors import ArgumentError
from ingot.optim import SGD, Adam, AdamW, update

CASES = [
    (SGD, {"lr": 0.1}),
    (SGD, {"lr": 0.1, "weight_decay": 0.01, "maximize": True}),
    (SGD, {"lr": 0.1, "momentum": 0.9}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
    (Adam, {"lr": 0.01}),
    (Adam, {"lr": 0.01, "betas": (0.5, 0.9), "weight_decay": 0.1, "maximize": True}),
    (Adam, {"lr": 0.01, "amsgrad": True, "eps": 1e-3}),
    (AdamW, {"lr": 0.01}),
    (AdamW, {"lr": 0.01, "weight_decay": 0.5, "amsgrad": True}),
]
IDS = [f"{kind.__name__}-{'-'.join(f'{k}={v}' for k, v in options.items())}" for kind, options in CASES]
SIZES = [(), (1,), (3, 4), (0, 2), (update.BLOCK + 17,)]


def _parameters(rng, dtype):
    return [ingot.nn.Parameter(ingot.tensor(rng.standard_normal(size), dtype=dtype)) for size in SIZES]


def _run(kind, options, values, gradients, steps_with_lr=None):
    """The parameters after every step, and the optimizer's state, as arrays."""
    parameters = [ingot.nn.Parameter(ingot.tensor(v)) for v in values]
    optimizer = kind(parameters, **options)
    for gradient in gradients:
        for p, g in zip(parameters, gradient, strict=True):
            p.grad = ingot.tensor(g)
        optimizer.step()
    state = [x.numpy() for entry in optimizer.state_dict()["state"].values() for x in entry.values()]
    return [p.detach().numpy() for p in parameters], state


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize(("kind", "options"), CASES, ids=IDS)
def test_arrays_and_ops_agree_to_the_last_bit(kind, options, dtype, rng, monkeypatch):
    values = [rng.standard_normal(size).astype(dtype) for size in SIZES]
    gradients = [[rng.standard_normal(size).astype(dtype) for size in SIZES] for _ in range(4)]
    parameters, state = _run(kind, options, values, gradients)
    monkeypatch.setattr(update, "_is_plain", lambda *_: False)
    by_ops, state_by_ops = _run(kind, options, values, gradients)
    for a, b in zip(parameters + state, by_ops + state_by_ops, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("kind", "options"), CASES, ids=IDS)
def test_a_learning_rate_may_be_a_tensor(kind, options, rng):
    values = [rng.standard_normal(5)]
    gradients = [[rng.standard_normal(5)] for _ in range(3)]
    plain, _ = _run(kind, options, values, gradients)
    as_tensor, _ = _run(kind, {**options, "lr": ingot.tensor(options["lr"], dtype="float64")}, values, gradients)
    np.testing.assert_array_equal(plain[0], as_tensor[0])


def test_bfloat16_goes_through_ops(rng):
    p = ingot.nn.Parameter(ingot.tensor([1.0, -2.0], dtype=ingot.bfloat16))
    p.grad = ingot.tensor([1.0, 1.0], dtype=ingot.bfloat16)
    optimizer = Adam([p], lr=0.5)
    optimizer.step()
    np.testing.assert_allclose(p.detach().to(ingot.float32).numpy(), [0.5, -2.5], rtol=1e-2)
    assert optimizer.state[p]["exp_avg"].dtype is ingot.bfloat16


def test_parameters_that_are_not_contiguous(rng):
    base = ingot.tensor(rng.standard_normal((300, 300)))
    turned = ingot.nn.Parameter(base.T)
    straight = ingot.nn.Parameter(ingot.tensor(base.T.numpy().copy()))
    for p in (turned, straight):
        p.grad = ingot.tensor(np.ones((300, 300)))
        optimizer = Adam([p], lr=0.1)
        optimizer.step()
        optimizer.step()
    np.testing.assert_array_equal(turned.detach().numpy(), straight.detach().numpy())


def test_a_gradient_that_is_a_broadcast_view():
    p = ingot.nn.Parameter(ingot.zeros(4, dtype=ingot.float64))
    p.sum().backward()
    SGD([p], lr=0.5).step()
    assert p.tolist() == [-0.5] * 4


# --------------------------------------------------------------------------------------------- closed formulas


def test_sgd_goes_straight_down():
    w, lr = 3.0, 0.1
    p = ingot.nn.Parameter(ingot.tensor(w, dtype="float64"))
    optimizer = SGD([p], lr=lr)
    for _ in range(20):
        optimizer.zero_grad()
        (p * p).backward()
        optimizer.step()
    assert math.isclose(p.item(), w * (1 - 2 * lr) ** 20, rel_tol=1e-12)


def test_momentum_adds_up_a_geometric_series():
    p = ingot.nn.Parameter(ingot.tensor(0.0, dtype="float64"))
    optimizer = SGD([p], lr=1.0, momentum=0.5)
    for steps in range(1, 6):
        p.grad = ingot.tensor(1.0, dtype="float64")
        optimizer.step()
        assert optimizer.state[p]["momentum_buffer"].item() == 2.0 - 0.5 ** (steps - 1)
    assert p.item() == -sum(2.0 - 0.5**k for k in range(5))


def test_the_first_step_is_not_damped():
    p = ingot.nn.Parameter(ingot.tensor(0.0, dtype="float64"))
    optimizer = SGD([p], lr=1.0, momentum=0.5, dampening=0.75)
    seen = []
    for _ in range(3):
        p.grad = ingot.tensor(1.0, dtype="float64")
        optimizer.step()
        seen.append(optimizer.state[p]["momentum_buffer"].item())
    assert seen == [1.0, 0.75, 0.625]


def test_nesterov_looks_ahead():
    p = ingot.nn.Parameter(ingot.tensor(0.0, dtype="float64"))
    optimizer = SGD([p], lr=1.0, momentum=0.5, nesterov=True)
    p.grad = ingot.tensor(1.0, dtype="float64")
    optimizer.step()
    assert p.item() == -1.5
    optimizer.step()
    assert p.item() == -1.5 - (1.0 + 0.5 * 1.5)


@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_adams_first_step_is_the_learning_rate(kind):
    p = ingot.nn.Parameter(ingot.tensor([5.0, -7.0], dtype="float64"))
    p.grad = ingot.tensor([1e-3, 1e3], dtype="float64")
    kind([p], lr=0.1, eps=0.0, weight_decay=0.0).step()
    np.testing.assert_allclose(p.detach().numpy(), [4.9, -7.1], rtol=1e-12)


def test_adam_with_a_constant_gradient_keeps_its_step():
    p = ingot.nn.Parameter(ingot.tensor(0.0, dtype="float64"))
    optimizer = Adam([p], lr=0.1, eps=0.0)
    for steps in range(1, 30):
        p.grad = ingot.tensor(4.0, dtype="float64")
        optimizer.step()
        assert math.isclose(p.item(), -0.1 * steps, rel_tol=1e-12)
    state = optimizer.state[p]
    assert math.isclose(state["exp_avg"].item(), 4.0 * (1 - 0.9**29), rel_tol=1e-12)
    assert math.isclose(state["exp_avg_sq"].item(), 16.0 * (1 - 0.999**29), rel_tol=1e-12)
    assert state["step"].item() == 29


def test_adamws_decay_is_past_the_moments():
    p = ingot.nn.Parameter(ingot.tensor(2.0, dtype="float64"))
    optimizer = AdamW([p], lr=0.1, weight_decay=0.5)
    for _ in range(5):
        p.grad = ingot.tensor(0.0, dtype="float64")
        optimizer.step()
    assert math.isclose(p.item(), 2.0 * (1 - 0.1 * 0.5) ** 5, rel_tol=1e-12)
    assert optimizer.state[p]["exp_avg"].item() == 0.0


def test_amsgrad_never_forgets_the_largest_gradient():
    p = ingot.nn.Parameter(ingot.tensor(0.0, dtype="float64"))
    optimizer = Adam([p], lr=0.1, betas=(0.0, 0.5), amsgrad=True)
    for g in (100.0, 0.0, 0.0):
        p.grad = ingot.tensor(g, dtype="float64")
        optimizer.step()
    assert optimizer.state[p]["max_exp_avg_sq"].item() == 5000.0
    assert optimizer.state[p]["exp_avg_sq"].item() == 1250.0


# ------------------------------------------------------------------------------------------------------ steps


def test_parameters_without_a_gradient_stay():
    a, b = (ingot.nn.Parameter(ingot.ones(2)) for _ in range(2))
    a.grad = ingot.ones(2)
    optimizer = Adam([a, b], lr=0.5)
    optimizer.step()
    assert b.tolist() == [1.0, 1.0]
    assert b not in optimizer.state or not optimizer.state[b]
    assert list(optimizer.state_dict()["state"]) == [0]


def test_groups_have_options_of_their_own():
    a, b = (ingot.nn.Parameter(ingot.zeros(1)) for _ in range(2))
    optimizer = SGD([{"params": [a]}, {"params": b, "lr": 1.0}], lr=0.5)
    a.grad = b.grad = ingot.ones(1)
    optimizer.step()
    assert a.item() == -0.5
    assert b.item() == -1.0
    c = ingot.nn.Parameter(ingot.zeros(1))
    optimizer.add_param_group({"params": [c], "lr": 2.0, "weight_decay": 0.25})
    assert optimizer.param_groups[2]["momentum"] == 0.0
    c.grad = ingot.ones(1)
    optimizer.step()
    assert c.item() == -2.0


def test_a_closure_computes_the_loss_with_gradients_on():
    p = ingot.nn.Parameter(ingot.tensor([2.0]))
    optimizer = SGD([p], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with ingot.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 4.0
    assert p.item() == 1.0


def test_zero_grad_forgets_or_sets_to_zero():
    p = ingot.nn.Parameter(ingot.ones(2))
    optimizer = SGD([p])
    p.grad = ingot.ones(2)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert p.grad is None


def test_a_step_is_no_part_of_the_tape_and_is_seen_by_it():
    p = ingot.nn.Parameter(ingot.tensor([3.0]))
    y = (p * p).sum()
    p.grad = ingot.ones(1)
    SGD([p], lr=1.0).step()
    assert p.requires_grad
    assert p.is_leaf
    with pytest.raises(ingot.ir.errors.GradientError, match="changed in place"):
        y.backward()


def test_state_is_changed_in_place():
    p = ingot.nn.Parameter(ingot.ones(3))
    optimizer = Adam([p])
    p.grad = ingot.ones(3)
    optimizer.step()
    before = {key: (value, value.tolist()) for key, value in optimizer.state[p].items()}
    optimizer.step()
    for key, (tensor, numbers) in before.items():
        assert optimizer.state[p][key] is tensor
        assert tensor.tolist() != numbers


# ---------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: SGD([], lr=0.1), "no parameters"),
        (lambda p: SGD(p, lr=0.1), "params is a tensor"),
        (lambda p: SGD([p, p]), "more than once"),
        (lambda p: SGD([{"params": p}, {"params": p}]), "more than once"),
        (lambda p: SGD([p * 2]), "computed from other tensors"),
        (lambda p: SGD([3.0]), "a parameter is a float"),
        (lambda p: SGD([p], lr=-1.0), "lr is -1.0"),
        (lambda p: SGD([p], momentum=-0.1), "momentum is -0.1"),
        (lambda p: SGD([p], nesterov=True), "nesterov needs a momentum"),
        (lambda p: SGD([p], nesterov=True, momentum=0.9, dampening=0.1), "nesterov needs a momentum"),
        (lambda p: Adam([p], betas=(1.0, 0.9)), "betas are"),
        (lambda p: Adam([p], eps=-1.0), "eps is -1.0"),
        (lambda p: AdamW([p], weight_decay=-1.0), "AdamW: weight_decay is -1.0"),
    ],
)
def test_mistakes_are_named(make, says):
    with pytest.raises(ArgumentError, match=says):
        make(ingot.nn.Parameter(ingot.ones(2)))
